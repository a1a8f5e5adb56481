//! The official Python SDK as a client, in the versions the broker must serve.
//!
//! What it is not: installed by the tests. `make test-needs` makes the virtual
//! environments; where one is missing the check is skipped and says so.
//!
//! Invariants: a script gets its orders as arguments and answers with one JSON
//! value on its last line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::identity::Identity;
use crate::running::run;
use crate::skip::skip;
use crate::{Binaries, Lab};

/// Longest session.
const SESSION: Duration = Duration::from_mins(3);

/// A release line of the SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// `mcp` 1.30: handshake only.
    One,
    /// `mcp` 2.3: both eras.
    Two,
}

/// A program of one of the virtual environments, if it is installed; says so
/// when it isn't.
///
/// # Errors
///
/// When the target directory can't be found.
pub fn installed(environment: &str, program: &str) -> Result<Option<PathBuf>> {
    let base = Binaries::find()?.target;
    let path = base.join("py").join(environment).join(program);
    if path.exists() {
        return Ok(Some(path));
    }
    let shown = path.display();
    skip(&format!("needs {shown}; run `make test-needs`"));
    Ok(None)
}

impl Sdk {
    /// Its interpreter, if it is installed; says so when it isn't.
    ///
    /// # Errors
    ///
    /// When the target directory can't be found.
    pub fn interpreter(self) -> Result<Option<PathBuf>> {
        let name = match self {
            Self::One => "mcp-1",
            Self::Two => "mcp-2",
        };
        installed(name, "bin/python")
    }

    /// Runs `tests/e2e/NAME` on the lab's client host, with this token for HTTP,
    /// and gives its answer; `None` where the SDK isn't installed.
    ///
    /// # Errors
    ///
    /// When the script fails or its last line isn't JSON.
    pub fn session(
        self,
        lab: &Lab,
        name: &str,
        args: &[&str],
        token: &str,
    ) -> Result<Option<Value>> {
        let Some(python) = self.interpreter()? else {
            return Ok(None);
        };
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("e2e")
            .join(name);
        let mut command = lab.client().command(Identity::Root, python);
        // -I would hide the environment; -B keeps the source tree clean.
        command.arg("-B").arg(script).args(args);
        command.env("MANTLET_TOKEN", token);
        let ended = run(&mut command, SESSION)?.expect_code(0)?;
        let line = ended
            .stdout
            .lines()
            .last()
            .with_context(|| ended.stderr.clone())?;
        Ok(Some(
            serde_json::from_str(line).with_context(|| line.to_owned())?,
        ))
    }
}
