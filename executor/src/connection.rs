//! One peer's connection: requests in, events out, never waiting for either.
//!
//! What it is: the framing of `protocol` over a non-blocking socket, with a
//! bound on what is held for a peer that doesn't read.
//! What it is not: the conversation's rules; those are `session.rs` and
//! `stream.rs`.
//!
//! Invariants: at most one frame of input is held; at most [`HELD_BYTES_MAX`]
//! and one event of output are; nothing here sleeps except [`Connection::say_last`]
//! and [`Connection::settle`], which have deadlines.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use protocol::limits::FRAME_HEADER_BYTES;
use protocol::{Event, FrameError, Request, frame};

/// Output held for a peer before the tool is made to wait, in bytes.
pub(crate) const HELD_BYTES_MAX: usize = 256 * 1024;
/// Longest wait for a peer to take a refusal or the end of a run.
const LAST_WORDS_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a refused peer to close its side.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Most bytes of a refused peer that are read and dropped.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The peer closed it, or stopped reading.
    #[error("the peer is gone")]
    Gone,
    /// The peer sent something that is no request.
    #[error("not a request")]
    Frame(#[source] FrameError),
    /// An event of our own doesn't fit the contract.
    #[error("an event could not be encoded")]
    Event(#[source] FrameError),
    /// The socket failed.
    #[error("the socket failed")]
    Io(#[source] io::Error),
}

/// A peer's socket with what was read and not yet used, and what is to be
/// written.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UnixStream,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    written: usize,
}

impl Connection {
    /// Takes a socket and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// Whatever fcntl(2) says.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            inbound: Vec::new(),
            outbound: Vec::new(),
            written: 0,
        })
    }

    /// For polling.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What to poll for: always input, output when some is held.
    pub(crate) fn interest(&self) -> PollFlags {
        if self.held() > 0 {
            PollFlags::POLLIN | PollFlags::POLLOUT
        } else {
            PollFlags::POLLIN
        }
    }

    /// Bytes held for the peer.
    pub(crate) fn held(&self) -> usize {
        self.outbound.len().saturating_sub(self.written)
    }

    /// The peer keeps up: more may be said.
    pub(crate) fn has_room(&self) -> bool {
        self.held() < HELD_BYTES_MAX
    }

    /// The next whole request, if it has arrived.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Gone`] at the end of input, [`ConnectionError::Frame`]
    /// for what is no request.
    pub(crate) fn request(&mut self) -> Result<Option<Request>, ConnectionError> {
        loop {
            let Some(missing) = self.missing()? else {
                let frame = std::mem::take(&mut self.inbound);
                let body = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
                let request = frame::decode_request(body).map_err(ConnectionError::Frame)?;
                return Ok(Some(request));
            };
            let mut piece = [0_u8; 4096];
            let piece = piece.get_mut(..missing.min(4096)).unwrap_or_default();
            match self.socket.read(piece) {
                Ok(0) => return Err(ConnectionError::Gone),
                Ok(got) => self
                    .inbound
                    .extend_from_slice(piece.get(..got).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(ConnectionError::Gone);
                }
                Err(error) => return Err(ConnectionError::Io(error)),
            }
        }
    }

    /// Bytes of the current frame that have not arrived; `None` when it is
    /// whole. Never reads past a frame, so a second one stays with the kernel.
    fn missing(&self) -> Result<Option<usize>, ConnectionError> {
        let Some(header) = self.inbound.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(Some(FRAME_HEADER_BYTES.saturating_sub(self.inbound.len())));
        };
        let length = frame::body_length(*header).map_err(ConnectionError::Frame)?;
        let whole = length.saturating_add(FRAME_HEADER_BYTES);
        match whole.saturating_sub(self.inbound.len()) {
            0 => Ok(None),
            missing => Ok(Some(missing)),
        }
    }

    /// Says something, as far as the peer takes it at once; the rest is held.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Gone`] when nobody reads any more.
    pub(crate) fn say(&mut self, event: &Event) -> Result<(), ConnectionError> {
        let frame = frame::encode_event(event).map_err(ConnectionError::Event)?;
        if self.held() == 0 {
            self.outbound = frame;
            self.written = 0;
        } else {
            self.outbound.extend_from_slice(&frame);
        }
        self.flush()
    }

    /// Writes what is held, as far as the peer takes it at once.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Gone`] when nobody reads any more.
    pub(crate) fn flush(&mut self) -> Result<(), ConnectionError> {
        while self.held() > 0 {
            let rest = self.outbound.get(self.written..).unwrap_or_default();
            match self.socket.write(rest) {
                Ok(0) => return Err(ConnectionError::Gone),
                Ok(count) => self.written = self.written.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.compact();
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                    ) =>
                {
                    return Err(ConnectionError::Gone);
                }
                Err(error) => return Err(ConnectionError::Io(error)),
            }
        }
        self.outbound.clear();
        self.written = 0;
        Ok(())
    }

    /// Gives back the memory of what was written already, when that is most of
    /// what is held.
    fn compact(&mut self) {
        if self.written > self.held() {
            self.outbound.drain(..self.written);
            self.written = 0;
        }
    }

    /// Writes what is held, waiting for the peer up to a bound.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Gone`] when the peer doesn't take it in time.
    pub(crate) fn settle(&mut self) -> Result<(), ConnectionError> {
        let deadline = later(LAST_WORDS_MAX);
        self.flush()?;
        while self.held() > 0 {
            if !wait(self.socket.as_fd(), PollFlags::POLLOUT, deadline) {
                return Err(ConnectionError::Gone);
            }
            self.flush()?;
        }
        Ok(())
    }

    /// Says the last event and closes, so that the peer gets to read it: what
    /// the peer still sends is read and dropped first, because closing a socket
    /// with unread input makes the peer's side an error.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Gone`] when the peer doesn't take it in time.
    pub(crate) fn say_last(mut self, event: &Event) -> Result<(), ConnectionError> {
        self.say(event)?;
        self.settle()?;
        self.socket
            .shutdown(Shutdown::Write)
            .map_err(ConnectionError::Io)?;
        linger(&mut self.socket);
        Ok(())
    }
}

/// Reads and drops until the peer closes, up to two bounds.
fn linger(socket: &mut UnixStream) {
    let deadline = later(LINGER_MAX);
    let mut dropped = 0_usize;
    while dropped < LINGER_BYTES_MAX && wait(socket.as_fd(), PollFlags::POLLIN, deadline) {
        match discard(socket) {
            Some(count) => dropped = dropped.saturating_add(count),
            None => return,
        }
    }
}

/// Reads and drops one piece. `None` when there will be no more.
pub(crate) fn discard(socket: &mut UnixStream) -> Option<usize> {
    let mut piece = [0_u8; 4096];
    match socket.read(&mut piece) {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
        Err(error) if error.kind() == ErrorKind::Interrupted => Some(0),
        Err(_) => None,
    }
}

/// Waits for a descriptor. `false` when the deadline came first.
pub(crate) fn wait(descriptor: BorrowedFd<'_>, interest: PollFlags, deadline: Instant) -> bool {
    loop {
        let mut fds = [PollFd::new(descriptor, interest)];
        match poll(&mut fds, timeout_until(Some(deadline))) {
            Ok(0) if Instant::now() < deadline => {}
            Ok(0) => return false,
            Ok(_) => return true,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// A point in time after now; never overflows.
pub(crate) fn later(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or(now)
}

/// How long poll(2) may sleep: rounded up, so that a deadline has passed when
/// it wakes.
pub(crate) fn timeout_until(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else {
        return PollTimeout::NONE;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let left = left.saturating_add(Duration::from_micros(999)).as_millis();
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}
