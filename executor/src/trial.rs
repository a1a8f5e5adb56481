//! A run of the executor's own: for a tool's version, for the self-test.
//!
//! What it is: a run like any other, through the same start and the same pump, in
//! a session of its own; nobody but the executor asked for it.
//! What it is not: vetted. What runs is chosen here, not by a peer.
//!
//! Invariants: a trial that is dropped has no process left.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, getpid};
use protocol::event::{Finished, Stream};
use protocol::limits::OUTPUT_CHUNK_BYTES;
use protocol::{Event, frame};

use crate::connection::{Connection, later, wait};
use crate::launch::{Launch, LaunchError, Pad, launch};
use crate::refusal::chain;
use crate::stream::{self, Bounds, Outcome};
use crate::{Executor, session, sys};

/// How much longer than its run a session may take altogether.
const GRACE: Duration = Duration::from_secs(4);
/// Bytes of each stream that are looked at.
const OUTPUT_BYTES_MAX: u64 = 4096;

/// Trials under way.
#[derive(Debug, Default)]
pub(crate) struct Trials(Vec<Trial>);

/// One of them.
#[derive(Debug)]
struct Trial {
    socket: UnixStream,
    session: Pid,
    timeout: Duration,
}

/// How a trial ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What it printed to standard output.
    pub(crate) stdout: Vec<u8>,
    /// What it printed to standard error.
    pub(crate) stderr: Vec<u8>,
    /// What became of it.
    pub(crate) finished: Finished,
}

impl Trials {
    /// Starts one more.
    ///
    /// # Errors
    ///
    /// When no process can be started for it.
    pub(crate) fn start(
        &mut self,
        executor: &Executor,
        pad: &mut Pad,
        plan: Launch<'_>,
    ) -> io::Result<()> {
        let parent = getpid();
        let (ours, theirs) = UnixStream::pair()?;
        match sys::fork()? {
            ForkResult::Parent { child } => {
                self.0.push(Trial {
                    socket: ours,
                    session: child,
                    timeout: plan.timeout,
                });
                Ok(())
            }
            ForkResult::Child => {
                // The other trials are not this child's to hold open.
                drop(ours);
                self.0.drain(..).for_each(|other| drop(other.socket));
                let told = serve(executor, pad, plan, parent, theirs);
                // What went wrong is told as the run's end, or seen as its lack.
                sys::leave(u8::from(told.is_err()))
            }
        }
    }

    /// How each ended, in the order in which they were started; or why that can't
    /// be said.
    pub(crate) fn ends(self) -> impl Iterator<Item = Result<Ended, String>> {
        self.0.into_iter().map(Trial::end)
    }
}

/// The session of a trial.
fn serve(
    executor: &Executor,
    pad: &mut Pad,
    plan: Launch<'_>,
    parent: Pid,
    socket: UnixStream,
) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| chain(error);
    let (signals, streams) = session::attach(parent, pad).map_err(|error| told(&error))?;
    let mut connection = Connection::new(socket).map_err(|error| told(&error))?;
    let bounds = Bounds {
        timeout: plan.timeout,
        stdout_bytes_max: OUTPUT_BYTES_MAX,
        stderr_bytes_max: OUTPUT_BYTES_MAX,
    };
    let run_id = format!("own-{}", getpid());
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

impl Trial {
    fn end(mut self) -> Result<Ended, String> {
        let ended = self.read();
        // Closing is a cancel, so the session ends now if it hasn't.
        drop(self.socket);
        match waitpid(self.session, None) {
            Ok(_) => ended,
            Err(errno) => Err(format!("its session could not be waited for: {errno}")),
        }
    }

    fn read(&mut self) -> Result<Ended, String> {
        let deadline = later(self.timeout.saturating_add(GRACE));
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
                    return Ok(Ended {
                        stdout,
                        stderr,
                        finished,
                    });
                }
                Ok(Event::Refused(refused)) => return Err(refused.message),
                Ok(Event::Welcome(_) | Event::Started(_) | Event::Inventory(_)) => {}
                Err(error) => return Err(chain(&error)),
            }
        }
        Err("its session didn't answer".to_owned())
    }
}
