//! What every request passes before a handler sees it, in order.
//!
//! What it is: request id, names, authentication, role, body; and around it all
//! the answer to a panic.
//! What it is not: routes; `rest` has those.
//!
//! Invariants: no handler runs for a request that was not authenticated, unless
//! anybody may ask; a body is whole and within its bound before a handler
//! begins, and a stranger's is not read; each answer names its request.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode, Version};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use hyper::body::Incoming;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::authenticate::{Access, authorise, needed};
use super::bodies::{Bodies, refused};
use super::connection::Peer;
use super::hosts::Names;
use crate::config::service::Service;
use crate::outcome::{CallError, ErrorType};
use crate::rest::problem::{self, Problem};
use crate::rest::request::RequestId;
use crate::results::neutralise;

/// How long a browser may remember what it may do.
const PREFLIGHT_AGE: Duration = Duration::from_mins(10);

/// Longest path and reason that are logged of a request that is turned away, in
/// characters.
const TOLD_CHARS_MAX: usize = 200;

static X_REQUEST_ID: HeaderName = HeaderName::from_static(RequestId::HEADER);

/// All that requests pass, and the routes behind it.
#[derive(Debug)]
pub(super) struct Front {
    names: Names,
    cors: Option<CorsLayer>,
    access: Access,
    bodies: Bodies,
    router: Router,
    turned_away: TurnedAway,
}

/// What is said in the log of those who are not let in: a line a second at most,
/// since anybody can cause them.
#[derive(Debug, Default)]
struct TurnedAway {
    last: AtomicU64,
    untold: AtomicU64,
}

impl TurnedAway {
    fn tell(&self, peer: &Peer, path: &str, id: &RequestId, problem: &Problem) {
        let now = jiff::Timestamp::now().as_second().unsigned_abs();
        if self.last.swap(now, Ordering::Relaxed) == now {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Both may repeat what the client sent.
        let [path, reason] =
            [path, &problem.error().message].map(|text| neutralise::line(text, TOLD_CHARS_MAX));
        tracing::warn!(
            request_id = id.as_str(),
            peer = peer.name,
            path,
            reason,
            status = problem.status().as_u16(),
            untold = self.untold.swap(0, Ordering::Relaxed),
            "request turned away"
        );
    }
}

impl Front {
    pub(super) fn new(service: &Service, access: Access, router: Router) -> Self {
        Self {
            names: Names::of(service),
            cors: cors(&service.allowed_origins),
            access,
            bodies: Bodies::new(service.request_timeout),
            router,
            turned_away: TurnedAway::default(),
        }
    }

    /// The answer to a request; there always is one.
    pub(super) async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let id = RequestId::of(request.headers());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let began = tokio::time::Instant::now();
        let answered = AssertUnwindSafe(self.named(peer, request, &id));
        let answer = answered.catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(request_id = id.as_str(), "a request handler panicked");
            Err(broken())
        });
        let response = answer.unwrap_or_else(|problem| {
            // 401 and 403, and 421: a wrong token, role or name.
            if matches!(problem.status().as_u16(), 401 | 403 | 421) {
                self.turned_away.tell(peer, &path, &id, &problem);
            }
            problem.into_response()
        });
        let mut response = problem::finish(response, id.as_str());
        tracing::debug!(
            request_id = id.as_str(), %method, path, peer = peer.name,
            status = response.status().as_u16(), seconds = began.elapsed().as_secs_f64(),
            "request answered"
        );
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID.clone(), id.into_header());
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        response
    }

    /// By which name and from whose page it comes.
    async fn named(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
        id: &RequestId,
    ) -> Result<Response<Body>, Problem> {
        plain(&request)?;
        self.names
            .check(request.uri(), request.headers(), peer.reached)?;
        let headers = request.headers();
        let origin = headers.get(header::ORIGIN);
        let origin = origin.and_then(|origin| origin.to_str().ok());
        let is_preflight = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        // Only what a listed page sends is answered by the CORS layer, which
        // takes each OPTIONS for a preflight and answers it by itself.
        let is_theirs = origin.is_some_and(|origin| self.names.lists(origin))
            && (request.method() != Method::OPTIONS || is_preflight);
        let Some(cors) = self.cors.as_ref().filter(|_| is_theirs) else {
            return self.authenticated(peer, request, id).await;
        };
        let inner = service_fn(|request| async {
            let answer = self.authenticated(peer, request, id).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(Problem::into_response))
        });
        match cors.layer(inner).oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }

    /// Who calls, and whether they may; then their body.
    async fn authenticated(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
        id: &RequestId,
    ) -> Result<Response<Body>, Problem> {
        let caller = match needed(request.method(), request.uri().path()) {
            None => None,
            Some(role) => {
                let caller = self.access.caller(peer, request.headers())?;
                authorise(&caller, role)?;
                Some(caller)
            }
        };
        let (mut parts, body) = request.into_parts();
        // Nobody whom we don't know makes us hold anything.
        let body = match caller {
            Some(_) => self.bodies.whole(body).await?,
            None => Bytes::new(),
        };
        parts.extensions.insert(id.clone());
        if let Some(caller) = &caller {
            parts.extensions.insert(caller.clone());
        }
        let request = Request::from_parts(parts, Body::from(body));
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let Some(caller) = caller.filter(|_| is_stream(&response)) else {
            return Ok(response);
        };
        // A stream may stay open for days; it ends with the right to it.
        let withdrawn = self.access.withdrawn(&caller);
        Ok(response.map(|body| until(body, withdrawn)))
    }
}

/// A body that ends early when `end` comes.
pub(super) fn until(body: Body, end: impl Future<Output = ()> + Send + 'static) -> Body {
    Body::from_stream(body.into_data_stream().take_until(Box::pin(end)))
}

/// Whether a response goes on for as long as its client wants.
pub(super) fn is_stream(response: &Response<Body>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Refuses what HTTP allows and no client of ours needs.
fn plain(request: &Request<Incoming>) -> Result<(), Problem> {
    if request.version() != Version::HTTP_11 {
        let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
        return Err(refused(
            status,
            "only HTTP/1.1 is spoken here",
            "use HTTP/1.1",
        ));
    }
    // Whoever stands in front of this service may take the length of a body from
    // another header than we do (RFC 9112, 11.2). With one way to say it there
    // is nothing to disagree on.
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        let what = "the body has no length said before it";
        let remedy = "send Content-Length, and no Transfer-Encoding";
        return Err(refused(StatusCode::LENGTH_REQUIRED, what, remedy));
    }
    if request.method() == Method::CONNECT {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let remedy = "ask for one of the paths that GET / lists";
        let allowed = HeaderValue::from_static("GET, POST, DELETE");
        let refused = refused(status, "this is no proxy", remedy);
        return Err(refused.header(header::ALLOW, allowed));
    }
    Ok(())
}

fn broken() -> Problem {
    let what = "the request failed inside the service";
    let remedy = "the log says more, under the id of this request";
    CallError::new(ErrorType::Unknown, what, remedy).into()
}

/// What pages of the listed origins may do; `None` where none are listed.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins = origins.iter().map(|origin| origin.trim_end_matches('/'));
    let origins: Vec<_> = origins
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    let exposed = [
        X_REQUEST_ID.clone(),
        header::RETRY_AFTER,
        header::WWW_AUTHENTICATE,
        header::LOCATION,
        HeaderName::from_static("preference-applied"),
        HeaderName::from_static("x-offset"),
        HeaderName::from_static("x-total-bytes"),
        HeaderName::from_static("mcp-session-id"),
    ];
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::ACCEPT,
                HeaderName::from_static("prefer"),
                HeaderName::from_static("mcp-method"),
                HeaderName::from_static("mcp-name"),
                X_REQUEST_ID.clone(),
                HeaderName::from_static("last-event-id"),
                HeaderName::from_static("mcp-protocol-version"),
                HeaderName::from_static("mcp-session-id"),
            ])
            .expose_headers(exposed)
            .max_age(PREFLIGHT_AGE)
    })
}
