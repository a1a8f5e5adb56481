//! What operators watch: `/metrics`, `/health`, `/readyz` and `/events`.
//!
//! What it is not: what they show; `observe` and `probes` have that.
//!
//! Invariants: who asks gets what is known, and makes nobody look anew; a
//! caller's events are those of its own runs, an administrator's all.

use std::convert::Infallible;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::{Stream, StreamExt};
use tokio::time::Instant;

use super::Service;
use super::problem::Problem;
use super::schemas::{HealthReport, ProblemBody};
use crate::access::Role;
use crate::observe::events::Crowded;
use crate::observe::feed::{self, Message};
use crate::observe::metrics;
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::pipeline::watched;
use crate::probes;

/// The metrics, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "service", responses(
    (status = 200, description = "In the text format that Prometheus reads", body = str,
        content_type = "text/plain"),
))]
pub(super) async fn metrics(State(service): State<Service>) -> Result<Response, Problem> {
    if !service.engine.policy().settings().service.metrics {
        let what = "metrics are switched off";
        let remedy = "the administrator can set metrics.enabled";
        return Err(CallError::new(ErrorType::NotFound, what, remedy).into());
    }
    let kind = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    Ok((kind, service.engine.metrics_text()).into_response())
}

/// How the service is, and what it was judged by.
#[utoipa::path(get, path = "/health", tag = "service", responses(
    (status = 200, description = "It is healthy", body = HealthReport),
    (status = 207, description = "It is degraded", body = HealthReport),
    (status = 503, description = "It is unhealthy", body = HealthReport),
))]
pub(super) async fn health(State(service): State<Service>) -> Response {
    let report = service.health.report().await;
    let status = StatusCode::from_u16(report.status.http_status());
    let status = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, Json(report.as_ref())).into_response()
}

/// Whether calls can be answered.
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, description = "They can", body = str, content_type = "text/plain"),
    (status = 503, description = "They can't", body = ProblemBody,
        content_type = "application/problem+json"),
))]
pub(super) async fn ready(State(service): State<Service>) -> Result<&'static str, Problem> {
    let report = service.health.report().await;
    let ready = probes::ready(&report, service.drain.is_cancelled());
    ready.map(|()| "ok\n").map_err(|why| {
        let remedy = "/health says more";
        CallError::new(ErrorType::ExecutorUnavailable, why, remedy).into()
    })
}

/// Events as they happen: those of the caller's runs (an administrator's: of
/// all), and every five seconds health and metrics.
#[utoipa::path(get, path = "/events", tag = "service", responses(
    (status = 200, description = "Server-sent events", body = str,
        content_type = "text/event-stream"),
))]
pub(super) async fn events(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let watch = service.engine.watch();
    let (sees_all, own) = (caller.grant().role == Role::Admin, watched::shown(&caller));
    let news = watch.events.subscribe(&own).map_err(crowded)?;
    let sources = feed::Sources {
        news,
        health: service.health.clone(),
        metrics: watch.metrics.clone(),
        end: service.drain.clone(),
    };
    let feed = feed::feed(sources, move |news| sees_all || news.about.caller == own);
    Ok(Sse::new(feed.map(|message| Ok(event(&message)))))
}

fn event(message: &Message) -> Event {
    // Its kind stands in its data alone: a named event reaches no `onmessage`.
    let event = Event::default().data(message.json());
    match message.id {
        Some(id) => event.id(id.to_string()),
        None => event,
    }
}

fn crowded(why: Crowded) -> Problem {
    let remedy = match why {
        Crowded::ByAll => "wait for one to leave, or ask /health and /metrics",
        Crowded::ByOneself => "close one of them",
    };
    CallError::new(ErrorType::ResourceExhausted, why.to_string(), remedy).into()
}

/// Times each request, by its route.
pub(super) async fn time(State(service): State<Service>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    // The template of a route, which no client chooses; nothing where there is no route.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let metrics = &service.engine.watch().metrics;
    let route = route
        .as_ref()
        .map_or(metrics::names::OTHER, MatchedPath::as_str);
    metrics.know_endpoints([route]);
    metrics.http_request(route, began.elapsed());
    response
}
