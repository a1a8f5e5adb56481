//! The executor's own life: how many it serves, and how it and its parts die.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::Request;
use protocol::event::{Exit, RefusalKind};

use crate::lab::{Lab, Setting, start, tool};

fn setting(config: &str) -> Setting {
    Setting {
        config: config.to_owned(),
        ..Setting::default()
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap())
}

/// The executor's sessions.
fn sessions(lab: &Lab) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", lab.child.id());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace()
        .map(|id| id.parse().unwrap())
        .collect()
}

#[test]
fn runs_beyond_the_most_are_refused_at_once() {
    let lab = start!(&[tool("sleep"), tool("hello")], &setting("max_runs = 2"));
    let mut running: Vec<_> = (0..2)
        .map(|_| {
            let mut peer = lab.greeted();
            peer.send(&Request::Run(lab.request("sleep")));
            peer.started();
            peer
        })
        .collect();
    assert_eq!(lab.greeted().inventory().runs, (2, 2));
    let begin = Instant::now();
    let ran = lab.run("hello");
    assert_eq!(ran.refused().kind, RefusalKind::Busy, "{ran:?}");
    assert!(begin.elapsed() < Duration::from_secs(1));
    let mut peer = running.pop().unwrap();
    peer.send(&Request::Cancel);
    peer.finish();
    assert_eq!(
        lab.run("hello").finished().exit,
        Exit::Code(0),
        "its permit is free"
    );
}

#[test]
fn a_permit_is_free_when_the_end_is_heard() {
    let lab = start!(&[tool("hello")], &setting("max_runs = 1"));
    for round in 0..50 {
        assert_eq!(
            lab.run("hello").finished().exit,
            Exit::Code(0),
            "round {round}"
        );
    }
}

#[test]
fn connections_that_say_nothing_are_bounded_and_time_out() {
    let lab = start!(&[tool("hello")], &setting("max_runs = 1"));
    let mut silent: Vec<_> = (0..17).map(|_| lab.connect()).collect();
    let deadline = Instant::now() + Duration::from_secs(5);
    while sessions(&lab).len() < 17 && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
    let mut peer = lab.connect();
    peer.send(&Request::Hello(protocol::request::Hello {
        protocol: protocol::VERSION,
    }));
    assert_eq!(
        peer.refused().kind,
        RefusalKind::Busy,
        "refused at once, and readable"
    );
    for peer in &mut silent {
        let refused = peer.refused();
        assert_eq!(refused.kind, RefusalKind::OutOfTurn, "{refused:?}");
    }
    drop(silent);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !sessions(&lab).is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
    assert_eq!(
        lab.run("hello").finished().exit,
        Exit::Code(0),
        "there is room again"
    );
}

#[test]
fn a_drain_lets_runs_finish_and_takes_nothing_new() {
    let mut lab = start!(&[tool("daemon").with_processes(8), tool("hello")]);
    let mut running = lab.greeted();
    running.send(&Request::Run(lab.request("daemon")));
    running.started();
    let mut idle = lab.greeted();
    kill(pid(lab.child.id()), Signal::SIGTERM).unwrap();
    assert_eq!(idle.refused().kind, RefusalKind::Draining);
    let ran = running.finish();
    assert_eq!(
        ran.finished().exit,
        Exit::Code(0),
        "it ran to its end: {ran:?}"
    );
    assert!(lab.wait().success(), "{}", lab.log());
}

#[test]
fn a_drain_ends_runs_after_the_grace_or_at_the_second_signal() {
    for (grace, signals, within) in [(1, 1, 3000), (60, 2, 1500)] {
        let config = format!("shutdown_grace_sec = {grace}");
        let mut lab = start!(&[tool("stubborn")], &setting(&config));
        let mut peer = lab.greeted();
        let mut run = lab.request("stubborn");
        run.timeout_ms = 60_000;
        peer.send(&Request::Run(run));
        assert_eq!(peer.first_output(), "ready\n");
        let begin = Instant::now();
        for _ in 0..signals {
            kill(pid(lab.child.id()), Signal::SIGTERM).unwrap();
            sleep(Duration::from_millis(100));
        }
        let ran = peer.finish();
        assert!(ran.finished().cancelled, "{ran:?}");
        drop(peer);
        assert!(lab.wait().success());
        let took = begin.elapsed();
        assert!(
            took < Duration::from_millis(within),
            "{took:?} with grace {grace}"
        );
        assert!(lab.hostiles().is_empty() && lab.scratch().is_empty());
    }
}

#[test]
fn killing_the_listener_kills_everything() {
    let mut lab = start!(&[tool("stubborn"), tool("daemon").with_processes(8)]);
    let mut peers: Vec<_> = ["stubborn", "stubborn", "daemon"]
        .map(|word| {
            let mut peer = lab.greeted();
            peer.send(&Request::Run(lab.request(word)));
            peer.first_output();
            peer
        })
        .into();
    let sessions = sessions(&lab);
    assert!(!sessions.is_empty());
    lab.child.kill().unwrap();
    lab.wait();
    let took = lab.none_left(Duration::from_millis(100));
    println!("dead {took:?} after the listener");
    for peer in &mut peers {
        while peer.next().is_some() {}
    }
    assert!(lab.scratch().is_empty(), "{:?}", lab.scratch());
    for session in sessions {
        let deadline = Instant::now() + Duration::from_secs(2);
        while std::path::Path::new(&format!("/proc/{session}/exe")).exists() {
            assert!(Instant::now() < deadline, "session {session} lives");
            sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn killing_a_session_kills_its_run_only() {
    let lab = start!(&[
        tool("stubborn"),
        tool("daemon").with_processes(8),
        tool("hello"),
    ]);
    for word in ["stubborn", "daemon"] {
        let mut peer = lab.greeted();
        peer.send(&Request::Run(lab.request(word)));
        peer.first_output();
        let sessions = sessions(&lab);
        let [session] = sessions[..] else {
            panic!("{sessions:?}")
        };
        kill(pid(session), Signal::SIGKILL).unwrap();
        lab.none_left(Duration::from_millis(500));
        while peer.next().is_some() {}
        let deadline = Instant::now() + Duration::from_secs(2);
        while !lab.scratch().is_empty() {
            assert!(Instant::now() < deadline, "{:?}", lab.scratch());
            sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(lab.run("hello").finished().exit, Exit::Code(0));
    assert_eq!(lab.greeted().inventory().runs, (0, 16), "no permit is lost");
}

#[test]
fn what_an_earlier_life_left_is_swept() {
    let mut lab = start!(&[tool("hello")]);
    assert_eq!(lab.run("hello").finished().exit, Exit::Code(0));
    lab.child.kill().unwrap();
    lab.wait();
    let left = lab.dir.join("runs/left");
    std::fs::create_dir(&left).unwrap();
    let mut deep = left.clone();
    for _ in 0..200 {
        deep.push("d");
        std::fs::create_dir(&deep).unwrap();
    }
    std::fs::create_dir(left.join(".moved-1")).unwrap();
    std::fs::write(left.join(".moved-1/file"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", left.join("link")).unwrap();
    let status = std::process::Command::new("chown")
        .arg("-R")
        .arg("nobody")
        .arg(&left)
        .status();
    assert!(status.unwrap().success());
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mantlet-executor"))
        .args(["check", "--config"])
        .arg(lab.dir.join("executor.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(lab.scratch().is_empty(), "{:?} {output:?}", lab.scratch());
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn it_does_not_serve_what_it_can_not_prove() {
    let lab = start!(&[tool("hello")]);
    let bad = lab.dir.join("tools.d/bad.toml");
    std::fs::write(&bad, "name = 1").unwrap();
    let check = |config: &str| {
        let path = lab.dir.join("other.toml");
        std::fs::write(&path, config).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_mantlet-executor"))
            .args(["check", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let runs = format!("runs_dir = \"{}\"", lab.dir.join("other").display());
    let cases = [
        (
            format!("mode = \"embedded\"\n{runs}"),
            true,
            "",
            "the built-in profiles",
        ),
        (
            format!("mode = \"embedded\"\n{runs}\nuser = \"no-such-user\""),
            false,
            "no user",
            "no such account",
        ),
        (
            format!("mode = \"embedded\"\n{runs}\nuser = \"root\""),
            false,
            "uid or gid 0",
            "root is not given up for root",
        ),
        (
            format!(
                "mode = \"embedded\"\n{runs}\nprofiles = [\"{}\"]",
                lab.dir.join("tools.d").display()
            ),
            false,
            "mistakes in profiles",
            "a bad profile",
        ),
        (
            "mode = \"embedded\"\nruns_dir = \"/proc/x\"".to_owned(),
            false,
            "runs' directories",
            "no scratch",
        ),
        (
            format!(
                "mode = \"embedded\"\n{runs}\n[security]\nallowed_networks = [\"0.0.0.0/0\"]\nx = 1"
            ),
            false,
            "unknown key",
            "a typo in the scope",
        ),
    ];
    for (config, expected, says, why) in cases {
        let (ok, stderr) = check(&config);
        assert_eq!(ok, expected, "{why}: {stderr}");
        assert!(stderr.contains(says), "{why}: {stderr}");
    }
}

#[test]
fn killing_all_of_the_executor_at_once_kills_its_tools() {
    let mut lab = start!(&[tool("stubborn")]);
    let mut peer = lab.greeted();
    peer.send(&Request::Run(lab.request("stubborn")));
    peer.first_output();
    let sessions = sessions(&lab);
    lab.child.kill().unwrap();
    for session in sessions {
        kill(pid(session), Signal::SIGKILL).unwrap_or_default();
    }
    lab.wait();
    lab.none_left(Duration::from_millis(100));
}

#[test]
fn killing_the_broker_kills_executor_and_runs() {
    let lab = start!(&[tool("stubborn")]);
    let script = "import os,socket,sys,time\n\
        path,config,executor=sys.argv[1:]\n\
        s=socket.socket(socket.AF_UNIX)\n\
        s.bind(path)\n\
        s.listen()\n\
        pid=os.fork()\n\
        if pid==0:\n\
        \x20os.dup2(s.fileno(),3)\n\
        \x20os.set_inheritable(3,True)\n\
        \x20os.execv(executor,[executor,'serve','--config',config])\n\
        print(pid,flush=True)\n\
        time.sleep(10)\n";
    let socket = lab.dir.join("broker");
    let mut broker = std::process::Command::new("/usr/bin/python3")
        .args(["-c", script])
        .args([&socket, &lab.dir.join("executor.toml")])
        .arg(env!("CARGO_BIN_EXE_mantlet-executor"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(broker.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let executor: u32 = line.trim().parse().unwrap();
    let stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let mut peer = crate::peer::Peer { stream };
    peer.send(&Request::Hello(protocol::request::Hello {
        protocol: protocol::VERSION,
    }));
    peer.welcome();
    peer.send(&Request::Run(lab.request("stubborn")));
    assert_eq!(peer.first_output(), "ready\n");
    let begin = Instant::now();
    broker.kill().unwrap();
    broker.wait().unwrap();
    let took = lab.none_left(Duration::from_millis(100));
    println!("tool dead {took:?} after the broker");
    // The connection is the test's, so the run ended because the executor did.
    assert!(peer.finish().finished().cancelled);
    while std::path::Path::new(&format!("/proc/{executor}/exe")).exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "the executor lives"
        );
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_executor_whose_parent_is_not_the_broker_does_not_serve() {
    let lab = start!(&[tool("hello")]);
    // The shell stays between the socket's maker and the executor.
    let socket = std::os::unix::net::UnixListener::bind(lab.dir.join("other")).unwrap();
    let script = format!(
        "exec 3<&0; {} serve --config {}; exit $?",
        env!("CARGO_BIN_EXE_mantlet-executor"),
        lab.dir.join("executor.toml").display()
    );
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(
            socket,
        )))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("is not this one's parent"), "{stderr}");
}

#[test]
fn a_storm_of_connections_leaves_it_standing() {
    let lab = start!(&[tool("hello")]);
    let memory = || {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", lab.child.id())).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    };
    drop(lab.greeted());
    let before = memory();
    for round in 0..2000 {
        let mut peer = lab.connect();
        match round % 4 {
            0 => {}
            1 => peer.send_raw(&[0]),
            2 => peer.send_raw(&[0, 1, 0, 0]),
            _ => peer.send_raw(&[0xff; 600]),
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let wait = || {
        assert!(Instant::now() < deadline, "{:?}", sessions(&lab));
        sleep(Duration::from_millis(10));
    };
    // Who is greeted comes after all that waited to be accepted.
    while !lab.is_greeted() {
        wait();
    }
    while !sessions(&lab).is_empty() {
        wait();
    }
    assert_eq!(lab.run("hello").finished().exit, Exit::Code(0));
    assert!(memory() < before + 64, "{before} pages became {}", memory());
}
