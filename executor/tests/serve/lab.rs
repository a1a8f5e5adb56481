//! A small lab for the executor's own tests: the real binary on a real socket,
//! with profiles whose program is `examples/hostile.rs`.
//!
//! What it is not: the project's harness, which knows the broker too.
//!
//! Invariants: everything it makes lies in one directory below /tmp, and goes
//! with it; every wait has an end.

use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use protocol::Request;
use protocol::event::Event;
use protocol::request::{Hello, Run};

use crate::peer::{Peer, Ran};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One profile of the lab: a way to misbehave, and what is added to its TOML.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The program's first argument; the profile's name with `t-` before it.
    pub word: String,
    /// Lines of `[sandbox.calls]`.
    pub calls: String,
    /// Lines of `[sandbox]`.
    pub sandbox: String,
    /// Lines of `[sandbox.read]`.
    pub read: String,
    /// Lines of `[sandbox.exec]`.
    pub exec: String,
    /// `[sandbox.limits] processes`.
    pub processes: u32,
    /// `[sandbox.limits] file_size_bytes`.
    pub file_bytes: u32,
    /// The program, if it isn't the hostile one.
    pub program: Option<PathBuf>,
}

/// The hostile program's profile for a word.
pub fn tool(word: &str) -> Tool {
    Tool {
        word: word.to_owned(),
        calls: String::new(),
        sandbox: "raw = \"never\"\n".to_owned(),
        read: String::new(),
        exec: String::new(),
        processes: 1,
        file_bytes: 0,
        program: None,
    }
}

impl Tool {
    /// Lets it start processes.
    pub fn with_processes(mut self, processes: u32) -> Self {
        self.processes = processes;
        for call in ["clone", "fork", "vfork", "wait4", "kill"] {
            self.calls.push_str(&format!("{call} = \"to misbehave\"\n"));
        }
        self
    }

    /// Lets it execute a program.
    pub fn with_program(mut self, path: &str) -> Self {
        self.exec
            .push_str(&format!("\"{path}\" = \"to misbehave\"\n"));
        self
    }

    /// Lets it make one more call.
    pub fn with_call(mut self, call: &str) -> Self {
        self.calls.push_str(&format!("{call} = \"to misbehave\"\n"));
        self
    }

    /// Lets it read /proc, where it sees itself as the kernel does.
    pub fn with_proc(mut self) -> Self {
        self.read.push_str("\"/proc\" = \"to see itself\"\n");
        self.with_call("getcwd")
    }

    fn toml(&self, program: &Path) -> String {
        let program = self
            .program
            .as_deref()
            .unwrap_or(program)
            .display()
            .to_string();
        let values = [
            ("{word}", self.word.clone()),
            ("{program}", program),
            ("{calls}", self.calls.clone()),
            ("{sandbox}", self.sandbox.clone()),
            ("{read}", self.read.clone()),
            ("{exec}", self.exec.clone()),
            ("{processes}", self.processes.to_string()),
            ("{file_bytes}", self.file_bytes.to_string()),
        ];
        let template = include_str!("profile.toml.in").to_owned();
        values
            .iter()
            .fold(template, |text, (place, value)| text.replace(place, value))
    }
}

/// Starts an executor with tools, and a setting if it isn't the ordinary one; or
/// ends the test, saying so, where nobody is root.
macro_rules! start {
    ($tools:expr $(,)?) => {
        crate::lab::start!($tools, &crate::lab::Setting::default())
    };
    ($tools:expr, $setting:expr $(,)?) => {{
        if !nix::unistd::Uid::current().is_root() {
            println!("SKIP the tools' programs must be root's, and nobody here is");
            return;
        }
        crate::lab::Lab::with($tools, $setting)
    }};
}
pub(crate) use start;

/// A running executor.
#[derive(Debug)]
pub struct Lab {
    /// Everything is below it.
    pub dir: PathBuf,
    /// The hostile program.
    pub program: PathBuf,
    /// The executor.
    pub child: Child,
}

/// How a lab differs from the ordinary one.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// Lines of `executor.toml` before its tables.
    pub config: String,
    /// Groups of `[peers]`.
    pub gids: Vec<u32>,
    /// `mode`, if it isn't embedded.
    pub system: bool,
    /// A command that executes the executor: `setpriv …`.
    pub wrapper: Vec<String>,
    /// Who owns the runs' directory, as chown(1) takes it.
    pub owner: Option<u32>,
}

impl Lab {
    /// Starts an executor with those tools.
    pub fn with(tools: &[Tool], setting: &Setting) -> Self {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let dir = PathBuf::from(format!("/tmp/mantlet-lab-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.join("hostile");
        fs::copy(hostile(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let profiles = dir.join("tools.d");
        fs::create_dir(&profiles).unwrap();
        for tool in tools {
            let path = profiles.join(format!("{}.toml", tool.word));
            fs::write(path, tool.toml(&program)).unwrap();
        }
        let runs = dir.join("runs");
        fs::create_dir(&runs).unwrap();
        fs::set_permissions(&runs, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some(uid) = setting.owner {
            std::os::unix::fs::chown(&runs, Some(uid), Some(uid)).unwrap();
        }
        let mode = if setting.system { "system" } else { "embedded" };
        let profiles = if tools.is_empty() {
            String::new()
        } else {
            format!("profiles = [\"{}\"]", profiles.display())
        };
        let config = format!(
            "mode = \"{mode}\"\n{profiles}\nruns_dir = \"{}\"\n{}\n[peers]\nuids = [0]\ngids = {:?}\n[security]\n\
             allowed_networks = [\"10.0.0.0/8\", \"127.0.0.0/8\", \"fd66::/64\"]\n",
            runs.display(),
            setting.config,
            setting.gids,
        );
        fs::write(dir.join("executor.toml"), config).unwrap();
        let child = serve(&dir, &setting.wrapper);
        Self {
            dir,
            program,
            child,
        }
    }

    /// A connection.
    pub fn connect(&self) -> Peer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(self.dir.join("socket")) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return Peer { stream };
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Whether there is room for one more connection.
    pub fn is_greeted(&self) -> bool {
        let mut peer = self.connect();
        peer.send(&Request::Hello(Hello {
            protocol: protocol::VERSION,
        }));
        matches!(peer.next(), Some(Event::Welcome(_)))
    }

    /// A connection that has been greeted.
    pub fn greeted(&self) -> Peer {
        let mut peer = self.connect();
        peer.send(&Request::Hello(Hello {
            protocol: protocol::VERSION,
        }));
        peer.welcome();
        peer
    }

    /// One whole run of a tool.
    pub fn run(&self, word: &str) -> Ran {
        let mut peer = self.greeted();
        peer.send(&Request::Run(self.request(word)));
        peer.finish()
    }

    /// The request that the profile of a word renders.
    pub fn request(&self, word: &str) -> Run {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        Run {
            run_id: format!("r{}-{number}", std::process::id()),
            tool: format!("t-{word}"),
            argv: vec![
                self.program.display().to_string(),
                word.to_owned(),
                "10.0.0.1".to_owned(),
            ],
            timeout_ms: 10_000,
            stdout_max: 1 << 20,
            stderr_max: 1 << 18,
            memory_max: None,
            files_max: None,
        }
    }

    /// What the executor said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Waits for the executor to end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the executor doesn't end: {}",
                self.log()
            );
            sleep(Duration::from_millis(5));
        }
    }

    /// Directories of runs that are still there.
    pub fn scratch(&self) -> Vec<OsString> {
        let entries = fs::read_dir(self.dir.join("runs")).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    /// Processes that execute the lab's hostile program.
    pub fn hostiles(&self) -> Vec<u32> {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &u32| {
            let path = fs::read_link(format!("/proc/{pid}/exe"));
            path.is_ok_and(|path| path == self.program)
        })
        .collect()
    }

    /// Waits until no hostile process is left; how long it took.
    pub fn none_left(&self, within: Duration) -> Duration {
        let begin = Instant::now();
        loop {
            let left = self.hostiles();
            if left.is_empty() {
                return begin.elapsed();
            }
            assert!(
                begin.elapsed() < within,
                "left after {within:?}: {left:?}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
        if std::thread::panicking() {
            eprintln!("log of {}:\n{}", self.dir.display(), self.log());
        }
        fs::remove_dir_all(&self.dir).unwrap_or_default();
    }
}

/// The executor, with its socket as descriptor 3. A shell puts it there, since
/// the standard library passes three descriptors only.
fn serve(dir: &Path, wrapper: &[String]) -> Child {
    let socket = UnixListener::bind(dir.join("socket")).unwrap();
    fs::set_permissions(dir.join("socket"), fs::Permissions::from_mode(0o666)).unwrap();
    let log = fs::File::create(dir.join("log")).unwrap();
    let mut words: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
    words.push(env!("CARGO_BIN_EXE_mantlet-executor").into());
    words.push("serve".into());
    words.push("--config".into());
    words.push(dir.join("executor.toml").into());
    Command::new("/bin/sh")
        .arg("-c")
        .arg("exec 3<&0 </dev/null; exec \"$@\"")
        .arg("sh")
        .args(words)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .spawn()
        .unwrap()
}

/// The hostile program, which cargo builds beside the tests.
fn hostile() -> PathBuf {
    let executor = PathBuf::from(env!("CARGO_BIN_EXE_mantlet-executor"));
    executor.with_file_name("examples").join("hostile")
}
