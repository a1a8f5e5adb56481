//! What a run may do: every layer of its sandbox, as it would be applied.
//!
//! What it is: tables made from the very values that a run is started with: the
//! compiled rules, the prepared limits, the decision of `policy`.
//! What it is not: a second description. Where nothing is applied, nothing is
//! said.
//!
//! Invariants: nothing is run; what the policy would refuse is refused here with
//! the same words.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use protocol::event::Refused;
use protocol::request::Run;
use sandbox_profiles::call::{Arguments, Call};
use sandbox_profiles::{Profile, vet};

use crate::json::Json;
use crate::launch::environment;
use crate::policy::{self, Approved};
use crate::refusal::{self, hex};
use crate::sandbox::Step;
use crate::sandbox::caps::CapabilitySet;
use crate::sandbox::rlimits::ResourceLimits;
use crate::sandbox::seccomp;
use crate::tools::{self, Tool};
use crate::{EGRESS, Executor};

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// The run's own filter as the kernel takes it.
    Bpf,
}

/// Where the run's own directory is not known before it runs.
const DIRECTORY: &str = "{run directory}";

/// Rows of one kind.
struct Table {
    name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// Explains a tool's widest sandbox, or that of one call.
pub(crate) fn explain(
    executor: &Executor,
    name: &str,
    arguments: &[String],
    form: Form,
) -> ExitCode {
    let approved = policy::find(executor, name).and_then(|tool| {
        if arguments.is_empty() {
            widest(tool)
        } else {
            for_call(executor, tool, arguments)
        }
    });
    let approved = match approved {
        Ok(approved) => approved,
        Err(refused) => return complain(&refused.message, &refused.remedy),
    };
    let sandbox = &approved.tool.profile.sandbox;
    let verdicts = match seccomp::verdicts(sandbox, is_raw(&approved)) {
        Ok(verdicts) => verdicts,
        Err(error) => return complain(&error.to_string(), "correct the profile's calls"),
    };
    let tables = tables(executor, &approved, verdicts);
    let mut out = io::stdout().lock();
    let written = match form {
        Form::Bpf if out.is_terminal() => {
            let remedy = "redirect it to a file: `… --bpf > FILE`";
            return complain("a program is not for a terminal", remedy);
        }
        Form::Bpf => out.write_all(&program(&approved)),
        Form::Json => writeln!(out, "{}", json(tables)),
        Form::Text => text(&tables, &mut out),
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(message: &str, remedy: &str) -> ExitCode {
    let text = format!("mantlet-executor: {message}; {remedy}\n");
    // Where standard error is closed, the status has to do.
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
    ExitCode::FAILURE
}

/// The sandbox of a call that needs all that the executor can give the tool.
fn widest(tool: &Tool) -> Result<Approved<'_>, Refused> {
    let ready = policy::ready(tool)?;
    let (confinement, capabilities) = match &ready.raw {
        Some(raw) => (raw, CapabilitySet::of(&tool.profile.capabilities)),
        None => (&ready.plain, CapabilitySet::EMPTY),
    };
    let run = request(&tool.profile, Vec::new());
    Ok(Approved {
        tool,
        ready,
        confinement,
        capabilities,
        argv: Vec::new(),
        bounds: policy::bounds(&tool.profile, &run),
        limits: tool.profile.sandbox.limits,
    })
}

/// The sandbox of one call: as `policy` decides when a broker sends it, or, where
/// the arguments are a person's and not in their canonical form, when it sends
/// what they come to.
fn for_call<'a>(
    executor: &'a Executor,
    tool: &Tool,
    arguments: &[String],
) -> Result<Approved<'a>, Refused> {
    let profile = &tool.profile;
    let mut argv = vec![tool.path()];
    argv.extend_from_slice(arguments);
    let decided = policy::decide(executor, &request(profile, argv));
    let Some((target, before)) = arguments.split_last() else {
        return decided;
    };
    decided.or_else(|_| {
        let call = Call {
            target: target.clone(),
            arguments: Arguments::Tokens(before.to_vec()),
            ..Call::default()
        };
        let vetted = vet::vet(profile, &executor.config.scope, &call)
            .map_err(|error| refusal::not_vetted(&error))?;
        policy::decide(executor, &request(profile, vetted.argv().to_vec()))
    })
}

/// What a broker sends that cuts nothing.
fn request(profile: &Profile, argv: Vec<String>) -> Run {
    Run {
        run_id: "explained".to_owned(),
        tool: profile.name.clone(),
        argv,
        timeout_ms: u32::try_from(profile.run.timeout.as_millis()).unwrap_or(u32::MAX),
        stdout_max: u32::MAX,
        stderr_max: u32::MAX,
        memory_max: None,
        files_max: None,
    }
}

fn is_raw(approved: &Approved<'_>) -> bool {
    approved.capabilities != CapabilitySet::EMPTY
}

fn tables(
    executor: &Executor,
    approved: &Approved<'_>,
    verdicts: Vec<(String, String)>,
) -> Vec<Table> {
    let tool = approved.tool;
    vec![
        Table {
            name: "run",
            columns: &["what", "value"],
            rows: run(executor, approved),
        },
        Table {
            name: "order",
            columns: &["step", "what"],
            rows: order(),
        },
        Table {
            name: "capabilities",
            columns: &["capability", "given", "reason"],
            rows: capabilities(approved),
        },
        Table {
            name: "paths",
            columns: &["path", "rights", "reason"],
            rows: paths(tool, approved),
        },
        Table {
            name: "landlock",
            columns: &["what", "held"],
            rows: owned(approved.confinement.rules.held()),
        },
        Table {
            name: "sockets",
            columns: &["socket", "protocols"],
            rows: sockets(approved),
        },
        Table {
            name: "calls",
            columns: &["call", "verdict", "reason"],
            rows: calls(approved, verdicts),
        },
        Table {
            name: "limits",
            columns: &["limit", "value"],
            rows: limits(approved),
        },
        Table {
            name: "environment",
            columns: &["variable", "value"],
            rows: variables(approved),
        },
    ]
}

fn owned<const N: usize>(rows: Vec<[String; N]>) -> Vec<Vec<String>> {
    rows.into_iter().map(Vec::from).collect()
}

fn pairs(rows: impl IntoIterator<Item = (&'static str, String)>) -> Vec<Vec<String>> {
    let pair = |(what, value): (&str, String)| vec![what.to_owned(), value];
    rows.into_iter().map(pair).collect()
}

fn run(executor: &Executor, approved: &Approved<'_>) -> Vec<Vec<String>> {
    let tool = approved.tool;
    let call = if approved.argv.is_empty() {
        "none given: the widest sandbox that this executor gives the tool".to_owned()
    } else {
        approved.argv.join(" ")
    };
    let (rules, filter) = (&approved.confinement.rules, &approved.confinement.filter);
    pairs([
        ("tool", tool.profile.name.clone()),
        ("profile", tool.profile.source.clone()),
        ("program", tool.path()),
        ("version", tool.version.clone()),
        ("argv", call),
        ("mode", executor.config.mode.as_str().to_owned()),
        ("user", format!("uid {} gid {}", executor.uid, executor.gid)),
        ("egress", EGRESS.to_owned()),
        ("timeout_sec", approved.bounds.timeout.as_secs().to_string()),
        (
            "stdout_bytes_max",
            approved.bounds.stdout_bytes_max.to_string(),
        ),
        (
            "stderr_bytes_max",
            approved.bounds.stderr_bytes_max.to_string(),
        ),
        ("kernel", executor.kernel.clone()),
        ("landlock_abi", executor.abi.number().to_string()),
        ("landlock_digest", hex(&rules.digest())),
        ("seccomp_digest", hex(&executor.seccomp_digest(filter))),
    ])
}

fn order() -> Vec<Vec<String>> {
    let row = |step: &Step| vec![step.to_string(), step.meaning().to_owned()];
    Step::ALL.iter().map(row).collect()
}

fn capabilities(approved: &Approved<'_>) -> Vec<Vec<String>> {
    let profile = &approved.tool.profile;
    let row = |capability: &sandbox_profiles::Capability| {
        let is_given = approved
            .capabilities
            .covers(CapabilitySet::of(&[*capability]));
        let reason = match (is_given, approved.argv.is_empty()) {
            (true, true) => "to calls that need it",
            (true, false) => "the call needs it",
            (false, true) => "this executor doesn't hold it",
            (false, false) => "the call doesn't need it, or gets by without",
        };
        let given = if is_given { "yes" } else { "no" };
        vec![capability.to_string(), given.to_owned(), reason.to_owned()]
    };
    profile.capabilities.iter().map(row).collect()
}

/// What Landlock allows, and what the profile names and this host doesn't have.
fn paths(tool: &Tool, approved: &Approved<'_>) -> Vec<Vec<String>> {
    let named = tools::paths(&tool.profile, is_raw(approved));
    let all = || named.all();
    let reason_of = |path: &std::path::Path| {
        let row = all().find(|row| row.path == path);
        row.map_or("", |row| row.reason.as_str()).to_owned()
    };
    let allowed = approved.confinement.rules.allowed();
    let mut rows: Vec<Vec<String>> = allowed
        .iter()
        .map(|(path, rights)| vec![path.display().to_string(), rights.clone(), reason_of(path)])
        .collect();
    let rules = &approved.confinement.rules;
    rows.push(vec![
        tool.path(),
        rules.of_the_program(),
        "the tool's program".into(),
    ]);
    let own = rules.of_the_run_directory();
    rows.push(vec![
        DIRECTORY.into(),
        own,
        "the run's own; removed at its end".into(),
    ]);
    for row in all().filter(|row| !allowed.iter().any(|(path, _)| *path == row.path)) {
        let path = row.path.display().to_string();
        rows.push(vec![
            path,
            "none: not on this host".into(),
            row.reason.clone(),
        ]);
    }
    rows
}

fn sockets(approved: &Approved<'_>) -> Vec<Vec<String>> {
    let kinds = tools::sockets(&approved.tool.profile, is_raw(approved));
    let row = |kind: &&sandbox_profiles::sandbox::SocketKind| {
        let protocols: Vec<_> = kind.protocols.iter().map(ToString::to_string).collect();
        vec![kind.name.clone(), protocols.join(" ")]
    };
    let mut rows: Vec<_> = kinds.iter().map(row).collect();
    rows.push(vec!["any other".into(), "EAFNOSUPPORT".into()]);
    rows
}

fn calls(approved: &Approved<'_>, verdicts: Vec<(String, String)>) -> Vec<Vec<String>> {
    let sandbox = &approved.tool.profile.sandbox;
    let reason_of = |call: &str| {
        let allowed = sandbox.allow.iter().map(|row| (&row.name, &row.reason));
        let refused = sandbox.errno.iter().map(|row| (&row.name, &row.reason));
        let row = allowed.chain(refused).find(|(name, _)| *name == call);
        let own = || seccomp::reason(call).unwrap_or_default().to_owned();
        row.map_or_else(own, |(_, reason)| reason.clone())
    };
    let row = |(call, verdict): (String, String)| {
        let reason = reason_of(&call);
        vec![call, verdict, reason]
    };
    verdicts.into_iter().map(row).collect()
}

fn limits(approved: &Approved<'_>) -> Vec<Vec<String>> {
    let sandbox = &approved.tool.profile.sandbox;
    let limits = ResourceLimits::new(sandbox, approved.limits, approved.bounds.timeout);
    let row = |(name, value): (String, u64)| vec![name, value.to_string()];
    limits.rows().into_iter().map(row).collect()
}

fn variables(approved: &Approved<'_>) -> Vec<Vec<String>> {
    let sandbox = &approved.tool.profile.sandbox;
    let all = environment(sandbox, approved.capabilities, DIRECTORY);
    let row = |(name, value): (String, String)| vec![name, value];
    all.into_iter().map(row).collect()
}

/// The run's own filter, as the kernel takes it: eight bytes for an instruction.
fn program(approved: &Approved<'_>) -> Vec<u8> {
    let instruction = |each: &libc::sock_filter| {
        let [code, k] = [u32::from(each.code), each.k].map(u32::to_ne_bytes);
        [code.get(..2).unwrap_or_default(), &[each.jt, each.jf], &k].concat()
    };
    let program = approved.confinement.filter.program();
    program.iter().flat_map(instruction).collect()
}

fn json(tables: Vec<Table>) -> Json {
    let table = |table: Table| {
        let row = |row: Vec<String>| {
            let cells = table.columns.iter().zip(row);
            Json::Object(
                cells
                    .map(|(name, cell)| ((*name).to_owned(), Json::Text(cell)))
                    .collect(),
            )
        };
        let rows = table.rows.into_iter().map(row).collect();
        (table.name.to_owned(), Json::List(rows))
    };
    Json::Object(tables.into_iter().map(table).collect())
}

/// Widest column that is padded for.
const COLUMN_MAX: usize = 34;

fn text(tables: &[Table], out: &mut impl Write) -> io::Result<()> {
    for table in tables {
        writeln!(out, "{}", table.name)?;
        let width = |at: usize| {
            let cells = table.rows.iter().filter_map(|row| row.get(at));
            cells
                .map(|cell| cell.len().min(COLUMN_MAX))
                .max()
                .unwrap_or(0)
        };
        for row in &table.rows {
            let mut line = String::from(" ");
            for (at, cell) in row.iter().enumerate() {
                line.push_str(&format!(" {cell:<0$} ", width(at)));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)?;
    }
    Ok(())
}
