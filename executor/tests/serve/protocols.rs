//! A peer that speaks the protocol wrongly is refused, and nothing is executed.

use std::time::Duration;

use protocol::Request;
use protocol::event::RefusalKind;
use protocol::request::Hello;

use crate::lab::{start, tool};

fn hello() -> Request {
    Request::Hello(Hello {
        protocol: protocol::VERSION,
    })
}

#[test]
fn frames_out_of_turn_end_the_conversation() {
    let lab = start!(&[tool("hello")]);
    let run = || Request::Run(lab.request("hello"));
    let cases: [(Vec<Request>, usize, RefusalKind, &str); 7] = [
        (vec![run()], 0, RefusalKind::OutOfTurn, "no Hello"),
        (
            vec![Request::Inspect],
            0,
            RefusalKind::OutOfTurn,
            "no Hello",
        ),
        (vec![Request::Cancel], 0, RefusalKind::OutOfTurn, "no Hello"),
        (vec![hello(), hello()], 1, RefusalKind::OutOfTurn, "twice"),
        (
            vec![hello(), Request::Cancel],
            1,
            RefusalKind::OutOfTurn,
            "nothing to cancel",
        ),
        (
            vec![Request::Hello(Hello { protocol: 999 })],
            0,
            RefusalKind::ProtocolMismatch,
            "another protocol",
        ),
        (
            [vec![hello()], vec![Request::Inspect; 64]].concat(),
            64,
            RefusalKind::OutOfTurn,
            "without end",
        ),
    ];
    for (requests, answers, kind, why) in cases {
        let mut peer = lab.connect();
        for request in &requests {
            peer.send(request);
        }
        for _ in 0..answers {
            assert!(peer.next().is_some(), "{why}");
        }
        assert_eq!(peer.refused().kind, kind, "{why}");
    }
    assert!(!lab.log().contains("run-started"), "{}", lab.log());
}

#[test]
fn garbage_ends_the_conversation() {
    let lab = start!(&[tool("hello")]);
    let cases: [(&[u8], &str); 6] = [
        (&[0, 0, 0, 0], "an empty frame"),
        (&[0xff; 64], "4 GiB announced"),
        (&[0, 2, 0, 1, 0], "one byte too many announced"),
        (&[0, 0, 0, 1, 9], "no such request"),
        (&[0, 0, 0, 3, 0, 1, 0], "bytes after the message"),
        (b"GET / HTTP/1.1\r\n\r\n", "another protocol"),
    ];
    for (bytes, why) in cases {
        for is_greeted in [false, true] {
            let mut peer = if is_greeted {
                lab.greeted()
            } else {
                lab.connect()
            };
            peer.send_raw(bytes);
            assert_eq!(peer.refused().kind, RefusalKind::Malformed, "{why}");
        }
    }
    assert_eq!(
        lab.run("hello").stdout,
        "hello\nsurvived hello\n",
        "it serves on"
    );
}

#[test]
fn a_second_run_or_garbage_kills_the_first() {
    let lab = start!(&[tool("stubborn")]);
    let second = protocol::frame::encode_request(&Request::Run(lab.request("stubborn"))).unwrap();
    let cases: [(&[u8], RefusalKind, &str); 3] = [
        (&second, RefusalKind::OutOfTurn, "a second run"),
        (&[0xff; 8], RefusalKind::Malformed, "garbage"),
        (&[0, 0, 0, 1, 3], RefusalKind::OutOfTurn, "Inspect"),
    ];
    for (bytes, kind, why) in cases {
        let mut peer = lab.greeted();
        peer.send(&Request::Run(lab.request("stubborn")));
        assert_eq!(peer.first_output(), "ready\n");
        peer.send_raw(bytes);
        lab.none_left(Duration::from_millis(100));
        assert_eq!(peer.refused().kind, kind, "{why}");
    }
}

type Change = fn(&mut Vec<String>);

#[test]
fn what_was_not_vetted_is_not_executed() {
    let lab = start!(&[tool("hello")]);
    let cases: [(Change, &str, &str); 8] = [
        (
            |argv| argv[2] = "8.8.8.8".into(),
            "TGT2",
            "a target outside the scope",
        ),
        (
            |argv| argv[2] = "169.254.169.254".into(),
            "TGT3",
            "cloud metadata",
        ),
        (|argv| argv[2] = "web.lab.internal".into(), "TGT7", "a name"),
        (|argv| argv.insert(2, "-oN".into()), "", "a flag"),
        (|argv| argv[1] = "flood".into(), "", "another fixed word"),
        (|argv| argv[0] = "/bin/sh".into(), "", "another program"),
        (|argv| argv.push("10.0.0.2".into()), "", "a second target"),
        (|argv| argv.truncate(1), "", "nothing"),
    ];
    for (change, rule, why) in cases {
        let mut peer = lab.greeted();
        let mut run = lab.request("hello");
        change(&mut run.argv);
        peer.send(&Request::Run(run));
        let refused = peer.refused();
        assert_eq!(refused.kind, RefusalKind::NotVetted, "{why}: {refused:?}");
        assert!(
            rule.is_empty() || refused.rule == rule,
            "{why}: {refused:?}"
        );
        assert!(!refused.remedy.is_empty(), "{why}: {refused:?}");
    }
    let mut peer = lab.greeted();
    let mut run = lab.request("hello");
    run.tool = "sh\u{1b}[2J".into();
    peer.send(&Request::Run(run));
    let refused = peer.refused();
    assert_eq!(refused.kind, RefusalKind::UnknownTool);
    assert_eq!(refused.offending, "sh\\u{1b}[2J");
    assert!(!lab.log().contains("run-started"), "{}", lab.log());
}

#[test]
fn an_inventory_tells_tools_and_their_problems() {
    let mut missing = tool("missing");
    missing.program = Some("/usr/bin/no-such-tool".into());
    let mut link = tool("not-ours");
    link.program = Some("/proc/self/exe".into());
    let lab = start!(&[tool("hello"), missing, link]);
    let inventory = lab.greeted().inventory();
    assert_eq!(inventory.mode, "embedded");
    assert_eq!(inventory.runs, (0, 16));
    let problem = |name: &str| {
        let tool = inventory
            .tools
            .iter()
            .find(|tool| tool.name == name)
            .unwrap();
        tool.problem.clone()
    };
    assert_eq!(problem("t-hello"), "");
    assert!(
        problem("t-missing").contains("No such file"),
        "{}",
        problem("t-missing")
    );
    assert_ne!(
        problem("t-not-ours"),
        "",
        "a program that isn't what its path says"
    );

    let mut peer = lab.greeted();
    let mut run = lab.request("missing");
    run.argv[0] = "/usr/bin/no-such-tool".into();
    peer.send(&Request::Run(run));
    assert_eq!(peer.refused().kind, RefusalKind::ToolMissing);
}

#[test]
fn a_program_that_was_replaced_is_refused() {
    let lab = start!(&[tool("hello")]);
    assert_eq!(lab.run("hello").stdout, "hello\nsurvived hello\n");
    let copy = lab.dir.join("copy");
    std::fs::copy(&lab.program, &copy).unwrap();
    std::fs::rename(&copy, &lab.program).unwrap();
    let ran = lab.run("hello");
    assert_eq!(ran.refused().kind, RefusalKind::ToolUnavailable, "{ran:?}");
}

#[test]
fn a_program_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = std::path::PathBuf::from(format!("/tmp/mantlet-open-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    let program = dir.join("hostile");
    std::fs::copy("/bin/true", &program).unwrap();
    let mut open = tool("open");
    open.program = Some(program);
    let lab = start!(&[open]);
    let inventory = lab.greeted().inventory();
    std::fs::remove_dir_all(&dir).unwrap();
    let [tool] = &inventory.tools[..] else {
        panic!("{inventory:?}")
    };
    assert!(
        tool.problem.contains("writable by group or others"),
        "{tool:?}"
    );
}
