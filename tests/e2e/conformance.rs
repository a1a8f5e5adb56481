//! MCP as its official conformance suite judges it, over HTTP, in both eras.
//!
//! What it is: the frozen requirement sets against the fixture, which stands
//! behind the product's transport, and against the product itself as far as
//! they need no fixture.
//! What it is not: a list of what MCP demands; the suite has that.

use anyhow::{Context as _, Result, ensure};
use harness::http_service::Prepared;
use harness::node::Node;
use harness::stdio_client::{LEGACY, MODERN};

/// The extension's scenarios need tools that run as tasks; they don't count.
const TASKS: &str = "tasks-";

/// All of a set passes: as many scenarios and checks as it has in the pinned
/// version of the suite, so that none is left out in silence.
fn fixture_passes(set: &str, scenarios: usize, checks: u32) -> Result<()> {
    let Some(node) = Node::find()? else {
        return Ok(());
    };
    let service = Prepared::new()?.start_fixture()?;
    let report = node.conformance(&service, set)?;
    let output = || format!("{}\n{}", report.ended.stdout, service.log());
    ensure!(report.ended.code == 0, "{}", output());
    let scored = report.scored();
    ensure!(scored == (scenarios, checks, 0), "{scored:?}\n{}", output());
    for (name, scenario) in &report.scenarios {
        let is_task = name.starts_with(TASKS) && report.not_scored.contains(name);
        ensure!(
            is_task || (scenario.failed == 0 && scenario.failures.is_empty()),
            "{name}: {scenario:?}\n{}",
            output()
        );
    }
    Ok(())
}

#[test]
fn the_transport_passes_the_whole_handshake_set() -> Result<()> {
    fixture_passes(LEGACY, 30, 70)
}

#[test]
fn the_transport_passes_the_whole_stateless_set() -> Result<()> {
    fixture_passes(MODERN, 37, 120)
}

/// A scenario that the product passes: its set, its name, the fewest checks that
/// pass, and the checks that need a fixture.
type Expected = (&'static str, &'static str, u32, &'static [&'static str]);

/// The scenarios that need no fixture. All others call tools, read resources or
/// get prompts that only the fixture has, or ask for capabilities that the
/// product doesn't declare (completions, logging, resources).
#[rustfmt::skip]
const OF_THE_PRODUCT: &[Expected] = &[
    (LEGACY, "server-initialize",           3,  &[]),
    (LEGACY, "ping",                        2,  &[]),
    (LEGACY, "tools-list",                  3,  &[]),
    (LEGACY, "prompts-list",                2,  &[]),
    (LEGACY, "server-sse-multiple-streams", 2,  &[]),
    (LEGACY, "server-session-lifecycle",    3,  &[]),
    (LEGACY, "dns-rebinding-protection",    2,  &[]),
    (MODERN, "server-stateless",            21, STATELESS_TOOLS),
    (MODERN, "tools-list",                  4,  &[]),
    (MODERN, "prompts-list",                2,  &[]),
    (MODERN, "server-sse-multiple-streams", 1,  &[]),
    (MODERN, "dns-rebinding-protection",    2,  &[]),
    (MODERN, "caching",                     5,  RESOURCES),
    (MODERN, "http-header-validation",      14, &[]),
    (MODERN, "input-required-result-unsupported-methods", 2, &[]),
];

/// Each calls a tool of the fixture.
const STATELESS_TOOLS: &[&str] = &[
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
];
/// Each needs a resource.
const RESOURCES: &[&str] = &[
    "sep-2549-resources-list-caching-hints",
    "sep-2549-resources-templates-list-caching-hints",
    "sep-2549-resources-read-caching-hints",
];

fn product_passes(set: &str) -> Result<()> {
    let Some(node) = Node::find()? else {
        return Ok(());
    };
    let service = Prepared::new()?.start("")?;
    let report = node.conformance(&service, set)?;
    for (_, name, passed_min, excused) in OF_THE_PRODUCT.iter().filter(|row| row.0 == set) {
        let scenario = report.scenarios.get(*name);
        let scenario = scenario.with_context(|| format!("{name} did not run"))?;
        let mut failures = scenario.failures.keys();
        ensure!(
            scenario.passed >= *passed_min && failures.all(|id| excused.contains(&id.as_str())),
            "{name}: {scenario:#?}\n{}",
            service.log()
        );
    }
    Ok(())
}

#[test]
fn the_product_passes_what_needs_no_fixture_of_the_handshake_set() -> Result<()> {
    product_passes(LEGACY)
}

#[test]
fn the_product_passes_what_needs_no_fixture_of_the_stateless_set() -> Result<()> {
    product_passes(MODERN)
}
