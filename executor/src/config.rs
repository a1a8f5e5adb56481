//! `executor.toml`: who may connect, what may be touched, where runs live.
//!
//! What it is: a typed file, read once, before the socket is adopted and before
//! anything is confined.
//! What it is not: anything a broker could change, or the environment could.
//!
//! Invariants: an unknown key, or a value out of range, is an error and not a
//! default; in system mode the file and all directories above it are root's.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox_profiles::nearest::nearest;
use sandbox_profiles::scope::SCOPE_KEYS;
use sandbox_profiles::{OwnerRule, Scope, ScopeConfig, ScopeError};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use crate::trust::{self, TrustError};

/// Where the file is unless the command line says otherwise.
pub(crate) const DEFAULT_PATH: &str = "/etc/mantlet/executor.toml";
/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most runs at the same time that can be configured.
const RUNS_MAX: u32 = 1024;
/// Longest grace for runs when the executor is told to end, in seconds.
const GRACE_S_MAX: u32 = 3600;
/// Where profiles are looked for when no directory is configured.
const PROFILE_DIRECTORIES: &[&str] = &["/usr/share/mantlet/tools.d", "/etc/mantlet/tools.d"];

const KEYS: &[&str] = &[
    "mode",
    "profiles",
    "runs_dir",
    "user",
    "max_runs",
    "shutdown_grace_sec",
    "peers",
    "security",
];
const PEER_KEYS: &[&str] = &["uids", "gids"];
/// The table of tools' own scopes, within that of the scope.
const TOOLS_KEY: &str = "tools";

/// Why the file gives no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It can't be read.
    #[error("{} can't be read", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is longer than any configuration.
    #[error("{} is longer than 262144 bytes", .0.display())]
    TooLong(PathBuf),
    /// Somebody else could have written it.
    #[error("the configuration is not trusted")]
    Trust(#[from] TrustError),
    /// It is not TOML, or a value is of the wrong type.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The path.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// A key that means nothing.
    #[error("{}:{line}: unknown key {key:?}{hint}", path.display())]
    UnknownKey {
        /// The path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The nearest known one, as a clause.
        hint: String,
    },
    /// A number out of range.
    #[error("{}: {key} is {value}; 1 to {max} are accepted", path.display())]
    Range {
        /// The path.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: u32,
        /// The largest one.
        max: u32,
    },
    /// A path that isn't absolute.
    #[error("{}: {key} is {value:?}; an absolute path is needed", path.display())]
    Relative {
        /// The path.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: PathBuf,
    },
    /// Nobody could connect.
    #[error("{}: [peers] names nobody; in system mode give the broker's uid or gid", .0.display())]
    NoPeers(PathBuf),
    /// The scope is wrong.
    #[error("{}: [security]", path.display())]
    Scope {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ScopeError,
    },
}

/// How the executor was deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// By systemd, as a user of its own, perhaps with `CAP_NET_RAW`.
    System,
    /// By a broker, as the broker's user, without capabilities.
    Embedded,
}

impl Mode {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Embedded => "embedded",
        }
    }
}

/// Who may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Peers {
    /// Users.
    pub(crate) uids: Vec<u32>,
    /// Groups, primary or supplementary.
    pub(crate) gids: Vec<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    mode: Mode,
    profiles: Option<Vec<PathBuf>>,
    #[serde(default = "default_runs_dir")]
    runs_dir: PathBuf,
    #[serde(default = "default_user")]
    user: String,
    #[serde(default = "default_max_runs")]
    max_runs: u32,
    #[serde(default = "default_grace")]
    shutdown_grace_sec: u32,
    #[serde(default)]
    peers: Peers,
    #[serde(default)]
    security: ScopeConfig,
}

fn default_runs_dir() -> PathBuf {
    "/run/mantlet-executor/runs".into()
}

fn default_user() -> String {
    "nobody".into()
}

fn default_max_runs() -> u32 {
    16
}

fn default_grace() -> u32 {
    30
}

/// The whole configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// How the executor was deployed.
    pub(crate) mode: Mode,
    /// Directories of profiles, later ones after earlier ones.
    pub(crate) profiles: Vec<PathBuf>,
    /// Where the runs' directories are made.
    pub(crate) runs_dir: PathBuf,
    /// Who an executor that is started as root becomes.
    pub(crate) user: String,
    /// Runs at the same time.
    pub(crate) runs_max: u32,
    /// How long runs may go on when the executor is told to end.
    pub(crate) grace: Duration,
    /// Who may connect.
    pub(crate) peers: Peers,
    /// What may be touched.
    pub(crate) scope: Scope,
    /// Who may have written configuration and profiles.
    pub(crate) owner: OwnerRule,
}

impl Config {
    /// Reads the file, on behalf of the user `uid` that starts the executor.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub(crate) fn read(path: &Path, uid: u32) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        let mut limited = (&file).take(FILE_BYTES_MAX.saturating_add(1));
        limited.read_to_end(&mut bytes).map_err(failed)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(ConfigError::TooLong(path.to_owned()));
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        let config = Self::parse(path, &text, uid)?;
        let real = trust::check(path, config.owner)?;
        // What was checked is what was read.
        trust::check_same(&file, &real)?;
        Ok(config)
    }

    fn parse(path: &Path, text: &str, uid: u32) -> Result<Self, ConfigError> {
        check_keys(path, text)?;
        let document: Document = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let range = |key, value, max| {
            if (1..=max).contains(&value) {
                return Ok(value);
            }
            Err(ConfigError::Range {
                path: path.to_owned(),
                key,
                value,
                max,
            })
        };
        let absolute = |key, value: PathBuf| {
            if value.is_absolute() {
                return Ok(value);
            }
            Err(ConfigError::Relative {
                path: path.to_owned(),
                key,
                value,
            })
        };
        let is_nobody = document.peers.uids.is_empty() && document.peers.gids.is_empty();
        if document.mode == Mode::System && is_nobody {
            return Err(ConfigError::NoPeers(path.to_owned()));
        }
        let scope = Scope::new(&document.security).map_err(|source| ConfigError::Scope {
            path: path.to_owned(),
            source,
        })?;
        let profiles = document
            .profiles
            .unwrap_or_else(|| PROFILE_DIRECTORIES.iter().map(PathBuf::from).collect());
        let profiles = profiles
            .into_iter()
            .map(|each| absolute("profiles", each))
            .collect::<Result<_, _>>()?;
        let grace = range(
            "shutdown_grace_sec",
            document.shutdown_grace_sec,
            GRACE_S_MAX,
        )?;
        Ok(Self {
            mode: document.mode,
            profiles,
            runs_dir: absolute("runs_dir", document.runs_dir)?,
            user: document.user,
            runs_max: range("max_runs", document.max_runs, RUNS_MAX)?,
            grace: Duration::from_secs(u64::from(grace)),
            peers: document.peers,
            scope,
            owner: match document.mode {
                Mode::System => OwnerRule::RootOnly,
                Mode::Embedded => OwnerRule::RootOr(uid),
            },
        })
    }
}

/// Names the first key that means nothing, with its line and the nearest one
/// that does.
fn check_keys(path: &Path, text: &str) -> Result<(), ConfigError> {
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    };
    let table = DeTable::parse(text).map_err(syntax)?;
    check_table(path, text, table.get_ref(), KEYS)?;
    if let Some(peers) = inner(table.get_ref(), "peers") {
        check_table(path, text, peers, PEER_KEYS)?;
    }
    let Some(security) = inner(table.get_ref(), "security") else {
        return Ok(());
    };
    let keys: Vec<&str> = SCOPE_KEYS.iter().copied().chain([TOOLS_KEY]).collect();
    check_table(path, text, security, &keys)?;
    let tools = inner(security, TOOLS_KEY).into_iter().flatten();
    for (_, own) in tools {
        if let DeValue::Table(own) = own.get_ref() {
            check_table(path, text, own, SCOPE_KEYS)?;
        }
    }
    Ok(())
}

/// The table of that name in another one.
fn inner<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t DeTable<'d>> {
    match table.get(name)?.get_ref() {
        DeValue::Table(inner) => Some(inner),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => None,
    }
}

fn check_table(
    path: &Path,
    text: &str,
    table: &DeTable<'_>,
    known: &[&str],
) -> Result<(), ConfigError> {
    for key in table.keys() {
        let name: &str = key.get_ref();
        if known.contains(&name) {
            continue;
        }
        let before = text.get(..key.span().start).unwrap_or_default();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("; did you mean {near:?}?"),
            None => format!("; known are {}", known.join(", ")),
        };
        return Err(ConfigError::UnknownKey {
            path: path.to_owned(),
            line: before.matches('\n').count().saturating_add(1),
            key: name.to_owned(),
            hint,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("executor.toml"), text, 1000)
            .map_err(|error| crate::refusal::chain(&error))
    }

    #[test]
    fn reads_a_small_file_with_the_defaults() {
        let config = parse("mode = \"embedded\"\nruns_dir = \"/tmp/x\"").unwrap();
        assert_eq!(config.mode, Mode::Embedded);
        let installed: Vec<_> = PROFILE_DIRECTORIES.iter().map(PathBuf::from).collect();
        assert_eq!(config.profiles, installed);
        assert_eq!((config.runs_max, config.grace.as_secs()), (16, 30));
        assert_eq!(config.owner, OwnerRule::RootOr(1000));
        assert!(!config.scope.allows_intrusive());
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let cases = [
            ("", "mode", "no mode is no default"),
            ("mode = \"host\"", "unknown variant", "a mode that isn't"),
            (
                "mode = \"embedded\"\nmax_run = 1",
                "executor.toml:2: unknown key \"max_run\"; did you mean \"max_runs\"?",
                "a typo",
            ),
            (
                "mode = \"embedded\"\n[security]\nalowed_networks = []",
                "did you mean \"allowed_networks\"?",
                "a typo in the scope would widen it",
            ),
            (
                "mode = \"embedded\"\n[security.tools.nmap]\nallowed_port = []",
                "executor.toml:3: unknown key \"allowed_port\"; did you mean \"allowed_ports\"?",
                "a typo in a tool's own scope would widen it",
            ),
            (
                "mode = \"embedded\"\n[security.tools.nmap.tools]\nping = 1",
                "unknown key \"tools\"",
                "a tool has no tools",
            ),
            (
                "mode = \"embedded\"\n[security.tools.nmap]\nallowed_ports = [\"ssh\"]",
                "tools.nmap.allowed_ports: \"ssh\" is no port; write",
                "the scope's own check of a tool's own scope",
            ),
            (
                "mode = \"embedded\"\n[security]\nallowed_ports = [22]",
                "invalid type",
                "a port is written as a text",
            ),
            (
                "mode = \"embedded\"\n[security]\ntools = 1",
                "invalid type",
                "no table",
            ),
            (
                "mode = \"embedded\"\n[peers]\nuid = [1]",
                "did you mean \"uids\"?",
                "a typo in the peers",
            ),
            (
                "mode = \"embedded\"\nmax_runs = 0",
                "max_runs is 0; 1 to 1024",
                "would serve nobody",
            ),
            (
                "mode = \"embedded\"\nmax_runs = -1",
                "invalid value",
                "negative",
            ),
            (
                "mode = \"embedded\"\nruns_dir = \"runs\"",
                "absolute path",
                "relative to where?",
            ),
            (
                "mode = \"system\"",
                "names nobody",
                "a socket that serves nobody",
            ),
            (
                "mode = \"embedded\"\n[security]\nallowed_networks = [\"10.0.0.1/8\"]",
                "host bits",
                "the scope's own check",
            ),
            ("mode = ", "line 1", "syntax"),
        ];
        for (text, expected, why) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{why}: {error}");
        }
    }
}
