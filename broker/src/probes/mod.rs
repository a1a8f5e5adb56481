//! What `/health` looks at: the executor, the tools, breakers, the audit log and
//! the machine.
//!
//! What it is: the probes of a running broker, and who may be sent work.
//! What it is not: the report's shape and rule; those are [`crate::observe::health`].
//!
//! Invariants: a probe runs no tool and changes nothing; what it finds says what
//! to do.

mod executor;
mod machine;

use crate::observe::health::keeper::{Health, Probe};
use crate::observe::health::{Check, Findings, Priority, Report, Status};
use crate::observe::metrics::BreakerState;
use crate::pipeline::Engine;

/// The check that says whether the executor answers.
const EXECUTOR: &str = "executor";

/// Starts looking after a broker that is reached by `transport`. `more` are the
/// probes of what the engine doesn't know of. Needs a tokio runtime.
pub fn start(engine: &Engine, transport: &'static str, more: Vec<Probe>) -> Health {
    let (asks, looks, reads, sizes) = (
        engine.clone(),
        engine.clone(),
        engine.clone(),
        engine.clone(),
    );
    let mut probes = vec![
        Probe::new(EXECUTOR, Priority::Critical, move || {
            let engine = asks.clone();
            async move { executor::look(&engine).await }
        }),
        Probe::new("circuit_breakers", Priority::Important, move || {
            std::future::ready(breakers(&looks))
        }),
        Probe::new("audit", Priority::Critical, move || {
            let engine = reads.clone();
            async move { audit(&engine).await }
        }),
        Probe::new("machine", Priority::Informational, move || {
            let engine = sizes.clone();
            async move { machine::look(&engine).await }
        }),
    ];
    probes.extend(more);
    let interval = engine.policy().settings().service.check_interval;
    let again = std::sync::Arc::clone(&engine.watch().trouble);
    Health::start(transport, probes, interval, again)
}

/// Whether work may be sent here.
///
/// # Errors
///
/// Why not.
pub fn ready(report: &Report, draining: bool) -> Result<(), String> {
    if draining {
        return Err("shutting down: runs under way may end, new ones go elsewhere".to_owned());
    }
    match report.checks.get(EXECUTOR) {
        Some(check) if check.status == Status::Unhealthy => Err(check.message.clone()),
        Some(_) => Ok(()),
        None => Err("the executor was not looked at".to_owned()),
    }
}

fn breakers(engine: &Engine) -> Findings {
    let check = |(tool, state): (String, BreakerState)| {
        let name = format!("circuit_breaker_{tool}");
        let (status, message) = match state {
            BreakerState::Closed => (Status::Healthy, "closed".to_owned()),
            BreakerState::Open => (
                Status::Degraded,
                format!(
                    "open: {tool} kept failing and is left alone for a while; the log and `mantlet doctor` say what is wrong"
                ),
            ),
            BreakerState::HalfOpen => (
                Status::Degraded,
                format!("half-open: one call to {tool} decides whether it works again"),
            ),
        };
        Check::new(name, Priority::Important, status, message)
    };
    engine.breakers().into_iter().map(check).collect()
}

async fn audit(engine: &Engine) -> Findings {
    let Some(audit) = engine.audit() else {
        return Vec::new();
    };
    let check = |status, message: String| Check::new("audit", Priority::Critical, status, message);
    vec![match audit.check().await {
        Ok(()) => check(Status::Healthy, "can be written".to_owned()),
        Err(error) => {
            let message = format!("the audit log can't be written, so nothing runs: {error}");
            check(Status::Unhealthy, message)
        }
    }]
}

#[cfg(test)]
mod tests;
