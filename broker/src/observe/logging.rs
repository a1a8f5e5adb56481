//! Logs: structured lines on standard error.
//!
//! What it is not: the protocol's stream or a result; standard output is never
//! written to here.
//!
//! Invariants: parameters of MCP requests are not logged by the library below
//! us (rmcp logs them at debug, so it is held at warn).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging at `level` in `format` (`auto`, `text` or `json`).
///
/// Text lines are for people; JSON Lines carry every field, spans included.
pub fn start(level: &str, format: &str) {
    let filter = EnvFilter::new(format!("{level},rmcp=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        "json" => true,
        "text" => false,
        _ => !terminal,
    };
    let started = if json {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
    } else {
        builder
            .with_ansi(terminal)
            .with_target(false)
            .compact()
            .try_init()
    };
    // Only a second start in one process fails, and then the first one logs.
    drop(started);
}
