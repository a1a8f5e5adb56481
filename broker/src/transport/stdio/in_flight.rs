//! The requests that have been read and not been answered.
//!
//! What it is: a bound on them, and the check that no two share an id.
//! What it is not: a limit on runs; those have permits of their own.
//!
//! Invariants: an id is in the table exactly once; an id whose request was
//! cancelled stays until its handler is done, so that a late answer can't be
//! taken for that of a later request; each entry holds one slot.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The table.
#[derive(Debug)]
pub(super) struct InFlight {
    slots: Arc<Semaphore>,
    slot_count: u32,
    ids: Mutex<HashMap<RequestId, OwnedSemaphorePermit>>,
}

/// The right to admit one request; its slot is free again when dropped.
#[derive(Debug)]
pub(super) struct Slot(OwnedSemaphorePermit);

/// Another request with this id is under way.
#[derive(Debug)]
pub(super) struct Duplicate;

impl InFlight {
    pub(super) fn new(slot_count: u32) -> Self {
        let count = usize::try_from(slot_count).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(count)),
            slot_count,
            ids: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for a free slot. `None` never happens while the table is in use.
    pub(super) async fn slot(&self) -> Option<Slot> {
        Arc::clone(&self.slots).acquire_owned().await.ok().map(Slot)
    }

    /// Enters a request.
    pub(super) fn admit(&self, id: &RequestId, slot: Slot) -> Result<(), Duplicate> {
        match self.ids().entry(id.clone()) {
            Entry::Occupied(_) => Err(Duplicate),
            Entry::Vacant(vacant) => {
                vacant.insert(slot.0);
                Ok(())
            }
        }
    }

    /// Takes a request out: it was answered, or nobody wants its answer.
    pub(super) fn release(&self, id: &RequestId) {
        // Bound so that the slot is freed after the lock.
        let slot = self.ids().remove(id);
        drop(slot);
    }

    /// Waits until everything is answered.
    pub(super) async fn idle(&self) {
        // The semaphore is never closed, so the only outcome is the permits.
        drop(self.slots.acquire_many(self.slot_count).await);
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<RequestId, OwnedSemaphorePermit>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn admits_an_id_once_until_released() {
        let table = InFlight::new(2);
        let id = RequestId::Number(1);
        let text = RequestId::String("1".into());
        table.admit(&id, table.slot().await.unwrap()).unwrap();
        table.admit(&id, table.slot().await.unwrap()).unwrap_err();
        table.admit(&text, table.slot().await.unwrap()).unwrap();
        assert!(
            table.slot().now_or_never().is_none(),
            "both slots are taken"
        );
        assert!(table.idle().now_or_never().is_none());
        table.release(&id);
        table.release(&id);
        table.admit(&id, table.slot().await.unwrap()).unwrap();
        table.release(&id);
        table.release(&text);
        table.idle().await;
    }
}
