//! The system calls that need `unsafe`, one small function each.
//!
//! What it is: the only file in Mantlet that says `unsafe`. Everything that
//! `std` and `nix` offer safely is called where it is needed and not here.
//! What it is not: policy. Nothing here decides; a caller that passes the wrong
//! number gets the kernel's error. It is longer than other files so that an
//! auditor of `unsafe` has one place to read.
//!
//! In order: processes and descriptors; signals and capabilities; filters and
//! Landlock.
//!
//! Invariants: one unsafe operation per block; no raw descriptor enters or
//! leaves without an owner, except the one that the kernel hands to a child of
//! [`start_sharing_memory`] and that its parent adopts at once; a child that
//! shares memory runs while its parent is suspended, and what it executes gets
//! a descriptor table of its own; nothing here installs code to run in a
//! signal's context.

#![expect(
    unsafe_code,
    reason = "the audit point: every unsafe operation is in this file"
)]

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::Signal;
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

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitStatus {
    /// It returned this code.
    Exited(u8),
    /// This signal ended it; real-time signals, which `nix` has no name for,
    /// included.
    Signaled(u8),
}

/// Waits for a child to end, and reaps it.
///
/// # Errors
///
/// `ECHILD` when it isn't ours.
pub(crate) fn wait_for(child: Pid) -> Result<WaitStatus, Errno> {
    loop {
        let mut status: c_int = 0;
        // SAFETY: waitpid(2) writes one integer into `status`, which lives.
        let rc = unsafe { libc::waitpid(child.as_raw(), &raw mut status, 0) };
        match Errno::result(rc) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) if libc::WIFEXITED(status) => {
                let code = u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX);
                return Ok(WaitStatus::Exited(code));
            }
            Ok(_) => {
                let signal = u8::try_from(libc::WTERMSIG(status)).unwrap_or(u8::MAX);
                return Ok(WaitStatus::Signaled(signal));
            }
        }
    }
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

/// Version 3 of the capability structures: two 32-bit words per set.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// Written to a pipe that nobody reads; the number is the same everywhere.
pub(crate) const SIGPIPE: u8 = 13;
/// The highest signal number, real-time signals included.
pub(crate) const SIGNAL_MAX: u8 = 64;

/// What a signal does when nobody catches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The kernel's default.
    Default,
    /// Nothing.
    Ignore,
}

/// The kernel's `struct sigaction`, which the C library's differs from.
#[repr(C)]
struct KernelSigaction {
    handler: usize,
    flags: c_ulong,
    restorer: usize,
    mask: u64,
}

/// Sets the disposition of a signal, 1 to 64.
///
/// By system call, because the C library keeps 32 and 33 to itself, and whoever
/// started us may have ignored those too.
///
/// # Errors
///
/// `EINVAL` for SIGKILL, SIGSTOP and numbers that are no signal.
pub(crate) fn set_disposition(signal: u8, disposition: Disposition) -> Result<(), Errno> {
    let action = KernelSigaction {
        handler: match disposition {
            Disposition::Default => libc::SIG_DFL,
            Disposition::Ignore => libc::SIG_IGN,
        },
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    let previous = ptr::null_mut::<KernelSigaction>();
    let size = size_of::<u64>();
    // SAFETY: `action` has the kernel's layout and lives through the call; the
    // mask is 8 bytes, as `size` says; no handler of ours is installed, so no
    // code can run in a signal's context.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            c_int::from(signal),
            &raw const action,
            previous,
            size,
        )
    };
    Errno::result(rc).map(drop)
}

/// A signal's number, which is between 1 and 31.
pub(crate) fn signal_number(signal: Signal) -> u8 {
    Signal::iterator()
        .zip(1_u8..)
        .find_map(|(each, number)| (each == signal).then_some(number))
        .unwrap_or_default()
}

/// The three capability sets of a process, as bit masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CapabilitySets {
    /// What it may do now.
    pub(crate) effective: u64,
    /// What it may take into the effective set.
    pub(crate) permitted: u64,
    /// What survives an execution, with a matching file.
    pub(crate) inheritable: u64,
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Reads this process's capability sets.
///
/// # Errors
///
/// Whatever capget(2) says.
pub(crate) fn capabilities() -> Result<CapabilitySets, Errno> {
    let mut header = CapabilityHeader {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let mut words = [CapabilityWord::default(); 2];
    // SAFETY: version 3 makes the kernel write exactly two words of three
    // 32-bit integers, which `words` holds in C layout; pid 0 is this process.
    let rc = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) };
    Errno::result(rc)?;
    let [low, high] = words;
    let join = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    Ok(CapabilitySets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Sets this process's capability sets.
///
/// # Errors
///
/// `EPERM` when a set grows beyond what the kernel allows.
pub(crate) fn set_capabilities(sets: CapabilitySets) -> Result<(), Errno> {
    let mut header = CapabilityHeader {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let word = |shift: u32| {
        let part = |set: u64| u32::try_from((set >> shift) & 0xffff_ffff).unwrap_or_default();
        CapabilityWord {
            effective: part(sets.effective),
            permitted: part(sets.permitted),
            inheritable: part(sets.inheritable),
        }
    };
    let words = [word(0), word(32)];
    // SAFETY: version 3 makes the kernel read exactly two words of three
    // 32-bit integers, which `words` holds in C layout; pid 0 is this process.
    let rc = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) };
    Errno::result(rc).map(drop)
}

/// prctl(2) for the options that take integers only.
fn prctl(option: c_int, second: c_ulong, third: c_ulong) -> Result<c_int, Errno> {
    let unused: c_ulong = 0;
    // SAFETY: every caller passes an option whose arguments are integers; the
    // kernel touches no memory of ours.
    let rc = unsafe { libc::prctl(option, second, third, unused, unused) };
    Errno::result(rc)
}

/// Whether the bounding set holds a capability.
///
/// # Errors
///
/// `EINVAL` for a number that this kernel has no capability for.
pub(crate) fn bounding_has(capability: u8) -> Result<bool, Errno> {
    prctl(libc::PR_CAPBSET_READ, c_ulong::from(capability), 0).map(|held| held == 1)
}

/// Takes a capability out of the bounding set.
///
/// # Errors
///
/// `EPERM` without `CAP_SETPCAP`.
pub(crate) fn bounding_drop(capability: u8) -> Result<(), Errno> {
    prctl(libc::PR_CAPBSET_DROP, c_ulong::from(capability), 0).map(drop)
}

/// Clears the ambient set.
///
/// # Errors
///
/// `EINVAL` before Linux 4.3.
pub(crate) fn ambient_clear() -> Result<(), Errno> {
    let clear = c_ulong::try_from(libc::PR_CAP_AMBIENT_CLEAR_ALL).map_err(|_| Errno::EINVAL)?;
    prctl(libc::PR_CAP_AMBIENT, clear, 0).map(drop)
}

/// Adds a capability to the ambient set.
///
/// # Errors
///
/// `EPERM` unless it is permitted and inheritable.
pub(crate) fn ambient_raise(capability: u8) -> Result<(), Errno> {
    let raise = c_ulong::try_from(libc::PR_CAP_AMBIENT_RAISE).map_err(|_| Errno::EINVAL)?;
    prctl(libc::PR_CAP_AMBIENT, raise, c_ulong::from(capability)).map(drop)
}

/// Whether this process runs under a system call filter.
///
/// # Errors
///
/// `EINVAL` when the kernel has no seccomp.
pub(crate) fn is_filtered() -> Result<bool, Errno> {
    prctl(libc::PR_GET_SECCOMP, 0, 0).map(|mode| mode == 2)
}

/// Installs a system call filter for this process.
///
/// With `listener`, the number of the descriptor on which the kernel announces
/// the calls that the filter wants judged; it closes on execution.
///
/// # Errors
///
/// `EACCES` without `no_new_privs`, `EINVAL` for a program that the kernel
/// doesn't accept, `EBUSY` when a filter with a listener is there already.
pub(crate) fn install_filter(
    program: &[libc::sock_filter],
    listener: bool,
) -> Result<RawFd, Errno> {
    let mut program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    let flags = if listener {
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
    } else {
        0
    };
    // SAFETY: `program` describes `len` instructions that live through the
    // call; the kernel copies them and writes nothing, whatever the `*mut` says.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw mut program,
        )
    };
    let number = Errno::result(rc)?;
    RawFd::try_from(number).map_err(|_| Errno::EBADF)
}

/// Whether the kernel refuses a harmless call that no filter of ours lists:
/// personality(2), asked only to tell.
pub(crate) fn refuses_a_harmless_call() -> bool {
    const TELL: c_ulong = 0xffff_ffff;
    // SAFETY: personality(2) takes an integer; this one changes nothing.
    let rc = unsafe { libc::personality(TELL) };
    rc == -1 && Errno::last() == Errno::ENOSYS
}

/// Makes a system call that is given numbers only, for the self-test.
///
/// # Errors
///
/// Whatever the kernel, or a filter, says.
pub(crate) fn call_by_numbers(number: u32, arguments: [i32; 6]) -> Result<i64, Errno> {
    let [first, second, third, fourth, fifth, sixth] = arguments.map(c_long::from);
    let number = c_long::from(number);
    // SAFETY: arguments are 32 bits wide, and this program, position-independent,
    // has nothing mapped below 4 GiB or at the top of the address space, so the
    // kernel can neither read nor write memory of ours through one that it takes
    // for an address. The calls are those of the table of attempts
    // (selftest/table.rs); none of them unmaps or changes what is mapped, and a
    // child that one makes leaves at once (selftest/attempts.rs).
    let rc = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    Errno::result(rc)
}

/// Asks for the process id as a 32-bit program does, for the self-test: number 20
/// by interrupt 0x80.
pub(crate) fn pid_by_interrupt() -> i32 {
    let pid: i32;
    // SAFETY: the call takes no argument and touches no memory; the kernel
    // returns in eax, and clears r8 to r11 on the way.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("eax") 20_i32 => pid,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack),
        );
    }
    pid
}

/// The number of a system call that a filter announced.
///
/// # Errors
///
/// `ENOENT` when its process is gone already.
pub(crate) fn announced_call(listener: impl AsFd) -> Result<i32, Errno> {
    let mut notice = libc::seccomp_notif {
        id: 0,
        pid: 0,
        flags: 0,
        data: libc::seccomp_data {
            nr: 0,
            arch: 0,
            instruction_pointer: 0,
            args: [0; 6],
        },
    };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: NOTIF_RECV writes one `seccomp_notif`, whose size is part of the
    // request number, into `notice`, which is zeroed as the kernel demands.
    let rc = unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notice) };
    Errno::result(rc).map(|_| notice.data.nr)
}

/// What a Landlock ruleset handles. Layout of the kernel's
/// `landlock_ruleset_attr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LandlockHandled {
    /// File system rights.
    pub(crate) fs: u64,
    /// TCP rights (ABI 4).
    pub(crate) net: u64,
    /// Scopes (ABI 6).
    pub(crate) scoped: u64,
}

#[repr(C, packed)]
struct LandlockPath {
    allowed: u64,
    parent: i32,
}

/// The Landlock ABI of this kernel.
///
/// # Errors
///
/// `ENOSYS` or `EOPNOTSUPP` when the kernel has no Landlock or it is off.
pub(crate) fn landlock_abi() -> Result<u32, Errno> {
    const VERSION: u32 = 1;
    let none = ptr::null::<LandlockHandled>();
    let size: usize = 0;
    // SAFETY: with the version flag the pointer must be null and the size zero;
    // the kernel touches no memory.
    let rc = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, size, VERSION) };
    u32::try_from(Errno::result(rc)?).map_err(|_| Errno::EOPNOTSUPP)
}

/// Creates a ruleset.
///
/// # Errors
///
/// `EINVAL` for a right that this kernel doesn't know.
pub(crate) fn landlock_ruleset(handled: &LandlockHandled) -> Result<OwnedFd, Errno> {
    let size = size_of::<LandlockHandled>();
    let flags: u32 = 0;
    // SAFETY: the kernel reads `size` bytes of `handled`, which has its layout;
    // a kernel that knows fewer fields accepts zeros in those it doesn't know.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::from_ref(handled),
            size,
            flags,
        )
    };
    let number = RawFd::try_from(Errno::result(rc)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Allows rights below a path.
///
/// # Errors
///
/// `EINVAL` for rights that don't fit a file, `ENOMSG` for none.
pub(crate) fn landlock_allow_path(
    ruleset: BorrowedFd<'_>,
    path: BorrowedFd<'_>,
    allowed: u64,
) -> Result<(), Errno> {
    const PATH_BENEATH: u32 = 1;
    let rule = LandlockPath {
        allowed,
        parent: path.as_raw_fd(),
    };
    let flags: u32 = 0;
    // SAFETY: `rule` lives through the call and has the kernel's layout for
    // PATH_BENEATH, packed; the kernel only reads it.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            PATH_BENEATH,
            &raw const rule,
            flags,
        )
    };
    Errno::result(rc).map(drop)
}

/// Confines this process by a ruleset, for good.
///
/// # Errors
///
/// `EPERM` without `no_new_privs`, `E2BIG` after sixteen layers.
pub(crate) fn landlock_restrict(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags: u32 = 0;
    // SAFETY: landlock_restrict_self(2) takes two integers and touches no
    // memory of ours.
    let rc = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) };
    Errno::result(rc).map(drop)
}
