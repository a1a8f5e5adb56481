//! A layer that turns a panic in a handler into an answer.
//!
//! What it is: the reason that one broken request harms no other.
//! What it is not: a way to go on within the request; its state is dropped.
//!
//! Invariants: every request is answered; the panic's text stays in the log.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use rmcp::ErrorData;
use rmcp::model::{
    ClientNotification, ClientRequest, ProtocolVersion, RequestId, ServerConfig, ServerResult,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, Service};

/// What a handler comes to, also if it panics.
pub(super) async fn caught<T>(
    id: &RequestId,
    handling: impl Future<Output = Result<T, ErrorData>>,
) -> Result<T, ErrorData> {
    // The future is dropped after a panic, and services share no state that is half changed.
    let handling = AssertUnwindSafe(handling).catch_unwind();
    handling.await.unwrap_or_else(|_| {
        tracing::error!(%id, "a request handler panicked");
        Err(ErrorData::internal_error(
            "the request failed inside the server",
            None,
        ))
    })
}

/// A service whose handlers may panic.
#[derive(Debug, Clone)]
pub struct Guard<S>(S);

impl<S> Guard<S> {
    /// Guards a service.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S: Service<RoleServer>> Service<RoleServer> for Guard<S> {
    async fn handle_request(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        let id = context.id.clone();
        caught(&id, self.0.handle_request(request, context)).await
    }

    async fn handle_notification(
        &self,
        notification: ClientNotification,
        context: NotificationContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.handle_notification(notification, context).await
    }

    fn get_info(&self) -> ServerConfig {
        self.0.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.0.supported_protocol_versions()
    }
}
