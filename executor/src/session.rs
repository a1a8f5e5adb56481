//! A session: the story of one connection, in a process of its own.
//!
//! ```text
//! attach → greet → decide → permit → launch → pump → tell
//! ```
//!
//! What it is: the conversation's rules. Before a run: `Hello`, then any number
//! of `Inspect`, then one `Run`. During it: `Cancel`.
//! What it is not: trusted by the listener, which counts and reaps it.
//!
//! Invariants: nothing is executed before the peer has said `Hello` in our
//! protocol and its `Run` was vetted here; a session that ends has no process
//! and no directory left.

use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getppid, setsid};
use protocol::event::{Exit, RefusalKind, Refused, Started, Welcome};
use protocol::request::Run;
use protocol::{Event, Request};

use crate::connection::{Connection, ConnectionError, later, timeout_until};
use crate::launch::{Launch, Pad, launch};
use crate::log::Level;
use crate::permits::{Answer, Counts, Line, Question};
use crate::policy::Approved;
use crate::sandbox::fds::Streams;
use crate::scratch::Scratch;
use crate::stream::Outcome;
use crate::{Executor, inventory, policy, refusal, stream, tree};

/// From the connection to its `Hello`, which needs no thought. A peer that is
/// silent for longer keeps a place that others want.
const HELLO_MAX: Duration = Duration::from_secs(2);
/// From the connection to its `Run`.
const GREETING_MAX: Duration = Duration::from_secs(10);
/// Longest that removing a run's directory may hold up the news of its end.
const REMOVE_MAX: Duration = Duration::from_millis(200);
/// Most requests before a `Run`.
const REQUESTS_MAX: u32 = 64;

/// What a session begins with.
#[derive(Debug)]
pub(crate) struct Start {
    /// The peer's connection.
    pub(crate) socket: UnixStream,
    /// To ask the listener.
    pub(crate) line: Line,
    /// The listener.
    pub(crate) listener: Pid,
}

/// Why a conversation is over.
#[derive(Debug)]
enum End {
    /// The peer left, or the executor ends it.
    Gone,
    /// The peer is told why not.
    Refused(Box<Refused>),
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl From<ConnectionError> for End {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Frame(error) => refusal::malformed(&error).into(),
            ConnectionError::Gone | ConnectionError::Io(_) | ConnectionError::Event(_) => {
                Self::Gone
            }
        }
    }
}

struct Session<'a> {
    executor: &'a Executor,
    connection: Connection,
    line: Line,
    signals: SignalFd,
    // What could not be removed quickly; removed when the peer has heard.
    leftover: Option<Scratch<'a>>,
}

/// Serves one connection to its end.
pub(crate) fn serve(executor: &Executor, pad: &mut Pad, start: Start) {
    let session = attach(start.listener, pad).and_then(|(signals, streams)| {
        let session = Session {
            executor,
            connection: Connection::new(start.socket)?,
            line: start.line,
            signals,
            leftover: None,
        };
        Ok((session, streams))
    });
    match session {
        Ok((mut session, streams)) => {
            let end = session.converse(pad, streams);
            let leftover = session.tell(end);
            // Told, the session has no permit and no peer; it only cleans up.
            let removed = leftover.map_or(Ok(()), |scratch| scratch.remove(None));
            if let Err(error) = removed {
                executor
                    .log
                    .event(Level::Error, "directory-left", &[("reason", &error)]);
            }
        }
        Err(error) => executor
            .log
            .event(Level::Error, "session-failed", &[("reason", &error)]),
    }
}

/// Ties this process to the one that started it, leaves its terminal, makes this
/// process the one that inherits and reaps all its descendants, and makes the
/// pipes of the tool that it may come to start.
///
/// # Errors
///
/// When the parent is gone already, or the kernel refuses.
pub(crate) fn attach(parent: Pid, pad: &Pad) -> io::Result<(SignalFd, Streams)> {
    // SIGTERM and not SIGKILL: there may be a tool to kill first.
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    prctl::set_child_subreaper(true)?;
    setsid()?;
    if getppid() != parent {
        return Err(Errno::ESRCH.into());
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    mask.add(Signal::SIGCHLD);
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    Ok((
        SignalFd::with_flags(&mask, flags)?,
        pad.nowhere.give_streams()?,
    ))
}

impl<'a> Session<'a> {
    fn converse(&mut self, pad: &mut Pad, streams: Streams) -> Result<Event, End> {
        let run = self.greet()?;
        let since = Instant::now();
        let outcome = self.execute(pad, streams, &run, since);
        // From here on the run is over: its permit is free before the peer
        // hears of it, so that the peer's next run finds it free.
        self.line.give_back();
        match outcome? {
            Outcome::Finished(finished) => Ok(Event::Finished(finished)),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// Everything before a run.
    fn greet(&mut self) -> Result<Run, End> {
        let mut deadline = later(HELLO_MAX);
        let mut is_greeted = false;
        for _ in 0..REQUESTS_MAX {
            match (self.next_request(deadline)?, is_greeted) {
                (Request::Hello(hello), false) if hello.protocol == protocol::VERSION => {
                    self.connection.say(&self.executor.welcome())?;
                    is_greeted = true;
                    deadline = later(GREETING_MAX);
                }
                (Request::Hello(hello), false) => {
                    return Err(protocol_mismatch(hello.protocol).into());
                }
                (Request::Inspect, true) => {
                    let counts = self.counts()?;
                    let inventory = inventory::inventory(self.executor, counts);
                    self.connection.say(&Event::Inventory(inventory))?;
                }
                (Request::Run(run), true) => return Ok(run),
                (Request::Run(_) | Request::Cancel | Request::Inspect, false) => {
                    return Err(refusal::out_of_turn("the first frame must be Hello").into());
                }
                (Request::Hello(_), true) => {
                    return Err(refusal::out_of_turn("Hello was said already").into());
                }
                (Request::Cancel, true) => {
                    return Err(refusal::out_of_turn("there is no run to cancel").into());
                }
            }
        }
        Err(refusal::out_of_turn("too many requests before a Run").into())
    }

    /// Waits for the peer's next request, as long as nothing ends the session.
    fn next_request(&mut self, deadline: Instant) -> Result<Request, End> {
        loop {
            self.connection.flush()?;
            if let Some(request) = self.connection.request()? {
                return Ok(request);
            }
            let interest = self.connection.interest();
            let mut fds = [
                PollFd::new(self.connection.descriptor(), interest),
                PollFd::new(self.line.descriptor(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, timeout_until(Some(deadline))) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return Err(End::Gone),
            }
            let [_, line, signals] = fds.map(|fd| fd.any().unwrap_or(false));
            if signals {
                return Err(End::Gone);
            }
            if line {
                return Err(draining().into());
            }
            if Instant::now() >= deadline {
                let what = "no Hello came within 2 seconds, or no Run within 10";
                return Err(refusal::out_of_turn(what).into());
            }
        }
    }

    fn counts(&self) -> Result<Counts, End> {
        match self.line.ask(Question::Count) {
            Ok(Answer::Granted(counts) | Answer::Busy(counts)) => Ok(counts),
            Ok(Answer::Draining) => Err(draining().into()),
            Err(_) => Err(End::Gone),
        }
    }

    fn permit(&self) -> Result<(), End> {
        match self.line.ask(Question::Permit) {
            Ok(Answer::Granted(_)) => Ok(()),
            Ok(Answer::Busy(counts)) => Err(busy(counts.running).into()),
            Ok(Answer::Draining) => Err(draining().into()),
            Err(_) => Err(End::Gone),
        }
    }

    /// One run, whole.
    fn execute(
        &mut self,
        pad: &mut Pad,
        streams: Streams,
        run: &Run,
        since: Instant,
    ) -> Result<Outcome, End> {
        let executor = self.executor;
        let Approved {
            tool,
            ready,
            confinement,
            capabilities,
            argv,
            bounds,
            limits,
        } = policy::decide(executor, run)?;
        self.permit()?;
        let unavailable = |error: crate::launch::LaunchError| End::from(error.refused());
        let scratch = executor
            .scratch
            .make(&run.run_id)
            .map_err(|error| unavailable(error.into()))?;
        let plan = Launch {
            tool,
            program: &ready.program,
            filter: &confinement.filter,
            rules: &confinement.rules,
            capabilities,
            argv: &argv,
            timeout: bounds.timeout,
            limits,
        };
        let (running, receipt) =
            launch(executor, pad, &scratch, plan, streams, since).map_err(unavailable)?;
        self.log(
            Level::Info,
            "run-started",
            run,
            &[
                ("pid", &running.pid),
                ("argv", &argv.join(" ")),
                ("capabilities", &capabilities),
                ("setup_us", &receipt.setup_us),
            ],
        );
        let started = Started {
            pid: u32::try_from(running.pid.as_raw()).unwrap_or_default(),
            receipt,
        };
        if self.connection.say(&Event::Started(started)).is_err() {
            tree::abandon(running.pid);
            return Err(End::Gone);
        }
        let outcome = stream::pump(running, &mut self.connection, &self.signals, bounds);
        // Before the peer hears of the end, as far as that is quick.
        if let Err(error) = scratch.remove(Instant::now().checked_add(REMOVE_MAX)) {
            self.log(Level::Warn, "directory-left", run, &[("reason", &error)]);
            self.leftover = Some(scratch);
        }
        self.log_outcome(run, &outcome);
        Ok(outcome)
    }

    fn log_outcome(&self, run: &Run, outcome: &Outcome) {
        match outcome {
            Outcome::Finished(finished) => {
                let exit = match &finished.exit {
                    Exit::Code(code) => format!("code:{code}"),
                    Exit::Signal(signal) => format!("signal:{signal}"),
                    Exit::Violation { call } => format!("violation:{call}"),
                };
                let level = match &finished.exit {
                    Exit::Violation { .. } => Level::Warn,
                    Exit::Code(_) | Exit::Signal(_) => Level::Info,
                };
                self.log(
                    level,
                    "run-finished",
                    run,
                    &[
                        ("exit", &exit),
                        ("timed_out", &finished.timed_out),
                        ("cancelled", &finished.cancelled),
                        ("killed_for_output", &finished.killed_for_output),
                        ("stdout_bytes", &finished.stdout.bytes_seen),
                        ("stderr_bytes", &finished.stderr.bytes_seen),
                        ("cpu_ms", &finished.cpu_ms),
                        ("wall_ms", &finished.wall_ms),
                    ],
                );
            }
            Outcome::Refused(_) => self.log(Level::Warn, "run-broken-off", run, &[]),
        }
    }

    fn log(&self, level: Level, event: &str, run: &Run, fields: &[(&str, &dyn Display)]) {
        let mut all: Vec<(&str, &dyn Display)> = vec![("run_id", &run.run_id), ("tool", &run.tool)];
        all.extend_from_slice(fields);
        self.executor.log.event(level, event, &all);
    }

    /// Tells the peer how it ended, and waits for it to have heard.
    fn tell(self, end: Result<Event, End>) -> Option<Scratch<'a>> {
        let last = match end {
            Ok(event) => event,
            Err(End::Gone) => return self.leftover,
            Err(End::Refused(refused)) => {
                self.executor.log.event(
                    Level::Warn,
                    "request-refused",
                    &[
                        ("kind", &format!("{:?}", refused.kind)),
                        ("rule", &refused.rule),
                        ("message", &refused.message),
                        ("offending", &refused.offending),
                    ],
                );
                Event::Refused(*refused)
            }
        };
        if let Err(error) = self.connection.say_last(&last) {
            self.executor
                .log
                .event(Level::Warn, "peer-gone", &[("reason", &error)]);
        }
        self.leftover
    }
}

impl Executor {
    fn welcome(&self) -> Event {
        Event::Welcome(Welcome {
            protocol: protocol::VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            profiles_digest: self.profiles_digest,
            scope_digest: self.scope_digest,
        })
    }
}

fn protocol_mismatch(theirs: u16) -> Refused {
    let message = format!(
        "protocol {theirs} was offered; this is {}",
        protocol::VERSION
    );
    let remedy = "install broker and executor of the same release";
    refusal::new(RefusalKind::ProtocolMismatch, &message, remedy)
}

fn draining() -> Refused {
    refusal::new(
        RefusalKind::Draining,
        "the executor is shutting down",
        "try again when it is back",
    )
}

fn busy(running: u32) -> Refused {
    let message = format!("{running} runs are under way, which is the most allowed");
    refusal::new(
        RefusalKind::Busy,
        &message,
        "try again when one has ended, or raise max_runs",
    )
}
