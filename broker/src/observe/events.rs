//! Events: the life of each run, told to whoever watches.
//!
//! What it is: one bounded channel from the pipeline to a bounded number of
//! subscribers.
//! What it is not: a record. Who comes late or reads slowly misses events; the
//! audit log and the run store don't.
//!
//! Invariants: telling never waits; what is kept is bounded by
//! [`KEPT_MAX`] events; a subscriber that fell behind is told how many it
//! lost; texts are made harmless by the teller.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Events kept for subscribers that are behind.
pub const KEPT_MAX: usize = 256;
/// Subscribers at once.
pub const SUBSCRIBERS_MAX: usize = 32;

/// Which call an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// Names the run.
    pub run_id: String,
    /// The caller's name for it.
    pub correlation_id: String,
    /// The tool.
    pub tool: String,
    /// The target as asked.
    pub target: String,
    /// Who called, as `surface:name`.
    pub caller: String,
}

/// What happened to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// It waits for its turn.
    Queued,
    /// The tool runs.
    Started,
    /// The tool says how far it is.
    Progress {
        /// 0 to 100.
        percent: f64,
        /// What it is doing.
        message: String,
    },
    /// It ended, or was refused before it began.
    Finished {
        /// `success`, `failure` (a tool ran) or `refused` (none did).
        status: &'static str,
        /// The tool's exit code.
        returncode: Option<i32>,
        /// Why it failed, if it did.
        error_type: Option<&'static str>,
        /// From the call's arrival, waiting included.
        seconds: f64,
    },
}

/// Something that happened to a call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunNews {
    /// Counts the events of this broker since its start.
    pub sequence: u64,
    /// When, in UTC.
    pub timestamp: Timestamp,
    /// Which call.
    #[serde(flatten)]
    pub about: Arc<About>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// The channel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The last number, held while sending, so that numbers come in order.
    last: Mutex<u64>,
    sender: broadcast::Sender<Arc<RunNews>>,
    places: Arc<Semaphore>,
}

impl Default for Events {
    fn default() -> Self {
        Self(Arc::new(Inner {
            last: Mutex::new(0),
            sender: broadcast::Sender::new(KEPT_MAX),
            places: Arc::new(Semaphore::new(SUBSCRIBERS_MAX)),
        }))
    }
}

impl Events {
    /// Tells subscribers, if there are any. Never waits for them.
    pub fn tell(&self, about: &Arc<About>, what: What) {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = last.saturating_add(1);
        if self.0.sender.receiver_count() == 0 {
            return;
        }
        let news = RunNews {
            sequence: *last,
            timestamp: Timestamp::now(),
            about: Arc::clone(about),
            what,
        };
        // It fails where the last subscriber has just left.
        drop(self.0.sender.send(Arc::new(news)));
    }

    /// A place among the subscribers; `None` where all [`SUBSCRIBERS_MAX`] are taken.
    pub fn subscribe(&self) -> Option<Subscription> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        Some(Subscription {
            receiver: self.0.sender.subscribe(),
            _place: place,
        })
    }

    /// How many subscribers there are.
    #[cfg(test)]
    fn subscribers(&self) -> usize {
        SUBSCRIBERS_MAX.saturating_sub(self.0.places.available_permits())
    }
}

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// Something happened.
    News(Arc<RunNews>),
    /// This many events were lost, since the subscriber was too slow.
    Lagged(u64),
}

/// A subscriber's place, given up on drop.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Arc<RunNews>>,
    _place: OwnedSemaphorePermit,
}

impl Subscription {
    /// The next event; `None` when there will be none. Cancel-safe.
    pub async fn next(&mut self) -> Option<Received> {
        match self.receiver.recv().await {
            Ok(news) => Some(Received::News(news)),
            Err(RecvError::Lagged(lost)) => Some(Received::Lagged(lost)),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> Arc<About> {
        Arc::new(About {
            run_id: "r".into(),
            correlation_id: "c".into(),
            tool: "nmap".into(),
            target: "10.0.0.1".into(),
            caller: "stdio:uid=1".into(),
        })
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_what_it_lost_and_holds_up_nobody() {
        let events = Events::default();
        let (mut slow, about) = (events.subscribe().unwrap(), about());
        for _ in 0..KEPT_MAX + 100 {
            events.tell(&about, What::Queued);
        }
        assert_eq!(slow.next().await, Some(Received::Lagged(100)));
        let Some(Received::News(news)) = slow.next().await else {
            panic!("the oldest that is kept");
        };
        assert_eq!(news.sequence, 101, "numbers go on where events were lost");
        let mut rest = 1;
        drop(events);
        while let Some(Received::News(_)) = slow.next().await {
            rest += 1;
        }
        assert_eq!(rest, KEPT_MAX);
    }

    #[tokio::test]
    async fn subscribers_are_bounded_and_their_places_come_back() {
        let events = Events::default();
        let all: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| events.subscribe()).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(events.subscribe().is_none());
        assert_eq!(events.subscribers(), SUBSCRIBERS_MAX);
        drop(all);
        assert!(events.subscribe().is_some());
        assert_eq!(events.subscribers(), 0);
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let finished = What::Finished {
            status: "failure",
            returncode: Some(124),
            error_type: Some("timeout"),
            seconds: 1.5,
        };
        let news = RunNews {
            sequence: 7,
            timestamp: Timestamp::UNIX_EPOCH,
            about: about(),
            what: finished,
        };
        let expected = serde_json::json!({
            "sequence": 7, "timestamp": "1970-01-01T00:00:00Z",
            "run_id": "r", "correlation_id": "c", "tool": "nmap", "target": "10.0.0.1",
            "caller": "stdio:uid=1", "event": "finished", "status": "failure",
            "returncode": 124, "error_type": "timeout", "seconds": 1.5,
        });
        assert_eq!(serde_json::to_value(&news).unwrap(), expected);
    }
}
