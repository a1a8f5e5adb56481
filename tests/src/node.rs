//! The official conformance suite and the Inspector: clients that need Node.
//!
//! What it is not: installed by the tests. `make test-needs` does that; where a
//! program is missing the check is skipped and says so.
//!
//! Invariants: each program runs within a bound, and talks to the server under
//! test alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::Binaries;
use crate::running::{Ended, run};
use crate::served::Served;
use crate::skip::skip;

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
    pub fn conformance(&self, served: &Served, set: &str) -> Result<Report> {
        let suite = self
            .packages
            .join("@modelcontextprotocol/conformance/dist/index.js");
        let bearer = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/bearer.cjs");
        let mut command = Command::new(&self.program);
        command
            .args(["--require", bearer])
            .arg(suite)
            .args(["server", "--url", &served.mcp()])
            .args(["--requirements", set, "--timeout", SCENARIO_MS])
            .env("BEARER_ORIGIN", &served.origin)
            .env("BEARER_TOKEN", &served.token);
        Report::read(run(&mut command, SET)?)
    }
}

/// What the suite found.
#[derive(Debug)]
pub struct Report {
    /// How the suite ended, with all it printed.
    pub ended: Ended,
    /// Of each scenario: checks passed, checks failed.
    pub scenarios: BTreeMap<String, (u32, u32)>,
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
                    scenarios.insert(name, (passed.parse()?, failed.parse()?));
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

    /// Scenarios that count, and the checks that passed in them.
    #[must_use]
    pub fn scored(&self) -> (usize, u32) {
        let scored = || {
            let all = self.scenarios.iter();
            all.filter(|(name, _)| !self.not_scored.contains(*name))
        };
        (
            scored().count(),
            scored().map(|(_, (passed, _))| passed).sum(),
        )
    }

    /// Whether a scenario ran, and every check of it passed.
    #[must_use]
    pub fn passed(&self, name: &str) -> bool {
        matches!(self.scenarios.get(name), Some((1.., 0)))
    }
}
