//! What a process may do: signal dispositions and capabilities.
//!
//! What it is not: the choice of what to keep; that is `sandbox/caps.rs`.
//!
//! Invariants: nothing here installs code to run in a signal's context.

#![expect(
    unsafe_code,
    reason = "the audit point: every unsafe operation of the executor is below sys/"
)]

use std::ffi::{c_int, c_ulong};
use std::ptr;

use nix::errno::Errno;
use nix::sys::signal::Signal;

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
pub(super) fn prctl(option: c_int, second: c_ulong, third: c_ulong) -> Result<c_int, Errno> {
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
