//! What a run is, sees and can reach.

use std::collections::BTreeMap;

use protocol::event::Exit;

use crate::lab::{Tool, start, tool};

fn lines(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .collect()
}

#[test]
fn runs_a_tool_to_its_end() {
    let lab = start!(&[tool("hello"), tool("fail"), tool("complain")]);
    assert_eq!(lab.run("complain").stderr, "complaint\n");
    let ran = lab.run("hello");
    assert_eq!(ran.finished().exit, Exit::Code(0), "{ran:?}");
    assert_eq!(ran.stdout, "hello\nsurvived hello\n");
    assert_eq!(ran.finished().stdout.bytes_seen, 21);
    assert_eq!(lab.run("fail").finished().exit, Exit::Code(7));
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
}

#[test]
fn a_tool_sees_three_descriptors_and_no_state_of_ours() {
    let lab = start!(&[tool("status").with_proc(), tool("environment")]);
    let ran = lab.run("status");
    let fds: Vec<_> = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("fd "))
        .collect();
    assert_eq!(fds, ["fd 0", "fd 1", "fd 2"], "{}", ran.stdout);
    for (line, why) in [
        ("NoNewPrivs:\t1", "no execution gives privileges"),
        ("Seccomp:\t2", "filtered"),
        ("Seccomp_filters:\t2", "the executor's filter and its own"),
        ("core 0 0", "no core files, soft or hard"),
        ("CapInh:\t0000000000000000", "no capability"),
        ("CapPrm:\t0000000000000000", "no capability"),
        ("CapEff:\t0000000000000000", "no capability"),
        ("CapAmb:\t0000000000000000", "no capability"),
        ("SigBlk:\t0000000000000000", "no signal is blocked"),
        // Rust's own start-up ignores SIGPIPE, the thirteenth.
        ("SigIgn:\t0000000000001000", "no signal is ignored"),
    ] {
        assert!(
            ran.stdout.lines().any(|each| each == line),
            "{why}: {}",
            ran.stdout
        );
    }
    let receipt = ran.started.as_ref().unwrap().receipt.clone();
    assert!(
        ran.stdout
            .contains(&format!("uid {} gid {}", receipt.uid, receipt.gid))
    );
    assert_ne!(receipt.uid, 0);
    let directory = ran
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("cwd "))
        .unwrap();
    assert!(
        directory.starts_with(lab.dir.join("runs").to_str().unwrap()),
        "{directory}"
    );

    let environment = lab.run("environment").stdout;
    let names: Vec<_> = environment
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(
        names,
        ["PATH", "LANG", "LC_ALL", "HOME", "TMPDIR"],
        "{environment}"
    );
}

#[test]
fn a_receipt_tells_what_was_applied() {
    let lab = start!(&[tool("hello"), tool("fail")]);
    let [first, again, other] =
        ["hello", "hello", "fail"].map(|word| lab.run(word).started.unwrap().receipt);
    assert_eq!(first.tool_version, "1.2.3");
    assert_eq!(first.egress, "argv");
    assert!(first.landlock_abi >= 1);
    assert_eq!(
        first.seccomp_digest, again.seccomp_digest,
        "the same rules, the same digest"
    );
    assert_eq!(first.landlock_digest, again.landlock_digest);
    assert_eq!(
        first.landlock_digest, other.landlock_digest,
        "the same paths"
    );
    assert_ne!(first.seccomp_digest, [0; 32]);
    let limits: BTreeMap<_, _> = first.rlimits.iter().cloned().collect();
    assert_eq!(limits.get("nofile"), Some(&64));
    assert_eq!(limits.get("core"), Some(&0));
    assert_eq!(limits.get("nproc"), Some(&1));
    assert_eq!(
        limits.get("cpu"),
        Some(&21),
        "twice the timeout of 10 s, and one"
    );
}

#[test]
fn a_run_reaches_its_own_files_only() {
    let mut tool = Tool {
        file_bytes: 4096,
        ..tool("files")
    };
    for call in ["mkdir", "symlink", "mkdirat", "symlinkat"] {
        tool = tool.with_call(call);
    }
    let lab = start!(&[tool]);
    let ran = lab.run("files");
    let said = lines(&ran.stdout);
    for (what, expected, why) in [
        ("read-passwd", "13", "readable to all, but not listed"),
        ("read-shadow", "13", "root's"),
        ("list-root", "13", "not listed"),
        ("write-tmp", "13", "writable to all, but not listed"),
        ("write-own", "worked", "its own directory"),
        ("make-own", "worked", "its own directory, deeper"),
        ("link-own", "13", "links are not made even there"),
        ("read-back", "worked", "its own file"),
        ("read-environ", "13", "another process's"),
        ("read-stdin", "worked", "/dev/null"),
    ] {
        assert_eq!(
            said.get(what),
            Some(&expected),
            "{what}: {why}: {}",
            ran.stdout
        );
    }
    assert!(
        lab.scratch().is_empty(),
        "a directory with files in it is removed too"
    );
}

#[test]
fn a_run_opens_the_sockets_of_its_profile_only() {
    let lab = start!(&[tool("network")]);
    let ran = lab.run("network");
    let said = lines(&ran.stdout);
    for (what, expected, why) in [
        ("unix", "97", "the broker, systemd, D-Bus"),
        ("tcp-bind", "13", "Landlock denies it to all"),
        ("udp-bind", "worked", "Landlock has no say"),
        ("tcp-connect", "111", "to nobody: the kernel's own answer"),
        ("mptcp", "97", "walks past Landlock"),
        ("raw", "97", "not listed"),
        ("packet", "97", "not listed"),
        ("netlink", "97", "not listed"),
        ("vsock", "97", "the hypervisor"),
        ("cloexec", "worked", "flags are no other type"),
    ] {
        assert_eq!(
            said.get(what),
            Some(&expected),
            "{what}: {why}: {}",
            ran.stdout
        );
    }
}
