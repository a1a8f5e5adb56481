//! Asking each tool for its version, inside its own sandbox.
//!
//! What it is: a run like any other, through the same start and the same pump,
//! with two differences: it gets no socket, unless its profile says that it can't
//! say its version without, and two seconds.
//! What it is not: a search for tools; their paths are the profiles'.
//!
//! Invariants: a tool that can't say its version under its sandbox is listed
//! with the reason, and refused: it would not work under it either.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, getpid};
use protocol::event::{Exit, Finished, Stream};
use protocol::limits::{NAME_BYTES_MAX, OUTPUT_CHUNK_BYTES};
use protocol::{Event, frame};

use crate::connection::{Connection, later, wait};
use crate::launch::{Launch, LaunchError, Pad, launch};
use crate::refusal::{chain, shown};
use crate::sandbox::caps::CapabilitySet;
use crate::stream::{self, Bounds, Outcome};
use crate::tools::{Circumstances, Ready, Tool, ToolError};
use crate::{Executor, session, sys};

/// How long a tool may take to say its version.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long its session may take altogether.
const ANSWER_MAX: Duration = Duration::from_secs(6);
/// Bytes of each stream that are looked at.
const OUTPUT_BYTES_MAX: u64 = 4096;

/// A question under way.
struct Asked {
    socket: UnixStream,
    session: Pid,
}

/// Asks all tools at the same time, and writes down what they say.
///
/// # Errors
///
/// When no process can be started for it.
pub(crate) fn versions(executor: &mut Executor, pad: &mut Pad) -> io::Result<()> {
    let parent = getpid();
    let mut asked: Vec<(usize, Asked)> = Vec::new();
    for (index, tool) in executor.tools.iter().enumerate() {
        let Ok(ready) = &tool.state else { continue };
        let (ours, theirs) = UnixStream::pair()?;
        match sys::fork()? {
            ForkResult::Parent { child } => {
                let question = Asked {
                    socket: ours,
                    session: child,
                };
                asked.push((index, question));
            }
            ForkResult::Child => {
                // The other questions are not this child's to hold open.
                drop((ours, asked));
                let told = run(executor, pad, tool, ready, parent, theirs);
                // What went wrong is told as the run's end, or seen as its lack.
                sys::leave(u8::from(told.is_err()))
            }
        }
    }
    for (index, question) in asked {
        let answer = question.answer();
        if let Some(tool) = executor.tools.get_mut(index) {
            match answer.and_then(|output| version(tool, &output)) {
                Ok(version) => tool.version = version,
                Err(problem) => tool.state = Err(ToolError::Version(problem)),
            }
        }
    }
    Ok(())
}

/// The session of a question.
fn run(
    executor: &Executor,
    pad: &mut Pad,
    tool: &Tool,
    ready: &Ready,
    parent: Pid,
    socket: UnixStream,
) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| chain(error);
    let (signals, streams) = session::attach(parent, pad).map_err(|error| told(&error))?;
    let mut connection = Connection::new(socket).map_err(|error| told(&error))?;
    let around = Circumstances {
        abi: executor.abi,
        held: executor.held,
        argv: &pad.argv,
    };
    let filter = ready
        .filter_for_version(&tool.profile, around)
        .map_err(|error| told(&error))?;
    let mut argv = vec![tool.path()];
    argv.extend(tool.profile.version.args.iter().cloned());
    let plan = Launch {
        tool,
        ready,
        filter: &filter,
        rules: &ready.plain.rules,
        capabilities: CapabilitySet::EMPTY,
        argv: &argv,
        timeout: TIMEOUT,
        limits: tool.profile.sandbox.limits,
    };
    let bounds = Bounds {
        timeout: TIMEOUT,
        stdout_bytes_max: OUTPUT_BYTES_MAX,
        stderr_bytes_max: OUTPUT_BYTES_MAX,
    };
    let run_id = format!("version-{}", getpid());
    let scratch = executor.scratch.make(&run_id);
    let launched = scratch.map_err(LaunchError::from).and_then(|scratch| {
        let launched = launch(executor, pad, &scratch, plan, streams, Instant::now());
        launched.map(|(running, _)| {
            let outcome = stream::pump(running, &mut connection, &signals, bounds);
            drop(scratch);
            outcome
        })
    });
    let last = match launched {
        Ok(Outcome::Finished(finished)) => Event::Finished(finished),
        Ok(Outcome::Refused(refused)) => Event::Refused(refused),
        Err(error) => Event::Refused(error.refused()),
    };
    connection.say_last(&last).map_err(|error| told(&error))
}

impl Asked {
    /// Waits for what the tool printed.
    fn answer(mut self) -> Result<String, String> {
        let answer = self.read();
        // Closing is a cancel, so the session ends now if it hasn't.
        drop(self.socket);
        match waitpid(self.session, None) {
            Ok(_) => answer,
            Err(errno) => Err(format!("its session could not be waited for: {errno}")),
        }
    }

    fn read(&mut self) -> Result<String, String> {
        let deadline = later(ANSWER_MAX);
        let mut body = Vec::with_capacity(OUTPUT_CHUNK_BYTES);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while wait(self.socket.as_fd(), PollFlags::POLLIN, deadline) {
            let read = frame::read_body(&mut self.socket, &mut body);
            match read.and_then(|()| frame::decode_event(&body)) {
                Ok(Event::Output(output)) => match output.stream {
                    Stream::Stdout => stdout.extend(output.bytes),
                    Stream::Stderr => stderr.extend(output.bytes),
                },
                Ok(Event::Finished(finished)) => {
                    stdout.push(b'\n');
                    stdout.extend(stderr);
                    return ended(&finished)
                        .map(|()| String::from_utf8_lossy(&stdout).into_owned());
                }
                Ok(Event::Refused(refused)) => return Err(refused.message),
                Ok(Event::Welcome(_) | Event::Started(_) | Event::Inventory(_)) => {}
                Err(error) => return Err(chain(&error)),
            }
        }
        Err("its session didn't answer".to_owned())
    }
}

/// The run ended as a run should.
fn ended(finished: &Finished) -> Result<(), String> {
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
