//! Programs that misbehave, to be run as tools under profiles of the test's own.
//!
//! What it is not: a stand-in for the sandbox. The programs are in
//! `tests/hostile`, compiled here, and try for real.
//!
//! Invariants: what they may touch outside lies in the lab's own directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use protocol::request::Run;

use crate::Lab;
use crate::raw_peer::run_of;
use crate::running::run;

/// Longest compilation.
const COMPILE: Duration = Duration::from_mins(1);

/// Programs compiled for one lab, and a directory of profiles for them.
#[derive(Debug)]
pub struct Hostile {
    dir: PathBuf,
    outside: PathBuf,
}

impl Hostile {
    /// Compiles the named programs of `tests/hostile`.
    ///
    /// # Errors
    ///
    /// When the compiler is missing or complains.
    pub fn build(lab: &Lab, programs: &[&str]) -> Result<Self> {
        let (dir, outside) = (lab.dir().join("tools"), lab.dir().join("outside"));
        for (path, mode) in [(&dir, 0o755), (&outside, 0o777)] {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        let hostile = Self { dir, outside };
        for name in programs {
            hostile.compile(name)?;
        }
        Ok(hostile)
    }

    fn compile(&self, name: &str) -> Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("hostile/{name}.c"));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-static"]);
        compiler.arg(format!("-DOUTSIDE=\"{}\"", self.outside.display()));
        compiler.arg("-o").arg(self.program(name)).arg(source);
        run(&mut compiler, COMPILE)?.expect_code(0)?;
        Ok(())
    }

    /// Path of a compiled program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Directory of the programs and their profiles.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A directory that everybody may write to, outside every run's own.
    #[must_use]
    pub fn outside(&self) -> &Path {
        &self.outside
    }

    /// Writes a profile that runs `program` under `policy`, and gives the tool.
    ///
    /// # Errors
    ///
    /// When the file can't be written.
    pub fn profile(&self, name: &str, program: &str, policy: &Policy) -> Result<Tool> {
        let executable = self.program(program);
        let text = policy.profile(name, program, &executable, &words(program)?);
        fs::write(self.dir.join(format!("{name}.toml")), text)?;
        Ok(Tool {
            name: name.to_owned(),
            executable,
        })
    }
}

/// The names of the things that a program can do, from its own table.
fn words(program: &str) -> Result<Vec<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("hostile/{program}.c"));
    let text = fs::read_to_string(source)?;
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("\t{ \"")?.split('"').next());
    let words: Vec<String> = names.map(str::to_owned).collect();
    Ok(if words.is_empty() {
        vec!["nothing".to_owned()]
    } else {
        words
    })
}

/// A hostile program with its profile.
#[derive(Debug, Clone)]
pub struct Tool {
    name: String,
    executable: PathBuf,
}

impl Tool {
    /// The program's path.
    #[must_use]
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// A run of it that does `what`.
    #[must_use]
    pub fn run(&self, what: &str) -> Run {
        let executable = self.executable.display().to_string();
        run_of(&self.name, &[&executable, "--do", what, "10.66.0.10"])
    }

    /// The same, ended after `timeout_ms`.
    #[must_use]
    pub fn run_for(&self, what: &str, timeout_ms: u32) -> Run {
        Run {
            timeout_ms,
            ..self.run(what)
        }
    }
}

/// What a hostile program's profile allows it.
#[derive(Debug, Clone)]
pub struct Policy {
    /// System calls beside the sets `base` and `net`.
    pub calls: &'static [&'static str],
    /// Files and directories that may be read beside the set `base`.
    pub read: Vec<PathBuf>,
    /// CPU time, in seconds.
    pub cpu_s: u32,
    /// Processes and threads.
    pub processes: u32,
    /// Largest file, in bytes.
    pub file_size_bytes: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            // What forking and directory work take.
            calls: &[
                "clone", "wait4", "pipe2", "unlink", "unlinkat", "kill", "getppid", "getcwd",
                "mkdir", "chmod",
            ],
            read: Vec::new(),
            cpu_s: 60,
            processes: 64,
            file_size_bytes: 1024 * 1024,
        }
    }
}

impl Policy {
    fn profile(&self, name: &str, program: &str, path: &Path, words: &[String]) -> String {
        let calls: Vec<String> = self
            .calls
            .iter()
            .map(|call| format!("{call} = \"the test's own wish\""))
            .collect();
        let read: Vec<String> = self
            .read
            .iter()
            .map(|path| format!("\"{}\" = \"the test's own wish\"", path.display()))
            .collect();
        format!(
            include_str!("../hostile/profile.toml.in"),
            name = name,
            program = program,
            words = words,
            word = words.first().map(String::as_str).unwrap_or_default(),
            path = path.display(),
            calls = calls.join(", "),
            read = read.join(", "),
            cpu_s = self.cpu_s,
            processes = self.processes,
            file_size_bytes = self.file_size_bytes,
        )
    }
}
