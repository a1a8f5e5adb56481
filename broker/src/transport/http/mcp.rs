//! MCP at `/mcp`, by the protocol's streamable HTTP transport.
//!
//! What it is: the library's transport with our sessions, for any server: both
//! eras, each request served for the caller who sent it.
//! What it is not: access, Host and Origin, or bounds on bodies; the layers
//! around it keep those, for every route alike.
//!
//! Invariants: a request without a caller is not served; a client that
//! disconnects cancels its request, in either era.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any};
use futures::StreamExt as _;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::super::Stop;
use super::bodies::BODY_BYTES_MAX;
use super::sessions::{ASKING, Asking, Sessions};
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::rest::problem::Problem;
use crate::results::neutralise;

/// When a session may be free again, in seconds.
const RETRY_AFTER_SEC: u64 = 5;

/// Longest refusal of the library's that is passed on, in bytes.
const REFUSAL_BYTES_MAX: usize = 1024;

/// Longest request that opens a session or a stream, in bytes: the library keeps
/// what a client says of itself for as long as that lasts.
const OPENING_BYTES_MAX: usize = 8 * 1024;

/// The end point. Cheap to clone.
pub struct McpEndpoint<S> {
    library: StreamableHttpService<S, Sessions>,
    drain: CancellationToken,
}

impl<S> Clone for McpEndpoint<S> {
    fn clone(&self) -> Self {
        Self {
            library: self.library.clone(),
            drain: self.drain.clone(),
        }
    }
}

impl<S> fmt::Debug for McpEndpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("McpEndpoint")
    }
}

impl<S: ServerHandler + Send + 'static> McpEndpoint<S> {
    /// Serves what `server` makes; it is asked once for each session, and for
    /// each request without one.
    pub fn new(
        server: impl Fn() -> S + Send + Sync + 'static,
        sessions_max: usize,
        stop: &Stop,
    ) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(true)
            .with_json_response(true)
            .with_sse_retry(None)
            .with_max_request_body_bytes(BODY_BYTES_MAX)
            .with_cancellation_token(stop.cancel.clone())
            // Checked for all routes, in one place, before this one is reached.
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let sessions = Arc::new(Sessions::new(sessions_max));
        Self {
            library: StreamableHttpService::new(move || Ok(server()), sessions, config),
            drain: stop.drain.clone(),
        }
    }

    /// The route, for callers whom the layers around it have put into the request.
    pub fn route<T: Clone + Send + Sync + 'static>(self) -> MethodRouter<T> {
        any(
            move |Extension(caller): Extension<Caller>, request: Request<Body>| async move {
                self.serve(caller, request).await.map_err(Problem::from)
            },
        )
    }

    /// Answers one request of this caller.
    ///
    /// # Errors
    ///
    /// Where every session there is room for is in use.
    pub async fn serve(
        &self,
        caller: Caller,
        request: Request<Body>,
    ) -> Result<Response, CallError> {
        let mut request = is_modest(request).await?;
        // The server reads it from the request that the library hands on.
        request.extensions_mut().insert(caller.clone());
        let (listens, ends) = match *request.method() {
            Method::GET => (true, false),
            Method::DELETE => (false, true),
            _ => (false, false),
        };
        let full = Arc::new(AtomicBool::new(false));
        let asking = Asking {
            caller,
            full: Arc::clone(&full),
        };
        let response = ASKING.scope(asking, self.library.handle(request)).await;
        if full.load(Ordering::Relaxed) {
            let what = "every MCP session is in use";
            let remedy = "end a session (DELETE /mcp), or call again when one was silent";
            let error = CallError::new(ErrorType::ResourceExhausted, what, remedy);
            return Err(error.with("retry_after_sec", RETRY_AFTER_SEC));
        }
        let mut response = response.map(Body::new);
        if ends && response.status() == StatusCode::ACCEPTED {
            // It is ended by then, and clients take 202 for a failure.
            *response.status_mut() = StatusCode::OK;
        }
        if response.status().is_client_error() && !is_json(&response) {
            return Ok(in_our_words(response).await);
        }
        if !listens {
            return Ok(response);
        }
        // Nobody waits for an answer there, so it must not hold up the end.
        let drain = self.drain.clone().cancelled_owned();
        Ok(response.map(|body| Body::from_stream(body.into_data_stream().take_until(drain))))
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.contains("json")
}

/// The library's refusal, which is a line of text, as a problem.
async fn in_our_words(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    let text = neutralise::line(&String::from_utf8_lossy(&text), REFUSAL_BYTES_MAX);
    // It takes a body that can't be read for one of another type.
    let is_unread = text.starts_with("fail to deserialize");
    let (status, kind, remedy) = match parts.status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE if is_unread => (
            StatusCode::BAD_REQUEST,
            ErrorType::ValidationError,
            "send one JSON-RPC 2.0 message",
        ),
        StatusCode::NOT_FOUND => (
            parts.status,
            ErrorType::NotFound,
            "begin a session with `initialize`, or call without one in the protocol's later version",
        ),
        status => (
            status,
            ErrorType::ValidationError,
            "send what the protocol's streamable HTTP transport asks for; see `MCP over HTTP` in OPERATING.md",
        ),
    };
    let problem = Problem::with_status(status, CallError::new(kind, text, remedy));
    let allow = parts.headers.get(header::ALLOW).cloned();
    let problem = match allow {
        Some(allow) => problem.header(header::ALLOW, allow),
        None => problem,
    };
    problem.into_response()
}

/// The method of a message, whatever else it holds.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    method: Cow<'a, str>,
}

/// The request again, unless it opens something and says too much.
async fn is_modest(request: Request<Body>) -> Result<Request<Body>, CallError> {
    let (parts, body) = request.into_parts();
    // The front has taken it in whole.
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    if body.len() > OPENING_BYTES_MAX {
        // What can't be read is refused by the library, in the protocol's words.
        let message = serde_json::from_slice::<Message<'_>>(&body);
        let opens = |message: Message<'_>| {
            ["initialize", "subscriptions/listen"].contains(&message.method.as_ref())
        };
        if message.is_ok_and(opens) {
            let what = format!(
                "a request that opens a session or a stream has at most {OPENING_BYTES_MAX} bytes"
            );
            let remedy = "say less of the client and its capabilities";
            return Err(CallError::new(ErrorType::ValidationError, what, remedy));
        }
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}
