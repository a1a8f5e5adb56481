//! Injection forms: what was shown to work against the bare tools is refused.
//!
//! Each form goes to the real `mantlet vet`, as a person would type it and as the
//! API takes it, under a policy without and one with intrusive runs.
//! What it is not: a list of all that is refused; the profile crate has the rules.
//!
//! Invariants: nothing runs, and nothing is resolved.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use harness::Binaries;
use harness::config::{LAB_NETWORK, embedded};
use harness::running::run;
use serde_json::{Value, json};
use tempfile::TempDir;

const BOUND: Duration = Duration::from_mins(1);
const TARGET: &str = "10.66.0.10";

/// One form a line; see its head.
const TABLE: &str = include_str!("injections.txt");

/// A way in that must be closed.
struct Form {
    tool: &'static str,
    target: String,
    args: &'static str,
    line: &'static str,
}

/// The forms for tools that are there.
fn forms(tools: &BTreeSet<String>) -> Result<Vec<Form>> {
    let lines = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut forms = Vec::new();
    for line in lines {
        let (tool, form) = line.split_once(' ').with_context(|| line.to_owned())?;
        let (target, args) = match form.strip_prefix("target=") {
            Some(target) => (target.replace("\\t", "\t"), ""),
            None => (TARGET.to_owned(), form),
        };
        if tools.contains(tool) {
            forms.push(Form {
                tool,
                target,
                args,
                line,
            });
        }
    }
    for tool in ["curl", "dig", "nmap", "ping", "traceroute"] {
        ensure!(
            forms.iter().any(|form| form.tool == tool),
            "{tool} is there: {tools:?}"
        );
    }
    Ok(forms)
}

struct Bench {
    dir: TempDir,
    binaries: Binaries,
}

impl Bench {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let binaries = Binaries::find()?;
        for intrusive in [false, true] {
            let text = embedded(&binaries.executor, "").replace(
                "allowed_suffixes",
                &format!("allow_intrusive = {intrusive}\nallowed_suffixes"),
            );
            ensure!(text.contains(LAB_NETWORK), "{text}");
            fs::write(dir.path().join(format!("{intrusive}.toml")), text)?;
        }
        Ok(Self { dir, binaries })
    }

    fn mantlet(&self, intrusive: bool) -> std::process::Command {
        let mut command = std::process::Command::new(&self.binaries.mantlet);
        let file = self.dir.path().join(format!("{intrusive}.toml"));
        command.env_clear().arg("--config").arg(file);
        command
    }

    /// The tools that `mantlet tools` lists.
    fn tools(&self) -> Result<BTreeSet<String>> {
        let ended = run(self.mantlet(false).args(["tools", "--json"]), BOUND)?.expect_code(0)?;
        let listed: Value = serde_json::from_str(&ended.stdout)?;
        let tools = listed["tools"]
            .as_array()
            .with_context(|| ended.stdout.clone())?
            .iter();
        let names = tools.filter_map(|tool| tool["name"].as_str().map(ToOwned::to_owned));
        Ok(names.collect())
    }
}

#[test]
fn the_api_refuses_every_injection_form_whatever_the_policy() -> Result<()> {
    let bench = Bench::new()?;
    let forms = forms(&bench.tools()?)?;
    let call = |form: &Form| {
        json!({"tool": form.tool, "target": form.target, "extra_args": form.args}).to_string()
    };
    let file = bench.dir.path().join("calls.jsonl");
    fs::write(&file, forms.iter().map(call).collect::<Vec<_>>().join("\n"))?;
    for intrusive in [false, true] {
        let mut command = bench.mantlet(intrusive);
        let ended = run(command.args(["vet", "--calls"]).arg(&file), BOUND)?.expect_code(0)?;
        let lines = ended.stdout.lines().map(serde_json::from_str);
        let verdicts: Vec<Value> = lines.collect::<Result<_, _>>()?;
        ensure!(verdicts.len() == forms.len(), "a verdict for each form");
        for (verdict, form) in verdicts.iter().zip(&forms) {
            let rule = &verdict["error"]["metadata"]["rule"];
            ensure!(
                verdict["verdict"] == "refuse" && rule.is_string(),
                "{}: {verdict}",
                form.line
            );
        }
    }
    Ok(())
}

#[test]
fn the_command_line_refuses_every_injection_form_with_code_3() -> Result<()> {
    let bench = Bench::new()?;
    let forms = forms(&bench.tools()?)?;
    // Each is a process of its own, so several run at a time.
    let share = forms.len().div_ceil(4).max(1);
    thread::scope(|scope| {
        let bench = &bench;
        let start = |part| scope.spawn(move || typed(bench, part));
        let parts: Vec<_> = forms.chunks(share).map(start).collect();
        parts
            .into_iter()
            .try_for_each(|part| part.join().map_err(|_| anyhow!("a part panicked"))?)
    })
}

fn typed(bench: &Bench, forms: &[Form]) -> Result<()> {
    // A target that looks like a flag is the command line's own matter.
    for form in forms.iter().filter(|form| !form.target.starts_with('-')) {
        let mut command = bench.mantlet(false);
        command.args(["vet", form.tool, &form.target, "--"]);
        command.args(form.args.split_ascii_whitespace());
        let ended = run(&mut command, BOUND)?;
        let says = ended.stdout.contains("\nrule ") && ended.stderr.is_empty();
        ensure!(ended.code == 3 && says, "{}: {ended:?}", form.line);
    }
    Ok(())
}
