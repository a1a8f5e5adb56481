//! The listener: accepts, checks who it is, and forks a session for each.
//!
//! What it is: one loop over the socket, the sessions' questions and signals.
//! It is the subreaper of everything, so what a session leaves behind when it
//! is killed becomes its child, and is killed.
//! What it is not: a reader. No byte of a peer is looked at here; a refused one
//! is read only to be dropped.
//!
//! Invariants: sessions that run a tool never exceed the configured most, and
//! sessions that don't never exceed it by more than [`IDLE_EXTRA`]; when [`Turn::Over`] is
//! returned no child is left.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpid, getppid};
use protocol::event::{RefusalKind, Refused};
use protocol::{Event, frame};

use crate::connection::{discard, later, timeout_until};
use crate::log::Level;
use crate::permits::{self, Answer, Counts, Desk, Question};
use crate::session::Start;
use crate::{Executor, refusal, sys, tree};

/// Most sessions that have not asked for a run yet, or have ended one, beyond
/// those that could run: a burst of calls finds room, and no more.
const IDLE_EXTRA: usize = 16;
/// Most refused connections that are kept open until the peer has read why.
const LINGERING_MAX: usize = 64;
/// How long a refused connection is kept open at most.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Connections accepted between two looks at everything else.
const ACCEPTS_PER_TURN: u32 = 16;
/// Pause when the kernel has no descriptor or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// From telling sessions to end their runs to killing them.
const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// What a turn of the loop led to.
#[derive(Debug)]
#[must_use]
pub(crate) enum Turn {
    /// Take another.
    Again,
    /// This process is now a session's.
    Session(Start),
    /// Everything has ended.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Holds no permit.
    Idle,
    /// Holds one.
    Running,
}

#[derive(Debug)]
struct Entry {
    pid: Pid,
    desk: Desk,
    standing: Standing,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    No,
    /// Runs may finish until then.
    Finishing(Instant),
    /// Runs are being cancelled, until then.
    Cancelling(Instant),
    /// Sessions were killed.
    Killing,
}

/// The listener's state.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    executor: &'a Executor,
    socket: UnixListener,
    signals: SignalFd,
    sessions: Vec<Entry>,
    lingering: VecDeque<(UnixStream, Instant)>,
    drain: Drain,
    accept_after: Option<Instant>,
}

impl<'a> Listener<'a> {
    /// Takes the socket.
    ///
    /// # Errors
    ///
    /// When it can't be made non-blocking.
    pub(crate) fn new(
        executor: &'a Executor,
        socket: UnixListener,
        signals: SignalFd,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            executor,
            socket,
            signals,
            sessions: Vec::new(),
            lingering: VecDeque::new(),
            drain: Drain::No,
            accept_after: None,
        })
    }

    /// One turn of the loop.
    ///
    /// # Errors
    ///
    /// When waiting itself fails.
    pub(crate) fn turn(&mut self) -> io::Result<Turn> {
        let [signals, accepts, questions] = self.wait()?;
        if signals {
            self.read_signals();
        }
        if questions {
            self.answer_questions();
        }
        self.lingering
            .retain_mut(|(socket, until)| Instant::now() < *until && discard(socket).is_some());
        if accepts && self.drain == Drain::No {
            for _ in 0..ACCEPTS_PER_TURN {
                match self.accept() {
                    Some(Turn::Again) => {}
                    Some(turn) => return Ok(turn),
                    None => break,
                }
            }
        }
        Ok(self.advance_drain())
    }

    /// Waits. Whether there are signals, connections, questions.
    fn wait(&mut self) -> io::Result<[bool; 3]> {
        let input = PollFlags::POLLIN;
        let now = Instant::now();
        self.accept_after = self.accept_after.filter(|after| *after > now);
        let accepting = self.drain == Drain::No && self.accept_after.is_none();
        let interest = if accepting { input } else { PollFlags::empty() };
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), input),
            PollFd::new(self.socket.as_fd(), interest),
        ];
        let desks = self
            .sessions
            .iter()
            .filter_map(|entry| entry.desk.descriptor());
        fds.extend(desks.map(|desk| PollFd::new(desk, input)));
        let desks_end = fds.len();
        fds.extend(
            self.lingering
                .iter()
                .map(|(socket, _)| PollFd::new(socket.as_fd(), input)),
        );
        let ends = [
            self.accept_after,
            self.drain_deadline(),
            self.linger_deadline(),
        ];
        let deadline = ends.into_iter().flatten().min();
        match poll(&mut fds, timeout_until(deadline)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        let mut ready = fds.iter().map(is_ready);
        let signals = ready.next().unwrap_or(false);
        let accepts = ready.next().unwrap_or(false);
        let questions = ready
            .take(desks_end.saturating_sub(2))
            .any(|is_ready| is_ready);
        Ok([signals, accepts, questions])
    }

    fn drain_deadline(&self) -> Option<Instant> {
        match self.drain {
            Drain::No | Drain::Killing => None,
            Drain::Finishing(until) | Drain::Cancelling(until) => Some(until),
        }
    }

    fn linger_deadline(&self) -> Option<Instant> {
        self.lingering.iter().map(|(_, until)| *until).min()
    }

    /// Accepts one connection. `None` when there is none.
    fn accept(&mut self) -> Option<Turn> {
        let socket = match self.socket.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => {
                // The peer left already, or the kernel is short of something.
                self.executor
                    .log
                    .event(Level::Warn, "accept-failed", &[("reason", &error)]);
                self.accept_after = Some(later(ACCEPT_PAUSE));
                return None;
            }
        };
        if let Err(refused) = self.check_peer(&socket) {
            self.refuse(socket, refused);
            return Some(Turn::Again);
        }
        let idle = self
            .sessions
            .iter()
            .filter(|entry| entry.standing == Standing::Idle)
            .count();
        let idle_max = usize::try_from(self.executor.config.runs_max).unwrap_or(usize::MAX);
        if idle >= idle_max.saturating_add(IDLE_EXTRA) {
            self.executor
                .log
                .event(Level::Warn, "connection-refused", &[("idle", &idle)]);
            self.refuse(socket, crowded());
            return Some(Turn::Again);
        }
        Some(self.start_session(socket))
    }

    /// The peer's user or one of its groups is on the list.
    fn check_peer(&self, socket: &UnixStream) -> Result<(), Refused> {
        let refused = |message: &str| {
            let remedy = "list the broker's uid or gid under [peers] in executor.toml";
            refusal::new(RefusalKind::PeerNotAllowed, message, remedy)
        };
        let peer = getsockopt(socket, sockopt::PeerCredentials)
            .map_err(|_| refused("the kernel doesn't say who the peer is"))?;
        let peers = &self.executor.config.peers;
        let is_listed_user =
            peers.uids.contains(&peer.uid()) || self.executor.peer_uid == Some(peer.uid());
        let is_listed_group = || {
            let groups = sys::peer_groups(socket).unwrap_or_default();
            groups
                .iter()
                .chain([&peer.gid()])
                .any(|gid| peers.gids.contains(gid))
        };
        if is_listed_user || (!peers.gids.is_empty() && is_listed_group()) {
            return Ok(());
        }
        self.executor.log.event(
            Level::Warn,
            "peer-refused",
            &[
                ("uid", &peer.uid()),
                ("gid", &peer.gid()),
                ("pid", &peer.pid()),
            ],
        );
        Err(refused(&format!(
            "uid {} is not among the peers",
            peer.uid()
        )))
    }

    fn start_session(&mut self, socket: UnixStream) -> Turn {
        let listener = getpid();
        let forked = permits::pair().and_then(|ends| Ok((ends, sys::fork()?)));
        match forked {
            Ok(((_, line), ForkResult::Child)) => Turn::Session(Start {
                socket,
                line,
                listener,
            }),
            Ok(((desk, _), ForkResult::Parent { child })) => {
                self.sessions.push(Entry {
                    pid: child,
                    desk,
                    standing: Standing::Idle,
                });
                Turn::Again
            }
            Err(errno) => {
                self.executor
                    .log
                    .event(Level::Error, "fork-failed", &[("reason", &errno)]);
                self.refuse(socket, crowded());
                Turn::Again
            }
        }
    }

    /// Says why not, and keeps the connection until the peer has read it:
    /// closing it with the peer's request unread would look like a fault.
    fn refuse(&mut self, mut socket: UnixStream, refused: Refused) {
        let Ok(frame) = frame::encode_event(&Event::Refused(refused)) else {
            return;
        };
        // A fresh socket's buffer holds a refusal many times over; a peer that
        // is gone already needs none.
        let said = socket
            .set_nonblocking(true)
            .and_then(|()| socket.write_all(&frame))
            .and_then(|()| socket.shutdown(Shutdown::Write));
        if said.is_ok() {
            if self.lingering.len() >= LINGERING_MAX {
                self.lingering.pop_front();
            }
            self.lingering.push_back((socket, later(LINGER_MAX)));
        }
    }

    fn counts(&self) -> Counts {
        let running = self
            .sessions
            .iter()
            .filter(|entry| entry.standing == Standing::Running);
        Counts {
            running: u32::try_from(running.count()).unwrap_or(u32::MAX),
            running_max: self.executor.config.runs_max,
        }
    }

    /// Takes back all permits first, then grants: a peer that has heard of the
    /// end of a run finds its permit free.
    fn answer_questions(&mut self) {
        let mut asked = Vec::new();
        for (index, entry) in self.sessions.iter_mut().enumerate() {
            while let Some(question) = entry.desk.question() {
                match question {
                    Question::GiveBack => entry.standing = Standing::Idle,
                    Question::Permit | Question::Count => asked.push((index, question)),
                }
            }
        }
        for (index, question) in asked {
            let counts = self.counts();
            let Some(entry) = self.sessions.get_mut(index) else {
                continue;
            };
            let answer = match (self.drain, question) {
                (Drain::No, Question::Permit) if counts.running >= counts.running_max => {
                    Answer::Busy(counts)
                }
                (Drain::No, Question::Permit) => {
                    entry.standing = Standing::Running;
                    Answer::Granted(counts)
                }
                (Drain::No, Question::Count | Question::GiveBack) => Answer::Granted(counts),
                (Drain::Finishing(_) | Drain::Cancelling(_) | Drain::Killing, _) => {
                    Answer::Draining
                }
            };
            if entry.desk.answer(answer).is_err() {
                // It is gone, and will be reaped.
                entry.standing = Standing::Idle;
            }
        }
    }

    fn read_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let is = |each| signal.ssi_signo == u32::from(sys::signal_number(each));
            if is(Signal::SIGCHLD) {
                self.reap();
            } else if is(crate::PARENT_DIED) {
                // A thread of the broker that ends sends it, too.
                if self.executor.parent != Some(getppid()) {
                    self.executor.log.event(Level::Warn, "broker-gone", &[]);
                    self.cancel_all();
                }
            } else if self.drain == Drain::No {
                self.begin_drain();
            } else {
                self.cancel_all();
            }
        }
    }

    /// Reaps sessions, and whatever a killed one left behind.
    fn reap(&mut self) {
        let mut is_clean = true;
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(status) => status,
                Err(_) => continue,
            };
            let Some(pid) = status.pid() else { continue };
            let known = self.sessions.iter().position(|entry| entry.pid == pid);
            if let Some(index) = known {
                self.sessions.swap_remove(index);
            }
            if known.is_none() || status != WaitStatus::Exited(pid, 0) {
                is_clean = false;
                let how = format!("{status:?}");
                self.executor
                    .log
                    .event(Level::Error, "session-died", &[("status", &how)]);
            }
        }
        if !is_clean {
            self.clean_up();
        }
    }

    /// Kills what has no session any more, and removes its directory.
    fn clean_up(&self) {
        let spared: Vec<Pid> = self.sessions.iter().map(|entry| entry.pid).collect();
        let killed = tree::kill_children(&spared);
        let log = &self.executor.log;
        match self.executor.scratch.sweep() {
            Ok(swept) => {
                let fields: [(&str, &dyn Display); 2] =
                    [("processes", &killed), ("directories", &swept)];
                log.event(Level::Warn, "cleaned-up", &fields);
            }
            Err(error) => log.event(Level::Error, "clean-up-failed", &[("reason", &error)]),
        }
    }

    fn begin_drain(&mut self) {
        self.executor.log.event(
            Level::Info,
            "draining",
            &[("sessions", &self.sessions.len())],
        );
        self.drain = Drain::Finishing(later(self.executor.config.grace));
        for entry in &self.sessions {
            // One that is gone doesn't need to know.
            entry.desk.drain().unwrap_or_default();
        }
    }

    fn cancel_all(&mut self) {
        self.drain = Drain::Cancelling(later(CANCEL_GRACE));
        self.signal_sessions(Signal::SIGTERM);
    }

    fn signal_sessions(&self, signal: Signal) {
        for entry in &self.sessions {
            // Our unreaped child: its number is its own. An error means that it
            // is dead already.
            kill(entry.pid, signal).unwrap_or_default();
        }
    }

    /// Goes on with the end, if it has begun.
    fn advance_drain(&mut self) -> Turn {
        if self.drain == Drain::No {
            return Turn::Again;
        }
        if self.sessions.is_empty() && tree::kill_children(&[]) == 0 {
            self.executor.log.event(Level::Info, "ended", &[]);
            return Turn::Over;
        }
        let now = Instant::now();
        match self.drain {
            Drain::Finishing(until) if now >= until => self.cancel_all(),
            Drain::Cancelling(until) if now >= until => {
                self.drain = Drain::Killing;
                self.signal_sessions(Signal::SIGKILL);
            }
            Drain::No | Drain::Finishing(_) | Drain::Cancelling(_) | Drain::Killing => {}
        }
        Turn::Again
    }
}

/// There is no room for another conversation.
fn crowded() -> Refused {
    let message = "too many connections are open";
    refusal::new(
        RefusalKind::Busy,
        message,
        "close those that have no run, and try again",
    )
}
