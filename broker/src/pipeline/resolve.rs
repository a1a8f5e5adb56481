//! Names to addresses, once per call.
//!
//! What it is: one look-up of exactly the name asked for: in the hosts file, and
//! where that doesn't know it, by the system's resolver. Every answer must be in
//! scope (TGT7), which vetting decides.
//! What it is not: a cache. The address that was checked is the one that the
//! tool gets, so nothing is looked up twice.
//!
//! Invariants: a look-up is bounded in time, and so are the threads that still
//! wait for a name server after that; no search domain is ever appended. How many
//! answers are too many is vetting's to say.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::hosts;
use crate::outcome::{CallError, ErrorType};

/// Longest wait for the resolver. Below the ten seconds after which it gives up
/// on a single name server by itself, and enough to ask a second one.
const LOOKUP_WAIT: Duration = Duration::from_secs(9);

/// Most look-ups at a time, with those that nobody waits for any more: the
/// system's resolver can't be interrupted, so each holds a thread to its end.
const LOOKUPS_MAX: usize = 32;

/// The names that this machine knows by itself.
const HOSTS_FILE: &str = "/etc/hosts";

/// The way to addresses.
#[derive(Debug)]
pub struct Resolver {
    slots: Arc<Semaphore>,
}

impl Default for Resolver {
    /// One without a look-up under way.
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

impl Resolver {
    /// Every address of `name`, in the resolver's order, without repeats. Waits
    /// no longer than `within`, and no longer than nine seconds.
    ///
    /// # Errors
    ///
    /// `not_found` where there is none, `execution_error` where the name servers
    /// fail, `timeout` where they don't answer, `resource_exhausted` where too
    /// many others wait for them.
    pub async fn addresses(&self, name: &str, within: Duration) -> Result<Vec<IpAddr>, CallError> {
        let wait = within.min(LOOKUP_WAIT);
        let now = Instant::now();
        let until = now.checked_add(wait).unwrap_or(now);
        let slot = timeout_at(until, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            let what = format!("{name} was not looked up: {LOOKUPS_MAX} other look-ups wait");
            return Err(error(ErrorType::ResourceExhausted, name, what, SERVER));
        };
        let asked = name.to_owned();
        let answer = spawn_blocking(move || {
            let answer = look_up(&asked);
            drop(slot);
            answer
        });
        match timeout_at(until, answer).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(why))) => Err(unresolved(name, &why)),
            Ok(Err(panicked)) => {
                tracing::error!(%panicked, "the look-up failed");
                let what = format!("{name} could not be looked up");
                Err(error(ErrorType::Unknown, name, what, "the log has more"))
            }
            Err(_) => {
                let waited = wait.as_millis();
                let what = format!("no name server answered within {waited} ms for {name}");
                Err(error(ErrorType::Timeout, name, what, SERVER))
            }
        }
    }
}

/// Where a look-up ended without an address.
#[derive(Debug)]
enum Failure {
    /// There is no such name.
    NoName,
    /// The name has records, and no address.
    NoAddress,
    /// The name servers can't be reached, or say that they failed.
    Servers(String),
}

/// Blocks until the hosts file or the name servers have answered.
fn look_up(name: &str) -> Result<Vec<IpAddr>, Failure> {
    match hosts::addresses(Path::new(HOSTS_FILE), name) {
        Ok(known) if !known.is_empty() => return Ok(known),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "{HOSTS_FILE} can't be read; it is passed over"),
    }
    // With its root dot the name is whole. Without it the system's resolver goes
    // on to NAME.SEARCH-DOMAIN, another name, where NAME doesn't exist. The hosts
    // file has names without root dots, which is why it was read before.
    let whole = format!("{name}.");
    let hints = AddrInfoHints {
        // One entry per address, instead of one per kind of socket.
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let answers = getaddrinfo(Some(&whole), None, Some(hints)).map_err(failure)?;
    let mut found = Vec::new();
    for answer in answers {
        let answer = answer.map_err(|error| Failure::Servers(error.to_string()))?;
        let address = answer.sockaddr.ip();
        if !found.contains(&address) {
            found.push(address);
        }
    }
    if found.is_empty() {
        return Err(Failure::NoAddress);
    }
    Ok(found)
}

fn failure(error: LookupError) -> Failure {
    match error.kind() {
        LookupErrorKind::NoName => Failure::NoName,
        LookupErrorKind::NoData => Failure::NoAddress,
        LookupErrorKind::Again => {
            Failure::Servers("they failed, refused or did not answer".to_owned())
        }
        LookupErrorKind::Badflags
        | LookupErrorKind::Fail
        | LookupErrorKind::Family
        | LookupErrorKind::Socktype
        | LookupErrorKind::Service
        | LookupErrorKind::Memory
        | LookupErrorKind::System
        | LookupErrorKind::Unknown
        | LookupErrorKind::IO => Failure::Servers(std::io::Error::from(error).to_string()),
    }
}

const SERVER: &str = "try again, check the name servers in /etc/resolv.conf, or give the address";

fn unresolved(name: &str, why: &Failure) -> CallError {
    let (kind, what, remedy) = match why {
        Failure::NoName => (
            ErrorType::NotFound,
            format!("there is no name {name}: neither {HOSTS_FILE} nor the name servers know it"),
            "check the spelling, or give the address",
        ),
        Failure::NoAddress => (
            ErrorType::NotFound,
            format!("the name {name} exists and has no address"),
            "check its records, or give an address",
        ),
        Failure::Servers(said) => (
            ErrorType::ExecutionError,
            format!("the name servers gave no usable answer for {name}: {said}"),
            SERVER,
        ),
    };
    error(kind, name, what, remedy)
}

fn error(kind: ErrorType, name: &str, what: String, remedy: &str) -> CallError {
    CallError::new(kind, what, remedy)
        .with("rule", "TGT7")
        .with("offending", name)
        .with("name", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn look_ups_that_nobody_waits_for_still_count() {
        let resolver = Resolver::default();
        let all = u32::try_from(LOOKUPS_MAX).unwrap();
        let held = Arc::clone(&resolver.slots).acquire_many_owned(all).await;
        let refused = resolver
            .addresses("web.lab", Duration::from_millis(20))
            .await;
        assert_eq!(
            refused.unwrap_err().error_type,
            ErrorType::ResourceExhausted
        );
        drop(held);
    }
}
