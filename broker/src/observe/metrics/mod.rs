//! Metrics: counts and times in the exposition format of Prometheus.
//!
//! What it is: the series, what they are told, and their text ([`series`] has
//! their names and meanings).
//! What it is not: a decision or a source of truth; the pipeline tells, and
//! states (breakers, queues, the executor) are told anew before a rendering.
//!
//! Invariants: label values come from fixed sets ([`names`], `&'static str`), so
//! the number of series has a bound that no client moves; telling never waits.

pub mod names;
mod series;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use names::{Name, Names};
use series::Series;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Whether calls to a tool are let through, as its breaker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// They are.
    Closed,
    /// They are refused.
    Open,
    /// One is under way that decides.
    HalfOpen,
}

impl BreakerState {
    const fn number(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }

    /// Its name in events and health.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The end of a run, as metrics know it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunEnd {
    /// Why it failed, if it did: one of the fixed kinds.
    pub error_type: Option<&'static str>,
    /// From the call's arrival, waiting included.
    pub took: Duration,
    /// From the request to the tool's exec, where that is known.
    pub setup: Option<Duration>,
    /// Bytes that the tool printed to standard output.
    pub stdout_bytes: u64,
    /// Bytes that the tool printed to standard error.
    pub stderr_bytes: u64,
}

/// All metrics of a broker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    series: Series,
    tools: Names,
    endpoints: Names,
    began: Instant,
    totals: Totals,
}

/// Sums over all tools, for [`Metrics::summary`].
#[derive(Debug, Default)]
struct Totals {
    executions: AtomicU64,
    failures: AtomicU64,
    refusals: AtomicU64,
    active: AtomicU64,
    took_ms: AtomicU64,
}

impl Metrics {
    /// Metrics of a broker that refuses calls for these reasons. Tools are made
    /// known by [`Metrics::know_tools`].
    pub fn new(error_types: &[&'static str]) -> Self {
        let mut registry = Registry::default();
        let series = Series::register(&mut registry);
        for error_type in error_types {
            drop(series.refusals.get_or_create(&[("error_type", error_type)]));
        }
        Self(Arc::new(Inner {
            registry,
            series,
            tools: Names::default(),
            endpoints: Names::default(),
            began: Instant::now(),
            totals: Totals::default(),
        }))
    }

    /// Makes tools known, each with its series at zero.
    pub fn know_tools<'a>(&self, tools: impl IntoIterator<Item = &'a str>) {
        self.0.tools.add(tools);
        for tool in self.0.tools.all() {
            self.0.series.begin(&tool);
        }
    }

    /// Makes route templates known (`/tools/{name}`); requests to others count as `other`.
    pub fn know_endpoints<'a>(&self, templates: impl IntoIterator<Item = &'a str>) {
        self.0.endpoints.add(templates);
    }

    /// A tool is about to run; it does so until the answer is dropped.
    pub fn begin_run(&self, tool: &str) -> ActiveRun {
        let tool = self.0.tools.name(tool);
        self.0
            .series
            .active
            .get_or_create(&[("tool", tool.clone())])
            .inc();
        self.0.totals.active.fetch_add(1, Ordering::Relaxed);
        let metrics = self.clone();
        ActiveRun { metrics, tool }
    }

    /// A run ended.
    pub fn end_run(&self, tool: &str, end: &RunEnd) {
        let (series, totals) = (&self.0.series, &self.0.totals);
        let tool = self.0.tools.name(tool);
        series.ended(&tool, end);
        totals.executions.fetch_add(1, Ordering::Relaxed);
        if end.error_type.is_some() {
            totals.failures.fetch_add(1, Ordering::Relaxed);
        }
        let took_ms = u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX);
        totals.took_ms.fetch_add(took_ms, Ordering::Relaxed);
    }

    /// A call ended without a run.
    pub fn refuse(&self, error_type: &'static str) {
        let refusals = &self.0.series.refusals;
        refusals.get_or_create(&[("error_type", error_type)]).inc();
        self.0.totals.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// A call to a tool was one too many for its caller.
    pub fn limit_rate(&self, tool: &str) {
        let tool = self.0.tools.name(tool);
        self.0
            .series
            .rate_limited
            .get_or_create(&[("tool", tool)])
            .inc();
    }

    /// An HTTP request was answered. `endpoint` is the route's template.
    pub fn http_request(&self, endpoint: &str, took: Duration) {
        let endpoint = self.0.endpoints.name(endpoint);
        let times = &self.0.series.http_seconds;
        times
            .get_or_create(&[("endpoint", endpoint)])
            .observe(took.as_secs_f64());
    }

    /// How a tool's breaker stands.
    pub fn set_breaker(&self, tool: &str, state: BreakerState) {
        let tool = self.0.tools.name(tool);
        let breakers = &self.0.series.breakers;
        breakers
            .get_or_create(&[("tool", tool)])
            .set(state.number());
    }

    /// How many calls wait for a tool.
    pub fn set_queue(&self, tool: &str, waiting: u32) {
        let tool = self.0.tools.name(tool);
        let queues = &self.0.series.queues;
        queues.get_or_create(&[("tool", tool)]).set(waiting.into());
    }

    /// Whether the executor answers.
    pub fn set_executor_up(&self, up: bool) {
        self.0.series.executor_up.set(up.into());
    }

    /// All series, as [`CONTENT_TYPE`].
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string doesn't fail; if it did, half a text would be no lie.
        prometheus_text::encode(&mut text, &self.0.registry).ok();
        text
    }

    /// The sums, for the event stream.
    pub fn summary(&self) -> Value {
        let totals = &self.0.totals;
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let executions = of(&totals.executions);
        let took = Duration::from_millis(of(&totals.took_ms));
        let average = u32::try_from(executions)
            .ok()
            .and_then(|count| took.checked_div(count))
            .unwrap_or_default();
        json!({
            "executions_total": executions,
            "failures_total": of(&totals.failures),
            "refusals_total": of(&totals.refusals),
            "active_executions": of(&totals.active),
            "avg_duration": average.as_secs_f64(),
            "uptime_seconds": self.0.began.elapsed().as_secs(),
        })
    }
}

/// A run under way, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct ActiveRun {
    metrics: Metrics,
    tool: Name,
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        let inner = &self.metrics.0;
        let active = &inner.series.active;
        active.get_or_create(&[("tool", self.tool.clone())]).dec();
        inner.totals.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
