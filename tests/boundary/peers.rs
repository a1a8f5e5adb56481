//! A peer on the executor's socket that says what it must not.
//!
//! What it is not: a broker. Every test here has the whole protocol to itself.
//!
//! Invariants: after each refusal, the trap at the target was never touched.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::executor_process::Options;
use harness::identity::{self, Identity, NOBODY};
use harness::lab::Host;
use harness::raw_peer::{Answer, header, run_of};
use harness::running::run;
use harness::trap::Trap;
use harness::{ExecutorProcess, Lab, RawPeer, wait};
use protocol::event::RefusalKind;
use protocol::limits::FRAME_BYTES_MAX;
use protocol::request::{Hello, Run};
use protocol::{Event, Request, frame};

/// A lab whose bare host has a trap at its own address and at one outside the
/// scope, both of which the client can reach.
struct Ground {
    inside: Trap,
    outside: Trap,
    executor: ExecutorProcess,
    lab: Lab,
}

const PORT: u16 = 8000;
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

impl Ground {
    fn new() -> Result<Option<Self>> {
        let Some(lab) = Lab::start(&[Host::Bare])? else {
            return Ok(None);
        };
        let bare = lab.host(Host::Bare)?;
        bare.script(&format!("ip addr add {OUTSIDE}/24 dev eth0"))?;
        lab.client().script("ip addr add 10.77.0.2/24 dev eth0")?;
        let inside = Trap::on(bare, SocketAddr::from((Host::Bare.addr(), PORT)))?;
        let outside = Trap::on(bare, SocketAddr::from((OUTSIDE, PORT)))?;
        let executor = ExecutorProcess::start(&lab, &Options::plain(identity::lent()))?;
        Ok(Some(Self {
            inside,
            outside,
            executor,
            lab,
        }))
    }

    fn touched(&self) -> u32 {
        self.inside.touched().saturating_add(self.outside.touched())
    }

    fn greeted(&self) -> Result<RawPeer> {
        Ok(RawPeer::greeted(self.executor.socket())?.0)
    }

    /// The argv of a scan of the trap, in canonical form.
    fn good(&self) -> Result<Vec<String>> {
        self.lab
            .vetted("nmap", "10.66.0.40", &["-sT", "-p", "8000"])
    }
}

/// A way to spoil an argv.
type Change = fn(&mut Vec<String>);

fn run_with(words: &[String]) -> Run {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run_of("nmap", &words)
}

#[test]
fn a_vetted_argv_runs_and_touches_its_target() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let good = ground.good()?;
    ensure!(
        good.first()
            .is_some_and(|program| program == "/usr/bin/nmap"),
        "{good:?}"
    );
    let record = ground.greeted()?.run(run_with(&good))?.ran()?;
    ensure!(record.stdout_text().contains("<nmaprun"), "{record:?}");
    ensure!(
        ground.inside.touched() > 0,
        "the control: a scan reaches the trap"
    );
    Ok(())
}

#[test]
fn an_argv_outside_the_profile_is_refused_and_nothing_runs() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let good = ground.good()?;
    #[rustfmt::skip]
    let cases: [(Change, &str); 16] = [
        (|argv| argv.insert(1, "-oN".into()),                          "writes a file"),
        (|argv| { argv.insert(1, "-oN".into()); argv.insert(2, "/tmp/x".into()); }, "writes a file"),
        (|argv| argv.insert(1, "--script=/tmp/x.nse".into()),          "runs a script of the peer's own"),
        (|argv| argv.insert(1, "--script-args-file=/etc/passwd".into()), "reads a file"),
        (|argv| { argv.insert(1, "-iL".into()); argv.insert(2, "/etc/passwd".into()); }, "reads targets"),
        (|argv| argv.insert(1, "-A".into()),                           "intrusive"),
        (|argv| argv.insert(1, "--datadir=/tmp".into()),               "loads data from elsewhere"),
        (|argv| argv.insert(1, "-T4".into()),                          "twice what is there once"),
        (|argv| argv.swap(1, 3),                                       "not the canonical order"),
        (|argv| argv.push("10.66.0.10".into()),                        "a second target"),
        (|argv| argv.push("--".into()),                                "nothing follows the target"),
        (|argv| drop(argv.pop()),                                      "no target"),
        (|argv| argv.truncate(1),                                      "no arguments at all"),
        (|argv| { if let Some(program) = argv.first_mut() { *program = "/bin/sh".into(); } }, "another program"),
        (|argv| { if let Some(program) = argv.first_mut() { *program = "nmap".into(); } }, "found by PATH"),
        (|argv| { if let Some(last) = argv.last_mut() { last.push(' '); } }, "white space"),
    ];
    for (change, why) in cases {
        let mut argv = good.clone();
        change(&mut argv);
        let refused = ground.greeted()?.run(run_with(&argv))?.refused()?;
        ensure!(
            refused.kind == RefusalKind::NotVetted,
            "{why}: {argv:?}: {refused:?}"
        );
        ensure!(
            !refused.rule.is_empty() && !refused.remedy.is_empty(),
            "{why}: {refused:?}"
        );
    }
    let refused = ground
        .greeted()?
        .run(run_of("sh", &["/bin/sh", "-c", "id"]))?
        .refused()?;
    ensure!(refused.kind == RefusalKind::UnknownTool, "{refused:?}");
    ensure!(ground.touched() == 0, "a refused run reached the network");
    Ok(())
}

#[test]
fn a_target_outside_the_scope_is_refused_and_nothing_runs() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let good = ground.good()?;
    let targets = [
        "10.77.0.1",
        "10.77.0.0/24",
        "10.66.0.0/8",
        "192.0.2.1",
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "10.66.0.40,41",
        "10.66.0.1-254",
        "web.lab.internal",
        "localhost",
        "::1",
        "012.66.0.40",
        "10.66.0.40/24",
        "4294901760",
    ];
    for target in targets {
        let mut argv = good.clone();
        drop(argv.pop());
        argv.push(target.to_owned());
        let refused = ground.greeted()?.run(run_with(&argv))?.refused()?;
        ensure!(
            refused.kind == RefusalKind::NotVetted,
            "{target}: {refused:?}"
        );
    }
    // The control: the outside trap can be reached, by the same program and account.
    let mut argv = good;
    drop(argv.pop());
    let mut nmap = ground
        .lab
        .client()
        .command(Identity::Plain(NOBODY), "/usr/bin/nmap");
    nmap.args(argv.iter().skip(1)).arg(OUTSIDE.to_string());
    ensure!(ground.touched() == 0, "a refused run reached the network");
    run(&mut nmap, Duration::from_secs(30))?.expect_code(0)?;
    ensure!(ground.outside.touched() > 0, "the control did not reach it");
    Ok(())
}

#[test]
fn a_second_run_ends_the_connection_and_the_first() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let good = ground.good()?;
    let mut peer = ground.greeted()?;
    let first = frame::encode_request(&Request::Run(run_with(&good)))?;
    peer.send_bytes(&[first.clone(), first].concat())?;
    let answer = peer.to_the_end(Some(Duration::from_secs(10)))?;
    let refused = answer.refused()?;
    ensure!(refused.kind == RefusalKind::OutOfTurn, "{refused:?}");
    let none = || {
        ground
            .lab
            .tools("/usr/bin/nmap")
            .is_ok_and(|tools| tools.is_empty())
    };
    wait::until_true("the end of nmap", Duration::from_millis(200), none)?;
    Ok(())
}

#[test]
fn requests_out_of_turn_are_refused() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let good = ground.good()?;
    let hello = || {
        Request::Hello(Hello {
            protocol: protocol::VERSION,
        })
    };
    let cases: [(Vec<Request>, RefusalKind, &str); 5] = [
        (
            vec![Request::Run(run_with(&good))],
            RefusalKind::OutOfTurn,
            "no hello",
        ),
        (vec![Request::Inspect], RefusalKind::OutOfTurn, "no hello"),
        (vec![Request::Cancel], RefusalKind::OutOfTurn, "no hello"),
        (vec![hello(), hello()], RefusalKind::OutOfTurn, "two hellos"),
        (
            vec![Request::Hello(Hello { protocol: 999 })],
            RefusalKind::ProtocolMismatch,
            "another version",
        ),
    ];
    for (requests, kind, why) in cases {
        let mut peer = RawPeer::silent(ground.executor.socket())?;
        for request in &requests {
            peer.send(request)?;
        }
        let refused = loop {
            match peer.event()? {
                Some(Event::Welcome(_)) => {}
                Some(Event::Refused(refused)) => break refused,
                other => anyhow::bail!("{why}: {other:?}"),
            }
        };
        ensure!(refused.kind == kind, "{why}: {refused:?}");
        ensure!(peer.event()?.is_none(), "{why}: the connection ends");
    }
    ensure!(ground.touched() == 0, "a refused run reached the network");
    Ok(())
}

#[test]
fn garbage_is_refused_and_the_executor_serves_on() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let too_long = header(u32::try_from(FRAME_BYTES_MAX)?.saturating_add(1));
    let whole = frame::encode_request(&Request::Inspect)?;
    let with_trailing = [
        &2_u32.to_be_bytes()[..],
        whole.get(4..).unwrap_or_default(),
        &[0],
    ]
    .concat();
    let cases: [(&[u8], &str); 8] = [
        (b"GET / HTTP/1.1\r\n\r\n", "another protocol"),
        (&[0; 64], "a length of zero"),
        (&[0xff; 64], "a length of 4 GiB"),
        (&too_long, "one byte too long"),
        (&[0, 0, 0, 1, 0xff], "no such message"),
        (
            &[0, 0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            "a text of 4 GiB",
        ),
        (&with_trailing, "bytes after the message"),
        (&[0, 0], "half a header"),
    ];
    for greeted in [false, true] {
        for (bytes, why) in cases {
            let mut peer = if greeted {
                ground.greeted()?
            } else {
                RawPeer::silent(ground.executor.socket())?
            };
            peer.send_bytes(bytes)?;
            peer.end_of_words()?;
            match peer.to_the_end(Some(Duration::from_secs(20)))? {
                Answer::Refused(refused) => {
                    ensure!(refused.kind == RefusalKind::Malformed, "{why}: {refused:?}");
                }
                Answer::Closed => {}
                Answer::Ran(record) => anyhow::bail!("{why}: {record:?}"),
            }
        }
    }
    let good = ground.good()?;
    ground.greeted()?.run(run_with(&good))?.ran()?;
    Ok(())
}

#[test]
fn a_silent_peer_is_let_go_and_holds_nobody_up() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let mut silent: Vec<RawPeer> = Vec::new();
    for _ in 0..40 {
        silent.push(RawPeer::silent(ground.executor.socket())?);
    }
    let mut half = RawPeer::silent(ground.executor.socket())?;
    half.send_bytes(&[0, 0, 0])?;
    let good = ground.good()?;
    let answer = wait::until("a run beside silent peers", Duration::from_secs(30), || {
        ground.greeted().ok()?.run(run_with(&good)).ok()?.ran().ok()
    });
    ensure!(answer.is_ok(), "silent peers block others");
    half.drain()?;
    for mut peer in silent {
        peer.drain()?;
    }
    Ok(())
}

#[test]
fn more_runs_than_allowed_are_told_at_once() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Tarpit])? else {
        return Ok(());
    };
    let mut options = Options::plain(identity::lent());
    options.max_runs = 2;
    let executor = ExecutorProcess::start(&lab, &options)?;
    let words = lab.vetted("nmap", "10.66.0.66", &["-p", "1-1000"])?;
    let mut running = Vec::new();
    for _ in 0..2 {
        let (mut peer, _) = RawPeer::greeted(executor.socket())?;
        peer.send(&Request::Run(run_with(&words)))?;
        peer.started()?;
        running.push(peer);
    }
    let (mut peer, _) = RawPeer::greeted(executor.socket())?;
    let refused = peer.run(run_with(&words))?.refused()?;
    ensure!(refused.kind == RefusalKind::Busy, "{refused:?}");
    drop(running.pop());
    let again = || {
        let (mut peer, _) = RawPeer::greeted(executor.socket()).ok()?;
        peer.send(&Request::Run(run_with(&words))).ok()?;
        peer.started().ok()
    };
    wait::until("a permit that came back", Duration::from_secs(5), again)?;
    Ok(())
}

#[test]
fn inspect_tells_what_the_executor_is() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let account = identity::lent();
    for (options, held) in [
        (Options::plain(account), vec![]),
        (Options::net_raw(account), vec!["CAP_NET_RAW".to_owned()]),
    ] {
        let executor = ExecutorProcess::start(&lab, &options)?;
        let (mut peer, _) = RawPeer::greeted(executor.socket())?;
        peer.send(&Request::Inspect)?;
        let Some(Event::Inventory(inventory)) = peer.event()? else {
            anyhow::bail!("no inventory")
        };
        ensure!(
            inventory.mode == "system" && inventory.uid == account.uid,
            "{inventory:?}"
        );
        ensure!(inventory.capabilities == held, "{inventory:?}");
        ensure!(
            inventory.landlock_abi > 0 && inventory.egress == "argv",
            "{inventory:?}"
        );
        let nmap = inventory.tools.iter().find(|tool| tool.name == "nmap");
        let works =
            nmap.is_some_and(|tool| tool.problem.is_empty() && tool.version.starts_with('7'));
        ensure!(works, "{inventory:?}");
    }
    Ok(())
}
