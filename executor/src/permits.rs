//! Permits: how a session asks the listener whether it may run a tool.
//!
//! What it is: both ends of a socket pair. The listener alone counts, so a
//! session that dies, however it dies, can't take a permit with it.
//! What it is not: the per-tool concurrency limits, which are the broker's.
//!
//! Invariants: a session that holds a permit gives it back by ending; the count
//! never exceeds the configured most.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

/// Longest wait for the listener's answer, in milliseconds. It answers between
/// two events; this long a silence means that it is stuck or stopped.
const ANSWER_MS_MAX: u16 = 5_000;

const ASK_PERMIT: u8 = b'R';
const ASK_COUNT: u8 = b'C';
const GIVE_BACK: u8 = b'B';
const DRAIN: u8 = b'D';
const GRANTED: u8 = b'Y';
const BUSY: u8 = b'N';

/// What the listener says about its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Answer {
    /// Go ahead.
    Granted(Counts),
    /// As many runs as allowed are under way.
    Busy(Counts),
    /// The executor takes nothing new.
    Draining,
}

/// Runs under way, and the most allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Under way.
    pub(crate) running: u32,
    /// The most allowed.
    pub(crate) running_max: u32,
}

/// What a session asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// May I run a tool?
    Permit,
    /// How many are under way?
    Count,
    /// My run is over. Gets no answer.
    GiveBack,
}

/// The listener's end.
#[derive(Debug)]
pub(crate) struct Desk {
    socket: OwnedFd,
    // The session closed its end: nothing will come any more, and the kernel
    // would report that without end.
    is_over: bool,
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Line(OwnedFd);

/// Makes both ends.
///
/// # Errors
///
/// `EMFILE` when out of descriptors.
pub(crate) fn pair() -> nix::Result<(Desk, Line)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (desk, line) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    let desk = Desk {
        socket: desk,
        is_over: false,
    };
    Ok((desk, Line(line)))
}

impl Desk {
    /// For polling, as long as something may come.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (!self.is_over).then(|| self.socket.as_fd())
    }

    /// The next question, if one is waiting. Anything else that a session may
    /// send is no question.
    pub(crate) fn question(&mut self) -> Option<Question> {
        let mut message = [0_u8; 2];
        match recv(self.socket.as_raw_fd(), &mut message, MsgFlags::empty()) {
            Ok(1) => match message {
                [ASK_PERMIT, _] => Some(Question::Permit),
                [ASK_COUNT, _] => Some(Question::Count),
                [GIVE_BACK, _] => Some(Question::GiveBack),
                [_, _] => None,
            },
            Ok(0) => {
                self.is_over = true;
                None
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// Answers a question.
    ///
    /// # Errors
    ///
    /// `EPIPE` when the session is gone.
    pub(crate) fn answer(&self, answer: Answer) -> nix::Result<()> {
        let (verdict, counts) = match answer {
            Answer::Granted(counts) => (GRANTED, counts),
            Answer::Busy(counts) => (BUSY, counts),
            Answer::Draining => return self.drain(),
        };
        let numbers = [
            counts.running.to_be_bytes(),
            counts.running_max.to_be_bytes(),
        ];
        self.send(&[&[verdict], numbers.as_flattened()].concat())
    }

    /// Tells the session that the executor takes nothing new.
    ///
    /// # Errors
    ///
    /// `EPIPE` when the session is gone.
    pub(crate) fn drain(&self) -> nix::Result<()> {
        self.send(&[DRAIN])
    }

    fn send(&self, message: &[u8]) -> nix::Result<()> {
        send(self.socket.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL).map(drop)
    }
}

impl Line {
    /// For polling: readable before a question means that the executor drains.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Says that the run is over. If it can't be said, the end of this process
    /// says it.
    pub(crate) fn give_back(&self) {
        send(self.0.as_raw_fd(), &[GIVE_BACK], MsgFlags::MSG_NOSIGNAL).unwrap_or_default();
    }

    /// Asks the listener.
    ///
    /// # Errors
    ///
    /// When the listener is gone or doesn't answer.
    pub(crate) fn ask(&self, question: Question) -> io::Result<Answer> {
        let question = match question {
            Question::Permit => ASK_PERMIT,
            Question::Count => ASK_COUNT,
            Question::GiveBack => return Err(io::ErrorKind::InvalidInput.into()),
        };
        send(self.0.as_raw_fd(), &[question], MsgFlags::MSG_NOSIGNAL)?;
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(ANSWER_MS_MAX)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut message = [0_u8; 9];
        let length = recv(self.0.as_raw_fd(), &mut message, MsgFlags::empty())?;
        let [verdict, numbers @ ..] = message;
        let (running, running_max) = numbers.split_at(4);
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap_or_default());
        let counts = Counts {
            running: number(running),
            running_max: number(running_max),
        };
        match (verdict, length) {
            (GRANTED, 9) => Ok(Answer::Granted(counts)),
            (BUSY, 9) => Ok(Answer::Busy(counts)),
            (DRAIN, 1) => Ok(Answer::Draining),
            (0, 0) => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
