//! Asking each tool for its version, inside its own sandbox.
//!
//! What it is: a run like any other, with two differences: it gets no socket,
//! unless its profile says that it can't say its version without, and two seconds.
//! What it is not: a search for tools; their paths are the profiles'.
//!
//! Invariants: a tool that can't say its version under its sandbox is listed
//! with the reason, and refused: it would not work under it either.

use std::io;
use std::time::Duration;

use protocol::event::{Exit, Finished};
use protocol::limits::NAME_BYTES_MAX;

use crate::Executor;
use crate::launch::{Launch, Pad};
use crate::refusal::shown;
use crate::sandbox::caps::CapabilitySet;
use crate::tools::{Circumstances, Ready, Tool, ToolError};
use crate::trial::{Ended, Trials};

/// How long a tool may take to say its version.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks all tools at the same time, and writes down what they say.
///
/// # Errors
///
/// When no process can be started for it.
pub(crate) fn versions(executor: &mut Executor, pad: &mut Pad) -> io::Result<()> {
    let (mut asked, mut trials) = (Vec::new(), Trials::default());
    for (index, tool) in executor.tools.iter().enumerate() {
        let Ok(ready) = &tool.state else { continue };
        ask(executor, pad, (tool, ready), &mut trials)?;
        asked.push(index);
    }
    for (index, ended) in asked.into_iter().zip(trials.ends()) {
        if let Some(tool) = executor.tools.get_mut(index) {
            match ended
                .and_then(said)
                .and_then(|output| version(tool, &output))
            {
                Ok(version) => tool.version = version,
                Err(problem) => tool.state = Err(ToolError::Version(problem)),
            }
        }
    }
    Ok(())
}

fn ask(
    executor: &Executor,
    pad: &mut Pad,
    (tool, ready): (&Tool, &Ready),
    trials: &mut Trials,
) -> io::Result<()> {
    let around = Circumstances {
        abi: executor.abi,
        held: executor.held,
        argv: &pad.argv,
    };
    // It was compiled with more sockets when the tool was prepared.
    let filter = ready.filter_for_version(&tool.profile, around);
    let filter = filter.map_err(io::Error::other)?;
    let mut argv = vec![tool.path()];
    argv.extend(tool.profile.version.args.iter().cloned());
    let plan = Launch {
        tool,
        program: &ready.program,
        filter: &filter,
        rules: &ready.plain.rules,
        capabilities: CapabilitySet::EMPTY,
        argv: &argv,
        timeout: TIMEOUT,
        limits: tool.profile.sandbox.limits,
    };
    trials.start(executor, pad, plan)
}

/// All that a tool printed, standard output first.
fn said(mut ended: Ended) -> Result<String, String> {
    is_well(&ended.finished)?;
    ended.stdout.push(b'\n');
    ended.stdout.extend(ended.stderr);
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// The run ended as a run should.
fn is_well(finished: &Finished) -> Result<(), String> {
    match &finished.exit {
        _ if finished.timed_out => Err("it didn't say its version within 2 seconds".to_owned()),
        Exit::Violation { call } => Err(format!(
            "asked for its version, it called {call}, which its profile doesn't list"
        )),
        Exit::Signal(signal) => Err(format!("asked for its version, it died of signal {signal}")),
        // Some tools return an error for a version.
        Exit::Code(_) => Ok(()),
    }
}

/// The word after the profile's prefix.
fn version(tool: &Tool, output: &str) -> Result<String, String> {
    let prefix = &tool.profile.version.prefix;
    let found = output
        .lines()
        .find_map(|line| line.strip_prefix(prefix.as_str()))
        .and_then(|rest| rest.split_ascii_whitespace().next());
    match found {
        Some(word) if word.len() <= NAME_BYTES_MAX => Ok(shown(word.trim_end_matches(','))),
        Some(_) | None => {
            let line = output
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default();
            Err(format!(
                "asked for its version, it said {:?} and not {prefix:?}",
                shown(line)
            ))
        }
    }
}
