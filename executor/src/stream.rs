//! A run, from its first byte to the death of its last process.
//!
//! What it is: one loop over the tool's streams, its end, its filter's listener,
//! the peer and the session's signals; and the end of the whole tree.
//! What it is not: starting (`spawn.rs`), or deciding whether (`policy.rs`).
//!
//! Invariants: a peer that doesn't read makes the tool wait, and nothing else:
//! timeouts, cancels and kills happen on time; memory is bounded whatever the
//! tool prints; when [`pump`] returns, every process of the run is dead and
//! reaped.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::signalfd::SignalFd;
use nix::unistd::{Pid, read};
use protocol::event::{Exit, Finished, Output, Refused, Stream, StreamCount};
use protocol::limits::OUTPUT_CHUNK_BYTES;
use protocol::{Event, Request};

use crate::connection::{Connection, ConnectionError, later, timeout_until};
use crate::refusal;
use crate::sandbox::numbers;
use crate::spawn::Running;
use crate::sys;
use crate::tree::{self, Ended};

/// From SIGTERM to SIGKILL when a run's time is up.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// Bytes beyond a stream's bound that are read and counted before the tool is
/// killed for printing them.
const DROPPED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads from the pipe of a dead tree, 64 KiB each. A pipe holds 64 KiB, or 1 MiB
/// if the tool made it larger.
const LEFT_READS_MAX: u32 = 64;

/// Bytes of the first reads. A tool that says little costs no more memory; the
/// first read that this doesn't hold makes the next ones larger.
const FIRST_READ_BYTES: usize = 4096;

/// What a run may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Until it is ended.
    pub(crate) timeout: Duration,
    /// Bytes of standard output to pass on.
    pub(crate) stdout_bytes_max: u64,
    /// Bytes of standard error to pass on.
    pub(crate) stderr_bytes_max: u64,
}

/// How a run ended for its peer.
#[derive(Debug)]
#[must_use]
pub(crate) enum Outcome {
    /// To be told to the peer.
    Finished(Finished),
    /// The peer said something out of turn: it gets a refusal instead.
    Refused(Refused),
}

/// One of the tool's streams.
#[derive(Debug)]
struct Tap {
    pipe: Option<OwnedFd>,
    bytes_max: u64,
    count: StreamCount,
}

impl Tap {
    fn new(pipe: OwnedFd, bytes_max: u64) -> Self {
        Self {
            pipe: Some(pipe),
            bytes_max,
            count: StreamCount::default(),
        }
    }

    /// Reads once. `None` when there is nothing now; what is to be passed on
    /// else, which may be empty.
    fn take(&mut self, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        let pipe = self.pipe.as_ref()?;
        let got = match read(pipe, buffer) {
            Ok(got) if got > 0 => got,
            Err(Errno::EAGAIN | Errno::EINTR) => return None,
            // The end, or a pipe that can't be read, which is the same.
            Ok(_) | Err(_) => {
                self.pipe = None;
                return None;
            }
        };
        let bytes = u64::try_from(got).unwrap_or(u64::MAX);
        self.count.bytes_seen = self.count.bytes_seen.saturating_add(bytes);
        let kept = self
            .bytes_max
            .saturating_sub(self.count.bytes_kept)
            .min(bytes);
        self.count.bytes_kept = self.count.bytes_kept.saturating_add(kept);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        let piece = buffer.get(..kept.min(got)).unwrap_or_default().to_vec();
        if got == buffer.len() {
            buffer.resize(OUTPUT_CHUNK_BYTES, 0);
        }
        Some(piece)
    }

    fn is_flooding(&self) -> bool {
        self.count.bytes_seen > self.bytes_max.saturating_add(DROPPED_BYTES_MAX)
    }
}

/// Why a run is being ended, as far as it is.
#[derive(Debug, Default)]
struct Causes {
    timed_out: bool,
    cancelled: bool,
    killed_for_output: bool,
    violation: Option<String>,
    refused: Option<Refused>,
}

struct Pump<'a> {
    leader: Pid,
    pidfd: OwnedFd,
    listener: OwnedFd,
    stdout: Tap,
    stderr: Tap,
    connection: &'a mut Connection,
    signals: &'a SignalFd,
    causes: Causes,
    // No process of the run is under its filter any more.
    is_filter_over: bool,
    // What the peer sends still matters.
    hears: bool,
    // The peer still reads.
    is_heard: bool,
    // Next thing to do about time: SIGTERM first, then SIGKILL.
    deadline: Option<Instant>,
    buffer: Vec<u8>,
}

/// What one turn of the loop found ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Violation,
    Signals,
    Peer,
    Stdout,
    Stderr,
    End,
}

/// Runs a tool to its end.
pub(crate) fn pump(
    running: Running,
    connection: &mut Connection,
    signals: &SignalFd,
    bounds: Bounds,
) -> Outcome {
    let started = Instant::now();
    let Running {
        pid,
        pidfd,
        listener,
        streams,
    } = running;
    let mut pump = Pump {
        leader: pid,
        pidfd,
        listener,
        stdout: Tap::new(streams.stdout, bounds.stdout_bytes_max),
        stderr: Tap::new(streams.stderr, bounds.stderr_bytes_max),
        connection,
        signals,
        causes: Causes::default(),
        is_filter_over: false,
        hears: true,
        is_heard: true,
        deadline: Some(later(bounds.timeout)),
        buffer: vec![0; FIRST_READ_BYTES],
    };
    while pump.turn() {}
    // A call may have been announced in the moment of the end.
    let last = pump.wait(Some(started));
    let is_announced = |(source, events): &(Source, PollFlags)| {
        *source == Source::Violation && events.contains(PollFlags::POLLIN)
    };
    if last.iter().any(is_announced) {
        pump.note_violation();
    }
    let ended = tree::end(pump.leader);
    pump.finish(ended, started.elapsed())
}

impl Pump<'_> {
    /// One turn. `false` when the tool's first process has ended.
    fn turn(&mut self) -> bool {
        let mut goes_on = true;
        for (source, events) in self.wait(self.deadline) {
            match source {
                Source::Violation if events.contains(PollFlags::POLLIN) => self.note_violation(),
                // Nobody is left whom the filter could stop.
                Source::Violation => self.is_filter_over = true,
                Source::Signals => self.read_signals(),
                Source::Peer => self.meet_peer(events),
                Source::Stdout => self.pass_on(Stream::Stdout),
                Source::Stderr => self.pass_on(Stream::Stderr),
                Source::End => goes_on = false,
            }
        }
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            self.time_is_up();
        }
        goes_on
    }

    /// Waits until something is ready or `deadline` is reached.
    fn wait(&self, deadline: Option<Instant>) -> Vec<(Source, PollFlags)> {
        let input = PollFlags::POLLIN;
        let mut sources = Vec::with_capacity(6);
        if !self.is_filter_over {
            sources.push((Source::Violation, PollFd::new(self.listener.as_fd(), input)));
        }
        sources.push((Source::Signals, PollFd::new(self.signals.as_fd(), input)));
        if self.is_heard {
            let mut interest = self.connection.interest();
            interest.set(PollFlags::POLLIN, self.hears);
            sources.push((
                Source::Peer,
                PollFd::new(self.connection.descriptor(), interest),
            ));
        }
        for (source, tap) in [
            (Source::Stdout, &self.stdout),
            (Source::Stderr, &self.stderr),
        ] {
            if let Some(pipe) = &tap.pipe
                && self.connection.has_room()
            {
                sources.push((source, PollFd::new(pipe.as_fd(), input)));
            }
        }
        sources.push((Source::End, PollFd::new(self.pidfd.as_fd(), input)));
        let mut fds: Vec<_> = sources.iter().map(|(_, fd)| fd.clone()).collect();
        // An error is an interruption, or memory that is short: in both cases
        // nothing is ready, and the next turn asks again.
        if poll(&mut fds, timeout_until(deadline)).is_err() {
            return Vec::new();
        }
        let events = fds
            .iter()
            .map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let ready = sources.iter().map(|(source, _)| *source).zip(events);
        ready.filter(|(_, events)| !events.is_empty()).collect()
    }

    /// A call that the filter doesn't list: name it, and kill the tree. It is
    /// never answered, so it never runs.
    fn note_violation(&mut self) {
        // An error means that the process which made it is gone already.
        if let Ok(number) = sys::announced_call(&self.listener) {
            self.causes
                .violation
                .get_or_insert_with(|| numbers::name(number));
            self.kill();
        }
    }

    /// SIGTERM from the listener is a cancel; SIGCHLD means that somebody of
    /// the tree, now our child, is to be reaped.
    fn read_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == u32::from(sys::signal_number(Signal::SIGCHLD)) {
                tree::reap_all_but(self.leader);
            } else {
                self.cancel();
            }
        }
    }

    fn meet_peer(&mut self, events: PollFlags) {
        if events.contains(PollFlags::POLLOUT) && self.connection.flush().is_err() {
            self.peer_is_gone();
        }
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
        if events.intersects(PollFlags::POLLIN | gone) && self.hears {
            self.hear();
        } else if events.intersects(gone) {
            self.peer_is_gone();
        }
    }

    /// During a run a peer may say one thing: cancel.
    fn hear(&mut self) {
        let refused = match self.connection.request() {
            Ok(None) => return,
            Ok(Some(Request::Cancel)) => return self.cancel(),
            Ok(Some(Request::Hello(_) | Request::Run(_) | Request::Inspect)) => {
                refusal::out_of_turn("only Cancel may be sent while a tool runs")
            }
            Err(ConnectionError::Frame(error)) => refusal::malformed(&error),
            Err(ConnectionError::Gone | ConnectionError::Io(_) | ConnectionError::Event(_)) => {
                return self.peer_is_gone();
            }
        };
        self.hears = false;
        self.causes.refused = Some(refused);
        self.kill();
    }

    fn peer_is_gone(&mut self) {
        self.hears = false;
        self.is_heard = false;
        self.cancel();
    }

    fn cancel(&mut self) {
        self.causes.cancelled = true;
        self.kill();
    }

    /// Reads a stream once and passes on what is within its bound.
    fn pass_on(&mut self, stream: Stream) {
        let tap = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let bytes = tap.take(&mut self.buffer).unwrap_or_default();
        if tap.is_flooding() && !self.causes.killed_for_output {
            self.causes.killed_for_output = true;
            self.kill();
        }
        if !bytes.is_empty() && self.is_heard {
            let output = Event::Output(Output { stream, bytes });
            if self.connection.say(&output).is_err() {
                self.peer_is_gone();
            }
        }
    }

    /// First SIGTERM; when that didn't help, SIGKILL.
    fn time_is_up(&mut self) {
        if self.causes.timed_out {
            return self.kill();
        }
        self.causes.timed_out = true;
        self.signal(Signal::SIGTERM);
        self.deadline = Some(later(TERM_GRACE));
    }

    fn kill(&mut self) {
        self.deadline = None;
        self.signal(Signal::SIGKILL);
    }

    /// Signals the whole group. The first process is unreaped until [`tree::end`],
    /// so the group's number is nobody else's; an error means that all are gone.
    fn signal(&self, signal: Signal) {
        killpg(self.leader, signal).unwrap_or_default();
    }

    /// Reads what is left in the pipes of a dead tree, and sums up.
    fn finish(mut self, ended: Ended, wall: Duration) -> Outcome {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut left = LEFT_READS_MAX;
            while left > 0 {
                let tap = match stream {
                    Stream::Stdout => &mut self.stdout,
                    Stream::Stderr => &mut self.stderr,
                };
                let Some(bytes) = tap.take(&mut self.buffer) else {
                    break;
                };
                if !bytes.is_empty() && self.is_heard {
                    let output = Event::Output(Output { stream, bytes });
                    self.is_heard = self.connection.say(&output).is_ok();
                }
                left = left.saturating_sub(1);
            }
        }
        if let Some(refused) = self.causes.refused {
            return Outcome::Refused(refused);
        }
        let exit = match self.causes.violation {
            Some(call) => Exit::Violation { call },
            None => ended.exit,
        };
        Outcome::Finished(Finished {
            exit,
            timed_out: self.causes.timed_out,
            cancelled: self.causes.cancelled,
            killed_for_output: self.causes.killed_for_output,
            stdout: self.stdout.count,
            stderr: self.stderr.count,
            cpu_ms: ended.cpu_ms,
            max_rss_bytes: ended.max_rss_bytes,
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        })
    }
}
