//! `mantlet run`: the pipeline from a terminal.
//!
//! What it is not: a way around it; the call is vetted like any other.
//!
//! Invariants: with `--json`, standard output is one JSON object whatever
//! happened; progress goes to standard error, and only on a terminal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sandbox_profiles::vet::Arguments;

use super::start::{Logs, on_signals, ready, runtime};
use super::{CallArgs, Exit, complain, print};
use crate::outcome::Outcome;
use crate::pipeline::call::Call;
use crate::pipeline::caller::{Caller, Surface};
use crate::pipeline::{Observer, RunEvent};

const EXIT_CODES: &str = "\
Exit codes:
  0    the tool ran and ended with code 0
  1    the tool ended with another code, or failed
  2    the command line or the configuration can't be understood
  3    the call was refused
  4    the executor or its sandbox can't be used, or is busy
  124  the time was up
  130  cancelled";

/// Arguments of `mantlet run`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct RunArgs {
    /// The tool: a name from `mantlet tools`
    tool: String,
    /// What to aim it at: an address, a network such as 10.66.0.0/24, or a host name
    target: String,
    #[command(flatten)]
    call: CallArgs,
    /// Seconds until the run is ended
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,
    /// Print the whole result as JSON
    #[arg(long)]
    json: bool,
    /// Also write what the tool itself printed, unchanged, to this file
    #[arg(long, value_name = "FILE")]
    raw_output: Option<PathBuf>,
}

/// Runs the command.
pub fn command(config: Option<&Path>, args: RunArgs) -> Exit {
    match run(config, args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn run(config: Option<&Path>, args: RunArgs) -> Result<Exit, Exit> {
    // Opened before privileges are given up: the caller names it, the caller's rights count.
    let raw = args.raw_output.as_deref().map(create).transpose()?;
    let ready = ready(config, Logs::Person)?;
    let runtime = runtime()?;
    let outcome: Result<Outcome, Exit> = runtime.block_on(async {
        // What it comes to is shown here; nobody can ask for it later.
        let engine = ready.audited_engine(None)?;
        let mut call = Call::new(&args.tool, &args.target);
        call.arguments = Arguments::Tokens(args.call.args);
        call.template = args.call.template;
        call.timeout_sec = args.timeout;
        // Whoever stops a run from a terminal or a script doesn't want it finished.
        let cancel = on_signals(engine.policy().settings().shutdown_grace).drain;
        let caller = Caller::local(Surface::Terminal);
        let bar = Arc::new(Bar::new(&args.tool, &args.target));
        let outcome = engine.run(call, &caller, bar.clone(), cancel).await;
        bar.bar.finish_and_clear();
        engine.stop().await;
        Ok(outcome)
    });
    runtime.shutdown_background();
    let outcome = outcome?;
    // Only a run has output: a refused call leaves what was in the file alone.
    if let Some(mut file) = raw.filter(|_| outcome.ran()) {
        // A pipe or device has no length to set.
        let regular = file.metadata().is_ok_and(|facts| facts.is_file());
        let emptied = if regular { file.set_len(0) } else { Ok(()) };
        let written =
            emptied.and_then(|()| std::io::Write::write_all(&mut file, &outcome.facts.raw_stdout));
        written.map_err(|error| {
            complain(&format!("the raw output can't be written: {error}"));
            Exit::Failed
        })?;
    }
    if args.json {
        print(&format!("{:#}\n", outcome.to_json()));
    } else {
        show(&outcome);
    }
    Ok(exit_of(&outcome))
}

fn create(path: &Path) -> Result<std::fs::File, Exit> {
    let options = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    options.map_err(|error| {
        complain(&format!("{} can't be written: {error}", path.display()));
        Exit::Usage
    })
}

fn exit_of(outcome: &Outcome) -> Exit {
    match (&outcome.error, outcome.facts.returncode) {
        (Some(error), _) => error.error_type.into(),
        (None, Some(0)) => Exit::Done,
        (None, _) => Exit::Failed,
    }
}

fn show(outcome: &Outcome) {
    let facts = &outcome.facts;
    print(&facts.stdout);
    if !facts.stdout.is_empty() && !facts.stdout.ends_with('\n') {
        print("\n");
    }
    if facts.truncated_stdout {
        complain("the output was cut; ask for less, or use --raw-output");
    }
    for line in facts.stderr.lines().take(20) {
        complain(&format!("{}: {line}", outcome.tool));
    }
    if let Some(resolved) = &outcome.resolved {
        complain(&format!("resolved: {resolved}"));
    }
    for note in &outcome.notes {
        complain(&format!("note: {note}"));
    }
    if let Some(error) = &outcome.error {
        complain(&format!("{}: {}", error.error_type.as_str(), error.message));
        complain(&error.recovery_suggestion);
        if let Some(near) = error.fact("nearest_target") {
            complain(&format!("nearest allowed target: {near}"));
        }
        if let Some(near) = error
            .metadata
            .get("nearest_allowed")
            .and_then(|near| near.as_array())
        {
            let words: Vec<_> = near.iter().filter_map(|word| word.as_str()).collect();
            complain(&format!("nearest allowed: {}", words.join(" ")));
        }
    } else if let Some(code) = facts.returncode.filter(|code| *code != 0) {
        complain(&format!("{} ended with code {code}", outcome.tool));
    }
}

/// Progress on a terminal; nothing elsewhere.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(tool: &str, target: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stderr());
        let template = "{spinner} {prefix} [{bar:30}] {pos:>3} % {elapsed} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let shown = |text: &str| crate::results::neutralise::line(text, 60);
        bar.set_prefix(format!("{} {}", shown(tool), shown(target)));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }
}

impl Observer for Bar {
    fn observe(&self, event: RunEvent) {
        match event {
            RunEvent::Queued => self.bar.set_message("waiting"),
            RunEvent::Started { .. } => self.bar.set_message("running"),
            RunEvent::Progress { percent, message } => {
                // Within 0 and 100 by contract; a float has no lossless integer form.
                let whole = (0..=100_u64)
                    .rev()
                    .find(|n| u32::try_from(*n).is_ok_and(|n| f64::from(n) <= percent));
                self.bar.set_position(whole.unwrap_or(0));
                self.bar.set_message(message);
            }
        }
    }
}
