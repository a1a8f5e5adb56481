//! What a handler takes out of a request: its id, a tool's name, a JSON body.
//!
//! What it is not: authentication; the transport's front made sure of it.
//!
//! Invariants: what can't be taken out is a problem, in our words.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{self, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::outcome::{CallError, ErrorType};
use crate::results::neutralise;

/// Longest request id that is taken over, in characters.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Longest reason of a query that can't be read, in characters.
const REASON_CHARS_MAX: usize = 256;

/// A request's id, for answers and logs.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The header that carries it.
    pub const HEADER: &str = "x-request-id";

    /// The caller's, where it is short and harmless, else one of ours.
    pub fn of(headers: &HeaderMap) -> Self {
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let fits = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=REQUEST_ID_CHARS_MAX).contains(&bytes.len()) && bytes.iter().all(harmless)
        };
        if let Some(value) = headers.get(Self::HEADER).filter(fits) {
            return Self(value.clone());
        }
        let own = HeaderValue::try_from(uuid::Uuid::now_v7().to_string());
        // Digits and hyphens are a header's value.
        Self(own.unwrap_or(HeaderValue::from_static("none")))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header's value.
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

/// The one parameter of a path.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name))
            .map_err(|_: PathRejection| {
                let remedy = "write it in percent-encoded UTF-8";
                invalid("the path can't be read", remedy).into()
            })
    }
}

/// What the part of the address behind `?` asks.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|error| {
            let what = neutralise::line(&error.body_text(), REASON_CHARS_MAX);
            invalid(&what, "GET /openapi.json lists what may be asked").into()
        })
    }
}

/// A body that says it is JSON, not yet parsed.
#[derive(Debug)]
pub(super) struct JsonText(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let error = invalid(
                "the body is not said to be JSON",
                "send Content-Type: application/json",
            );
            return Err(Problem::with_status(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                error,
            ));
        }
        let body = Bytes::from_request(request, state).await;
        body.map(Self)
            .map_err(|_| invalid("the body can't be read", "send it again").into())
    }
}

/// A request that breaks a rule.
pub(super) fn invalid(what: &str, remedy: &str) -> CallError {
    CallError::new(ErrorType::ValidationError, what, remedy)
}
