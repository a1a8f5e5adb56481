//! Events: the life of each run, told to whoever watches.
//!
//! What it is: one bounded channel from the pipeline to a bounded number of
//! subscribers, a part of them for each reader.
//! What it is not: a record. Who comes late or reads slowly misses events; the
//! audit log and the run store don't.
//!
//! Invariants: telling never waits; what is kept is bounded by
//! [`KEPT_MAX`] events; a subscriber that fell behind is told how many it
//! lost; texts are made harmless by the teller.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};

/// Events kept for subscribers that are behind.
pub const KEPT_MAX: usize = 256;
/// Subscribers at once.
pub const SUBSCRIBERS_MAX: usize = 32;
/// Subscribers of one reader, who may have an old tab or two.
pub const OWN_SUBSCRIBERS_MAX: usize = 8;

/// Why there is no place for a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// All are taken.
    #[error("{SUBSCRIBERS_MAX} others read the events already")]
    ByAll,
    /// This reader has taken its part.
    #[error("you read the events {OWN_SUBSCRIBERS_MAX} times already")]
    ByOneself,
}

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
    places: Places,
}

/// Who subscribed, once for each time.
type Places = Arc<Mutex<Vec<String>>>;

impl Default for Events {
    fn default() -> Self {
        Self(Arc::new(Inner {
            last: Mutex::new(0),
            sender: broadcast::Sender::new(KEPT_MAX),
            places: Places::default(),
        }))
    }
}

impl Events {
    /// Tells subscribers, if there are any. Never waits for them.
    pub fn tell(&self, about: &Arc<About>, what: What) {
        let mut last = locked(&self.0.last);
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

    /// A place among the subscribers for this reader.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn subscribe(&self, reader: &str) -> Result<Subscription, Crowded> {
        let mut places = locked(&self.0.places);
        if places.len() >= SUBSCRIBERS_MAX {
            return Err(Crowded::ByAll);
        }
        if places.iter().filter(|taken| *taken == reader).count() >= OWN_SUBSCRIBERS_MAX {
            return Err(Crowded::ByOneself);
        }
        places.push(reader.to_owned());
        Ok(Subscription {
            receiver: self.0.sender.subscribe(),
            places: Arc::clone(&self.0.places),
            reader: reader.to_owned(),
        })
    }

    /// How many subscribers there are.
    #[cfg(test)]
    fn subscribers(&self) -> usize {
        locked(&self.0.places).len()
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
    places: Places,
    reader: String,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut places = locked(&self.places);
        if let Some(at) = places.iter().position(|taken| *taken == self.reader) {
            places.swap_remove(at);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it holds is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (mut slow, about) = (events.subscribe("a").unwrap(), about());
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
        let readers = ["a", "b", "c", "d"];
        let mut all = Vec::new();
        for reader in readers {
            for _ in 0..OWN_SUBSCRIBERS_MAX {
                all.push(events.subscribe(reader).unwrap());
            }
            if reader != "d" {
                let refused = events.subscribe(reader).unwrap_err();
                assert_eq!(refused, Crowded::ByOneself, "others keep their places");
            }
        }
        assert_eq!(events.subscribers(), SUBSCRIBERS_MAX);
        assert_eq!(events.subscribe("e").unwrap_err(), Crowded::ByAll);
        drop(all.swap_remove(0));
        assert_eq!(events.subscribers(), SUBSCRIBERS_MAX - 1);
        drop(events.subscribe("a").unwrap());
        drop(all);
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
