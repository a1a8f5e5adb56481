//! Names to addresses, once per call.
//!
//! What it is: one look-up by the system's resolver, every answer of which must
//! be in scope (TGT7).
//! What it is not: a cache. The address that was checked is the one that the
//! tool gets, so nothing is looked up twice.
//!
//! Invariants: a look-up is bounded in time. How many answers are too many is vetting's to say.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::outcome::{CallError, ErrorType};

/// Longest wait for the resolver.
const LOOKUP_WAIT: Duration = Duration::from_secs(10);

/// Every address of `name`, in the resolver's order, without repeats.
///
/// # Errors
///
/// `not_found` where there is none, `timeout` where the resolver doesn't answer.
pub async fn addresses(name: &str) -> Result<Vec<IpAddr>, CallError> {
    let answer = timeout(LOOKUP_WAIT, tokio::net::lookup_host((name, 0))).await;
    let answer = answer.map_err(|_| {
        let what = format!("{name} was not resolved within {} s", LOOKUP_WAIT.as_secs());
        CallError::new(
            ErrorType::Timeout,
            what,
            "check the name server, or give the address",
        )
        .with("rule", "TGT7")
    })?;
    let sockets = answer.map_err(|error| missing(name, &error.to_string()))?;
    let mut found: Vec<IpAddr> = Vec::new();
    for address in sockets.map(|socket| socket.ip()) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    if found.is_empty() {
        Err(missing(name, "no address"))
    } else {
        Ok(found)
    }
}

fn missing(name: &str, why: &str) -> CallError {
    let what = format!("{name} can't be resolved: {why}");
    CallError::new(
        ErrorType::NotFound,
        what,
        "check the name and the name server, or give the address",
    )
    .with("rule", "TGT7")
    .with("offending", name)
}
