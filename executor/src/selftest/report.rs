//! The self-test's report: a table for people, JSON for programs.
//!
//! What it is not: a judgement; [`super::Bed::judge`] makes it.
//!
//! Invariants: what got through, or was stopped by something else, is named at
//! the end; the exit status says whether there was any.

use std::io::{self, Write};
use std::process::ExitCode;

use super::table::Attempt;
use super::{Bed, Found, Outcome, Verdict, Wish, proves};
use crate::json::Json;
use crate::refusal::hex;
use crate::{EGRESS, Executor};

/// Exit status when an attempt got through.
const THROUGH: u8 = 3;

/// One attempt in one sandbox.
struct Cell<'a> {
    attempt: &'a Attempt,
    bed: &'a Bed<'a>,
    outcome: &'a Outcome,
    verdict: Verdict,
}

impl Found<'_> {
    fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.beds.iter().flat_map(move |(bed, outcomes)| {
            let rows = self.attempts.iter().zip(outcomes);
            rows.map(move |(attempt, outcome)| Cell {
                attempt,
                bed,
                outcome,
                verdict: bed.judge(attempt, outcome),
            })
        })
    }

    fn count(&self, verdict: Verdict, bed: &Bed<'_>) -> usize {
        let of_bed = self.cells().filter(|cell| std::ptr::eq(cell.bed, bed));
        of_bed.filter(|cell| cell.verdict == verdict).count()
    }

    fn failures(&self) -> Vec<Cell<'_>> {
        let is_failure =
            |cell: &Cell<'_>| matches!(cell.verdict, Verdict::Through | Verdict::Otherwise);
        self.cells().filter(is_failure).collect()
    }
}

/// Writes the report.
pub(crate) fn report(executor: &Executor, found: &Found<'_>, wish: &Wish) -> ExitCode {
    let mut out = io::stdout().lock();
    let written = if wish.json {
        writeln!(out, "{}", json(executor, found, wish))
    } else {
        text(executor, found, wish, &mut out)
    };
    match written.and_then(|()| out.flush()) {
        Err(_) => ExitCode::FAILURE,
        Ok(()) if found.failures().is_empty() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(THROUGH),
    }
}

/// An outcome in a word.
fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Open => "open".to_owned(),
        Outcome::Closed(errno) => format!("{errno:?}"),
        Outcome::Killed(_) => "killed".to_owned(),
        Outcome::Unmade(_) => "not made".to_owned(),
    }
}

fn in_a_cell(cell: &Cell<'_>) -> String {
    match cell.verdict {
        Verdict::Stopped => word(cell.outcome),
        Verdict::Allowed => "allowed".to_owned(),
        Verdict::Through => "THROUGH".to_owned(),
        Verdict::Otherwise => format!("?{}", word(cell.outcome)),
    }
}

fn text(
    executor: &Executor,
    found: &Found<'_>,
    wish: &Wish,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        out,
        "mantlet-executor {}, {} mode, uid {}, kernel {}, Landlock ABI {}, egress {EGRESS}",
        env!("CARGO_PKG_VERSION"),
        executor.config.mode.as_str(),
        executor.uid,
        executor.kernel,
        executor.abi.number()
    )?;
    if let Some(layer) = wish.without {
        writeln!(
            out,
            "without the layer {}: what it has to stop must get through",
            layer.as_str()
        )?;
    }
    let cells: Vec<_> = found.cells().collect();
    let names: Vec<_> = found.beds.iter().map(|(bed, _)| bed.name()).collect();
    let width = |name: &String| name.len().max(12);
    write!(out, "\n{:<30}{:<13}{:<20}", "attempt", "layer", "control")?;
    for name in &names {
        write!(out, "{name:<0$} ", width(name))?;
    }
    writeln!(out)?;
    for (at, (attempt, control)) in found.attempts.iter().zip(&found.controls).enumerate() {
        let mark = if proves(attempt, control) { "" } else { " (!)" };
        let shown = format!("{}{mark}", word(control));
        write!(
            out,
            "{:<30}{:<13}{shown:<20}",
            attempt.name,
            attempt.layer.as_str()
        )?;
        let row = cells.iter().skip(at).step_by(found.attempts.len().max(1));
        for (cell, name) in row.zip(&names) {
            write!(out, "{:<1$} ", in_a_cell(cell), width(name))?;
        }
        writeln!(out)?;
    }
    summary(found, out)
}

fn summary(found: &Found<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    for (bed, _) in &found.beds {
        let count = |verdict| found.count(verdict, bed);
        writeln!(
            out,
            "{}: {} stopped, {} allowed by the profile, {} got through, {} otherwise",
            bed.name(),
            count(Verdict::Stopped),
            count(Verdict::Allowed),
            count(Verdict::Through),
            count(Verdict::Otherwise)
        )?;
    }
    let controls = found.attempts.iter().zip(&found.controls);
    let silent = controls
        .filter(|(attempt, control)| !proves(attempt, control))
        .count();
    writeln!(
        out,
        "{silent} of {} attempts (!) prove nothing here: outside of a sandbox they fail too",
        found.attempts.len()
    )?;
    for (tool, why) in &found.untried {
        writeln!(out, "not tried: {tool}: {why}")?;
    }
    for [what, how] in weaker(found) {
        writeln!(out, "weaker on this kernel: {what}: {how}")?;
    }
    let failures = found.failures();
    for cell in &failures {
        let how = match cell.outcome {
            Outcome::Open => "got through".to_owned(),
            Outcome::Closed(errno) => format!("was stopped by something else: {errno}"),
            Outcome::Killed(call) => format!("was killed for {call}"),
            Outcome::Unmade(problem) => format!("could not be made: {problem}"),
        };
        writeln!(
            out,
            "{}: {} ({}) {how}",
            cell.bed.name(),
            cell.attempt.name,
            cell.attempt.layer.as_str()
        )?;
    }
    let end = if failures.is_empty() {
        "passed"
    } else {
        "FAILED"
    };
    writeln!(out, "{end}")
}

/// What this kernel's Landlock can't hold.
fn weaker(found: &Found<'_>) -> Vec<[String; 2]> {
    let held = found
        .beds
        .first()
        .map(|(bed, _)| bed.confinement.rules.held());
    let lacks = |[_, how]: &[String; 2]| how.starts_with("not held");
    held.unwrap_or_default().into_iter().filter(lacks).collect()
}

fn json(executor: &Executor, found: &Found<'_>, wish: &Wish) -> Json {
    let weaker = weaker(found)
        .into_iter()
        .map(|[what, how]| Json::object([("what", Json::Text(what)), ("how", Json::Text(how))]));
    let beds = found.beds.iter().map(|(bed, _)| {
        let count = |verdict| Json::count(found.count(verdict, bed));
        Json::object([
            ("name", Json::Text(bed.name())),
            ("tool", Json::text(&bed.tool.profile.name)),
            ("tool_version", Json::text(&bed.tool.version)),
            (
                "landlock_digest",
                Json::Text(hex(&bed.confinement.rules.digest())),
            ),
            (
                "seccomp_digest",
                Json::Text(hex(&executor.seccomp_digest(&bed.confinement.filter))),
            ),
            ("stopped", count(Verdict::Stopped)),
            ("allowed", count(Verdict::Allowed)),
            ("through", count(Verdict::Through)),
            ("otherwise", count(Verdict::Otherwise)),
        ])
    });
    let untried = found
        .untried
        .iter()
        .map(|(tool, why)| Json::object([("tool", Json::text(*tool)), ("why", Json::text(why))]));
    let without = wish.without.map_or("", super::table::Layer::as_str);
    Json::object([
        ("version", Json::text(env!("CARGO_PKG_VERSION"))),
        ("kernel", Json::text(&executor.kernel)),
        ("landlock_abi", Json::Number(executor.abi.number().into())),
        ("mode", Json::text(executor.config.mode.as_str())),
        ("uid", Json::Number(executor.uid.as_raw().into())),
        (
            "capabilities",
            Json::List(executor.held.names().into_iter().map(Json::Text).collect()),
        ),
        ("egress", Json::text(EGRESS)),
        (
            "profiles_digest",
            Json::Text(hex(&executor.profiles_digest)),
        ),
        ("without", Json::text(without)),
        ("weaker", Json::List(weaker.collect())),
        ("sandboxes", Json::List(beds.collect())),
        ("untried", Json::List(untried.collect())),
        ("attempts", Json::List(attempts(found))),
        ("passed", Json::Flag(found.failures().is_empty())),
    ])
}

fn attempts(found: &Found<'_>) -> Vec<Json> {
    let cells: Vec<_> = found.cells().collect();
    let row = |(at, (attempt, control)): (usize, (&Attempt, &Outcome))| {
        let row = cells.iter().skip(at).step_by(found.attempts.len().max(1));
        let results = row.map(|cell| {
            let verdict = match cell.verdict {
                Verdict::Stopped => "stopped",
                Verdict::Allowed => "allowed",
                Verdict::Through => "through",
                Verdict::Otherwise => "otherwise",
            };
            Json::object([
                ("sandbox", Json::Text(cell.bed.name())),
                ("outcome", Json::Text(word(cell.outcome))),
                ("verdict", Json::text(verdict)),
            ])
        });
        Json::object([
            ("name", Json::text(&attempt.name)),
            ("layer", Json::text(attempt.layer.as_str())),
            ("control", Json::Text(word(control))),
            ("proves", Json::Flag(proves(attempt, control))),
            ("results", Json::List(results.collect())),
        ])
    };
    found
        .attempts
        .iter()
        .zip(&found.controls)
        .enumerate()
        .map(row)
        .collect()
}
