//! What a filter says to every call, by running it.
//!
//! What it is not: a test of the kernel; `tests/serve/violations.rs` is.
//!
//! Invariants: every argument check has a row that it lets through and one that
//! it doesn't.

use sandbox_profiles::{Profile, load};

use super::super::bpf::{ARCH_X86_64, judge};
use super::super::numbers;
use super::*;

const EXECUTION: Execution = Execution {
    descriptor: 9,
    argv: 0x7fff_1234_5678,
};

fn profile(sandbox: &str) -> Profile {
    let text = format!(
        r#"
name = "t"
title = "T"
description = "T"
package = "none"
executable = "/usr/bin/true"
[version]
prefix = "t"
[target]
kinds = ["address"]
[sandbox]
raw = "never"
{sandbox}
[sandbox.limits]
cpu_s = 1
address_space_mib = 16
files = 8
processes = 1
file_size_bytes = 0
[run]
timeout_s = 1
timeout_min_s = 1
timeout_max_s = 1
concurrency = 1
concurrency_max = 1
queue = 0
stdout_bytes_max = 1
stderr_bytes_max = 1
breaker_failures = 1
breaker_recovery_s = 30
[output]
format = "text"
success = ["0"]
[examples]
target = "10.0.0.1"
[[examples.accept]]
argv = "10.0.0.1"
[[examples.refuse]]
rule = "ARG3"
why = "no flags"
args = ["-x"]
"#
    );
    load::parse("t.toml", &text).unwrap()
}

fn filter(sandbox: &Sandbox) -> Vec<sock_filter> {
    let sockets: Vec<_> = sandbox.sockets.iter().collect();
    compile(sandbox, &sockets, EXECUTION).unwrap()
}

fn verdict(program: &[sock_filter], call: &str, args: [u64; 6]) -> u32 {
    judge(program, ARCH_X86_64, numbers::number(call).unwrap(), args)
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const ANNOUNCE: u32 = libc::SECCOMP_RET_USER_NOTIF;

fn error(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::try_from(number).unwrap()
}

#[test]
fn every_call_of_every_profile_gets_its_verdict() {
    for profile in load::built_in().unwrap().iter() {
        let program = filter(&profile.sandbox);
        let name = &profile.name;
        for number in 0..600 {
            let call = numbers::name(i32::try_from(number).unwrap());
            let got = judge(&program, ARCH_X86_64, number, [u64::MAX; 6]);
            let is_listed =
                call != "execve" && profile.sandbox.allow.iter().any(|row| row.name == call);
            let row = profile.sandbox.errno.iter().find(|row| row.name == call);
            if let Some(row) = row {
                assert_eq!(got, error(row.errno), "{name}: {call}");
            } else if is_listed && check_of(&call).is_none() {
                assert_eq!(got, ALLOW, "{name}: {call}");
            } else if !is_listed {
                assert_eq!(got, ANNOUNCE, "{name}: {call}");
            }
        }
        for number in [0x4000_0000, 0x4000_0001, 0x8000_0000, u32::MAX] {
            let got = judge(&program, ARCH_X86_64, number, [0; 6]);
            assert_eq!(got, error(libc::ENOSYS), "{name}: {number:#x}");
        }
    }
}

#[test]
fn what_is_said_of_each_call_is_what_the_program_does() {
    for profile in load::built_in().unwrap().iter() {
        let program = filter(&profile.sandbox);
        let said = verdicts(&profile.sandbox, false).unwrap();
        for number in 0..600 {
            let call = numbers::name(i32::try_from(number).unwrap());
            let named = said.iter().find(|(name, _)| *name == call);
            let (_, words) = named.or(said.last()).unwrap();
            let expected = match words.split(':').next().unwrap() {
                "allowed" => ALLOW,
                "named, and kills the tool" => ANNOUNCE,
                "EPERM" => error(libc::EPERM),
                "ENOSYS" => error(libc::ENOSYS),
                "EAFNOSUPPORT" => error(libc::EAFNOSUPPORT),
                checked => {
                    assert!(
                        check_of(&call).is_some() || call == "execveat",
                        "{call}: {checked}"
                    );
                    continue;
                }
            };
            let got = judge(&program, ARCH_X86_64, number, [0; 6]);
            assert_eq!(got, expected, "{}: {call}: {words}", profile.name);
        }
        let reasons = said.iter().filter(|(call, _)| {
            let allow = profile.sandbox.allow.iter().map(|row| &row.name);
            let mut listed = allow.chain(profile.sandbox.errno.iter().map(|row| &row.name));
            !listed.any(|name| name == call) && reason(call).is_none()
        });
        let without: Vec<_> = reasons.map(|(call, _)| call.as_str()).collect();
        assert_eq!(without, ["x32 and negative numbers", "any other"]);
    }
}

/// A profile with everything whose arguments are checked.
fn checked() -> Profile {
    profile(
        r#"call_sets = ["base", "net"]
           sockets = ["inet/stream/tcp", "inet6/stream/tcp", "inet/dgram/udp"]
           threads = true
           [sandbox.calls]
           clone = "threads"
           kill = "itself"
           socketpair = "a pair""#,
    )
}

const HIGH: u64 = 0xffff_ffff_0000_0000;

#[test]
fn sockets_are_compared_by_family_type_and_protocol() {
    let program = filter(&checked().sandbox);
    let no_family = error(libc::EAFNOSUPPORT);
    let perm = error(libc::EPERM);
    let cases: [(&str, [u64; 3], u32, &str); 17] = [
        ("socket", [2, 1, 0], ALLOW, "TCP"),
        ("socket", [2, 1, 6], ALLOW, "TCP, named"),
        ("socket", [2, 0x8_0801, 6], ALLOW, "flags are no type"),
        (
            "socket",
            [2, 1, 262],
            no_family,
            "MPTCP walks past Landlock",
        ),
        ("socket", [10, 1, 262], no_family, "MPTCP over IPv6"),
        ("socket", [2, 3, 1], no_family, "raw"),
        (
            "socket",
            [2, 2, 1],
            no_family,
            "ICMP datagrams are not listed",
        ),
        (
            "socket",
            [10, 2, 17],
            no_family,
            "UDP over IPv6 is not listed",
        ),
        ("socket", [1, 1, 0], no_family, "Unix"),
        (
            "socket",
            [HIGH | 2, HIGH | 1, HIGH | 6],
            ALLOW,
            "the kernel looks at 32 bits",
        ),
        ("socket", [2, 0x10_0001, 6], no_family, "an unknown flag"),
        ("socketpair", [1, 1, 0], ALLOW, "Unix, to itself"),
        (
            "socketpair",
            [2, 1, 0],
            ANNOUNCE,
            "no other family has pairs",
        ),
        ("setsockopt", [3, 1, 2], ALLOW, "reuse"),
        ("setsockopt", [3, 6, 30], perm, "connect without connect"),
        ("setsockopt", [3, 6, 31], perm, "another protocol on top"),
        ("setsockopt", [3, 1, 50], perm, "a program in the kernel"),
    ];
    for (call, [a, b, c], expected, why) in cases {
        let got = verdict(&program, call, [a, b, c, 0, 0, 0]);
        assert_eq!(got, expected, "{call}({a:#x}, {b:#x}, {c:#x}): {why}");
    }
}

#[test]
fn arguments_decide_where_they_must() {
    let program = filter(&checked().sandbox);
    let (perm, access) = (error(libc::EPERM), error(libc::EACCES));
    let cases: [(&str, [u64; 3], u32, &str); 23] = [
        (
            "clone",
            [0x3d_0f00, 0, 0],
            ALLOW,
            "as the C library starts a thread",
        ),
        ("clone", [0x11, 0, 0], ANNOUNCE, "a process"),
        ("clone", [0x1001_0011, 0, 0], ANNOUNCE, "a user namespace"),
        ("clone", [0x1_8000, 0, 0], ANNOUNCE, "a sibling"),
        (
            "clone3",
            [0, 0, 0],
            error(libc::ENOSYS),
            "its flags can't be seen",
        ),
        ("ioctl", [0, 0x5401, 0], ALLOW, "is it a terminal?"),
        ("ioctl", [0, 0x5412, 0], ANNOUNCE, "TIOCSTI"),
        (
            "ioctl",
            [0, HIGH | 0x5412, 0],
            ANNOUNCE,
            "TIOCSTI in disguise",
        ),
        ("ioctl", [0, 0x541c, 0], ANNOUNCE, "TIOCLINUX"),
        ("fcntl", [0, 4, 0x800], ALLOW, "non-blocking"),
        ("fcntl", [0, 8, 1], ANNOUNCE, "signals to another"),
        ("fcntl", [0, 10, 9], ANNOUNCE, "which signal"),
        ("prctl", [15, 0, 0], ALLOW, "its name"),
        ("prctl", [1, 0, 0], ANNOUNCE, "outliving its parent"),
        ("prctl", [4, 1, 0], ANNOUNCE, "dumpable"),
        ("prctl", [22, 2, 0], ANNOUNCE, "another filter"),
        ("mmap", [0, 0, 5], ALLOW, "code"),
        ("mmap", [0, 0, 7], access, "writable code"),
        ("mprotect", [0, 0, 6], access, "writable code"),
        ("prlimit64", [0, 7, 0], ALLOW, "reading its own"),
        ("prlimit64", [1, 7, 0], perm, "another's"),
        ("kill", [HIGH | 0xffff_ffff, 9, 0], ANNOUNCE, "everybody"),
        (
            "kill",
            [7, 6, 0],
            ALLOW,
            "itself, for all a filter can tell",
        ),
    ];
    for (call, [a, b, c], expected, why) in cases {
        let got = verdict(&program, call, [a, b, c, 0, 0, 0]);
        assert_eq!(got, expected, "{call}({a:#x}, {b:#x}, {c:#x}): {why}");
    }
}

#[test]
fn a_send_does_not_connect_and_a_limit_is_not_set() {
    let program = filter(&checked().sandbox);
    let perm = error(libc::EPERM);
    let sends = [
        ("sendto", [0, 0, 0, 0x2000_0000, 0, 0]),
        ("sendmmsg", [0, 0, 0, 0x2000_0000, 0, 0]),
        ("sendmsg", [0, 0, 0x2000_0000, 0, 0, 0]),
    ];
    for (call, args) in sends {
        assert_eq!(
            verdict(&program, call, args),
            ANNOUNCE,
            "{call}: MSG_FASTOPEN"
        );
        assert_eq!(verdict(&program, call, [0; 6]), ALLOW, "{call}");
    }
    let set = [0, 7, 1 << 32, 0, 0, 0];
    assert_eq!(
        verdict(&program, "prlimit64", set),
        perm,
        "a pointer's high half counts"
    );
}

type Change = fn(&mut [u64; 6]);

#[test]
fn one_execution_is_let_through() {
    let profile = profile("call_sets = [\"base\"]");
    let program = filter(&profile.sandbox);
    let prepared = [9, 1, EXECUTION.argv, 2, 0x1000, 0];
    assert_eq!(verdict(&program, "execveat", prepared), ALLOW);
    let cases: [(Change, &str); 4] = [
        (|args| args[0] = 8, "another program"),
        (|args| args[2] = 0x7fff_1234_5670, "other arguments"),
        (|args| args[2] = 0x1234_5678, "the low half only"),
        (|args| args[4] = 0, "by path"),
    ];
    for (change, why) in cases {
        let mut args = prepared;
        change(&mut args);
        assert_eq!(verdict(&program, "execveat", args), ANNOUNCE, "{why}");
    }
}

#[test]
fn a_profile_that_forks_may_but_not_into_namespaces() {
    let profile =
        profile("call_sets = [\"base\"]\n[sandbox.calls]\nclone = \"helpers\"\nfork = \"helpers\"");
    let program = filter(&profile.sandbox);
    assert_eq!(verdict(&program, "clone", [0x11, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(
        verdict(&program, "clone", [0x1000_0011, 0, 0, 0, 0, 0]),
        ANNOUNCE
    );
}

#[test]
fn raw_runs_can_not_get_round_the_packet_filter() {
    let set = load::built_in().unwrap();
    let sandbox = &set.get("nmap").unwrap().sandbox;
    let sockets: Vec<_> = sandbox.sockets.iter().chain(&sandbox.sockets_raw).collect();
    let raw = compile(sandbox, &sockets, EXECUTION).unwrap();
    for (level, option, why) in [
        (0, 19, "IP_TRANSPARENT"),
        (1, 36, "SO_MARK"),
        (263, 20, "PACKET_QDISC_BYPASS"),
    ] {
        let got = verdict(&raw, "setsockopt", [3, level, option, 0, 0, 0]);
        assert_eq!(got, error(libc::EPERM), "{why}");
    }
    assert_eq!(verdict(&raw, "socket", [2, 3, 255, 0, 0, 0]), ALLOW);
    let plain = filter(sandbox);
    assert_eq!(
        verdict(&plain, "socket", [2, 3, 255, 0, 0, 0]),
        error(libc::EAFNOSUPPORT)
    );
}

#[test]
fn refuses_rows_that_would_open_the_sandbox() {
    let mut profile = profile("call_sets = [\"base\"]");
    let cases = [
        (
            "ptrace",
            FilterError::Forbidden("ptrace".into()),
            "forbidden to profiles",
        ),
        (
            "setsid",
            FilterError::Forbidden("setsid".into()),
            "out of the group",
        ),
        (
            "rt_sigqueueinfo",
            FilterError::Forbidden("rt_sigqueueinfo".into()),
            "signals by another name",
        ),
        (
            "no_such_call",
            FilterError::UnknownCall("no_such_call".into()),
            "a typo",
        ),
    ];
    for (call, expected, why) in cases {
        profile.sandbox.allow[0].name = call.into();
        assert_eq!(
            compile(&profile.sandbox, &[], EXECUTION),
            Err(expected),
            "{why}"
        );
    }
}

#[test]
fn a_digest_is_of_the_policy_and_not_of_addresses() {
    let profile = profile("call_sets = [\"base\"]");
    let other = Execution {
        descriptor: 5,
        argv: 0x5555,
    };
    let [first, second] =
        [EXECUTION, other].map(|execution| Filter::new(&profile.sandbox, &[], execution).unwrap());
    assert_eq!(first.digest(), second.digest());
    assert_ne!(digest_of(first.program()), digest_of(second.program()));
}
