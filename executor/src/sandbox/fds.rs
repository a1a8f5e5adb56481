//! Descriptors of a run: three, and nothing else.
//!
//! What it is: the pipes, and putting their ends where a tool expects them.
//! A session does this to itself when it begins, because its tool is started
//! sharing the session's descriptor table.
//! What it is not: the reading of the pipes; that is `stream.rs`.
//!
//! Invariants: of everything that the executor has open a tool sees 0
//! (`/dev/null`), 1 and 2 (pipes); everything else is closed on execution.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, pipe2};

/// The session's ends of a tool's streams.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Standard output.
    pub(crate) stdout: OwnedFd,
    /// Standard error.
    pub(crate) stderr: OwnedFd,
}

/// Low descriptor numbers kept free for a tool's start. Its own limit of
/// descriptors holds already when its listener is made, so that one must find a
/// number below the limit; the handle of the child itself takes another.
const RESERVED: usize = 4;

/// Where a session's own 0, 1 and 2 point while it has no tool to start.
#[derive(Debug)]
pub(crate) struct Nowhere {
    null: File,
    reserved: Vec<File>,
}

impl Nowhere {
    /// Opens `/dev/null`, before anything else is opened.
    ///
    /// # Errors
    ///
    /// Whatever open(2) says.
    pub(crate) fn open() -> io::Result<Self> {
        let null = || File::options().read(true).write(true).open("/dev/null");
        let reserved = (0..RESERVED).map(|_| null());
        Ok(Self {
            reserved: reserved.collect::<io::Result<_>>()?,
            null: null()?,
        })
    }

    /// Points this process's 0, 1 and 2 at `/dev/null` and at new pipes, for the
    /// tool to inherit. Done when a session begins, before it has anything to do.
    ///
    /// # Errors
    ///
    /// `EMFILE` when out of descriptors.
    pub(crate) fn give_streams(&self) -> io::Result<Streams> {
        let flags = OFlag::O_CLOEXEC;
        let (stdout, tool_stdout) = pipe2(flags)?;
        let (stderr, tool_stderr) = pipe2(flags)?;
        // Our ends only: each end of a pipe has flags of its own.
        for ours in [&stdout, &stderr] {
            fcntl(ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        dup2_stdin(self.null.as_fd())?;
        dup2_stdout(tool_stdout)?;
        dup2_stderr(tool_stderr)?;
        Ok(Streams { stdout, stderr })
    }

    /// Frees the low numbers that a start needs.
    pub(crate) fn free_low_numbers(&mut self) {
        self.reserved.clear();
    }

    /// Points this process's 1 and 2 at `/dev/null`, so that the end of a tool's
    /// streams can be seen.
    ///
    /// # Errors
    ///
    /// Whatever dup2(2) says.
    pub(crate) fn take_streams_back(&self) -> io::Result<()> {
        dup2_stdout(self.null.as_fd())?;
        dup2_stderr(self.null.as_fd())?;
        Ok(())
    }
}
