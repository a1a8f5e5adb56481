//! Processes and descriptors: adopting, forking, starting, executing.
//!
//! What it is not: the order in which a child gives things up; that is
//! `sandbox`.
//!
//! Invariants: a child that shares memory runs while its parent is suspended;
//! what it executes gets a descriptor table of its own.

#![expect(
    unsafe_code,
    reason = "the audit point: every unsafe operation of the executor is below sys/"
)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

/// Most groups of a peer, the kernel's own bound.
const PEER_GROUPS_MAX: usize = 65_536;
/// Absent from libc.
const SO_PEERGROUPS: c_int = 59;

/// Adopts the descriptor that systemd or the broker passes as number 3.
///
/// # Errors
///
/// `EBADF` when nothing was passed.
pub(crate) fn adopt_descriptor_3() -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD takes an integer and touches no memory; a closed
    // descriptor is reported as EBADF.
    let rc = unsafe { libc::fcntl(3, libc::F_GETFD) };
    Errno::result(rc)?;
    // SAFETY: the line above shows that 3 is open. It is called once, before
    // the executor opens anything of its own, so no other owner exists.
    Ok(unsafe { OwnedFd::from_raw_fd(3) })
}

/// Takes over a descriptor that fcntl(2) has just duplicated.
///
/// # Errors
///
/// Whatever fcntl(2) says: `EBADF`, `EMFILE`.
pub(crate) fn duplicate_above(descriptor: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an integer and touches no memory.
    let rc = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) };
    let number = Errno::result(rc)?;
    // SAFETY: the kernel just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Forks the single-threaded executor.
///
/// # Errors
///
/// Whatever fork(2) says: memory or process limits.
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: the executor has one thread for its whole life, so the child may
    // do whatever the parent could: no lock is held by a thread that is gone.
    unsafe { nix::unistd::fork() }
}

/// The memory that a child of [`start_sharing_memory`] runs on.
#[derive(Debug)]
pub(crate) struct Stack(Box<[u128]>);

impl Stack {
    /// Rows of 16 bytes: 64 KiB, of which the child's few frames use under 4.
    const ROWS: usize = 4096;

    /// Takes the memory, before anything can go wrong.
    pub(crate) fn new() -> Self {
        Self(vec![0; Self::ROWS].into_boxed_slice())
    }

    /// The end of the stack was never reached. Checked after each use.
    pub(crate) fn is_sound(&self) -> bool {
        self.0.iter().take(Self::ROWS / 4).all(|row| *row == 0)
    }
}

/// What a child runs, and on what.
struct Start<'a, P> {
    body: fn(&P) -> !,
    plan: &'a P,
}

extern "C" fn enter<P>(start: *mut c_void) -> c_int {
    // SAFETY: `start` is the pointer to a `Start<P>` on the parent's stack that
    // `start_sharing_memory` passed; the parent is suspended, so it lives.
    let start = unsafe { &*start.cast::<Start<'_, P>>() };
    (start.body)(start.plan)
}

/// Starts a child that shares this process's memory and descriptor table, and
/// returns when it has executed a program or is gone.
///
/// The child gets `body(plan)`, which must only apply what `plan` prepared and
/// then execute or leave: its writes to memory are seen here. Sharing the
/// descriptor table lets the child's system call listener appear here; the
/// kernel gives the program a table of its own when it is executed.
///
/// # Errors
///
/// Whatever clone(2) says: memory or process limits.
pub(crate) fn start_sharing_memory<P>(
    stack: &mut Stack,
    plan: &P,
    body: fn(&P) -> !,
) -> Result<(Pid, OwnedFd), Errno> {
    let start = Start { body, plan };
    let top = stack.0.as_mut_ptr_range().end.cast::<c_void>();
    let arg = (&raw const start).cast_mut().cast::<c_void>();
    let mut pidfd: c_int = -1;
    let flags =
        libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: `top` is the 16-byte aligned end of 64 KiB that nobody else uses;
    // CLONE_VFORK suspends this process until the child has executed a program
    // or is gone, so `start`, `plan` and the stack outlive it and nothing runs
    // beside it; `pidfd` is a live integer, which CLONE_PIDFD writes.
    let pid = unsafe { libc::clone(enter::<P>, top, flags, arg, &raw mut pidfd) };
    let pid = Errno::result(pid)?;
    // SAFETY: clone succeeded with CLONE_PIDFD, so `pidfd` is a new descriptor
    // that only this function knows.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok((Pid::from_raw(pid), pidfd))
}

/// Takes over a descriptor that a child put into the shared table.
///
/// `None` when the number is negative: the child never got so far.
pub(crate) fn adopt_from_child(number: RawFd) -> Option<OwnedFd> {
    if number < 0 {
        return None;
    }
    // SAFETY: only a child of `start_sharing_memory` hands numbers to this
    // function, each fresh from the kernel and closed by nobody: the table is
    // shared, and the child's later execution closes its own copy.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Ends a child of [`start_sharing_memory`] without running destructors or
/// flushing buffers, which are its parent's.
pub(crate) fn leave(status: u8) -> ! {
    // SAFETY: _exit(2) takes an integer, touches no memory and doesn't return.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// An array of NUL-terminated strings as execve(2) wants it, at one address
/// for its whole life, so that a filter compiled at start-up can name it.
#[derive(Debug)]
pub(crate) struct StringTable {
    // Owns what `pointers` points to.
    owned: Vec<CString>,
    // Never grows beyond the capacity it is made with, so it never moves.
    pointers: Vec<*const c_char>,
    rows_max: usize,
}

impl StringTable {
    /// Takes the memory for `rows_max` strings and the final NULL.
    pub(crate) fn new(rows_max: usize) -> Self {
        let mut pointers = Vec::with_capacity(rows_max.saturating_add(1));
        pointers.push(ptr::null());
        Self {
            owned: Vec::new(),
            pointers,
            rows_max,
        }
    }

    /// Fills the table. `None`, and an empty table, when a string holds NUL or
    /// there are too many.
    #[must_use]
    pub(crate) fn fill<S: AsRef<str>>(&mut self, rows: impl IntoIterator<Item = S>) -> Option<()> {
        self.pointers.clear();
        let owned = rows
            .into_iter()
            .map(|text| CString::new(text.as_ref()).ok());
        self.owned = owned.collect::<Option<Vec<_>>>().unwrap_or_default();
        let fits = !self.owned.is_empty() && self.owned.len() <= self.rows_max;
        if fits {
            self.pointers
                .extend(self.owned.iter().map(|text| text.as_ptr()));
        }
        self.pointers.push(ptr::null());
        fits.then_some(())
    }

    /// Where the array begins, as a system call filter sees it.
    pub(crate) fn address(&self) -> u64 {
        u64::try_from(self.pointers.as_ptr().addr()).unwrap_or(u64::MAX)
    }
}

/// Executes the program behind a descriptor. Returns only on failure.
pub(crate) fn execute(program: BorrowedFd<'_>, argv: &StringTable, envp: &StringTable) -> Errno {
    // SAFETY: both arrays end in NULL and point to NUL-terminated strings that
    // `StringTable` owns; the path is a static string; the descriptor is borrowed.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            envp.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// Marks every descriptor from `first` on to be closed on execution.
///
/// # Errors
///
/// `ENOSYS` before Linux 5.9, `EINVAL` before 5.11.
pub(crate) fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: close_range(2) takes three integers and touches no memory of
    // ours. With CLOEXEC it closes nothing now, so no live `OwnedFd` dangles.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    Errno::result(rc).map(drop)
}

/// The supplementary groups of a socket's other end.
///
/// # Errors
///
/// `ENODATA` when the socket has no peer.
pub(crate) fn peer_groups(socket: impl AsFd) -> Result<Vec<u32>, Errno> {
    let mut groups = vec![0_u32; PEER_GROUPS_MAX];
    let bytes = groups.len().saturating_mul(size_of::<u32>());
    let mut length = libc::socklen_t::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel writes at most `length` bytes into `groups`, which has
    // that many, and the length it wrote into `length`.
    let rc = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERGROUPS,
            groups.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    Errno::result(rc)?;
    let written = usize::try_from(length).unwrap_or_default();
    groups.truncate(written.checked_div(size_of::<u32>()).unwrap_or_default());
    Ok(groups)
}
