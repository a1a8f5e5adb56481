//! A tool that misbehaves, for the executor's own tests: one way per word.
//!
//! What it is not: part of the product. Tests give it to the executor as a
//! profile's program.
//!
//! Invariants: it does nothing outside its own process and what it starts.

#![allow(
    unsafe_code,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::expect_used,
    clippy::exit,
    reason = "a program that does what the product may not"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::thread::sleep;
use std::time::Duration;

fn main() {
    let word = std::env::args().nth(1).unwrap_or_default();
    match word.as_str() {
        "version" => println!("hostile 1.2.3"),
        "hello" => println!("hello"),
        "status" => status(),
        "environment" => std::env::vars().for_each(|(name, value)| println!("{name}={value}")),
        "complain" => eprintln!("complaint"),
        "shell" => shell(),
        "fail" => exit(7),
        "real-time" => drop(unsafe { libc::raise(40) }),
        "sleep" => sleep(Duration::from_mins(1)),
        "stubborn" => stubborn(),
        "flood" => flood(),
        "quiet" => quiet(),
        "daemon" => daemon(),
        "bomb" => bomb(),
        "threads" => threads(),
        "thread-forks" => thread_forks(),
        "child-mounts" => child_mounts(),
        "files" => files(),
        "network" => network(),
        "forge-exec" => call(libc::SYS_execveat, 0, 0, 0, 0),
        "x32" => call(libc::SYS_getpid | 0x4000_0000, 0, 0, 0, 0),
        "negative" => call(-7, 0, 0, 0, 0),
        "int80" => int80(),
        "clone-namespace" => call(libc::SYS_clone, 0x1000_0011, 0, 0, 0),
        "tiocsti" => call(libc::SYS_ioctl, 0, 0x1_0000_5412, 0, 0),
        "pdeathsig" => call(libc::SYS_prctl, 1, 0, 0, 0),
        "set-owner" => call(libc::SYS_fcntl, 1, 8, 1, 0),
        "kill-all" => call(libc::SYS_kill, -1, 9, 0, 0),
        "fast-open" => call(libc::SYS_sendto, 0, 0, 0, 0x2000_0000),
        other => raw(other),
    }
    println!("survived {word}");
}

/// Becomes a shell.
fn shell() {
    let argv = [
        c"sh".as_ptr(),
        c"-c".as_ptr(),
        c"echo owned".as_ptr(),
        std::ptr::null(),
    ];
    unsafe { libc::execve(c"/bin/sh".as_ptr(), argv.as_ptr(), std::ptr::null()) };
    println!("shell: {}", std::io::Error::last_os_error());
}

/// Any call by its number.
fn raw(word: &str) {
    let number: i64 = word
        .strip_prefix("call-")
        .and_then(|n| n.parse().ok())
        .expect("a word");
    call(number, 0, 0, 0, 0);
}

fn call(number: i64, a: i64, b: i64, c: i64, d: i64) {
    let rc = unsafe { libc::syscall(number, a, b, c, d, 0, 0) };
    println!("{number} gave {rc}, {}", std::io::Error::last_os_error());
}

fn int80() {
    let rc: i64;
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") 20_i64 => rc);
    }
    println!("int80 gave {rc}");
}

/// Who and what it is, as the kernel sees it.
fn status() {
    println!("uid {} gid {}", unsafe { libc::getuid() }, unsafe {
        libc::getgid()
    });
    println!(
        "cwd {}",
        std::env::current_dir()
            .map(|p| p.display().to_string())
            .unwrap_or_default()
    );
    for fd in 0..1024 {
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0 {
            println!("fd {fd}");
        }
    }
    println!(
        "{}",
        fs::read_to_string("/proc/self/status").unwrap_or_default()
    );
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    println!("core {} {}", limit.rlim_cur, limit.rlim_max);
}

/// Ignores everything that can be ignored.
fn stubborn() {
    for signal in 1..32 {
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    println!("ready");
    loop {
        sleep(Duration::from_mins(1));
    }
}

fn flood() {
    let block = vec![b'x'; 1 << 16];
    let mut out = std::io::stdout();
    for _ in 0..(1 << 14) {
        if out.write_all(&block).is_err() {
            return;
        }
    }
}

/// Closes its streams and stays.
fn quiet() {
    println!("closing");
    unsafe {
        libc::close(1);
        libc::close(2);
        libc::close(0);
    }
    sleep(Duration::from_mins(1));
}

/// Forks twice, tries a session of its own, and holds the pipes.
fn daemon() {
    if unsafe { libc::fork() } == 0 {
        let session = unsafe { libc::setsid() };
        let group = unsafe { libc::setpgid(0, 0) };
        println!("setsid {session} setpgid {group}");
        if unsafe { libc::fork() } == 0 {
            println!("daemon {}", std::process::id());
            loop {
                sleep(Duration::from_mins(1));
            }
        }
        exit(0);
    }
    sleep(Duration::from_millis(200));
}

fn threads() {
    let thread = std::thread::spawn(|| println!("from a thread"));
    println!("joined {}", thread.join().is_ok());
}

fn thread_forks() {
    println!("fork {}", unsafe { libc::fork() });
}

/// The first process waits; its child breaks the rules.
fn child_mounts() {
    if unsafe { libc::fork() } == 0 {
        call(libc::SYS_mount, 0, 0, 0, 0);
        exit(0);
    }
    sleep(Duration::from_mins(1));
}

fn bomb() {
    for _ in 0..100_000 {
        unsafe { libc::fork() };
    }
}

fn attempt(what: &str, outcome: std::io::Result<()>) {
    match outcome {
        Ok(()) => println!("{what}: worked"),
        Err(error) => println!("{what}: {}", error.raw_os_error().unwrap_or(-1)),
    }
}

fn files() {
    attempt("read-passwd", fs::read("/etc/passwd").map(drop));
    attempt("read-shadow", fs::read("/etc/shadow").map(drop));
    attempt("list-root", fs::read_dir("/").map(drop));
    attempt("write-tmp", fs::write("/tmp/mantlet-hostile", "x"));
    attempt("write-own", fs::write("own", "x"));
    attempt(
        "make-own",
        fs::create_dir("deep").and_then(|()| fs::write("deep/er", "x")),
    );
    attempt(
        "link-own",
        std::os::unix::fs::symlink("/etc/passwd", "link"),
    );
    attempt("read-back", fs::read("own").map(drop));
    attempt("read-environ", fs::read("/proc/1/environ").map(drop));
    let mut null = String::new();
    attempt(
        "read-stdin",
        std::io::stdin().read_to_string(&mut null).map(drop),
    );
}

fn network() {
    attempt("unix", UnixStream::connect("/run/systemd/notify").map(drop));
    attempt("tcp-bind", TcpListener::bind("127.0.0.1:0").map(drop));
    attempt("udp-bind", UdpSocket::bind("127.0.0.1:0").map(drop));
    attempt("tcp-connect", TcpStream::connect("127.0.0.1:1").map(drop));
    let socket = |family, kind, protocol| {
        let fd = unsafe { libc::socket(family, kind, protocol) };
        if fd < 0 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    attempt("mptcp", socket(libc::AF_INET, libc::SOCK_STREAM, 262));
    attempt("raw", socket(libc::AF_INET, libc::SOCK_RAW, 1));
    attempt("packet", socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300));
    attempt("netlink", socket(libc::AF_NETLINK, libc::SOCK_RAW, 0));
    attempt("vsock", socket(40, libc::SOCK_STREAM, 0));
    attempt(
        "cloexec",
        socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 6),
    );
}
