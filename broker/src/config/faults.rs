//! What is wrong with a configuration: all of it, not only the first thing.
//!
//! What it is not: the finding; the layers and the typed views do that.
//!
//! Invariants: each fault names its place (file and line, or variable), its key,
//! what is wrong and what to do; there is at least one, and at most
//! [`FAULTS_MAX`] are told.

use std::fmt;
use std::path::PathBuf;

use sandbox_profiles::scope::ScopeError;

/// Most faults that are told at once.
pub const FAULTS_MAX: usize = 100;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: can't be read; name another with --config or MCP_CONFIG_FILE", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or a key of it is unknown, mistyped or out of range.
    #[error("{}:{line}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Key, reason and remedy.
        what: String,
    },
    /// A variable is mistyped or out of range.
    #[error("environment variable {name}: {what}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Reason and remedy.
        what: String,
    },
    /// Values that don't go together.
    #[error("{place}: {what}")]
    Conflict {
        /// The file, or `environment` where none was read.
        place: String,
        /// The keys, and what is missing.
        what: String,
    },
    /// The values don't make a scope.
    #[error("{place}: security.{fault}")]
    Scope {
        /// The file and line, or `environment` where none was read.
        place: String,
        /// Key, reason and remedy; shown whole, so not also a cause.
        fault: ScopeError,
    },
}

/// All that is wrong, in the order of the file, then of the variables. Displayed
/// with a line for each.
#[derive(Debug)]
pub struct Faults(Vec<ConfigError>);

impl Faults {
    /// `Ok` where nothing is wrong.
    pub(super) fn none_or(faults: Vec<ConfigError>) -> Result<(), Self> {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Self(faults))
        }
    }

    /// Each with its cause, in a line; the last says how many more there are.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.0.len().saturating_sub(FAULTS_MAX);
        let more = (more > 0).then(|| format!("and {more} more"));
        let line = |fault: &ConfigError| {
            let cause = std::error::Error::source(fault);
            cause.map_or_else(|| fault.to_string(), |cause| format!("{fault}: {cause}"))
        };
        self.0.iter().take(FAULTS_MAX).map(line).chain(more)
    }

    /// Them.
    pub(super) fn into_vec(self) -> Vec<ConfigError> {
        self.0
    }
}

impl From<ConfigError> for Faults {
    fn from(fault: ConfigError) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines().collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Faults {}
