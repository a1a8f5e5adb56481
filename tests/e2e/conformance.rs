//! MCP as its official conformance suite judges it, over HTTP, in both eras.
//!
//! What it is: the frozen requirement sets against the fixture, which stands
//! behind the product's transport, and against the product itself as far as
//! they need no fixture.
//! What it is not: a list of what MCP demands; the suite has that.

use anyhow::{Result, ensure};
use harness::Binaries;
use harness::node::Node;
use harness::served::Served;
use harness::stdio_client::{LEGACY, MODERN};

/// The extension's scenarios need tools that run as tasks; they don't count.
const TASKS: &str = "tasks-";

/// All of a set passes: as many scenarios and checks as it had when this version
/// of the suite was pinned, so that none is left out in silence.
fn fixture_passes(set: &str, scenarios: usize, checks: u32) -> Result<()> {
    let Some(node) = Node::find()? else {
        return Ok(());
    };
    let served = Served::fixture(&Binaries::find()?)?;
    let report = node.conformance(&served, set)?;
    let output = &report.ended.stdout;
    ensure!(report.ended.code == 0, "{output}\n{}", served.log());
    ensure!(
        report.scored() == (scenarios, checks),
        "{:?}\n{output}",
        report.scored()
    );
    for name in report.scenarios.keys() {
        let counts = !report.not_scored.contains(name) || !name.starts_with(TASKS);
        ensure!(
            !counts || report.passed(name),
            "{name}\n{output}\n{}",
            served.log()
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
    fixture_passes(MODERN, 37, 121)
}
