//! The part of the self-test that is made at every start of serving.
//!
//! What it is: a few attempts of each layer, in one process for each sandbox.
//! What it is not: the report; here one that gets through keeps the executor from
//! serving.
//!
//! Invariants: every sandbox of every tool that can run is tried, or the log says
//! that it was not.

use super::table::{self, Attempt};
use super::{SelfTestError, Verdict, beds_of, lines, outcome_of_the_end};
use crate::Executor;
use crate::launch::Pad;
use crate::log::Level;
use crate::tools::Program;
use crate::trial::Trials;

/// The attempts that are made at every start. Those that kill come last: where a
/// profile lists no socket, the first of these is the end.
const QUICK: &[&str] = &[
    "read-accounts",
    "list-root",
    "create-in-tmp",
    "map-writable-code",
    "call-setsid",
    "socket-unix-stream",
    "socket-packet-datagram",
    "call-ptrace",
];

/// Makes a few attempts in each sandbox, at the start of serving: one process for
/// each.
///
/// # Errors
///
/// Names the first that got through: then nothing may be served. A sandbox in
/// which this program can't run, since its profile is for one that needs less, is
/// logged.
pub(crate) fn quick(executor: &Executor, pad: &mut Pad) -> Result<(), SelfTestError> {
    let program = Program::of_this_process()?;
    let mut attempts = table::all();
    attempts.retain(|attempt| QUICK.contains(&attempt.name.as_str()));
    let place = |attempt: &Attempt| QUICK.iter().position(|name| *name == attempt.name);
    attempts.sort_by_key(place);
    let names = QUICK.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (mut beds, mut trials) = (Vec::new(), Trials::default());
    for tool in &executor.tools {
        for bed in beds_of(executor, pad, tool, &program)? {
            bed.start(executor, pad, &program, (&names, None), &mut trials)?;
            beds.push(bed);
        }
    }
    for (bed, ended) in beds.iter().zip(trials.ends()) {
        let mut said = ended
            .as_ref()
            .map(|ended| lines(&ended.stdout))
            .unwrap_or_default();
        // The last one has no line: it is what the process came to.
        let made = said.len();
        said.push((String::new(), outcome_of_the_end(ended)));
        for (attempt, (_, outcome)) in attempts.iter().zip(&said) {
            match bed.judge(attempt, outcome) {
                Verdict::Stopped | Verdict::Allowed => {}
                Verdict::Through => {
                    return Err(SelfTestError::Through {
                        tool: bed.name(),
                        attempt: attempt.name.clone(),
                    });
                }
                Verdict::Otherwise => {
                    let fields: [(&str, &dyn std::fmt::Display); 3] = [
                        ("sandbox", &bed.name()),
                        ("attempt", &attempt.name),
                        ("made", &made),
                    ];
                    executor
                        .log
                        .event(Level::Warn, "self-test-not-made", &fields);
                }
            }
        }
    }
    Ok(())
}
