//! A program that a test started: its output, its end, its death.
//!
//! What it is not: a shell. Arguments are whole elements.
//!
//! Invariants: the output kept is bounded; a program still running when its
//! [`Running`] is dropped is killed with its process group.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::wait;

/// Most bytes kept of each output stream.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest wait for the end of a stream whose program has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// A started program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    started: Instant,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code, or 128 plus the signal's number.
    pub code: i32,
    /// Standard output, as text.
    pub stdout: String,
    /// Standard error, as text.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Ended {
    /// Requires an exit code.
    ///
    /// # Errors
    ///
    /// With both streams, when it was another.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == code,
            "exit code {} instead of {code}\nstdout: {}\nstderr: {}",
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }
}

impl Running {
    /// Starts `command` in a process group of its own and keeps what it prints.
    ///
    /// # Errors
    ///
    /// When the program can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut running = Self::spawn(command)?;
        running.stdout = running.child.stdout.take().map(Stream::keep);
        Ok(running)
    }

    /// As [`Running::start`], with both ends of a conversation handed out.
    ///
    /// # Errors
    ///
    /// When the program can't be started.
    pub fn start_talking(command: &mut Command) -> Result<(Self, ChildStdin, ChildStdout)> {
        let mut running = Self::spawn(command.stdin(Stdio::piped()))?;
        let stdin = running.child.stdin.take().context("standard input")?;
        let stdout = running.child.stdout.take().context("standard output")?;
        Ok((running, stdin, stdout))
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let name = format!("{command:?}");
        command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let stderr = child.stderr.take().map(Stream::keep);
        Ok(Self {
            child,
            name,
            started,
            stdout: None,
            stderr,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed on standard error so far.
    #[must_use]
    pub fn stderr_so_far(&self) -> String {
        self.stderr.as_ref().map(Stream::text).unwrap_or_default()
    }

    /// What it printed on standard output so far, if that is kept.
    #[must_use]
    pub fn stdout_so_far(&self) -> String {
        self.stdout.as_ref().map(Stream::text).unwrap_or_default()
    }

    /// Sends a signal to the program alone.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.nix_pid()?, signal)?)
    }

    /// Whether it has ended.
    ///
    /// # Errors
    ///
    /// When the kernel doesn't know it.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it is still running after `bound`; it is killed then.
    pub fn wait(mut self, bound: Duration) -> Result<Ended> {
        let mut failed = None;
        let status = wait::until(&self.name, bound, || match self.child.try_wait() {
            Ok(status) => status,
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let took = self.started.elapsed();
        if let Some(error) = failed {
            bail!("{}: {error}", self.name);
        }
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                let (stdout, stderr) = (self.stdout_so_far(), self.stderr_so_far());
                return Err(error.context(format!("stdout: {stdout}\nstderr: {stderr}")));
            }
        };
        Ok(Ended {
            code: code(status),
            stdout: self.stdout.take().map(Stream::finish).unwrap_or_default(),
            stderr: self.stderr.take().map(Stream::finish).unwrap_or_default(),
            took,
        })
    }

    fn nix_pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either call fails when there is nothing left to kill.
        if let Ok(pid) = self.nix_pid() {
            killpg(pid, Signal::SIGKILL).ok();
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts a program, waits for its end and gives its output.
///
/// # Errors
///
/// When it can't be started or runs longer than `bound`.
pub fn run(command: &mut Command, bound: Duration) -> Result<Ended> {
    Running::start(command)?.wait(bound)
}

fn code(status: ExitStatus) -> i32 {
    let signal = status.signal().map(|number| number.saturating_add(128));
    status.code().or(signal).unwrap_or(-1)
}

/// One output stream, read by a thread to its end.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn keep(mut from: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut chunk = vec![0_u8; 64 * 1024];
            while let Ok(count @ 1..) = from.read(&mut chunk) {
                let mut kept = to.lock().unwrap_or_else(PoisonError::into_inner);
                let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
                kept.extend(chunk.iter().take(count.min(room)));
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The whole text. A descendant may hold the stream open after the
    /// program's end, so the wait for its end has a bound.
    fn finish(self) -> String {
        drop(wait::until_true("end of output", DRAIN, || {
            self.reader.is_finished()
        }));
        self.text()
    }
}
