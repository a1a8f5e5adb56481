//! Escape attempts from inside a run, each with an unconfined control.
//!
//! What it is not: the executor's self-test, which makes the same kind of
//! attempts on the host it serves on.
//!
//! Invariants: an attempt counts as stopped only if the same program gets
//! through without confinement.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::executor_process::Options;
use harness::hostile::{Hostile, Policy, Tool};
use harness::identity::{self, Identity, NOBODY};
use harness::running::run;
use harness::{ExecutorProcess, Lab, RawPeer};
use protocol::event::Exit;

/// As whom the control gets through.
#[derive(Debug, Clone, Copy)]
enum Control {
    /// Any account.
    Anyone,
    /// Root, inside the lab's own namespaces.
    Root,
}

/// How a confined attempt is stopped.
#[derive(Debug, Clone, Copy)]
enum Stop {
    /// The call answers this error.
    Errno(&'static str),
    /// The tool is killed and the run names this call.
    Killed(&'static str),
}

use Control::{Anyone, Root};
use Stop::{Errno, Killed};

type Row = (&'static str, Control, Stop);

#[rustfmt::skip]
const FILES: &[Row] = &[
    ("read-passwd",             Anyone, Errno("EACCES")),
    ("read-parent-environment", Root,   Errno("EACCES")),
    ("write-parent-memory",     Root,   Errno("EACCES")),
    ("list-root",               Anyone, Errno("EACCES")),
    ("write-outside",           Anyone, Errno("EACCES")),
    ("unnamed-file",            Anyone, Errno("EACCES")),
    ("write-parent-directory",  Anyone, Errno("EACCES")),
];

#[rustfmt::skip]
const SOCKETS: &[Row] = &[
    ("unix-path",     Anyone, Errno("EAFNOSUPPORT")),
    ("unix-abstract", Anyone, Errno("EAFNOSUPPORT")),
    ("unix-pair",     Anyone, Killed("socketpair")),
    ("raw-socket",    Root,   Errno("EAFNOSUPPORT")),
    ("packet-socket", Root,   Errno("EAFNOSUPPORT")),
    ("mptcp-socket",  Anyone, Errno("EAFNOSUPPORT")),
    ("tcp-listen",    Anyone, Killed("listen")),
];

#[rustfmt::skip]
const KERNEL: &[Row] = &[
    ("ptrace",            Anyone, Killed("ptrace")),
    ("mount",             Root,   Killed("mount")),
    ("unshare-user",      Anyone, Killed("unshare")),
    ("unshare-network",   Root,   Killed("unshare")),
    ("chroot",            Root,   Killed("chroot")),
    ("exec-memory",       Anyone, Killed("memfd_create")),
    ("write-and-execute", Anyone, Errno("EACCES")),
    ("be-dumpable",       Anyone, Killed("prctl")),
];

#[rustfmt::skip]
const PROCESSES: &[Row] = &[
    ("exec-shell",          Anyone, Killed("execve")),
    ("exec-shell-directly", Anyone, Killed("execve")),
    ("exec-descriptor",     Anyone, Killed("execveat")),
    ("signal-parent",       Root,   Errno("EPERM")),
    ("signal-all",          Root,   Killed("kill")),
    ("new-session",         Anyone, Errno("EPERM")),
];

struct Ground {
    tool: Tool,
    executor: ExecutorProcess,
    hostile: Hostile,
    _listener: UnixListener,
    lab: Lab,
}

impl Ground {
    fn new() -> Result<Option<Self>> {
        let Some(lab) = Lab::start(&[])? else {
            return Ok(None);
        };
        let hostile = Hostile::build(&lab, &["escapes"])?;
        let tool = hostile.profile("escapes", "escapes", &Policy::default())?;
        let listener = UnixListener::bind(hostile.outside().join("socket"))?;
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(hostile.outside().join("socket"), everybody)?;
        std::fs::create_dir(hostile.outside().join("run"))?;
        let options = Options::plain(identity::lent()).profiles(hostile.dir());
        let executor = ExecutorProcess::start(&lab, &options)?;
        Ok(Some(Self {
            tool,
            executor,
            hostile,
            _listener: listener,
            lab,
        }))
    }

    /// The attempt without confinement, in a directory as a run has one.
    fn control(&self, name: &str, who: Control) -> Result<String> {
        let identity = match who {
            Anyone => Identity::Plain(NOBODY),
            Root => Identity::Root,
        };
        let mut command = self.lab.client().command(identity, "sh");
        let place = self.hostile.outside().join("run");
        let script = "cd \"$1\" && shift && exec unshare --mount \"$@\"";
        let direct = "cd \"$1\" && shift && exec \"$@\"";
        command.args([
            "-c",
            if matches!(who, Root) { script } else { direct },
            "sh",
        ]);
        command
            .arg(place)
            .arg(self.tool.executable())
            .args(["--do", name]);
        Ok(run(&mut command, Duration::from_secs(10))?.stdout)
    }

    fn confined(&self, name: &str) -> Result<(Exit, String)> {
        let (mut peer, _) = RawPeer::greeted(self.executor.socket())?;
        let record = peer.run(self.tool.run_for(name, 10_000))?.ran()?;
        let text = record.stdout_text();
        Ok((record.finished.exit, text))
    }

    fn check(&self, rows: &[Row]) -> Result<()> {
        let mut faults = Vec::new();
        for (name, who, stop) in rows {
            let control = self.control(name, *who)?;
            if control.trim() != format!("open {name}") {
                faults.push(format!(
                    "{name}: the control does not get through: {control:?}"
                ));
            }
            let (exit, text) = self.confined(name).with_context(|| (*name).to_owned())?;
            let stopped = match stop {
                Errno(errno) => text.trim() == format!("closed {name} {errno}"),
                Killed(call) => {
                    exit == Exit::Violation {
                        call: (*call).to_owned(),
                    }
                }
            };
            if !stopped || text.contains("open") {
                faults.push(format!(
                    "{name}: expected {stop:?}, got {exit:?} and {text:?}"
                ));
            }
        }
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }
}

#[test]
fn a_tool_reaches_no_file_but_its_own() -> Result<()> {
    Ground::new()?.map_or(Ok(()), |ground| ground.check(FILES))
}

#[test]
fn a_tool_opens_no_socket_but_the_listed_kinds() -> Result<()> {
    Ground::new()?.map_or(Ok(()), |ground| ground.check(SOCKETS))
}

#[test]
fn a_tool_gets_nowhere_with_the_kernels_dangerous_calls() -> Result<()> {
    Ground::new()?.map_or(Ok(()), |ground| ground.check(KERNEL))
}

#[test]
fn a_tool_starts_no_program_and_signals_nobody() -> Result<()> {
    Ground::new()?.map_or(Ok(()), |ground| ground.check(PROCESSES))
}

#[test]
fn every_attempt_of_the_program_is_in_a_table() -> Result<()> {
    let source = include_str!("../hostile/escapes.c");
    let names = source
        .lines()
        .filter_map(|line| line.strip_prefix("\t{ \"")?.split('"').next());
    let rows: Vec<&Row> = [FILES, SOCKETS, KERNEL, PROCESSES]
        .into_iter()
        .flatten()
        .collect();
    for name in names {
        ensure!(
            rows.iter().any(|(row, ..)| *row == name),
            "{name} is tried nowhere"
        );
    }
    Ok(())
}
