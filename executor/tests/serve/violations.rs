//! A call that a profile doesn't list ends the run, and the run names it.

use protocol::event::Exit;

use crate::lab::{start, tool};

#[test]
fn unlisted_calls_kill_and_are_named() {
    let cases = [
        ("call-165", "mount", "outside of every filter"),
        ("call-101", "ptrace", "outside of every filter"),
        ("call-272", "unshare", "outside of every filter"),
        ("call-308", "setns", "outside of every filter"),
        ("call-321", "bpf", "outside of every filter"),
        ("call-317", "seccomp", "inside of the executor's own filter"),
        (
            "call-444",
            "landlock_create_ruleset",
            "inside of the executor's own filter",
        ),
        ("call-61", "wait4", "inside of the executor's own filter"),
        ("call-57", "fork", "inside of the executor's own filter"),
        ("call-62", "kill", "inside of the executor's own filter"),
        ("call-50", "listen", "a server"),
        ("call-425", "io_uring_setup", "calls without calls"),
        ("call-435", "", "clone3 is contained, not killed"),
        ("call-112", "", "setsid is contained, not killed"),
        ("call-109", "", "setpgid is contained, not killed"),
        ("call-9999", "#9999", "no name, so its number"),
        (
            "forge-exec",
            "execveat",
            "not the execution that was prepared",
        ),
        ("clone-namespace", "clone", "not listed at all"),
        ("x32", "", "the same call under another number is unknown"),
        ("negative", "", "no call"),
        ("tiocsti", "ioctl", "high bits are no disguise"),
        ("pdeathsig", "prctl", "it would outlive its session"),
        ("set-owner", "fcntl", "signals to others"),
        ("fast-open", "sendto", "a connection without connect"),
    ];
    let tools: Vec<_> = cases.iter().map(|(word, ..)| tool(word)).collect();
    let lab = start!(&tools);
    for (word, call, why) in cases {
        let ran = lab.run(word);
        if call.is_empty() {
            assert_eq!(ran.finished().exit, Exit::Code(0), "{word}: {why}: {ran:?}");
            assert!(ran.stdout.contains("gave -1"), "{word}: {why}: {ran:?}");
        } else {
            let call = call.to_owned();
            assert_eq!(
                ran.finished().exit,
                Exit::Violation { call },
                "{word}: {why}: {ran:?}"
            );
            assert_eq!(ran.stdout, "", "{word}: it went on");
        }
    }
    assert!(lab.hostiles().is_empty());
}

#[test]
fn arguments_of_listed_calls_are_checked() {
    let lab = start!(&[
        tool("clone-namespace").with_processes(8),
        tool("kill-all").with_call("kill"),
    ]);
    for (word, call) in [("clone-namespace", "clone"), ("kill-all", "kill")] {
        let ran = lab.run(word);
        assert_eq!(
            ran.finished().exit,
            Exit::Violation {
                call: call.to_owned()
            },
            "{ran:?}"
        );
    }
}

#[test]
fn calls_of_another_architecture_kill() {
    let lab = start!(&[tool("int80")]);
    let ran = lab.run("int80");
    assert_eq!(ran.finished().exit, Exit::Signal(31), "SIGSYS: {ran:?}");
}

#[test]
fn a_real_time_signal_is_told_by_number() {
    let lab = start!(&[tool("real-time")]);
    assert_eq!(lab.run("real-time").finished().exit, Exit::Signal(40));
}

#[test]
fn a_setuid_program_gives_nothing() {
    let mut su = tool("hello");
    su.program = Some("/usr/bin/su".into());
    let lab = start!(&[su]);
    let mut peer = lab.greeted();
    let mut request = lab.request("hello");
    request.argv[0] = "/usr/bin/su".into();
    peer.send(&protocol::Request::Run(request));
    let refused = peer.refused();
    assert_eq!(
        refused.kind,
        protocol::event::RefusalKind::ToolUnavailable,
        "{refused:?}"
    );
}

#[test]
fn a_shell_is_not_executed() {
    let lab = start!(&[tool("shell"), tool("hello").with_program("/usr/bin/true")]);
    let ran = lab.run("shell");
    let call = "execve".to_owned();
    assert_eq!(
        ran.finished().exit,
        Exit::Violation { call },
        "it has nothing to execute: {ran:?}"
    );
    drop(lab);
    let lab = start!(&[tool("shell").with_program("/usr/bin/true")]);
    let ran = lab.run("shell");
    assert!(
        ran.stdout.contains("Permission denied"),
        "Landlock names what it may: {ran:?}"
    );
    assert!(!ran.stdout.contains("owned"), "{ran:?}");
}

#[test]
fn threads_are_no_processes() {
    let threaded = |word: &str| {
        let mut tool = tool(word).with_call("clone");
        tool.sandbox.push_str("threads = true\n");
        tool.processes = 8;
        tool
    };
    let lab = start!(&[threaded("threads"), threaded("thread-forks")]);
    let ran = lab.run("threads");
    assert!(
        ran.stdout.contains("from a thread") && ran.stdout.contains("joined true"),
        "{ran:?}"
    );
    let ran = lab.run("thread-forks");
    let call = "clone".to_owned();
    assert_eq!(ran.finished().exit, Exit::Violation { call }, "{ran:?}");
}

#[test]
fn a_violation_of_any_process_ends_the_whole_run() {
    let lab = start!(&[tool("child-mounts").with_processes(8)]);
    let ran = lab.run("child-mounts");
    let call = "mount".to_owned();
    assert_eq!(ran.finished().exit, Exit::Violation { call }, "{ran:?}");
    assert!(ran.finished().wall_ms < 5_000, "{ran:?}");
    assert!(lab.hostiles().is_empty());
}
