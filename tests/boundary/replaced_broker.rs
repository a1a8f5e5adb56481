//! A broker that was replaced by a script: for each tool, frames that ask for
//! what no client could get.
//!
//! What it is not: a test of the vetting's wording; it counts what happened.
//!
//! Invariants: the traps stand at a denied address and at one outside the scope,
//! and the same program reaches them when nobody vets.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::identity::{self, Identity, NOBODY};
use harness::lab::Host;
use harness::raw_peer::run_of;
use harness::running::run;
use harness::trap::Trap;
use harness::{ExecutorProcess, Lab, RawPeer};
use protocol::event::RefusalKind;

/// What the frames of one tool are made from.
struct Case {
    tool: &'static str,
    args: &'static [&'static str],
    /// Arguments that name a file, each set before the last element.
    files: &'static [&'static [&'static str]],
    /// Arguments that the policy calls intrusive.
    intrusive: &'static [&'static [&'static str]],
}

const INSIDE: &str = "10.66.0.40";
const DENIED: &str = "10.66.0.41";
const OUTSIDE: &str = "10.77.0.1";
const PORT: u16 = 8000;

const CASES: [Case; 5] = [
    Case {
        tool: "nmap",
        args: &["-sT", "-p", "8000"],
        files: &[
            &["-oN", "/tmp/mantlet-escape"],
            &["-iL", "/etc/passwd"],
            &["--script", "/tmp/x.nse"],
            &["--datadir=/tmp"],
            &["--resume", "/tmp/x"],
        ],
        intrusive: &[
            &["-A"],
            &["--script", "vuln"],
            &["-f"],
            &["-D", "10.66.0.9,ME"],
            &["-g", "53"],
        ],
    },
    Case {
        tool: "ping",
        args: &["-c", "1", "-W", "1"],
        files: &[&["/etc/passwd"]],
        intrusive: &[&["-s", "65507"], &["-f"], &["-b"]],
    },
    Case {
        tool: "curl",
        args: &["--port", "8000", "--max-time", "2"],
        files: &[
            &["-o", "/tmp/mantlet-escape"],
            &["-K", "/etc/passwd"],
            &["-d", "@/etc/passwd"],
            &["-T", "/etc/passwd"],
            &["--trace-ascii", "/tmp/mantlet-escape"],
            &["file:///etc/passwd"],
        ],
        intrusive: &[
            &["-L"],
            &["-x", "http://10.77.0.1:8000"],
            &["--connect-to", "::10.77.0.1:8000"],
        ],
    },
    Case {
        tool: "dig",
        args: &["-p", "8000", "+tcp", "+time=1", "-q", "web.lab.internal"],
        files: &[
            &["-f", "/etc/passwd"],
            &["-k", "/etc/passwd"],
            &["+tls-ca=/etc/passwd"],
        ],
        intrusive: &[
            &["-t", "AXFR"],
            &["@10.77.0.1"],
            &["+trace"],
            &["-q", "www.example.com"],
        ],
    },
    Case {
        tool: "traceroute",
        args: &["-m", "3", "-q", "1", "-w", "1"],
        files: &[&["-M", "/tmp/x.so"], &["-O", "/etc/passwd"]],
        intrusive: &[
            &["-A"],
            &["-g", "10.77.0.1"],
            &["-s", "10.77.0.1"],
            &["--fwmark=1"],
            &["65000"],
        ],
    },
];

struct Ground {
    denied: Trap,
    outside: Trap,
    executor: ExecutorProcess,
    lab: Lab,
}

impl Ground {
    fn new() -> Result<Option<Self>> {
        let Some(lab) = Lab::start(&[Host::Bare])? else {
            return Ok(None);
        };
        let bare = lab.host(Host::Bare)?;
        bare.script(&format!(
            "ip addr add {DENIED}/24 dev eth0; ip addr add {OUTSIDE}/24 dev eth0"
        ))?;
        lab.client().script("ip addr add 10.77.0.2/24 dev eth0")?;
        let trap = |text: &str| Trap::on(bare, SocketAddr::from((text.parse::<Ipv4Addr>()?, PORT)));
        let (denied, outside) = (trap(DENIED)?, trap(OUTSIDE)?);
        let mut options = Options::net_raw(identity::lent());
        options.security = format!("denied_networks = [\"{DENIED}/32\"]\n");
        let executor = ExecutorProcess::start(&lab, &options)?;
        Ok(Some(Self {
            denied,
            outside,
            executor,
            lab,
        }))
    }

    fn touched(&self) -> u32 {
        self.denied.touched().saturating_add(self.outside.touched())
    }

    fn good(&self, case: &Case) -> Result<Vec<String>> {
        self.lab.vetted(case.tool, INSIDE, case.args)
    }

    /// Sends the frame of a run and holds the answer: not vetted, nothing ran.
    fn refused(&self, tool: &str, argv: &[String], why: &str) -> Result<()> {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let (mut peer, _) = RawPeer::greeted(self.executor.socket())?;
        let refused = peer
            .run(run_of(tool, &words))?
            .refused()
            .with_context(|| format!("{tool}, {why}: {argv:?} ran"))?;
        ensure!(
            refused.kind == RefusalKind::NotVetted && !refused.rule.is_empty(),
            "{tool}, {why}: {refused:?}"
        );
        Ok(())
    }
}

/// The argv with every mention of the target's address changed.
fn aimed_at(argv: &[String], address: &str) -> Vec<String> {
    argv.iter()
        .map(|element| element.replace(INSIDE, address))
        .collect()
}

/// The argv with more arguments at every place where an argument can stand.
fn spoiled(argv: &[String], more: &[&str]) -> Vec<Vec<String>> {
    (1..=argv.len())
        .map(|at| {
            let mut spoiled = argv.to_vec();
            spoiled.splice(at..at, more.iter().map(|&word| word.to_owned()));
            spoiled
        })
        .collect()
}

#[test]
fn a_replaced_broker_gets_no_foreign_address_executed() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    for case in &CASES {
        let good = ground.good(case)?;
        let aims = [
            (OUTSIDE, "outside the scope"),
            (DENIED, "denied"),
            ("192.0.2.1", "public"),
            ("169.254.169.254", "metadata service"),
            ("127.0.0.1", "loopback"),
            ("10.66.0.0/24", "a network with a denied part"),
            ("web.lab.internal", "a name, which the tool would resolve"),
            ("0x0a4d0001", "another spelling"),
            ("010.077.0.1", "another spelling"),
            ("10.77.1", "another spelling"),
        ];
        for (address, why) in aims {
            ground.refused(case.tool, &aimed_at(&good, address), why)?;
        }
        for foreign in [OUTSIDE, DENIED] {
            for argv in spoiled(&good, &[foreign]) {
                ground.refused(case.tool, &argv, "a second target")?;
            }
        }
    }
    ensure!(ground.touched() == 0, "a refused run reached a trap");
    // The control: the same argv reaches both traps when it is run by hand.
    let curl = CASES.get(2).context("the case of curl")?;
    for address in [OUTSIDE, DENIED] {
        let argv = aimed_at(&ground.good(curl)?, address);
        let (program, words) = argv.split_first().context("a program")?;
        let mut command = ground
            .lab
            .client()
            .command(Identity::Plain(NOBODY), program);
        run(command.args(words), Duration::from_secs(10))?;
    }
    ensure!(
        ground.denied.touched() > 0 && ground.outside.touched() > 0,
        "the control did not reach the traps"
    );
    Ok(())
}

#[test]
fn a_replaced_broker_gets_no_file_and_nothing_intrusive_executed() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    for case in &CASES {
        let good = ground.good(case)?;
        for more in case.files.iter().chain(case.intrusive) {
            for argv in spoiled(&good, more) {
                ground.refused(case.tool, &argv, "a file, or intrusive")?;
            }
        }
        // Another tool's argv under this tool's name.
        for other in CASES.iter().filter(|other| other.tool != case.tool) {
            ground.refused(case.tool, &ground.good(other)?, "another tool's argv")?;
        }
    }
    ensure!(ground.touched() == 0, "a refused run reached a trap");
    ensure!(
        !std::path::Path::new("/tmp/mantlet-escape").exists(),
        "a refused run wrote a file"
    );
    Ok(())
}

#[test]
fn a_replaced_broker_can_not_pin_a_name_to_where_it_likes() -> Result<()> {
    let Some(ground) = Ground::new()? else {
        return Ok(());
    };
    let curl = CASES.get(2).context("the case of curl")?;
    let good = ground.good(curl)?;
    let (_, before) = good.split_last().context("a URL")?;
    let pinned = |name: &str, pin: &str, port: u16| {
        let mut argv = before.to_vec();
        argv.push("--resolve".to_owned());
        argv.push(format!("{name}:{PORT}:{pin}"));
        argv.push(format!("http://{name}:{port}/"));
        argv
    };
    let cases = [
        (
            pinned("web.lab.internal", OUTSIDE, PORT),
            "outside the scope",
        ),
        (pinned("web.lab.internal", DENIED, PORT), "denied"),
        (
            pinned("web.lab.internal", INSIDE, 8001),
            "another port than the pin's",
        ),
        (
            pinned("web.lab.internal.", INSIDE, PORT),
            "a dot that escapes the pin",
        ),
        (pinned("www.example.com", INSIDE, PORT), "a foreign name"),
        (
            pinned("10.77.0.1", INSIDE, PORT),
            "an address in place of a name",
        ),
    ];
    for (argv, why) in cases {
        ground.refused("curl", &argv, why)?;
    }
    ensure!(ground.touched() == 0, "a refused run reached a trap");
    // The control: a right pin is taken.
    let argv = pinned("web.lab.internal", INSIDE, PORT);
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let (mut peer, _) = RawPeer::greeted(ground.executor.socket())?;
    peer.run(run_of("curl", &words))?.ran()?;
    Ok(())
}
