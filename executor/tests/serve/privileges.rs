//! Who the executor is, and what it holds.

use std::process::Command;

use protocol::Request;
use protocol::event::{Exit, RefusalKind};
use protocol::request::Run;

use crate::lab::{Lab, Setting, start, tool};

const NOBODY: u32 = 65534;

fn as_nobody(more: &[&str]) -> Vec<String> {
    let words = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    words
        .iter()
        .chain(more)
        .map(|word| (*word).to_owned())
        .collect()
}

/// In system mode, as nobody, with `CAP_NET_RAW` and nothing else, in a network
/// namespace of its own with loopback up.
fn raw_setting() -> Setting {
    let mut wrapper: Vec<String> = [
        "unshare",
        "--net",
        "sh",
        "-c",
        "ip link set lo up && exec \"$@\"",
        "sh",
    ]
    .map(str::to_owned)
    .into();
    wrapper.extend(as_nobody(&[
        "--inh-caps=-all,+net_raw",
        "--ambient-caps=-all,+net_raw",
        "--bounding-set=-all,+net_raw",
    ]));
    Setting {
        system: true,
        wrapper,
        owner: Some(NOBODY),
        ..Setting::default()
    }
}

fn nmap(arguments: &str) -> Run {
    let argv = format!("/usr/bin/nmap {arguments}");
    Run {
        run_id: format!("n{}", arguments.len()),
        tool: "nmap".into(),
        argv: argv.split(' ').map(str::to_owned).collect(),
        timeout_ms: 60_000,
        stdout_max: 1 << 20,
        stderr_max: 1 << 18,
        memory_max: None,
        files_max: None,
    }
}

fn status(pid: u32, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_once('\t').unwrap().1.to_owned()
}

#[test]
fn root_is_given_up_for_good() {
    let lab = start!(&[tool("hello")]);
    assert_eq!(lab.run("hello").finished().exit, Exit::Code(0));
    let pid = lab.child.id();
    assert_eq!(status(pid, "Uid:"), "65534\t65534\t65534\t65534");
    assert_eq!(status(pid, "Gid:"), "65534\t65534\t65534\t65534");
    assert_eq!(status(pid, "Groups:").trim(), "");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(status(pid, set), "0000000000000000", "{set}");
    }
    assert_eq!(
        status(pid, "CapBnd:"),
        "0000000000002000",
        "CAP_NET_RAW, for ping's file"
    );
    assert_eq!(status(pid, "NoNewPrivs:"), "1");
    assert_eq!(status(pid, "Seccomp:"), "2");
    assert_eq!(status(pid, "Threads:"), "1");
}

#[test]
fn capabilities_beyond_the_one_are_given_up() {
    let caps = "--inh-caps=-all,+net_raw,+sys_admin,+setpcap";
    let ambient = "--ambient-caps=-all,+net_raw,+sys_admin,+setpcap";
    for (system, held, why) in [
        (true, "0000000000002000", "system mode keeps CAP_NET_RAW"),
        (false, "0000000000000000", "embedded mode keeps nothing"),
    ] {
        let wrapper = as_nobody(&[caps, ambient]);
        let setting = Setting {
            system,
            wrapper,
            owner: Some(NOBODY),
            ..Setting::default()
        };
        let lab = start!(&[tool("hello")], &setting);
        drop(lab.greeted());
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(status(lab.child.id(), set), held, "{set}: {why}");
        }
        assert_eq!(
            status(lab.child.id(), "CapBnd:"),
            "0000000000002000",
            "{why}"
        );
    }
}

#[test]
fn an_ordinary_user_serves_without_privileges() {
    let setting = Setting {
        wrapper: as_nobody(&[]),
        owner: Some(NOBODY),
        ..Setting::default()
    };
    let lab = start!(&[tool("hello"), tool("status").with_proc()], &setting);
    let ran = lab.run("status");
    assert_eq!(ran.finished().exit, Exit::Code(0), "{ran:?}");
    assert!(ran.stdout.contains("uid 65534"), "{ran:?}");
}

#[test]
fn system_mode_holds_one_capability_and_gives_it_by_need() {
    let mut setting = raw_setting();
    setting.config = "max_runs = 4".into();
    let lab = start!(&[], &setting);
    let mut peer = lab.greeted();
    let inventory = peer.inventory();
    assert_eq!(inventory.mode, "system");
    assert_eq!(inventory.capabilities, ["CAP_NET_RAW"]);
    assert_eq!(status(lab.child.id(), "CapEff:"), "0000000000002000");
    assert!(
        inventory.tools.iter().all(|tool| tool.problem.is_empty()),
        "{inventory:?}"
    );

    peer.send(&Request::Run(Run {
        argv: vetted("-sS -p 22,80"),
        ..nmap("syn")
    }));
    let ran = peer.finish();
    assert_eq!(ran.finished().exit, Exit::Code(0), "{ran:?}");
    assert!(ran.stdout.contains("type=\"syn\""), "{ran:?}");
    assert!(
        ran.stdout.contains("state=\"closed\" reason=\"reset\""),
        "{ran:?}"
    );
    assert_eq!(ran.started.unwrap().receipt.capabilities, ["CAP_NET_RAW"]);

    let mut peer = lab.greeted();
    peer.send(&Request::Run(Run {
        argv: vetted("-sT -p 22,80"),
        ..nmap("connect")
    }));
    let ran = peer.finish();
    assert_eq!(ran.finished().exit, Exit::Code(0), "{ran:?}");
    let none: [&str; 0] = [];
    assert_eq!(ran.started.unwrap().receipt.capabilities, none);
}

#[test]
fn embedded_mode_refuses_raw_scans_with_the_remedy() {
    let lab = start!(&[]);
    let mut peer = lab.greeted();
    peer.send(&Request::Run(Run {
        argv: vetted("-sS -p 80"),
        ..nmap("syn")
    }));
    let refused = peer.refused();
    assert_eq!(refused.kind, RefusalKind::CapabilityNotHeld, "{refused:?}");
    assert!(refused.remedy.contains("-sT"), "{refused:?}");
    let mut peer = lab.greeted();
    peer.send(&Request::Run(Run {
        argv: vetted("-sT -p 22,80 -sV"),
        ..nmap("connect")
    }));
    let ran = peer.finish();
    assert_eq!(ran.finished().exit, Exit::Code(0), "{ran:?}");
    assert!(ran.stdout.contains("type=\"connect\""), "{ran:?}");
}

/// Says Hello as another user, and gives the first event of the answer.
fn greet_as(lab: &Lab, groups: &str) -> protocol::Event {
    let script = "import socket,sys\n\
        s=socket.socket(socket.AF_UNIX)\n\
        s.connect(sys.argv[1])\n\
        s.sendall(bytes([0,0,0,2,0,int(sys.argv[2])]))\n\
        d=b''\n\
        while len(d)<4 or len(d)<4+int.from_bytes(d[:4],'big'):\n\
        \x20c=s.recv(4096)\n\
        \x20if not c: break\n\
        \x20d+=c\n\
        sys.stdout.buffer.write(d)\n";
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=1",
        "--regid=1",
        groups,
        "/usr/bin/python3",
        "-c",
        script,
    ]);
    command.arg(lab.dir.join("socket"));
    command.arg(protocol::VERSION.to_string());
    let output = command.output().unwrap();
    protocol::frame::decode_event(&output.stdout[4..]).unwrap()
}

#[test]
fn peers_are_known_by_user_or_any_group() {
    let setting = Setting {
        gids: vec![4242],
        ..Setting::default()
    };
    let lab = start!(&[tool("hello")], &setting);
    drop(lab.greeted());
    let event = greet_as(&lab, "--clear-groups");
    let protocol::Event::Refused(refused) = event else {
        panic!("{event:?}")
    };
    assert_eq!(refused.kind, RefusalKind::PeerNotAllowed);
    assert!(lab.log().contains("peer-refused uid=1"), "{}", lab.log());
    let event = greet_as(&lab, "--groups=7,4242,9");
    assert!(matches!(event, protocol::Event::Welcome(_)), "{event:?}");
}

#[test]
fn a_run_without_needs_holds_nothing_in_system_mode_either() {
    let lab = start!(&[tool("status").with_proc()], &raw_setting());
    assert_eq!(lab.greeted().inventory().capabilities, ["CAP_NET_RAW"]);
    let ran = lab.run("status");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(
            ran.stdout.contains(&format!("{set}:\t0000000000000000")),
            "{set}: {ran:?}"
        );
    }
}

#[test]
fn it_serves_on_a_listening_unix_stream_socket_only() {
    let lab = start!(&[tool("hello")]);
    let serve = |setup: &str| {
        let executor = env!("CARGO_BIN_EXE_mantlet-executor");
        let config = lab.dir.join("executor.toml");
        let script = format!(
            "{setup} exec {executor} serve --config {}",
            config.display()
        );
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (setup, says, why) in [
        ("exec 3<&-;", "it is closed", "nothing"),
        ("exec 3</dev/null;", "it is no socket", "a file"),
    ] {
        let stderr = serve(setup);
        assert!(stderr.contains(says), "{why}: {stderr}");
    }
}

fn vetted(arguments: &str) -> Vec<String> {
    argv_of("nmap", arguments)
}

/// As the broker vets it.
fn argv_of(tool: &str, arguments: &str) -> Vec<String> {
    use sandbox_profiles::{Arguments, Call, Scope, ScopeConfig, load, vet};
    let tools = load::built_in().unwrap();
    let config = ScopeConfig {
        allowed_networks: vec!["10.0.0.0/8".into(), "127.0.0.0/8".into()],
        ..ScopeConfig::default()
    };
    let call = Call {
        target: "127.0.0.1".into(),
        arguments: Arguments::Text(arguments.into()),
        ..Call::default()
    };
    let scope = Scope::new(&config).unwrap();
    vet::vet(tools.get(tool).unwrap(), &scope, &call)
        .unwrap()
        .argv()
        .to_vec()
}
