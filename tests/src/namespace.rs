//! One host of the lab: a network and a mount namespace.
//!
//! What it is not: a name under `/run/netns`. A process holds the namespaces,
//! so the kernel removes them, with their interfaces, when it is gone.
//!
//! Invariants: the holder dies with the thread that made the namespace;
//! nothing done inside shows outside.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};

use crate::identity::Identity;
use crate::running::{Running, run};

/// Longest time that a set-up command may take.
const SETUP: Duration = Duration::from_secs(20);

/// A pair of namespaces, alive as long as this value.
#[derive(Debug)]
pub struct Namespace {
    holder: Running,
}

impl Namespace {
    /// Makes the namespaces; loopback is up, nothing else is there.
    ///
    /// # Errors
    ///
    /// When this process may not make them.
    pub fn new() -> Result<Self> {
        let mut command = Command::new("setpriv");
        let script = "ip link set lo up && echo ready && exec sleep infinity";
        command.args(["--pdeathsig=KILL", "--", "unshare", "--net", "--mount"]);
        command.args(["--propagation=private", "sh", "-c", script]);
        let (holder, _stdin, stdout) = Running::start_talking(&mut command)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let error = holder.stderr_so_far();
        ensure!(line == "ready\n", "no namespace: {error}");
        Ok(Self { holder })
    }

    /// Process id to name the namespaces by.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.holder.pid()
    }

    /// A command that runs inside as `identity`, with no standard input.
    #[must_use]
    pub fn command(&self, identity: Identity, program: impl AsRef<OsStr>) -> Command {
        let proc = format!("/proc/{}/ns", self.pid());
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={proc}/net"));
        command.arg(format!("--mount={proc}/mnt"));
        command.args(["--wd=/", "--"]).args(identity.prefix());
        command.arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a shell script inside, as root.
    ///
    /// # Errors
    ///
    /// When a command of it fails.
    pub fn script(&self, text: &str) -> Result<()> {
        let mut command = self.command(Identity::Root, "sh");
        run(command.args(["-ec", text]), SETUP)?.expect_code(0)?;
        Ok(())
    }

    /// Runs `ip` inside with a batch of commands, one a line.
    ///
    /// # Errors
    ///
    /// When one of them fails.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        let mut command = self.command(Identity::Root, "ip");
        let (ip, mut stdin, _stdout) = Running::start_talking(command.args(["-batch", "-"]))?;
        stdin.write_all(lines.as_bytes())?;
        drop(stdin);
        ip.wait(SETUP)?.expect_code(0)?;
        Ok(())
    }

    /// Does `work` in a thread that is inside the network namespace; sockets
    /// made there stay there.
    ///
    /// # Errors
    ///
    /// When the namespace is gone, or those of `work`.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(format!("/proc/{}/ns/net", self.pid()))?;
        let inside = || {
            setns(&file, CloneFlags::CLONE_NEWNET).context("entering a namespace")?;
            work()
        };
        let joined = thread::scope(|scope| scope.spawn(inside).join());
        joined.map_err(|_| anyhow!("the thread in the namespace panicked"))?
    }

    /// Identity of the network namespace, as `/proc/PID/ns/net` has it.
    ///
    /// # Errors
    ///
    /// When the namespace is gone.
    pub fn net_inode(&self) -> Result<u64> {
        Ok(std::fs::metadata(format!("/proc/{}/ns/net", self.pid()))?.ino())
    }
}
