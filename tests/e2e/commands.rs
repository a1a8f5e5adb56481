//! `mantlet tools`, `check`, `doctor`, and the configuration they show.
//!
//! What it is not: a test of each key; the configuration's own tests do that.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::running::{Ended, run};
use harness::{ExecutorProcess, Lab, config, executor_process, identity};
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(30);

fn mantlet(lab: &Lab, args: &[&str]) -> Result<Ended> {
    run(&mut lab.mantlet(args)?, BOUND)
}

fn json_of(ended: &Ended) -> Result<Value> {
    serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))
}

#[test]
fn tools_lists_nmap_and_ping_with_their_templates() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let ended = mantlet(&lab, &["tools"])?.expect_code(0)?;
    let expected = [
        "nmap",
        "ping",
        "quick",
        "standard",
        "thorough",
        "discovery",
        "version",
        "script",
        "-sS",
        "CAP_NET_RAW",
    ];
    for word in expected {
        ensure!(
            ended.stdout.contains(word),
            "{word} is missing: {}",
            ended.stdout
        );
    }
    let text = mantlet(&lab, &["tools", "--json"])?.expect_code(0)?;
    ensure!(json_of(&text)?.to_string().contains("\"nmap\""), "{text:?}");
    Ok(())
}

#[test]
fn doctor_says_what_works_and_what_does_not_and_why() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let ended = mantlet(&lab, &["doctor"])?.expect_code(0)?;
    for word in ["Landlock", "nmap", "7.", "CAP_NET_RAW"] {
        ensure!(
            ended.stdout.contains(word),
            "{word} is missing: {}",
            ended.stdout
        );
    }
    json_of(&mantlet(&lab, &["doctor", "--json"])?.expect_code(0)?)?;
    let socket = lab.dir().join("nobody-listens.sock");
    let file = lab.file("unreachable.toml", &config::system(&socket, ""))?;
    let ended = run(&mut lab.mantlet_with(&file, &["doctor"]), BOUND)?;
    ensure!(
        ended.code != 0,
        "an executor that can't be reached is broken: {ended:?}"
    );
    ensure!(
        ended.stdout.contains("nobody-listens.sock"),
        "and named: {ended:?}"
    );
    Ok(())
}

#[test]
fn a_missing_tool_is_named_with_its_package() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    // In this host's own view of the file system, nmap is an empty file.
    let empty = lab.file("empty", "")?;
    lab.client()
        .script(&format!("mount --bind {} /usr/bin/nmap", empty.display()))?;
    let ended = mantlet(&lab, &["doctor"])?;
    ensure!(ended.stdout.contains("nmap"), "{ended:?}");
    let args = ["run", "nmap", "10.66.0.10", "--json", "--", "-p", "80"];
    let ended = mantlet(&lab, &args)?;
    let result = json_of(&ended)?;
    ensure!(ended.code != 0, "{ended:?}");
    ensure!(
        result["error_type"] == "not_found" || result["error_type"] == "execution_error",
        "{result:#}"
    );
    let remedy = result["recovery_suggestion"].as_str().unwrap_or_default();
    ensure!(remedy.contains("nmap"), "{result:#}");
    let ended = mantlet(&lab, &["run", "ping", "10.66.0.2", "--", "-c", "1"])?;
    ensure!(ended.code == 0, "the other tools still work: {ended:?}");
    Ok(())
}

#[test]
fn a_mistyped_name_among_the_tools_offered_or_not_ends_the_start() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let cases = [
        // where, text, nearest, why
        (
            "",
            "exclude = [\"nmpa\"]",
            "did you mean nmap?",
            "would stay offered",
        ),
        (
            "",
            "include = [\"ping\", \"nc\"]",
            "`mantlet tools`",
            "nothing is near",
        ),
        (
            "TOOL_EXCLUDE",
            "curll",
            "did you mean curl?",
            "the variable too",
        ),
    ];
    for (variable, value, remedy, why) in cases {
        let table = format!("[tool]\n{value}\n");
        let extra = if variable.is_empty() {
            table.as_str()
        } else {
            ""
        };
        let text = config::embedded(&lab.binaries().executor, extra);
        let file = lab.file("mistyped.toml", &text)?;
        let mut command = lab.mantlet_with(&file, &["tools"]);
        let place = if variable.is_empty() {
            // With its line, since the file is the source.
            "mistyped.toml:10: tool."
        } else {
            command.env(variable, value);
            "environment TOOL_EXCLUDE: tool.exclude"
        };
        let ended = run(&mut command, BOUND)?.expect_code(2)?;
        ensure!(ended.stderr.contains(remedy), "{why}: {}", ended.stderr);
        ensure!(ended.stderr.contains(place), "{why}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn check_shows_each_value_and_who_set_it() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let mut command = lab.mantlet(&["check"])?;
    command.env("MCP_MAX_ARGS_LEN", "512");
    let ended = run(&mut command, BOUND)?.expect_code(0)?;
    for word in ["10.66.0.0/24", "embedded.toml", "512", "MCP_MAX_ARGS_LEN"] {
        ensure!(
            ended.stdout.contains(word),
            "{word} is missing: {}",
            ended.stdout
        );
    }
    Ok(())
}

#[test]
fn a_bad_configuration_is_refused_by_file_key_and_remedy() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let cases = [
        // text                                        named in the answer     why
        (
            "[security]\nallowed_network = []\n",
            "allowed_networks",
            "the nearest key is named",
        ),
        ("[securty]\n", "security", "the nearest table is named"),
        (
            "[tool]\ndefault_timeout = 0\n",
            "default_timeout",
            "out of range",
        ),
        (
            "[tool]\ndefault_timeout = \"x\"\n",
            "default_timeout",
            "the wrong type",
        ),
        (
            "[security]\nallowed_networks = [\"10.66.0.300\"]\n",
            "10.66.0.300",
            "no network",
        ),
        (
            "[executor]\nmode = \"none\"\n",
            "embedded",
            "what is accepted is named",
        ),
        ("[security\n", "bad.toml", "no TOML"),
    ];
    for (text, named, why) in cases {
        let file = lab.file("bad.toml", text)?;
        for args in [
            ["check"].as_slice(),
            &["run", "nmap", "10.66.0.10"],
            &["stdio"],
        ] {
            let ended = run(&mut lab.mantlet_with(&file, args), BOUND)?;
            ensure!(ended.code == 2, "{text:?} {args:?} ({why}): {ended:?}");
            ensure!(
                ended.stderr.contains(named),
                "{text:?} {args:?} ({why}): {}",
                ended.stderr
            );
            ensure!(
                ended.stderr.contains("bad.toml"),
                "{text:?} {args:?}: {}",
                ended.stderr
            );
        }
    }
    for (text, named) in [
        ("[security]\nallowed_network = []\n", "allowed_networks"),
        ("[security.tools.nmapp]\nallowed_ports = [\"80\"]\n", "nmap"),
    ] {
        let file = lab.file("bad.toml", text)?;
        let ended = run(&mut lab.mantlet_with(&file, &["check", "--json"]), BOUND)?;
        let told = json_of(&ended.expect_code(2)?)?;
        let first = told["config_errors"][0].as_str().unwrap_or_default();
        ensure!(first.contains(named), "{told:#}");
    }
    let mut command = lab.mantlet(&["check"])?;
    command.env("MCP_MAX_ARGS_LEN", "many");
    let ended = run(&mut command, BOUND)?.expect_code(2)?;
    ensure!(
        ended.stderr.contains("MCP_MAX_ARGS_LEN"),
        "{}",
        ended.stderr
    );
    Ok(())
}

#[test]
fn check_notices_an_executor_that_enforces_another_scope() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let options = executor_process::Options::plain(identity::lent());
    let executor = ExecutorProcess::start(&lab, &options)?;
    let same = lab.file("same.toml", &config::system(executor.socket(), ""))?;
    run(&mut lab.mantlet_with(&same, &["check"]), BOUND)?.expect_code(0)?;
    let text = config::system(executor.socket(), "").replace("10.66.0.0/24", "10.66.0.0/16");
    let other = lab.file("other.toml", &text)?;
    let ended = run(&mut lab.mantlet_with(&other, &["check"]), BOUND)?.expect_code(1)?;
    ensure!(ended.stdout.contains("scope"), "{ended:?}");
    Ok(())
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() -> Result<()> {
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let cases: [(&[&str], i32); 6] = [
        (&["--help"], 0),
        (&["--version"], 0),
        (&["run", "--help"], 0),
        (&["fly"], 2),
        (&["run", "--fast", "nmap", "10.66.0.10"], 2),
        (&[], 2),
    ];
    for (args, code) in cases {
        let ended = mantlet(&lab, args)?;
        ensure!(ended.code == code, "{args:?}: {ended:?}");
    }
    let ended = mantlet(&lab, &[])?;
    for part in ["server.transport", "Commands:"] {
        ensure!(ended.stderr.contains(part), "{part}: {ended:?}");
    }
    // No port can be had there, which shows that HTTP was tried.
    let config = lab.file(
        "http.toml",
        "[server]\ntransport = \"http\"\nhost = \"203.0.113.9\"\n",
    )?;
    let ended = run(&mut lab.mantlet_with(&config, &[]), BOUND)?;
    ensure!(ended.stderr.contains("203.0.113.9"), "{ended:?}");
    let help = mantlet(&lab, &["run", "--help"])?.stdout;
    for code in ["0", "1", "2", "3", "4", "124", "130"] {
        ensure!(
            help.contains(code),
            "exit code {code} is documented: {help}"
        );
    }
    Ok(())
}
