//! MCP at `/mcp`, by the protocol's streamable HTTP transport.
//!
//! What it is: the library's transport with our sessions, for any server: both
//! eras, each request served for the caller who sent it.
//! What it is not: access, Host and Origin, or bounds on bodies; the layers
//! around it keep those, for every route alike.
//!
//! Invariants: a request without a caller is not served; a client that
//! disconnects cancels its request, in either era.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use super::BODY_BYTES_MAX;
use super::sessions::{ASKING, Asking, Sessions};
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::rest::problem::Problem;

/// When a session may be free again, in seconds.
const RETRY_AFTER_SEC: u64 = 5;

/// The end point. Cheap to clone.
pub struct McpEndpoint<S>(StreamableHttpService<S, Sessions>);

impl<S> Clone for McpEndpoint<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for McpEndpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("McpEndpoint")
    }
}

/// What an end point holds at most.
#[derive(Debug, Clone, Copy)]
pub struct McpLimits {
    /// Sessions at once.
    pub sessions_max: usize,
    /// Longest body, in bytes.
    pub body_bytes_max: usize,
}

impl Default for McpLimits {
    fn default() -> Self {
        Self {
            sessions_max: 256,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }
}

impl<S: ServerHandler + Send + 'static> McpEndpoint<S> {
    /// Serves what `server` makes; it is asked once for each session, and for
    /// each request without one. `stop` ends all of them.
    pub fn new(
        server: impl Fn() -> S + Send + Sync + 'static,
        limits: McpLimits,
        stop: CancellationToken,
    ) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(true)
            .with_json_response(true)
            .with_sse_retry(None)
            .with_max_request_body_bytes(limits.body_bytes_max)
            .with_cancellation_token(stop)
            // Checked for all routes, in one place, before this one is reached.
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let sessions = Arc::new(Sessions::new(limits.sessions_max));
        Self(StreamableHttpService::new(
            move || Ok(server()),
            sessions,
            config,
        ))
    }

    /// The route to it, for requests that the front has put their caller into.
    pub fn route(self) -> Router {
        let answer = move |Extension(caller): Extension<Caller>, request: Request<Body>| {
            let endpoint = self.clone();
            async move {
                let answered = endpoint.serve(caller, request).await;
                answered.map_err(Problem::from)
            }
        };
        Router::new().route("/mcp", any(answer))
    }

    /// Answers one request of this caller.
    ///
    /// # Errors
    ///
    /// Where every session there is room for is in use.
    pub async fn serve(
        &self,
        caller: Caller,
        mut request: Request<Body>,
    ) -> Result<Response, CallError> {
        // The server reads it from the request that the library hands on.
        request.extensions_mut().insert(caller.clone());
        let full = Arc::new(AtomicBool::new(false));
        let asking = Asking {
            caller,
            full: Arc::clone(&full),
        };
        let response = ASKING.scope(asking, self.0.handle(request)).await;
        if full.load(Ordering::Relaxed) {
            let what = "every MCP session is in use";
            let remedy = "end a session (DELETE /mcp), or call again when one was silent";
            let error = CallError::new(ErrorType::ResourceExhausted, what, remedy);
            return Err(error.with("retry_after_sec", RETRY_AFTER_SEC));
        }
        Ok(response.map(Body::new))
    }
}
