//! Refusals over HTTP: RFC 9457 problem details with our whole error object.
//!
//! What it is: the one place that maps kinds of errors to statuses.
//! What it is not: a decision; whoever makes a [`Problem`] has made it.
//!
//! Invariants: a refusal has a status, a reason and a remedy; 429 and 503 say
//! when to come back where that is known; nothing of a request's headers or
//! body is repeated beyond what the error itself carries.

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderName, Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use crate::outcome::{CallError, ErrorType};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What the `type` of a problem begins with; the kind of error follows.
pub const TYPE_PREFIX: &str = "urn:mantlet:error:";
/// Seconds after which an executor that went away is there again, as a rule.
const EXECUTOR_BACK_SEC: u64 = 1;

/// A refusal on its way to a client.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    error: CallError,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with the status that the error's kind has.
    pub fn new(error: CallError) -> Self {
        Self::with_status(status(error.error_type), error)
    }

    /// A problem of HTTP's own, with its status.
    pub fn with_status(status: StatusCode, error: CallError) -> Self {
        let mut problem = Self {
            status,
            headers: Vec::new(),
            error,
        };
        if let Some(seconds) = retry_after(&problem.error) {
            problem = problem.header(header::RETRY_AFTER, seconds.into());
        }
        problem
    }

    /// The same problem, with a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What went wrong.
    pub fn error(&self) -> &CallError {
        &self.error
    }

    /// The whole, for the request with this id.
    fn render(&self, request_id: &str) -> Value {
        let mut members = match serde_json::to_value(&self.error) {
            Ok(Value::Object(members)) => members,
            // Not reached: the error is an object whose members are all JSON.
            Ok(_) | Err(_) => Map::new(),
        };
        let kind = self.error.error_type;
        let own = [
            ("type", json!(format!("{TYPE_PREFIX}{}", kind.as_str()))),
            ("title", json!(title(self.status, kind))),
            ("status", json!(self.status.as_u16())),
            ("detail", json!(self.error.message)),
            ("instance", json!(format!("urn:request:{request_id}"))),
        ];
        members.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(members)
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        Self::new(error)
    }
}

impl IntoResponse for Problem {
    /// The answer without its body: that names the request, which
    /// [`finish`] knows.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem of a response, if it is one, for the request with this id.
pub fn finish(response: Response<Body>, request_id: &str) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Some(problem) = parts.extensions.remove::<Problem>() else {
        return Response::from_parts(parts, body);
    };
    // A fallback's answer may carry the length of the body that it replaced.
    parts.headers.remove(header::CONTENT_LENGTH);
    let kind = HeaderValue::from_static(MEDIA_TYPE);
    parts.headers.insert(header::CONTENT_TYPE, kind);
    parts.headers.extend(
        problem
            .headers
            .iter()
            .map(|(name, value)| (Some(name.clone()), value.clone())),
    );
    let body = problem.render(request_id).to_string();
    Response::from_parts(parts, Body::from(body))
}

/// The status of a kind of error.
pub const fn status(kind: ErrorType) -> StatusCode {
    match kind {
        ErrorType::ValidationError => StatusCode::BAD_REQUEST,
        ErrorType::NotFound => StatusCode::NOT_FOUND,
        ErrorType::PermissionDenied | ErrorType::ToolDisabled => StatusCode::FORBIDDEN,
        ErrorType::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorType::CircuitBreakerOpen
        | ErrorType::ResourceExhausted
        | ErrorType::ExecutorUnavailable
        | ErrorType::SandboxUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorType::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorType::ExecutionError => StatusCode::BAD_GATEWAY,
        ErrorType::Cancelled => StatusCode::CONFLICT,
        ErrorType::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a problem of this kind is, in a few words that are always the same.
fn title(status: StatusCode, kind: ErrorType) -> &'static str {
    let own = status == self::status(kind);
    match kind {
        _ if !own => status.canonical_reason().unwrap_or("Refused"),
        ErrorType::ValidationError => "The call breaks a rule",
        ErrorType::NotFound => "There is no such thing",
        ErrorType::PermissionDenied => "This is not allowed",
        ErrorType::ToolDisabled => "The tool is switched off",
        ErrorType::RateLimited => "Too many calls in too short a time",
        ErrorType::CircuitBreakerOpen => "The tool failed too often lately",
        ErrorType::ResourceExhausted => "Too much at once",
        ErrorType::ExecutorUnavailable => "The executor can't be reached",
        ErrorType::SandboxUnavailable => "The sandbox can't be applied",
        ErrorType::Timeout => "The time was up",
        ErrorType::ExecutionError => "The tool could not be run",
        ErrorType::Cancelled => "The call was cancelled",
        ErrorType::Unknown => "A fault of the service",
    }
}

/// Seconds until the same call may succeed, where that is known.
fn retry_after(error: &CallError) -> Option<u64> {
    let computed = error.metadata.get("retry_after_sec");
    let known = computed.and_then(Value::as_u64);
    let usual = (error.error_type == ErrorType::ExecutorUnavailable).then_some(EXECUTOR_BACK_SEC);
    known.or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(problem: Problem) -> (Response<()>, Value) {
        let response = finish(problem.into_response(), "abc");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let parts = Response::from_parts(parts, ());
        (parts, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn carries_the_whole_error_and_names_the_request() {
        let error = CallError::new(ErrorType::RateLimited, "too often", "wait")
            .about("nmap", "10.0.0.1")
            .with("retry_after_sec", 7);
        let (head, body) = sent(error.into()).await;
        assert_eq!(head.status(), 429);
        assert_eq!(head.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(head.headers()[header::RETRY_AFTER], "7");
        let expected = [
            ("type", json!("urn:mantlet:error:rate_limited")),
            ("status", json!(429)),
            ("detail", json!("too often")),
            ("instance", json!("urn:request:abc")),
            ("error_type", json!("rate_limited")),
            ("message", json!("too often")),
            ("recovery_suggestion", json!("wait")),
            ("tool_name", json!("nmap")),
            ("target", json!("10.0.0.1")),
            ("metadata", json!({"retry_after_sec": 7})),
        ];
        for (name, value) in expected {
            assert_eq!(body[name], value, "{name}");
        }
        assert!(body["title"].is_string() && body["timestamp"].is_string());
    }

    #[tokio::test]
    async fn says_when_to_come_back_where_that_is_known() {
        let cases = [
            (ErrorType::ExecutorUnavailable, 503, Some("1")),
            (ErrorType::ResourceExhausted, 503, None),
            (ErrorType::ValidationError, 400, None),
            (ErrorType::ToolDisabled, 403, None),
        ];
        for (kind, status, after) in cases {
            let (head, _) = sent(CallError::new(kind, "no", "try").into()).await;
            assert_eq!(head.status(), status, "{kind:?}");
            let found = head.headers().get(header::RETRY_AFTER);
            assert_eq!(
                found.map(|value| value.to_str().unwrap()),
                after,
                "{kind:?}"
            );
        }
    }
}
