//! Making an escape attempt, and saying how it went.
//!
//! What it is: what `mantlet-executor attempt NAME…` does, inside a sandbox and, as
//! the control, outside of one.
//! What it is not: a judgement.
//!
//! Invariants: what an attempt makes is removed, what it opens is closed; a child
//! that it comes to have leaves at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::table::{ANOTHER_ARCHITECTURE, Allowance, Attempt, Layer, Means, all};
use crate::sandbox::numbers;
use crate::sys;

/// An attempt that needs memory.
pub(crate) type Act = fn() -> Result<(), Errno>;

/// Makes the attempts of these names, one after the other, with a line for each.
/// `executor` is whom the one signals that signals.
pub(crate) fn make(executor: Pid, names: &[String]) -> ExitCode {
    let all = all();
    for name in names {
        let Some(attempt) = all.iter().find(|attempt| attempt.name == *name) else {
            return ExitCode::FAILURE;
        };
        let line = match attempt.make(executor) {
            Ok(()) => format!("{name} open\n"),
            Err(errno) => format!("{name} closed {}\n", raw(errno)),
        };
        if io::stdout().write_all(line.as_bytes()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn raw(errno: Errno) -> i32 {
    io::Error::from(errno).raw_os_error().unwrap_or_default()
}

impl Attempt {
    fn make(&self, executor: Pid) -> Result<(), Errno> {
        match self.means {
            Means::Act(act) => act(),
            Means::Signal => kill(executor, None),
            Means::Call(call, arguments) => {
                let number = numbers::number(call).ok_or(Errno::ENOSYS)?;
                let got = sys::call_by_numbers(number, arguments)?;
                // Of these, this is the child.
                if matches!(call, "clone" | "fork") && got == 0 {
                    sys::leave(0);
                }
                Ok(())
            }
        }
    }
}

const DENIED: &[Errno] = &[Errno::EACCES];
const DENIED_OR_ABSENT: &[Errno] = &[Errno::EACCES, Errno::EAFNOSUPPORT];
const NOT_PERMITTED: &[Errno] = &[Errno::EPERM];
const NONE: &[&str] = &[];

/// Name, layer, act, the errors and the calls by which it may be stopped, and what
/// makes it no escape.
type Row = (
    &'static str,
    Layer,
    Act,
    &'static [Errno],
    &'static [&'static str],
    Allowance,
);

/// The attempts that need memory.
#[rustfmt::skip]
pub(crate) fn acts() -> impl Iterator<Item = Attempt> {
    use Allowance::{Never, NetRaw, Read, Socket, TcpBind};
    use Layer::{Capabilities, Descriptors, Landlock, Seccomp};
    let rows: [Row; 22] = [
        ("read-accounts",          Landlock, read_accounts,     DENIED, NONE, Read("/etc/passwd")),
        ("read-accounts-by-link",  Landlock, read_by_link,      DENIED, &["symlink"], Read("/etc/passwd")),
        ("read-accounts-by-path",  Landlock, read_by_path,      DENIED, NONE, Read("/etc/passwd")),
        ("read-own-environment",   Landlock, own_environment,   DENIED, NONE, Read("/proc/self/environ")),
        ("read-own-map",           Landlock, own_map,           DENIED, NONE, Read("/proc/self/maps")),
        ("write-own-memory",       Landlock, own_memory,        DENIED, NONE, Never),
        ("list-root",              Landlock, list_root,         DENIED, NONE, Read("/")),
        ("list-processes",         Landlock, list_processes,    DENIED, NONE, Read("/proc")),
        ("list-home",              Landlock, list_home,         DENIED, NONE, Read("/home")),
        ("read-kernel-version",    Landlock, kernel_version,    DENIED, NONE, Read("/proc/version")),
        ("create-in-tmp",          Landlock, create_in_tmp,     DENIED, NONE, Never),
        ("create-in-shm",          Landlock, create_in_shm,     DENIED, NONE, Never),
        ("create-beside-run",      Landlock, create_beside,     DENIED, NONE, Never),
        ("unnamed-file",           Landlock, unnamed_file,      DENIED, NONE, Never),
        ("write-terminal",         Landlock, write_terminal,    DENIED, NONE, Never),
        ("tcp-connect",            Landlock, tcp_connect,       DENIED_OR_ABSENT, NONE, Socket(2, 1, 6)),
        ("tcp-bind",               Landlock, tcp_bind,          DENIED_OR_ABSENT, &["listen"], TcpBind),
        ("execute-shell",          Seccomp,  execute_shell,     DENIED, &["execve"], Never),
        ("call-by-interrupt",      Seccomp,  by_interrupt,      &[], &[ANOTHER_ARCHITECTURE], Never),
        ("call-by-x32-number",     Seccomp,  by_x32_number,     &[Errno::ENOSYS], NONE, Never),
        ("inherited-descriptors",  Descriptors, descriptors,    &[Errno::EBADF], NONE, Never),
        ("ambient-capability",     Capabilities, ambient,       NOT_PERMITTED, NONE, NetRaw),
    ];
    rows.into_iter().map(|(name, layer, act, errors, calls, allowance)| Attempt {
        name: name.to_owned(),
        layer,
        means: Means::Act(act),
        errors,
        calls,
        allowance,
    })
}

/// The error of what `std` offers, as the kernel gave it.
fn of<T>(result: io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
}

fn read(path: &str) -> Result<(), Errno> {
    of(File::open(path)).map(drop)
}

fn list(path: &str) -> Result<(), Errno> {
    of(fs::read_dir(path)).map(drop)
}

fn create(path: &Path) -> Result<(), Errno> {
    of(OpenOptions::new().write(true).create_new(true).open(path))?;
    of(fs::remove_file(path))
}

fn read_accounts() -> Result<(), Errno> {
    read("/etc/passwd")
}

/// By a path that only the run's own directory holds.
fn read_by_link() -> Result<(), Errno> {
    of(std::os::unix::fs::symlink("/etc/passwd", "link"))?;
    let read = read("link");
    of(fs::remove_file("link"))?;
    read
}

/// By a descriptor that was opened for nothing.
fn read_by_path() -> Result<(), Errno> {
    let root = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    openat(
        root,
        "etc/passwd",
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map(drop)
}

fn own_environment() -> Result<(), Errno> {
    read("/proc/self/environ")
}

fn own_map() -> Result<(), Errno> {
    read("/proc/self/maps")
}

fn own_memory() -> Result<(), Errno> {
    of(OpenOptions::new().write(true).open("/proc/self/mem")).map(drop)
}

fn list_root() -> Result<(), Errno> {
    list("/")
}

fn list_processes() -> Result<(), Errno> {
    list("/proc")
}

fn list_home() -> Result<(), Errno> {
    list("/home")
}

fn kernel_version() -> Result<(), Errno> {
    read("/proc/version")
}

fn create_in_tmp() -> Result<(), Errno> {
    create(&Path::new("/tmp").join(own_name()))
}

fn create_in_shm() -> Result<(), Errno> {
    create(&Path::new("/dev/shm").join(own_name()))
}

fn create_beside() -> Result<(), Errno> {
    create(&Path::new("..").join(own_name()))
}

/// A name that nobody else takes.
fn own_name() -> String {
    format!("mantlet-attempt-{}", std::process::id())
}

fn unnamed_file() -> Result<(), Errno> {
    let flags = OFlag::O_TMPFILE | OFlag::O_CLOEXEC;
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits())
        .open("/tmp");
    of(opened).map(drop)
}

fn write_terminal() -> Result<(), Errno> {
    of(OpenOptions::new().write(true).open("/dev/ptmx")).map(drop)
}

/// To the port that discards, on this host; most have nothing there.
fn tcp_connect() -> Result<(), Errno> {
    of(TcpStream::connect((Ipv4Addr::LOCALHOST, 9))).map(drop)
}

fn tcp_bind() -> Result<(), Errno> {
    of(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map(drop)
}

/// Gets through by saying so itself: nothing returns then.
fn execute_shell() -> Result<(), Errno> {
    let mut shell = Command::new("/bin/sh");
    let failed = shell.args(["-c", "echo execute-shell open"]).exec();
    Err(Errno::from_raw(failed.raw_os_error().unwrap_or_default()))
}

fn by_interrupt() -> Result<(), Errno> {
    match sys::pid_by_interrupt() {
        pid if pid > 0 => Ok(()),
        error => Err(Errno::from_raw(error.saturating_neg())),
    }
}

/// getpid(2) by its number for x32 programs.
fn by_x32_number() -> Result<(), Errno> {
    sys::call_by_numbers(0x4000_0000 | 0x27, [0; 6]).map(drop)
}

/// Descriptors beyond the standard three.
fn descriptors() -> Result<(), Errno> {
    const F_GETFD: i32 = 1;
    let fcntl = numbers::number("fcntl").ok_or(Errno::ENOSYS)?;
    let is_open =
        |number: &i32| sys::call_by_numbers(fcntl, [*number, F_GETFD, 0, 0, 0, 0]).is_ok();
    match (3..1024).find(is_open) {
        Some(_) => Ok(()),
        None => Err(Errno::EBADF),
    }
}

/// Whether `CAP_NET_RAW` would be handed to a program that is executed.
fn ambient() -> Result<(), Errno> {
    const PR_CAP_AMBIENT: i32 = 47;
    const IS_SET: i32 = 1;
    const NET_RAW: i32 = 13;
    let prctl = numbers::number("prctl").ok_or(Errno::ENOSYS)?;
    match sys::call_by_numbers(prctl, [PR_CAP_AMBIENT, IS_SET, NET_RAW, 0, 0, 0])? {
        0 => Err(Errno::EPERM),
        _ => Ok(()),
    }
}
