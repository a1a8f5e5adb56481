//! The official conformance suite and the Inspector: clients that need Node.
//!
//! What it is not: installed by the tests. `make test-needs` does that; where a
//! program is missing the check is skipped and says so.
//!
//! Invariants: each program runs within a bound, and talks to the server under
//! test alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::running::{Ended, run};
use crate::skip::skip;
use crate::{Binaries, HttpService};

/// Longest run of one requirement set; it takes about ten seconds.
const SET: Duration = Duration::from_mins(4);
/// Longest scenario, in milliseconds, as the suite takes it.
const SCENARIO_MS: &str = "20000";

/// Node and the packages installed for it.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    packages: PathBuf,
}

impl Node {
    /// Finds them, and says so where they aren't installed.
    ///
    /// # Errors
    ///
    /// When the target directory can't be found.
    pub fn find() -> Result<Option<Self>> {
        let packages = Binaries::find()?.target.join("npm/node_modules");
        let program = packages.join(".bin/node");
        if program.exists() {
            return Ok(Some(Self { program, packages }));
        }
        let shown = packages.display();
        skip(&format!("needs Node in {shown}; run `make test-needs`"));
        Ok(None)
    }

    /// Node itself.
    #[must_use]
    pub fn program(&self) -> &PathBuf {
        &self.program
    }

    /// The Inspector's launcher, a script for [`Node::program`].
    #[must_use]
    pub fn inspector(&self) -> PathBuf {
        self.packages
            .join("@modelcontextprotocol/inspector/clients/launcher/build/index.js")
    }

    /// Runs one of the suite's frozen requirement sets.
    ///
    /// # Errors
    ///
    /// When the suite doesn't end, or ends without a summary.
    pub fn conformance(&self, service: &HttpService<'_>, set: &str) -> Result<Report> {
        let results = tempfile::tempdir()?;
        let suite = self
            .packages
            .join("@modelcontextprotocol/conformance/dist/index.js");
        let bearer = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/bearer.cjs");
        let mut command = Command::new(&self.program);
        command
            .args(["--require", bearer])
            .arg(suite)
            .args(["server", "--url", &format!("{}/mcp", service.url)])
            .args(["--requirements", set, "--timeout", SCENARIO_MS])
            .arg("--output-dir")
            .arg(results.path())
            .env("BEARER_ORIGIN", &service.url)
            .env("BEARER_TOKEN", service.admin()?);
        let mut report = Report::read(run(&mut command, SET)?)?;
        report.read_failures(results.path())?;
        Ok(report)
    }
}

/// One scenario's checks.
#[derive(Debug)]
pub struct Scenario {
    /// How many passed.
    pub passed: u32,
    /// How many failed.
    pub failed: u32,
    /// Which failed, and why.
    pub failures: BTreeMap<String, String>,
}

/// What the suite found.
#[derive(Debug)]
pub struct Report {
    /// How the suite ended, with all it printed.
    pub ended: Ended,
    /// The scenarios by name.
    pub scenarios: BTreeMap<String, Scenario>,
    /// Scenarios that the set lists and doesn't count.
    pub not_scored: BTreeSet<String>,
}

impl Report {
    fn read(ended: Ended) -> Result<Self> {
        let summary = ended.stdout.split("=== SUMMARY ===").nth(1);
        let summary = summary.with_context(|| format!("{}\n{}", ended.stdout, ended.stderr))?;
        let (mut scenarios, mut not_scored) = (BTreeMap::new(), BTreeSet::new());
        for line in summary.lines() {
            let marked = line.trim_start().strip_prefix(['✓', '✗']);
            let Some(words) = marked.map(|rest| rest.split_whitespace().collect::<Vec<_>>()) else {
                continue;
            };
            match words.as_slice() {
                [name, passed, "passed,", failed, "failed"] => {
                    let name = name.trim_end_matches(':').to_owned();
                    let (passed, failed) = (passed.parse()?, failed.parse()?);
                    let failures = BTreeMap::new();
                    let scenario = Scenario {
                        passed,
                        failed,
                        failures,
                    };
                    scenarios.insert(name, scenario);
                }
                [name, _reason] => {
                    not_scored.insert((*name).to_owned());
                }
                other => anyhow::bail!("not a line of the summary: {other:?}"),
            }
        }
        ensure!(!scenarios.is_empty(), "no scenarios: {summary}");
        Ok(Self {
            ended,
            scenarios,
            not_scored,
        })
    }

    /// Reads which checks failed: a file of checks per scenario, in a directory
    /// named after it and the time.
    fn read_failures(&mut self, results: &Path) -> Result<()> {
        for entry in fs::read_dir(results)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.with_context(|| path.display().to_string())?;
            let checks = fs::read_to_string(path.join("checks.json"))?;
            let checks: Vec<Value> = serde_json::from_str(&checks)?;
            let ran = self.scenarios.iter_mut();
            let mut ran =
                ran.filter(|(scenario, _)| name.starts_with(&format!("server-{scenario}-2")));
            let (_, scenario) = ran.next().with_context(|| name.to_owned())?;
            for check in checks
                .iter()
                .filter(|check| text(check, "status") == "FAILURE")
            {
                let why = text(check, "errorMessage").to_owned();
                scenario.failures.insert(text(check, "id").to_owned(), why);
            }
        }
        Ok(())
    }

    /// Scenarios that count, and the checks that passed and failed in them.
    #[must_use]
    pub fn scored(&self) -> (usize, u32, u32) {
        let all = self.scenarios.iter();
        let scored = all.filter(|(name, _)| !self.not_scored.contains(*name));
        scored.fold((0, 0, 0), |(count, passed, failed), (_, one)| {
            (
                count.saturating_add(1),
                passed.saturating_add(one.passed),
                failed.saturating_add(one.failed),
            )
        })
    }
}

fn text<'a>(check: &'a Value, key: &str) -> &'a str {
    check.get(key).and_then(Value::as_str).unwrap_or_default()
}
