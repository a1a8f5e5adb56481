//! Progress from a run to the client that asked for it.
//!
//! What it is: one slot that always holds the newest event, and a loop that
//! sends it on.
//! What it is not: a queue. Whatever a slow client misses is gone, and a fast
//! tool is told apart from a stuck one by the heartbeat.
//!
//! Invariants: observing never blocks and never allocates more than one event;
//! the value sent grows with every notification and stays below the total;
//! nothing is sent before [`Forwarder::forward`] starts or after it returns.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RoleServer};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::pipeline::{Observer, RunEvent};

/// Sent when nothing has changed for so long; clients give up on silent calls.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Least time between two notifications.
const INTERVAL: Duration = Duration::from_millis(200);

/// The value that means done, which only the answer says.
const TOTAL: f64 = 100.0;

/// Longest message, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// What the newest event says.
#[derive(Debug, Clone, PartialEq)]
struct State {
    percent: f64,
    message: String,
}

/// The observer's end.
struct Latest {
    tool: String,
    state: watch::Sender<State>,
}

impl Observer for Latest {
    fn observe(&self, event: RunEvent) {
        self.state.send_if_modified(|state| {
            let next = match event {
                RunEvent::Queued => format!("{} waits for its turn", self.tool),
                RunEvent::Started { .. } => format!("{} is running", self.tool),
                RunEvent::Progress { percent, message } => {
                    state.percent = percent;
                    message
                }
            };
            state.message = next;
            true
        });
    }
}

/// The client's end.
pub(super) struct Forwarder<'a> {
    state: watch::Receiver<State>,
    client: Option<(ProgressToken, &'a Peer<RoleServer>)>,
    stop: CancellationToken,
}

/// The two ends. Without a token, nothing is sent.
pub(super) fn channel<'a>(
    tool: &str,
    token: Option<ProgressToken>,
    peer: &'a Peer<RoleServer>,
) -> (Arc<dyn Observer>, Forwarder<'a>) {
    let (sender, state) = watch::channel(State {
        percent: 0.0,
        message: String::new(),
    });
    let observer = Latest {
        tool: tool.to_owned(),
        state: sender,
    };
    let client = token.map(|token| (token, peer));
    (
        Arc::new(observer),
        Forwarder {
            state,
            client,
            stop: CancellationToken::new(),
        },
    )
}

impl Forwarder<'_> {
    /// Makes [`Forwarder::forward`] return, once what it is sending is out.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Sends events until stopped, or until the client is gone.
    pub(super) async fn forward(&self) {
        let Some((token, peer)) = &self.client else {
            return;
        };
        let mut state = self.state.clone();
        let mut value = None;
        while self.due(&mut state).await {
            let State { percent, message } = state.borrow_and_update().clone();
            let next = following(value, percent);
            let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
            let notification = ProgressNotificationParam::new(token.clone(), next)
                .with_total(TOTAL)
                .with_message(message);
            // Awaited to the end also when stopped meanwhile: it must not be overtaken by the answer.
            if let Err(error) = peer.notify_progress(notification).await {
                tracing::debug!(%error, "progress can't be sent any more");
                return;
            }
            value = Some(next);
            if !self.pause(INTERVAL).await {
                return;
            }
        }
    }

    /// Waits for something new, or for the heartbeat. False when stopped.
    async fn due(&self, state: &mut watch::Receiver<State>) -> bool {
        let beat = Instant::now()
            .checked_add(HEARTBEAT)
            .unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            changed = state.changed() => if changed.is_ok() {
                return true;
            },
            () = tokio::time::sleep_until(beat) => return true,
        }
        // The observer is gone, so the run is over or about to be.
        self.pause(HEARTBEAT).await
    }

    /// False when stopped.
    async fn pause(&self, span: Duration) -> bool {
        tokio::time::timeout(span, self.stop.cancelled())
            .await
            .is_err()
    }
}

/// The value after `last` for a run that is `percent` done.
///
/// The protocol wants each value to be greater than the one before, also that
/// of a heartbeat; a thousandth of what is left never arrives.
fn following(last: Option<f64>, percent: f64) -> f64 {
    let percent = if percent.is_finite() {
        percent.clamp(0.0, TOTAL)
    } else {
        0.0
    };
    match last {
        None => percent.min(TOTAL - 1.0),
        Some(last) if percent > last && percent < TOTAL => percent,
        Some(last) => last + (TOTAL - last) / 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_grow_whatever_the_tool_says() {
        let cases: &[(&[f64], &str)] = &[
            (&[0.0, 10.0, 50.0, 99.9], "as it should be"),
            (&[0.0, 0.0, 0.0], "heartbeats before the first progress"),
            (
                &[60.0, 10.0, 20.0],
                "a later task of the tool begins at the bottom",
            ),
            (&[100.0, 100.0, 100.0], "done, and still working"),
            (&[f64::NAN, -5.0, f64::INFINITY, 1e300], "nonsense"),
        ];
        for (percents, why) in cases {
            let mut last = None;
            for percent in *percents {
                let next = following(last, *percent);
                assert!(
                    last.is_none_or(|last| next > last),
                    "{why}: {last:?} then {next}"
                );
                assert!((0.0..TOTAL).contains(&next), "{why}: {next}");
                last = Some(next);
            }
        }
    }

    #[test]
    fn an_hour_of_heartbeats_grows_to_the_end() {
        let mut last = None;
        for _ in 0..720 {
            let next = following(last, 99.0);
            assert!(last.is_none_or(|last| next > last) && next < TOTAL);
            last = Some(next);
        }
    }
}
