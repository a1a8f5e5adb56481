//! Bodies of requests: whole, within their bound, and few long ones at once.
//!
//! What it is not: what bodies say.
//!
//! Invariants: what is held of all bodies that are still arriving is bounded,
//! however many clients send them, and however slowly; a short one never waits
//! for others.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::outcome::{CallError, ErrorType};
use crate::rest::problem::Problem;

/// Longest body of a request, in bytes (ACC6).
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// A body of so many bytes is short: the bound on connections bounds what all
/// of them take.
const SHORT_BYTES_MAX: usize = 4 * 1024;
/// Long bodies that arrive at once.
const LONG_MAX: usize = 64;

/// Takes bodies in.
#[derive(Debug)]
pub(super) struct Bodies {
    time: Duration,
    long: Semaphore,
}

impl Bodies {
    /// Each body may take so long.
    pub(super) fn new(time: Duration) -> Self {
        Self {
            time,
            long: Semaphore::new(LONG_MAX),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// 413 where it is too long, 400 where it ends early, 408 where it takes too
    /// long, 503 where too many other long ones do.
    pub(super) async fn whole(&self, body: Incoming) -> Result<Bytes, Problem> {
        // Its length was said before it, or the request was refused already.
        let length = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if length == 0 {
            return Ok(Bytes::new());
        }
        if length > BODY_BYTES_MAX {
            let what = format!("the body is longer than {BODY_BYTES_MAX} bytes");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(refused(status, &what, "send a shorter one"));
        }
        let now = Instant::now();
        let deadline = now.checked_add(self.time).unwrap_or(now);
        let _place = if length > SHORT_BYTES_MAX {
            let place = timeout_at(deadline, self.long.acquire()).await;
            Some(place.map_err(|_| crowded())?)
        } else {
            None
        };
        match timeout_at(deadline, read(body, length)).await {
            Ok(Some(whole)) => Ok(whole),
            Ok(None) => {
                let remedy = "send as many bytes as Content-Length says";
                let status = StatusCode::BAD_REQUEST;
                Err(refused(status, "the body ends early", remedy))
            }
            Err(_) => {
                let remedy = "send the body at once";
                let status = StatusCode::REQUEST_TIMEOUT;
                Err(refused(status, "the body did not arrive in time", remedy))
            }
        }
    }
}

/// So many bytes; `None` where there are fewer.
async fn read(mut body: Incoming, length: usize) -> Option<Bytes> {
    // Copied together as they come, so that the connection's own buffer is free
    // for the next.
    let mut whole = BytesMut::with_capacity(length);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.ok()?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    (whole.len() == length).then(|| whole.freeze())
}

fn crowded() -> Problem {
    let what = "too many long bodies are arriving";
    let error = CallError::new(ErrorType::ResourceExhausted, what, "send it again later");
    let close = HeaderValue::from_static("close");
    Problem::new(error.with("retry_after_sec", 1)).header(header::CONNECTION, close)
}

/// A refusal after which nothing more is read, since it isn't sure where the
/// next request would begin.
pub(super) fn refused(status: StatusCode, what: &str, remedy: &str) -> Problem {
    let error = CallError::new(ErrorType::ValidationError, what, remedy);
    let close = HeaderValue::from_static("close");
    Problem::with_status(status, error).header(header::CONNECTION, close)
}
