//! The embedded executor's life: start, restart with backoff, end with the broker.
//!
//! What it is: a private directory with the socket, the executor's
//! configuration and its scratch directories, and the one child process that
//! the broker ever starts.
//! What it is not: a way to run tools; those are the executor's children.
//!
//! Invariants: the listening socket outlives restarts, so a call made during
//! one waits in its queue; the directory is 0700 and removed at the end; the
//! child gets no environment.

use std::collections::VecDeque;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use sandbox_profiles::scope::ScopeConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::private_dir::{self, PrivateDir};
use crate::results::neutralise;

/// The descriptor where the executor looks for its listening socket.
const LISTEN_FD: i32 = 3;
/// Waits between restarts double from the first to the last of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// An executor that lived this long has started well: the wait begins anew.
const STARTED_WELL: Duration = Duration::from_secs(30);
/// Ends in a row, each soon after its start, after which calls don't wait for the
/// next start any more.
const FAILURES_MAX: u32 = 3;
/// Between two looks at whether that is so.
const GIVEN_UP_LOOK: Duration = Duration::from_millis(50);
/// Time that the executor may take to end its runs when the broker stops.
const STOP_WAIT: Duration = Duration::from_secs(3);
/// Lines of its log that are kept to explain why it ended.
const LAST_LINES_MAX: usize = 8;
/// Longest line of its log that is passed on, in bytes.
const LINE_BYTES_MAX: u64 = 4096;
/// As [`LINE_BYTES_MAX`], in characters once neutralised.
const LINE_CHARS_MAX: usize = 4096;

/// Why the embedded executor can't be started.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The program is not there.
    #[error("{} is missing; build it with `cargo build`, or name it as executor.binary", .0.display())]
    NoProgram(PathBuf),
    /// The broker's own path is unknown, so the program beside it is too.
    #[error("can't tell where mantlet-executor is; name it as executor.binary")]
    NoPath(#[source] std::io::Error),
    /// The private directory or a file in it can't be made.
    #[error("can't make {}; set TMPDIR to a directory of yours with a short, absolute path", path.display())]
    Make {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What the last start came to, for errors and health.
#[derive(Debug, Default)]
struct Story {
    /// Ends in a row that came soon after a start.
    failures: u32,
    last_lines: VecDeque<String>,
    down: bool,
}

/// A running embedded executor. Dropping it ends the executor, which has its own
/// parent-death signal too.
#[derive(Debug)]
pub struct Embedded {
    dir: PrivateDir,
    stop: CancellationToken,
    keeper: Option<JoinHandle<()>>,
    story: Arc<Mutex<Story>>,
}

impl Embedded {
    /// Makes the private directory and starts the executor.
    ///
    /// # Errors
    ///
    /// Where the program or the directory can't be had. A program that starts
    /// and then refuses is restarted with backoff, and its reason shown by
    /// [`Embedded::trouble`].
    pub fn start(
        program: Option<&Path>,
        scope: &ScopeConfig,
        profiles: &[PathBuf],
    ) -> Result<Self, EmbeddedError> {
        let program = match program {
            Some(program) => program.to_owned(),
            None => beside_us()?,
        };
        if !program.is_file() {
            return Err(EmbeddedError::NoProgram(program));
        }
        let dir = PrivateDir::make(&std::env::temp_dir())
            .map_err(|(path, source)| EmbeddedError::Make { path, source })?;
        let config = dir.path().join("executor.toml");
        let text = executor_config(dir.path(), scope, profiles);
        let written = private_dir::create(&config);
        make(
            &config,
            written.and_then(|mut file| file.write_all(text.as_bytes())),
        )?;
        let runs = dir.path().join("runs");
        make(&runs, private_dir::make_dir(&runs))?;
        let socket = dir.path().join("executor.sock");
        let listener = UnixListener::bind(&socket);
        let listener = make(&socket, listener)?;
        let story = Arc::new(Mutex::new(Story::default()));
        let stop = CancellationToken::new();
        let keeper = Keeper {
            program,
            config,
            listener: listener.into(),
            story: story.clone(),
        };
        let keeper = tokio::spawn(keeper.keep(stop.clone()));
        Ok(Self {
            dir,
            stop,
            keeper: Some(keeper),
            story,
        })
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("executor.sock")
    }

    /// Why it is down, if it is: the last lines that it wrote.
    pub fn trouble(&self) -> Option<String> {
        let story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.down.then(|| story.words())
    }

    /// To see from elsewhere whether it can be waited for.
    pub fn watch(&self) -> Watch {
        Watch(self.story.clone())
    }

    /// Ends it, its runs included, and removes its directory.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(keeper) = self.keeper.take()
            && let Err(error) = keeper.await
        {
            tracing::warn!(%error, "the embedded executor's keeper failed");
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The child ends with its keeper (kill_on_drop) or by its own
        // parent-death signal.
        self.stop.cancel();
    }
}

/// A view of the executor's story that outlives borrows.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Mutex<Story>>);

impl Watch {
    /// Resolves when the executor has ended again and again right after its
    /// start, so that waiting for it is no use; with its last words.
    pub async fn given_up(&self) -> String {
        loop {
            {
                let story = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if story.failures >= FAILURES_MAX {
                    return story.words();
                }
            }
            sleep(GIVEN_UP_LOOK).await;
        }
    }
}

impl Story {
    fn words(&self) -> String {
        let lines: Vec<_> = self.last_lines.iter().map(String::as_str).collect();
        if lines.is_empty() {
            "it ended without a word".to_owned()
        } else {
            lines.join("; ")
        }
    }
}

struct Keeper {
    program: PathBuf,
    config: PathBuf,
    listener: OwnedFd,
    story: Arc<Mutex<Story>>,
}

impl Keeper {
    async fn keep(self, stop: CancellationToken) {
        let mut wait = BACKOFF.0;
        loop {
            let begun = Instant::now();
            match self.spawn() {
                Ok(child) => {
                    if self.watch(child, &stop).await {
                        return;
                    }
                }
                Err(error) => self.note(&format!("can't be started: {error}")),
            }
            let well = begun.elapsed() >= STARTED_WELL;
            if well {
                wait = BACKOFF.0;
            }
            self.down(well);
            tracing::warn!(
                wait_ms = wait.as_millis(),
                "embedded executor ended; restarting"
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
            wait = wait.saturating_mul(2).min(BACKOFF.1);
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let parent_fd = self.listener.as_fd().try_clone_to_owned()?;
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .arg("--config")
            .arg(&self.config)
            .env_clear()
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .fd_mappings(vec![FdMapping {
                parent_fd,
                child_fd: LISTEN_FD,
            }])
            .map_err(std::io::Error::other)?;
        let child = command.spawn()?;
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.down = false;
        Ok(child)
    }

    /// Passes its log on until it ends; true if that was asked for.
    async fn watch(&self, mut child: Child, stop: &CancellationToken) -> bool {
        let log = child.stderr.take();
        let passing = async {
            if let Some(log) = log {
                self.pass_on(log).await;
            }
        };
        let ended = async {
            let (status, ()) = tokio::join!(child.wait(), passing);
            status
        };
        tokio::select! {
            status = ended => {
                match status {
                    Ok(status) => self.note(&format!("ended with {status}")),
                    Err(error) => self.note(&format!("can't be waited for: {error}")),
                }
                return false;
            }
            () = stop.cancelled() => {}
        }
        terminate(&mut child).await;
        true
    }

    async fn pass_on(&self, log: impl AsyncRead + Unpin) {
        use tokio::io::AsyncReadExt;
        let mut log = BufReader::new(log);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut log)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .await
            {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line);
            let text = neutralise::line(text.trim_end(), LINE_CHARS_MAX);
            // Its lines begin with their level.
            if text.starts_with("level=error") {
                tracing::error!(target: "executor", "{text}");
            } else if text.starts_with("level=warn") {
                tracing::warn!(target: "executor", "{text}");
            } else {
                tracing::info!(target: "executor", "{text}");
            }
            self.note(&text);
        }
    }

    fn note(&self, line: &str) {
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        if story.last_lines.len() >= LAST_LINES_MAX {
            story.last_lines.pop_front();
        }
        story.last_lines.push_back(line.to_owned());
    }

    fn down(&self, well: bool) {
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.down = true;
        story.failures = if well {
            0
        } else {
            story.failures.saturating_add(1)
        };
    }
}

async fn terminate(child: &mut Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid {
        let pid = nix::unistd::Pid::from_raw(pid);
        if let Err(error) = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM) {
            tracing::debug!(%error, "the embedded executor had ended already");
        }
    }
    if tokio::time::timeout(STOP_WAIT, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "the embedded executor can't be killed");
    }
}

fn beside_us() -> Result<PathBuf, EmbeddedError> {
    let ours = std::env::current_exe().map_err(EmbeddedError::NoPath)?;
    Ok(ours.with_file_name("mantlet-executor"))
}

fn make<T>(path: &Path, made: std::io::Result<T>) -> Result<T, EmbeddedError> {
    made.map_err(|source| EmbeddedError::Make {
        path: path.to_owned(),
        source,
    })
}

/// The executor's configuration file. In embedded mode both processes are the
/// same user's, so the scope is the broker's.
fn executor_config(dir: &Path, scope: &ScopeConfig, profiles: &[PathBuf]) -> String {
    let profiles: Vec<_> = profiles
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    // Every key by its own name: both sides read the same structure.
    let security = toml::Table::try_from(scope).unwrap_or_else(|error| {
        tracing::error!(%error, "the scope can't be written; the executor gets an empty one");
        toml::Table::from_iter([("allowed_networks".into(), toml::Value::Array(Vec::new()))])
    });
    let mut config = toml::Table::new();
    config.insert("mode".into(), "embedded".into());
    config.insert("profiles".into(), profiles.into());
    config.insert(
        "runs_dir".into(),
        dir.join("runs").display().to_string().into(),
    );
    config.insert("security".into(), security.into());
    config.to_string()
}
