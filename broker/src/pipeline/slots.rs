//! A number of slots that can be changed while some of them are taken.
//!
//! What it is: a semaphore whose size follows the configuration.
//! What it is not: a queue with a bound; [`super::permits`] has that.
//!
//! Invariants: no slot is given out while as many as allowed are taken, also
//! after the number was lowered; a slot is given back by being dropped, and in
//! no other way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Some slots. Cheap to clone; clones are the same slots.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    /// How many may be taken.
    max: usize,
    /// How many of those taken go when they are given back: the number was lowered.
    owed: usize,
}

/// One slot, given back on drop.
#[derive(Debug)]
pub struct Slot {
    held: Option<OwnedSemaphorePermit>,
    of: Slots,
}

impl Slots {
    /// So many slots; more than the semaphore can count are as many as it can.
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            free: Arc::new(Semaphore::new(max)),
            size: Mutex::new(Size { max, owed: 0 }),
        }))
    }

    /// Changes their number. Slots taken stay taken; waiting ones keep their places.
    pub fn resize(&self, max: usize) {
        let max = max.min(Semaphore::MAX_PERMITS);
        let mut size = self.size();
        if max >= size.max {
            let more = max.saturating_sub(size.max);
            let kept = more.min(size.owed);
            size.owed = size.owed.saturating_sub(kept);
            self.0.free.add_permits(more.saturating_sub(kept));
        } else {
            let fewer = size.max.saturating_sub(max);
            let gone = self.0.free.forget_permits(fewer);
            size.owed = size.owed.saturating_add(fewer.saturating_sub(gone));
        }
        size.max = max;
    }

    /// A slot, if one is free.
    pub fn try_take(&self) -> Option<Slot> {
        let held = self.0.free.clone().try_acquire_owned().ok()?;
        Some(self.slot(held))
    }

    /// A slot, after as long a wait as it takes; first come, first served.
    /// `None` never happens as long as the slots exist.
    pub async fn take(&self) -> Option<Slot> {
        let held = self.0.free.clone().acquire_owned().await.ok()?;
        Some(self.slot(held))
    }

    fn slot(&self, held: OwnedSemaphorePermit) -> Slot {
        Slot {
            held: Some(held),
            of: self.clone(),
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.0.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else {
            return;
        };
        let mut size = self.of.size();
        if size.owed > 0 {
            size.owed = size.owed.saturating_sub(1);
            held.forget();
        } else {
            drop(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(slots: &Slots) -> Vec<Slot> {
        std::iter::from_fn(|| slots.try_take()).collect()
    }

    #[test]
    fn as_many_as_allowed_are_given_out_whatever_is_changed_meanwhile() {
        let cases = [
            // first, taken, second, third, free then, why
            (3, 0, 1, 1, 1, "lowered while all are free"),
            (3, 3, 1, 1, 0, "lowered while all are taken"),
            (3, 1, 5, 5, 4, "raised while one is taken"),
            (3, 3, 1, 3, 0, "lowered and raised again: nothing is gained"),
            (3, 3, 1, 4, 1, "lowered and raised further"),
            (3, 2, 0, 0, 0, "none at all"),
        ];
        for (first, taken, second, third, free, why) in cases {
            let slots = Slots::new(first);
            let held: Vec<_> = (0..taken).filter_map(|_| slots.try_take()).collect();
            assert_eq!(held.len(), taken);
            slots.resize(second);
            slots.resize(third);
            assert_eq!(take_all(&slots).len(), free, "{why}");
            drop(held);
            assert_eq!(
                take_all(&slots).len(),
                third,
                "{why}: after all are given back"
            );
        }
    }

    #[tokio::test]
    async fn who_waits_gets_a_slot_that_is_added_and_none_that_is_owed() {
        let slots = Slots::new(1);
        let first = slots.try_take().unwrap();
        let other = slots.clone();
        let waiting = tokio::spawn(async move { other.take().await });
        tokio::task::yield_now().await;
        slots.resize(2);
        let second = waiting.await.unwrap().unwrap();
        slots.resize(1);
        drop(first);
        assert!(slots.try_take().is_none(), "one is allowed and taken");
        drop(second);
        assert!(slots.try_take().is_some());
    }
}
