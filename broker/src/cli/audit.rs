//! `mantlet audit verify`: whether an audit log is what was written.
//!
//! What it is not: a reader for its records; those are JSON Lines.
//!
//! Invariants: nothing is written; it ends with 0 only if every line fits.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, complain, print};
use crate::identity;
use crate::observe::audit::chain::{Head, Key};
use crate::observe::audit::verify::{self, FAULTS_MAX, Report};
use crate::pipeline::reading;

const EXIT_CODES: &str = "\
Exit codes:
  0  the log is whole
  1  something is wrong with it, or it can't be read
  2  the command line, the configuration or the key can't be used";

/// Arguments of `mantlet audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Find edits, gaps and cut ends of an audit log; prints an anchor to keep elsewhere
    Verify(VerifyArgs),
}

/// Arguments of `mantlet audit verify`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
struct VerifyArgs {
    /// The log [default: the configured one, `audit.file`]
    file: Option<PathBuf>,
    /// The file of its key [default: the configured one, `audit.key_file`]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What an earlier check printed; finds an end that was cut since
    #[arg(long, value_name = "SEQ:HASH", value_parser = verify::anchor)]
    anchor: Option<Head>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn command(config: Option<&Path>, args: &AuditArgs) -> Exit {
    let AuditCommand::Verify(args) = &args.command;
    match check(config, args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn check(config: Option<&Path>, args: &VerifyArgs) -> Result<Exit, Exit> {
    let usage = |error: &dyn std::fmt::Display| {
        complain(&error.to_string());
        Exit::Usage
    };
    let settings = reading::settings(config).map_err(|faults| {
        faults.lines().for_each(|fault| complain(&fault));
        Exit::Usage
    })?;
    let named = args.file.as_ref().or(settings.audit_file.as_ref());
    let path = named.ok_or_else(|| usage(&"no log is configured (audit.file); name a file"))?;
    // Opened before privileges are given up: the caller's rights count.
    let key_file = args.key.as_ref().or(settings.audit_key_file.as_ref());
    let key = key_file.map(|path| Key::read(path)).transpose();
    let key = key.map_err(|error| usage(&error))?;
    let unread = |error: std::io::Error| {
        complain(&format!("{} can't be read: {error}", path.display()));
        Exit::Failed
    };
    let file = File::open(path).map_err(unread)?;
    identity::give_up_privileges().map_err(|error| {
        complain(&error.to_string());
        Exit::Unavailable
    })?;
    let report = verify::verify(BufReader::new(file), key.as_ref(), args.anchor.as_ref());
    let report = report.map_err(unread)?;
    if args.json {
        print(&json(path, &report, key.is_some()));
    } else {
        show(path, &report, key.is_some());
    }
    Ok(if report.good() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn json(path: &Path, report: &Report, keyed: bool) -> String {
    let faults: Vec<_> = report
        .faults
        .iter()
        .map(|fault| json!({ "line": fault.line, "seq": fault.seq, "what": fault.what }))
        .collect();
    let anchor = report.good().then(|| report.head.to_string());
    let all = json!({ "file": path.display().to_string(), "good": report.good(), "keyed": keyed,
        "records": report.lines, "first": report.first, "last": report.last,
        "marred": report.marred, "anchor": anchor, "faults": faults });
    format!("{all:#}\n")
}

fn show(path: &Path, report: &Report, keyed: bool) {
    let path = path.display();
    for fault in &report.faults {
        let line = fault.line;
        let seq = fault
            .seq
            .map_or_else(String::new, |seq| format!(", record {seq}"));
        complain(&format!("{path}: line {line}{seq}: {}", fault.what));
    }
    if report.faults.len() == FAULTS_MAX {
        complain("there may be more; the check ended here");
    }
    if !report.good() {
        return;
    }
    let (first, last) = (report.first.as_deref(), report.last.as_deref());
    let (first, last) = (first.unwrap_or("-"), last.unwrap_or("-"));
    let mut text = format!(
        "{path}: {} records from {first} to {last}; each fits the one before\n",
        report.lines
    );
    if report.marred > 0 {
        let marred = report.marred;
        text.push_str(&format!(
            "{marred} of them (kind recovered or lost) say what a crash or a full disk took\n"
        ));
    }
    if !keyed {
        text.push_str("without a key: whoever may write to the file can write it all anew\n");
    }
    text.push_str(&format!("anchor: {}\n", report.head));
    print(&text);
}
