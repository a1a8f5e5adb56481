//! The series: their names, what they mean, and their buckets.
//!
//! What it is not: who may tell them something; that is [`super::Metrics`].
//!
//! Invariants: `mcp_…` are the names that dashboards of the reference use; ours
//! begin with `mantlet_`. A counter's name gets `_total` when it is written.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::RunEnd;
use super::names::Name;

/// 10 ms to 1 h: from a ping to the longest scan.
const RUN_SECONDS: [f64; 15] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0,
];
/// 1 ms to 10 min: from a rejected call to a scan that is waited for.
const HTTP_SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0,
];
/// 0.5 ms to 1 s.
const SETUP_SECONDS: [f64; 10] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];

type OfTool = [(&'static str, Name); 1];
type OfToolAnd = [(&'static str, Name); 2];
type Fixed = [(&'static str, &'static str); 1];

/// All series.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) executions: Family<OfToolAnd, Counter>,
    pub(super) active: Family<OfTool, Gauge>,
    pub(super) breakers: Family<OfTool, Gauge>,
    pub(super) run_seconds: Family<OfTool, Histogram>,
    pub(super) http_seconds: Family<OfTool, Histogram>,
    pub(super) failures: Family<OfToolAnd, Counter>,
    pub(super) refusals: Family<Fixed, Counter>,
    pub(super) rate_limited: Family<OfTool, Counter>,
    pub(super) queues: Family<OfTool, Gauge>,
    pub(super) setup_seconds: Histogram,
    pub(super) output_bytes: Family<OfToolAnd, Counter>,
    pub(super) executor_up: Gauge,
}

impl Series {
    /// Makes the series and registers each.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let series = Self {
            executions: Family::default(),
            active: Family::default(),
            breakers: Family::default(),
            run_seconds: Family::new_with_constructor(|| Histogram::new(RUN_SECONDS)),
            http_seconds: Family::new_with_constructor(|| Histogram::new(HTTP_SECONDS)),
            failures: Family::default(),
            refusals: Family::default(),
            rate_limited: Family::default(),
            queues: Family::default(),
            setup_seconds: Histogram::new(SETUP_SECONDS),
            output_bytes: Family::default(),
            executor_up: Gauge::default(),
        };
        series.register_promised(registry);
        series.register_ours(registry);
        series
    }

    fn register_promised(&self, registry: &mut Registry) {
        registry.register(
            "mcp_tool_execution",
            "Runs that ended, by tool and status (success, failure)",
            self.executions.clone(),
        );
        registry.register(
            "mcp_tool_active_executions",
            "Runs under way",
            self.active.clone(),
        );
        registry.register(
            "mcp_circuit_breaker_state",
            "Breakers: 0 closed, 1 open, 2 half-open",
            self.breakers.clone(),
        );
        registry.register(
            "mcp_tool_execution_duration_seconds",
            "From a call's arrival to the end of its run, waiting included",
            self.run_seconds.clone(),
        );
        registry.register(
            "mcp_http_request_duration_seconds",
            "From an HTTP request to its answer, by route",
            self.http_seconds.clone(),
        );
    }

    fn register_ours(&self, registry: &mut Registry) {
        registry.register(
            "mantlet_run_failures",
            "Runs that ended with an error, by its type",
            self.failures.clone(),
        );
        registry.register(
            "mantlet_refusals",
            "Calls that ended before a tool was started, by the error's type",
            self.refusals.clone(),
        );
        registry.register(
            "mantlet_rate_limited",
            "Calls refused because their caller had made too many",
            self.rate_limited.clone(),
        );
        registry.register(
            "mantlet_queue_length",
            "Calls that wait for their turn",
            self.queues.clone(),
        );
        registry.register(
            "mantlet_sandbox_setup_seconds",
            "From the executor's request to the confined tool's exec",
            self.setup_seconds.clone(),
        );
        registry.register(
            "mantlet_output_bytes",
            "Bytes that tools printed, those over the bounds included",
            self.output_bytes.clone(),
        );
        registry.register(
            "mantlet_executor_up",
            "1 if the executor answered when it was last asked",
            self.executor_up.clone(),
        );
        registry.register(
            "mantlet_build",
            "The broker's release",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    /// A tool's series, at zero where they are new.
    pub(super) fn begin(&self, tool: &Name) {
        let of_tool = [("tool", tool.clone())];
        for status in ["success", "failure"] {
            drop(self.executions.get_or_create(&and(tool, "status", status)));
        }
        for stream in ["stdout", "stderr"] {
            drop(
                self.output_bytes
                    .get_or_create(&and(tool, "stream", stream)),
            );
        }
        drop(self.active.get_or_create(&of_tool));
        drop(self.breakers.get_or_create(&of_tool));
        drop(self.run_seconds.get_or_create(&of_tool));
        drop(self.rate_limited.get_or_create(&of_tool));
        drop(self.queues.get_or_create(&of_tool));
    }

    /// The end of a run.
    pub(super) fn ended(&self, tool: &Name, end: &RunEnd) {
        let status = match end.error_type {
            None => "success",
            Some(error_type) => {
                let labels = and(tool, "error_type", error_type);
                self.failures.get_or_create(&labels).inc();
                "failure"
            }
        };
        self.executions
            .get_or_create(&and(tool, "status", status))
            .inc();
        let times = self.run_seconds.get_or_create(&[("tool", tool.clone())]);
        times.observe(end.took.as_secs_f64());
        if let Some(setup) = end.setup {
            self.setup_seconds.observe(setup.as_secs_f64());
        }
        for (stream, bytes) in [("stdout", end.stdout_bytes), ("stderr", end.stderr_bytes)] {
            let labels = and(tool, "stream", stream);
            self.output_bytes.get_or_create(&labels).inc_by(bytes);
        }
    }
}

fn and(tool: &Name, key: &'static str, value: &'static str) -> OfToolAnd {
    [("tool", tool.clone()), (key, Name::from(value))]
}
