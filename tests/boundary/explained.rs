//! What `mantlet-executor explain` says, beside what runs get.
//!
//! What it is not: a test of the layers themselves.

use std::fs::{self, File};

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::raw_peer::run_of;
use harness::{ExecutorProcess, Lab, RawPeer, identity};
use protocol::Request;
use serde_json::Value;

/// The digits of a digest.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The cell beside `name` in a table.
fn cell(explained: &Value, table: &str, name: &str) -> Result<String> {
    let rows = explained[table].as_array().context("a table")?;
    let cells = rows.iter().filter_map(Value::as_object);
    let named = cells.filter(|row| row.values().any(|cell| cell == name));
    let row = named.into_iter().next();
    let row = row.with_context(|| format!("{name} is not in {table}: {explained:#}"))?;
    let mut values = row.iter().filter(|(_, cell)| *cell != name);
    let (_, value) = values.next().context("a cell")?;
    Ok(value.as_str().context("a text")?.to_owned())
}

#[test]
fn an_explanation_has_what_the_receipt_of_the_same_run_has() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let account = identity::lent();
    let plain = ["-sT", "-Pn", "-p", "80", "-T4", "--max-parallelism", "10"];
    let raw = ["-sS", "-Pn", "-p", "80", "-T4", "--max-parallelism", "10"];
    for (options, scan) in [
        (Options::plain(account), plain),
        (Options::net_raw(account), plain),
        (Options::net_raw(account), raw),
    ] {
        let executor = ExecutorProcess::start(&lab, &options)?;
        let mut argv = vec!["/usr/bin/nmap", "-oX", "-", "--stats-every", "2s", "-n"];
        argv.extend(scan);
        argv.extend(["--", "10.66.0.10"]);
        let mut run = run_of("nmap", &argv);
        // As long as the profile gives where nobody asks for less.
        run.timeout_ms = 600_000;
        let (mut peer, _) = RawPeer::greeted(executor.socket())?;
        peer.send(&Request::Run(run))?;
        let receipt = peer.started()?.receipt;

        let arguments = argv.get(1..).context("arguments")?;
        let words = [&["nmap", "--json", "--"], arguments].concat();
        let ended = executor.ask(&lab, "explain", &words)?.expect_code(0)?;
        let explained: Value = serde_json::from_str(&ended.stdout)?;
        let cases = [
            ("argv", argv.join(" ")),
            ("landlock_digest", hex(&receipt.landlock_digest)),
            ("seccomp_digest", hex(&receipt.seccomp_digest)),
            ("landlock_abi", receipt.landlock_abi.to_string()),
            ("user", format!("uid {} gid {}", receipt.uid, receipt.gid)),
            ("egress", receipt.egress.clone()),
            ("version", receipt.tool_version.clone()),
        ];
        for (name, expected) in cases {
            let said = cell(&explained, "run", name)?;
            ensure!(said == expected, "{name}: {said}, not {expected}");
        }
        for (name, value) in &receipt.rlimits {
            // On top of what the user has, which changes.
            if name != "nproc" {
                let said = cell(&explained, "limits", name)?;
                ensure!(said == value.to_string(), "{name}: {said}, not {value}");
            }
        }
        let given: Vec<_> = explained["capabilities"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let given: Vec<_> = given
            .iter()
            .filter(|row| row["given"] == "yes")
            .map(|row| row["capability"].as_str().unwrap_or_default())
            .collect();
        ensure!(given == receipt.capabilities, "{given:?}: {receipt:?}");
    }
    Ok(())
}

#[test]
fn explain_takes_a_persons_words_and_refuses_what_a_run_would_be_refused_for() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let executor = ExecutorProcess::start(&lab, &Options::plain(identity::lent()))?;
    let words = ["nmap", "--", "-sT", "-p", "80", "10.66.0.10"];
    let ended = executor.ask(&lab, "explain", &words)?.expect_code(0)?;
    ensure!(ended.stdout.contains("-sT -Pn -p 80"), "{}", ended.stdout);
    let cases: [(&[&str], &str); 4] = [
        (
            &["nmap", "--", "-sS", "-p", "80", "10.66.0.10"],
            "does not hold CAP_NET_RAW",
        ),
        (
            &["nmap", "--", "-sT", "192.0.2.1"],
            "not in an allowed network",
        ),
        (
            &["nmap", "--", "--script-args", "x", "10.66.0.10"],
            "it can name files",
        ),
        (&["netcat"], "use one of: "),
    ];
    for (words, expected) in cases {
        let ended = executor.ask(&lab, "explain", words)?.expect_code(1)?;
        ensure!(ended.stdout.is_empty(), "{words:?}: {}", ended.stdout);
        let (log, expected) = (&ended.stderr, expected);
        ensure!(
            log.contains("mantlet-executor: ") && log.contains(expected),
            "{words:?}: {log}"
        );
    }
    Ok(())
}

#[test]
fn the_explained_program_is_what_the_kernel_takes() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let executor = ExecutorProcess::start(&lab, &Options::plain(identity::lent()))?;
    let file = lab.dir().join("tmp/dig.bpf");
    let mut command = executor.command(&lab, "explain");
    command.args(["dig", "--bpf"]).stdout(File::create(&file)?);
    let ended = command.status()?;
    ensure!(ended.success(), "{ended}");
    let program = fs::read(&file)?;
    ensure!(
        program.len() % 8 == 0 && program.len() > 800,
        "{} bytes",
        program.len()
    );
    // Its first instruction loads the architecture, and its last returns.
    let first = program.get(..8).context("an instruction")?;
    ensure!(first == [0x20, 0, 0, 0, 4, 0, 0, 0], "{first:x?}");
    let last = program
        .get(program.len().saturating_sub(8)..)
        .context("an instruction")?;
    ensure!(last.first() == Some(&0x06), "{last:x?}");
    Ok(())
}
