//! `mantlet vet`: the verdict, without running anything.
//!
//! What it is: one call from the command line, or many from JSON Lines, so that
//! a team can keep its policy under test.
//! What it is not: a promise that the run will succeed: whether the executor
//! holds a capability that the call needs is said by `needs`, and by `mantlet doctor`.
//!
//! Invariants: nothing is run, and nothing is resolved but with `--resolve`; one
//! verdict per line, in the order of the calls, also for lines that are no call.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use sandbox_profiles::vet::Arguments;
use serde_json::{Value, json};

use super::start::{Logs, Ready, ready, runtime};
use super::{CallArgs, Exit, complain, print};
use crate::executor::Executor;
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::Engine;
use crate::pipeline::call::Call;
use crate::pipeline::policy::Policy;
use crate::pipeline::vet::Vetted;
use crate::store::Store;

/// Longest line of a file of calls, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;

const EXIT_CODES: &str = "\
Exit codes: 0 the call is allowed (with --calls: each line was judged), 2 usage, 3 the call is refused;
with --resolve also 1 the name servers failed, 4 too many look-ups, 124 no name server answered in time.

A file for --calls has one JSON object a line, as the API takes it:
  {\"tool\":\"nmap\",\"target\":\"10.0.0.1\",\"extra_args\":\"-sV -p 22\",\"template\":null}";

/// Arguments of `mantlet vet`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct VetArgs {
    /// The tool: a name from `mantlet tools`
    #[arg(required_unless_present = "calls")]
    tool: Option<String>,
    /// What to aim it at
    #[arg(required_unless_present = "calls")]
    target: Option<String>,
    #[command(flatten)]
    call: CallArgs,
    /// Arguments as one text, split as the API splits `extra_args`
    #[arg(
        long,
        value_name = "STRING",
        conflicts_with = "args",
        allow_hyphen_values = true
    )]
    extra_args: Option<String>,
    /// Resolve a host name, check every address, and show them and the one pinned
    #[arg(long)]
    resolve: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
    /// Judge each call of this file of JSON Lines; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tool", "target", "args", "template", "extra_args"])]
    calls: Option<PathBuf>,
}

/// Runs the command.
pub fn command(config: Option<&Path>, args: VetArgs) -> Exit {
    match vet(config, args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn vet(config: Option<&Path>, args: VetArgs) -> Result<Exit, Exit> {
    // Opened before privileges are given up: the caller names it, the caller's rights count.
    let calls = args.calls.as_deref().map(open).transpose()?;
    let engine = offline(ready(config, Logs::Person)?);
    let judge = Judge {
        policy: engine.policy(),
        engine,
        runtime: args.resolve.then(runtime).transpose()?,
    };
    if let Some(calls) = calls {
        return judge.lines(calls);
    }
    let mut call = Call::new(
        &args.tool.unwrap_or_default(),
        &args.target.unwrap_or_default(),
    );
    call.template = args.call.template;
    call.arguments = match args.extra_args {
        Some(text) => Arguments::Text(text),
        None => Arguments::Tokens(args.call.args),
    };
    let verdict = judge.judge(&call);
    if args.json {
        print(&format!("{:#}\n", verdict_json(&verdict)));
    } else {
        show(&verdict);
    }
    Ok(match &verdict {
        Ok(_) => Exit::Done,
        Err(error) => error.error_type.into(),
    })
}

/// An engine whose executor is never asked.
fn offline(ready: Ready) -> Engine {
    let (executor, store) = (Executor::none(), Store::none());
    Engine::new(ready.settings, ready.profiles, executor, None, store)
}

fn open(path: &Path) -> Result<Box<dyn Read>, Exit> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    match std::fs::File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => {
            complain(&format!("{} can't be read: {error}", path.display()));
            Err(Exit::Usage)
        }
    }
}

struct Judge {
    engine: Engine,
    policy: Arc<Policy>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Judge {
    fn drop(&mut self) {
        // A look-up that nobody waits for any more must not hold the end up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Judge {
    fn judge(&self, call: &Call) -> Result<Vetted<'_>, CallError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(self.engine.vet_resolved(&self.policy, call)),
            None => self.policy.vet(call),
        }
    }

    fn lines(&self, calls: Box<dyn Read>) -> Result<Exit, Exit> {
        let mut calls = BufReader::new(calls);
        let mut line = Vec::new();
        loop {
            line.clear();
            let got = calls
                .by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line);
            match got {
                Ok(0) => return Ok(Exit::Done),
                Ok(_) => {}
                Err(error) => {
                    complain(&format!("the calls can't be read: {error}"));
                    return Err(Exit::Usage);
                }
            }
            let whole = line.ends_with(b"\n") || line.len() < bytes(LINE_BYTES_MAX);
            if !whole {
                skip_line(&mut calls)?;
            }
            let verdict = if whole {
                self.line(&line)
            } else {
                Err(too_long())
            };
            print(&format!(
                "{}\n",
                verdict.unwrap_or_else(|error| refuse_json(&error))
            ));
        }
    }

    fn line(&self, line: &[u8]) -> Result<Value, CallError> {
        let call = Call::from_json_text(line)?;
        Ok(verdict_json(&self.judge(&call)))
    }
}

fn bytes(max: u64) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX)
}

fn skip_line(calls: &mut BufReader<Box<dyn Read>>) -> Result<(), Exit> {
    calls.skip_until(b'\n').map(drop).map_err(|error| {
        complain(&format!("the calls can't be read: {error}"));
        Exit::Usage
    })
}

fn too_long() -> CallError {
    let what = format!("the line is longer than {LINE_BYTES_MAX} bytes");
    CallError::new(ErrorType::ValidationError, what, "give a shorter call")
        .with("rule", "ARG1")
        .with("offending", "call")
}

fn verdict_json(verdict: &Result<Vetted<'_>, CallError>) -> Value {
    match verdict {
        Ok(vetted) => json!({
            "verdict": "accept",
            "argv": vetted.run.argv(),
            "targets": vetted.targets(),
            "needs": needs(vetted),
            "intrusive": vetted.run.intrusive(),
            "unresolved": vetted.run.unresolved(),
            "resolved": vetted.resolved,
            "notes": vetted.run.notes(),
        }),
        Err(error) => refuse_json(error),
    }
}

/// What the executor must have: a capability, or what does as well.
fn needs(vetted: &Vetted<'_>) -> Vec<String> {
    vetted.run.needs().iter().map(ToString::to_string).collect()
}

fn refuse_json(error: &CallError) -> Value {
    json!({ "verdict": "refuse", "error": error })
}

fn show(verdict: &Result<Vetted<'_>, CallError>) {
    match verdict {
        Ok(vetted) => {
            let mut text = format!("accept\nargv     {}\n", shown(vetted.run.argv()));
            text.push_str(&format!("targets  {}\n", vetted.targets().join(", ")));
            let needs = needs(vetted);
            let needs = if needs.is_empty() {
                "no capability".to_owned()
            } else {
                needs.join(", ")
            };
            text.push_str(&format!("needs    {needs}\n"));
            if let Some(name) = vetted.run.unresolved() {
                text.push_str(&format!("resolve  {name} is resolved, checked and pinned when it runs (--resolve does it now)\n"));
            }
            if let Some(resolved) = &vetted.resolved {
                text.push_str(&format!("resolved {resolved}\n"));
            }
            for note in vetted.run.notes() {
                text.push_str(&format!("note     {note}\n"));
            }
            print(&text);
        }
        Err(error) => {
            let mut text = format!("refuse\nreason   {}\n", error.message);
            for (label, key) in [("rule", "rule"), ("part", "offending")] {
                if let Some(value) = error.fact(key) {
                    text.push_str(&format!("{label:<8} {}\n", value.escape_debug()));
                }
            }
            text.push_str(&format!("remedy   {}\n", error.recovery_suggestion));
            if let Some(near) = error.fact("nearest_target") {
                text.push_str(&format!("target   {near}\n"));
            }
            if let Some(near) = error
                .metadata
                .get("nearest_allowed")
                .and_then(Value::as_array)
            {
                let words: Vec<_> = near.iter().filter_map(Value::as_str).collect();
                text.push_str(&format!("nearest  {}\n", words.join(" ")));
            }
            print(&text);
        }
    }
}

/// An argv as a shell would need it typed.
fn shown(argv: &[String]) -> String {
    let plain = |word: &str| {
        word.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./:,=%@+".contains(c))
    };
    let quote = |word: &String| {
        if plain(word) {
            word.clone()
        } else {
            format!("'{word}'")
        }
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}
