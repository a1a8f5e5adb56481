//! The service as one stdio client sees it.
//!
//! What it is: a layer that frees the id of a cancelled request once its
//! handler is done; the answer, which frees the others, never comes for those.
//! What it is not: a handler.
//!
//! Invariants: a request leaves the table exactly when its id may be used again.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::{ClientNotification, ClientRequest, ProtocolVersion, ServerConfig, ServerResult};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, Service};

use super::in_flight::InFlight;

/// A service and the table of its requests.
#[derive(Debug)]
pub(super) struct Session<S> {
    inner: S,
    in_flight: Arc<InFlight>,
}

impl<S> Session<S> {
    pub(super) fn new(inner: S, in_flight: Arc<InFlight>) -> Self {
        Self { inner, in_flight }
    }
}

impl<S: Service<RoleServer>> Service<RoleServer> for Session<S> {
    async fn handle_request(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<ServerResult, ErrorData> {
        let id = context.id.clone();
        let cancelled = context.ct.clone();
        let result = self.inner.handle_request(request, context).await;
        if cancelled.is_cancelled() {
            self.in_flight.release(&id);
        }
        result
    }

    async fn handle_notification(
        &self,
        notification: ClientNotification,
        context: NotificationContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.inner.handle_notification(notification, context).await
    }

    fn get_info(&self) -> ServerConfig {
        self.inner.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.inner.supported_protocol_versions()
    }
}
