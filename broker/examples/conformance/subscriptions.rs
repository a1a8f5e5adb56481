//! Changes, from the tools that cause them to the clients that listen.
//!
//! What it is not: a change of anything; only its announcement.
//!
//! Invariants: at most [`WAITING_MAX`] announcements wait for a slow listener,
//! which loses the oldest.

use rmcp::ErrorData;
use rmcp::service::SubscriptionContext;
use tokio::sync::broadcast;

/// Most announcements that wait for one listener.
const WAITING_MAX: usize = 16;

/// What changed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Tools,
    Prompts,
}

/// All listeners.
#[derive(Debug, Clone)]
pub(crate) struct Changes(broadcast::Sender<Change>);

impl Changes {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(WAITING_MAX))
    }

    /// Tells every listener.
    pub(crate) fn announce(&self, change: Change) {
        // Fails when nobody listens, which is no fault.
        self.0.send(change).ok();
    }

    /// Serves one listener until it ends its request.
    ///
    /// # Errors
    ///
    /// Never; a listener that is gone ends the wait.
    pub(crate) async fn tell(&self, listener: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.0.subscribe();
        loop {
            let change = tokio::select! {
                () = listener.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            let told = match change {
                Ok(Change::Tools) => listener.sink().notify_tool_list_changed().await,
                Ok(Change::Prompts) => listener.sink().notify_prompt_list_changed().await,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            };
            // Each listener has its filter: a change that it didn't ask for is refused here.
            told.ok();
        }
    }
}
