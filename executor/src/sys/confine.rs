//! Confinement: system call filters and Landlock rulesets.
//!
//! What it is not: the rules; those are `sandbox/seccomp.rs` and
//! `sandbox/landlock.rs`.
//!
//! Invariants: the kernel only reads what is passed here, except the notice that
//! [`announced_call`] gives it to fill.

#![expect(
    unsafe_code,
    reason = "the audit point: every unsafe operation of the executor is below sys/"
)]

use std::ffi::c_ulong;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;

use super::authority::prctl;

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
