//! What the kernel says of a running tool, and of the executor itself.
//!
//! What it is not: the receipt's word; here `/proc` is asked.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::hostile::{Hostile, Policy, Tool};
use harness::identity::{self, Account};
use harness::{ExecutorProcess, Lab, RawPeer, wait};
use protocol::Request;
use protocol::event::Started;

struct Ground {
    tool: Tool,
    account: Account,
    executor: ExecutorProcess,
    _lab: Lab,
}

fn ground(net_raw: bool) -> Result<Option<Ground>> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(None);
    };
    let hostile = Hostile::build(&lab, &["misbehaviours"])?;
    let tool = hostile.profile("misbehaviours", "misbehaviours", &Policy::default())?;
    let account = identity::lent();
    let options = if net_raw {
        Options::net_raw(account)
    } else {
        Options::plain(account)
    };
    let executor = ExecutorProcess::start(&lab, &options.profiles(hostile.dir()))?;
    Ok(Some(Ground {
        tool,
        account,
        executor,
        _lab: lab,
    }))
}

/// A tool that stays as long as the peer does.
fn lingering(ground: &Ground) -> Result<(RawPeer, Started)> {
    let (mut peer, _) = RawPeer::greeted(ground.executor.socket())?;
    peer.send(&Request::Run(ground.tool.run("linger")))?;
    let started = peer.started()?;
    Ok((peer, started))
}

fn status(pid: u32, key: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    Ok(line.with_context(|| key.to_owned())?.trim().to_owned())
}

#[test]
fn a_tool_has_no_authority_at_all() -> Result<()> {
    for net_raw in [false, true] {
        let Some(ground) = ground(net_raw)? else {
            return Ok(());
        };
        let (_peer, started) = lingering(&ground)?;
        let uid = ground.account.uid;
        let ids = format!("{uid}\t{uid}\t{uid}\t{uid}");
        let none = "0000000000000000";
        // Taking a capability out of this set would need one more.
        let held = if net_raw { "0000000000002000" } else { none };
        #[rustfmt::skip]
        let cases = [
            ("Uid",        ids.as_str(), "all four are the account's"),
            ("Gid",        ids.as_str(), "all four are the account's"),
            ("Groups",     "",           "no further groups"),
            ("CapInh",     none,         "nothing to inherit"),
            ("CapPrm",     none,         "nothing to use"),
            ("CapEff",     none,         "nothing in use"),
            ("CapBnd",     held,         "only what the executor itself may hold"),
            ("CapAmb",     none,         "nothing to pass on"),
            ("NoNewPrivs", "1",          "set-uid programs give nothing"),
            ("Seccomp",    "2",          "a filter"),
            ("SigBlk",     none,         "no signal is blocked for it"),
            ("SigIgn",     none,         "no signal is ignored for it"),
        ];
        for (key, expected, why) in cases {
            let mut value = status(started.pid, key)?;
            if key == "SigIgn" {
                value = without_the_c_librarys(&value)?;
            }
            ensure!(
                value == expected,
                "{key} is {value:?} ({why}; net_raw: {net_raw})"
            );
        }
    }
    Ok(())
}

/// A signal mask without 32 and 33, which are the C library's own: it ignores
/// them in every process that it spawns, and that is inherited.
fn without_the_c_librarys(mask: &str) -> Result<String> {
    Ok(format!(
        "{:016x}",
        u64::from_str_radix(mask, 16)? & !0x1_8000_0000
    ))
}

fn open_descriptors(pid: u32) -> Result<Vec<String>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

#[test]
fn a_tool_sees_only_its_standard_streams() -> Result<()> {
    let Some(ground) = ground(false)? else {
        return Ok(());
    };
    let (_peer, started) = lingering(&ground)?;
    // The executor is told of an exec a moment before the kernel closes what was
    // to be closed by it.
    let only_three = || open_descriptors(started.pid).is_ok_and(|open| open == ["0", "1", "2"]);
    wait::until_true("three descriptors", Duration::from_secs(2), only_three)?;
    let stdin = fs::read_link(format!("/proc/{}/fd/0", started.pid))?;
    ensure!(
        stdin == std::path::Path::new("/dev/null"),
        "{}",
        stdin.display()
    );
    let (mut peer, _) = RawPeer::greeted(ground.executor.socket())?;
    let record = peer.run(ground.tool.run("show-descriptors"))?.ran()?;
    ensure!(record.stdout_text() == "0\n1\n2\n", "{record:?}");
    Ok(())
}

#[test]
fn a_tools_environment_is_the_constant_list() -> Result<()> {
    let Some(ground) = ground(false)? else {
        return Ok(());
    };
    let (mut peer, _) = RawPeer::greeted(ground.executor.socket())?;
    let record = peer.run(ground.tool.run("show-environment"))?.ran()?;
    let text = record.stdout_text();
    let variables: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    ensure!(
        variables
            .iter()
            .eq(["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR"].iter()),
        "{text}"
    );
    for fixed in ["PATH=/usr/bin:/bin", "LANG=C.UTF-8", "LC_ALL=C.UTF-8"] {
        ensure!(text.lines().any(|line| line == fixed), "{fixed}: {text}");
    }
    Ok(())
}

#[test]
fn the_receipt_says_what_was_applied() -> Result<()> {
    let Some(ground) = ground(true)? else {
        return Ok(());
    };
    let (_peer, started) = lingering(&ground)?;
    let receipt = &started.receipt;
    ensure!(
        receipt.uid == ground.account.uid && receipt.gid == ground.account.uid,
        "{receipt:?}"
    );
    ensure!(
        receipt.capabilities.is_empty(),
        "held by the executor, not by the tool: {receipt:?}"
    );
    ensure!(
        receipt.landlock_abi > 0 && receipt.landlock_digest != [0; 32],
        "{receipt:?}"
    );
    ensure!(
        receipt.seccomp_digest != [0; 32] && receipt.egress == "argv",
        "{receipt:?}"
    );
    ensure!(
        std::path::Path::new(&receipt.tool_path) == ground.tool.executable(),
        "{receipt:?}"
    );
    ensure!(receipt.tool_version == "1.0", "{receipt:?}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", started.pid))?;
    for (name, title) in [
        ("nofile", "Max open files"),
        ("as", "Max address space"),
        ("core", "Max core file size"),
    ] {
        let told = receipt
            .rlimits
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value);
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix(title))
            .context(title)?;
        let hard = line
            .split_whitespace()
            .nth(1)
            .context("a hard limit")?
            .parse()
            .ok();
        ensure!(
            told.is_some() && told == hard,
            "{name}: told {told:?}, is {hard:?}"
        );
    }
    Ok(())
}

#[test]
fn the_executor_confines_itself() -> Result<()> {
    for net_raw in [false, true] {
        let Some(ground) = ground(net_raw)? else {
            return Ok(());
        };
        let pid = ground.executor.pid();
        let held = if net_raw {
            "0000000000002000"
        } else {
            "0000000000000000"
        };
        let cases = [
            ("Seccomp", "2"),
            ("NoNewPrivs", "1"),
            ("CapEff", held),
            ("CapPrm", held),
            ("Threads", "1"),
        ];
        for (key, expected) in cases {
            let value = status(pid, key)?;
            ensure!(value == expected, "{key} is {value} (net_raw: {net_raw})");
        }
        // Files of a process that can't be dumped belong to root.
        let owner =
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{pid}/environ"))?);
        ensure!(owner == 0, "dumpable: /proc/{pid} belongs to {owner}");
    }
    Ok(())
}

#[test]
fn the_executor_opens_no_network_socket() -> Result<()> {
    let Some(ground) = ground(true)? else {
        return Ok(());
    };
    let (_peer, _) = lingering(&ground)?;
    let pid = ground.executor.pid();
    let mut sockets = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let link = fs::read_link(entry?.path()).unwrap_or_default();
        let text = link.display().to_string();
        if let Some(inode) = text
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'))
        {
            sockets.insert(inode.to_owned());
        }
    }
    // The list is per namespace; the listening socket was made in the test's own.
    let unix = fs::read_to_string(format!("/proc/{pid}/net/unix"))?
        + &fs::read_to_string("/proc/self/net/unix")?;
    for inode in &sockets {
        let is_unix = unix
            .lines()
            .any(|line| line.split_whitespace().nth(6) == Some(inode));
        ensure!(is_unix, "socket {inode} is no Unix socket");
    }
    ensure!(!sockets.is_empty(), "its own listening socket is one");
    Ok(())
}
