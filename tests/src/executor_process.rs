//! The real executor, started as an init system would start it.
//!
//! What it is not: the broker's embedded executor. This one has a socket, a
//! configuration file and an identity of the test's choice.
//!
//! Invariants: the listening socket is descriptor 3 and the only one beyond the
//! standard three; the executor has answered a greeting before
//! [`ExecutorProcess::start`] returns.

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::identity::{Account, Identity, NOBODY};
use crate::raw_peer::RawPeer;
use crate::running::{self, Ended, Running};
use crate::{Lab, config, wait};

/// Longest wait for the first greeting.
const READY: Duration = Duration::from_secs(20);

/// A serving executor.
#[derive(Debug)]
pub struct ExecutorProcess {
    running: Running,
    socket: PathBuf,
    runs_dir: PathBuf,
    file: PathBuf,
    identity: Identity,
    /// The test's own copy of the socket, where it holds one.
    held: Option<UnixListener>,
}

/// How to start one.
#[derive(Debug, Clone)]
pub struct Options {
    /// As whom.
    pub identity: Identity,
    /// A directory of profiles; without it the built-in ones.
    pub profiles: Option<PathBuf>,
    /// Most runs at a time.
    pub max_runs: u32,
    /// User ids that may connect.
    pub peers: Vec<u32>,
    /// More keys of `[security]`, as TOML.
    pub security: String,
    /// Whether the socket stays open without the executor, as an init system
    /// that starts it again keeps it.
    pub hold: bool,
}

impl Options {
    /// A plain account, built-in profiles, four runs.
    #[must_use]
    pub fn plain(account: Account) -> Self {
        Self {
            identity: Identity::Plain(account),
            profiles: None,
            max_runs: 4,
            peers: vec![0, NOBODY.uid],
            security: String::new(),
            hold: false,
        }
    }

    /// The same with `CAP_NET_RAW` and nothing else.
    #[must_use]
    pub fn net_raw(account: Account) -> Self {
        Self {
            identity: Identity::NetRaw(account),
            ..Self::plain(account)
        }
    }

    /// With more of a scope, as `executor.toml` has it.
    #[must_use]
    pub fn security(self, keys: &str) -> Self {
        Self {
            security: keys.to_owned(),
            ..self
        }
    }

    /// With the profiles of a directory.
    #[must_use]
    pub fn profiles(self, dir: &Path) -> Self {
        Self {
            profiles: Some(dir.to_owned()),
            ..self
        }
    }
}

impl ExecutorProcess {
    /// Starts an executor on the lab's client host.
    ///
    /// # Errors
    ///
    /// When it doesn't answer a greeting in time; the message holds its log.
    pub fn start(lab: &Lab, options: &Options) -> Result<Self> {
        let mut executor = Self::start_unready(lab, options)?;
        let socket = executor.socket.clone();
        let mut ended = false;
        let greeted = wait::until("the executor's welcome", READY, || {
            ended = executor.running.has_ended().unwrap_or(true);
            if ended {
                Some(false)
            } else {
                RawPeer::greeted(&socket).is_ok().then_some(true)
            }
        });
        let log = executor.running.stderr_so_far();
        ensure!(
            greeted.with_context(|| log.clone())?,
            "the executor ended: {log}"
        );
        Ok(executor)
    }

    /// Starts an executor and doesn't wait for it.
    ///
    /// # Errors
    ///
    /// When it can't be started.
    pub fn start_unready(lab: &Lab, options: &Options) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("executor-")
            .tempdir_in(lab.dir())?
            .keep();
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        let (socket, runs_dir) = (dir.join("executor.sock"), dir.join("runs"));
        fs::create_dir(&runs_dir)?;
        fs::set_permissions(&runs_dir, Permissions::from_mode(0o700))?;
        if let Identity::Plain(account) | Identity::NetRaw(account) = options.identity {
            chown(&runs_dir, Some(account.uid), Some(account.uid))?;
        }
        let profiles = options.profiles.as_deref();
        let mut text = config::executor(&runs_dir, profiles, options.max_runs, &options.peers);
        text.push_str(&options.security);
        let file = dir.join("executor.toml");
        fs::write(&file, text)?;
        let listener = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
        let held = options.hold.then(|| listener.try_clone()).transpose()?;
        let running = launch(lab, options.identity, &file, listener)?;
        Ok(Self {
            running,
            socket,
            runs_dir,
            file,
            identity: options.identity,
            held,
        })
    }

    /// Starts it again after it died, on the socket that the test holds.
    ///
    /// # Errors
    ///
    /// When it can't be started, or the socket isn't held.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        let held = self.held.as_ref().context("a socket that is held")?;
        self.running = launch(lab, self.identity, &self.file, held.try_clone()?)?;
        Ok(())
    }

    /// Another command of its program, with the same configuration and identity.
    #[must_use]
    pub fn command(&self, lab: &Lab, command: &str) -> Command {
        let program = lab.binaries().executor.display().to_string();
        let mut asked = lab.client().command(self.identity, &program);
        asked.arg(command).arg("--config").arg(&self.file);
        asked.stdin(Stdio::null());
        asked
    }

    /// What it says, with these arguments too.
    ///
    /// # Errors
    ///
    /// When it doesn't end within 20 s.
    pub fn ask(&self, lab: &Lab, command: &str, arguments: &[&str]) -> Result<Ended> {
        running::run(self.command(lab, command).args(arguments), READY)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// When it is still running after `bound`; it is killed then.
    pub fn wait(self, bound: Duration) -> Result<Ended> {
        self.running.wait(bound)
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where it makes the runs' own directories.
    #[must_use]
    pub fn runs_dir(&self) -> &Path {
        &self.runs_dir
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.stderr_so_far()
    }
}

fn launch(lab: &Lab, identity: Identity, file: &Path, listener: UnixListener) -> Result<Running> {
    // The shell moves the socket from standard input to descriptor 3.
    let shuffle = "exec 3<&0 0</dev/null; exec \"$@\"";
    let mut command = lab.client().command(identity, "sh");
    command
        .args(["-c", shuffle, "sh"])
        .arg(&lab.binaries().executor);
    command.args(["serve", "--config"]).arg(file);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    // An administrator's mistakes, which no tool may come to see.
    for name in ["NMAPDIR", "NMAP_PRIVILEGED", "LD_LIBRARY_PATH", "HOME"] {
        command.env(name, "/nowhere/of-the-executor");
    }
    command.stdin(Stdio::from(OwnedFd::from(listener)));
    Running::start(&mut command)
}
