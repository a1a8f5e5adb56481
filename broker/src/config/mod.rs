//! Configuration: what the broker is told, and by whom.
//!
//! What it is: the keys, the layers that set them (environment over file over
//! built-in), and the typed settings that the rest of the broker reads.
//! What it is not: the executor's configuration; that is its own root-owned
//! file, which the broker can't widen.
//!
//! Invariants: settings are read once at start-up; a configuration with any
//! error is refused whole.

pub mod keys;
mod key_table;
pub mod layers;
pub mod service;
pub mod tool_scopes;
pub mod values;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox_profiles::scope::{Scope, ScopeConfig};

pub use layers::{ConfigError, Layers, Source};
pub use values::Set;

/// Where the executor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutorPlace {
    /// Started by the broker; `None` means the program beside it.
    Embedded(Option<PathBuf>),
    /// Installed as a service, at this socket.
    System(PathBuf),
}

/// Bounds of breakers that stand above the profiles' own, where they were set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BreakerBounds {
    /// Faults in a row that open a breaker.
    pub failures: Option<u32>,
    /// How long it stays open.
    pub recovery: Option<Duration>,
}

/// The broker's settings, typed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Time that runs may take to finish when the broker stops.
    pub shutdown_grace: Duration,
    /// Most calls under way at once.
    pub calls_max: usize,
    /// The scope as configured, for an embedded executor.
    pub scope_config: ScopeConfig,
    /// The scope, parsed.
    pub scope: Scope,
    /// Timeout of a run whose call doesn't say, if it was set.
    pub timeout: Option<Duration>,
    /// Runs of one tool at once, if it was set.
    pub concurrency: Option<u32>,
    /// Longest `extra_args`, in bytes.
    pub extra_args_bytes_max: usize,
    /// Longest readable standard output, in bytes.
    pub stdout_bytes_max: u32,
    /// Longest standard error, in bytes.
    pub stderr_bytes_max: u32,
    /// Tools offered; empty means all.
    pub include: Vec<String>,
    /// Tools not offered, unless included.
    pub exclude: Vec<String>,
    /// Directories of profiles.
    pub profiles: Vec<PathBuf>,
    /// Calls of one caller to one tool within a minute.
    pub calls_per_minute: NonZeroU32,
    /// Most pairs of caller and tool whose rate is kept.
    pub callers_max: usize,
    /// What was set for all breakers.
    pub breaker: BreakerBounds,
    /// What `mantlet serve` is told.
    pub service: service::Service,
    /// Where runs are kept.
    pub store: service::StoreSettings,
    /// Where the executor is.
    pub executor: ExecutorPlace,
    /// Least serious level that is logged.
    pub log_level: String,
    /// `auto`, `text` or `json`.
    pub log_format: String,
    /// The audit log, if one is kept.
    pub audit_file: Option<PathBuf>,
    /// The file of its key, if it has one.
    pub audit_key_file: Option<PathBuf>,
    /// Each key with its value and source, for people.
    pub layers: Layers,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
}

impl Settings {
    /// Reads the file (named, found, or none) and the environment.
    ///
    /// # Errors
    ///
    /// Names the file, line and key, or the variable, that can't be used.
    pub fn load(
        named: Option<&Path>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::built_in();
        let file = named.map(Path::to_owned).or_else(|| find_file(&lookup));
        if let Some(path) = &file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.clone(),
                source,
            })?;
            layers.lay_file(path, &text)?;
        }
        layers.lay_environment(lookup)?;
        Self::from_layers(layers, file)
    }

    fn from_layers(layers: Layers, file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let scope_config = ScopeConfig {
            allowed_networks: list(&layers, "security.allowed_networks"),
            denied_networks: list(&layers, "security.denied_networks"),
            allowed_suffixes: list(&layers, "security.allowed_suffixes"),
            allowed_ports: list(&layers, "security.allowed_ports"),
            denied_ports: list(&layers, "security.denied_ports"),
            tools: tool_scopes::configs(layers.tool_scopes()),
            allow_intrusive: matches!(
                layers.get("security.allow_intrusive"),
                Some(Set::Flag(true))
            ),
            max_network_size: bounded(&layers, "security.max_network_size"),
            max_port_ranges: bounded(&layers, "security.max_port_ranges"),
        };
        let place = file.as_ref().map(|file| file.display().to_string());
        let place = place.unwrap_or_else(|| "environment".to_owned());
        let service = service::service(&layers).map_err(|what| {
            let place = place.clone();
            ConfigError::Conflict { place, what }
        })?;
        let misplaced = |fault| ConfigError::Scope { place, fault };
        let binary = text(&layers, "executor.binary");
        let executor = if text(&layers, "executor.mode") == "system" {
            ExecutorPlace::System(text(&layers, "executor.socket").into())
        } else {
            ExecutorPlace::Embedded((!binary.is_empty()).then(|| binary.into()))
        };
        Ok(Self {
            shutdown_grace: seconds(&layers, "server.shutdown_grace_period"),
            calls_max: bounded(&layers, "server.max_calls"),
            scope: Scope::new(&scope_config).map_err(misplaced)?,
            scope_config,
            timeout: layers
                .was_set("tool.default_timeout")
                .then(|| seconds(&layers, "tool.default_timeout")),
            concurrency: layers
                .was_set("tool.default_concurrency")
                .then(|| bounded(&layers, "tool.default_concurrency")),
            extra_args_bytes_max: bounded(&layers, "tool.max_args_length"),
            stdout_bytes_max: bounded(&layers, "tool.max_stdout_bytes"),
            stderr_bytes_max: bounded(&layers, "tool.max_stderr_bytes"),
            include: list(&layers, "tool.include"),
            exclude: list(&layers, "tool.exclude"),
            profiles: list(&layers, "tool.profiles")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            calls_per_minute: NonZeroU32::new(bounded(&layers, "rate_limit.calls_per_minute"))
                .unwrap_or(NonZeroU32::MIN),
            callers_max: bounded(&layers, "rate_limit.max_callers"),
            breaker: BreakerBounds {
                failures: layers
                    .was_set("circuit_breaker.failure_threshold")
                    .then(|| bounded(&layers, "circuit_breaker.failure_threshold")),
                recovery: layers
                    .was_set("circuit_breaker.recovery_timeout")
                    .then(|| seconds(&layers, "circuit_breaker.recovery_timeout")),
            },
            service,
            store: service::store(&layers),
            executor,
            log_level: text(&layers, "logging.level"),
            log_format: text(&layers, "logging.format"),
            audit_file: path(&layers, "audit.file"),
            audit_key_file: path(&layers, "audit.key_file"),
            layers,
            file,
        })
    }
}

/// Where a broker keeps what outlives it: what systemd gave it, else the system's
/// directory for root, else the user's. `None` where the environment names no home.
pub fn state_directory(root: bool, lookup: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let named = |name: &str| lookup(name).filter(|value| !value.is_empty());
    // systemd.exec(5): several are separated by colons.
    let given = named("STATE_DIRECTORY");
    if let Some(first) = given.as_deref().and_then(|list| list.split(':').next()) {
        return Some(first.into());
    }
    if root {
        return Some("/var/lib/mantlet".into());
    }
    let base = named("XDG_STATE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(Path::new(&named("HOME")?).join(".local/state")));
    base.map(|base| base.join("mantlet"))
}

/// `MCP_CONFIG_FILE`, else the user's file, else the system's, where they exist.
fn find_file(lookup: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(named) = lookup("MCP_CONFIG_FILE").filter(|path| !path.is_empty()) {
        return Some(named.into());
    }
    let home = lookup("HOME").filter(|home| !home.is_empty());
    let base = lookup("XDG_CONFIG_HOME")
        .filter(|base| !base.is_empty())
        .map(PathBuf::from);
    let user = base.or_else(|| home.map(|home| Path::new(&home).join(".config")));
    let user = user.map(|base| base.join("mantlet/config.toml"));
    let system = PathBuf::from("/etc/mantlet/config.toml");
    user.into_iter().chain([system]).find(|path| path.exists())
}

fn list(layers: &Layers, path: &str) -> Vec<String> {
    match layers.get(path) {
        Some(Set::List(items)) => items.clone(),
        Some(Set::Flag(_) | Set::Integer(_) | Set::Text(_)) | None => Vec::new(),
    }
}

fn text(layers: &Layers, path: &str) -> String {
    match layers.get(path) {
        Some(Set::Text(text)) => text.clone(),
        Some(Set::Flag(_) | Set::Integer(_) | Set::List(_)) | None => String::new(),
    }
}

fn path(layers: &Layers, key: &str) -> Option<PathBuf> {
    let text = text(layers, key);
    (!text.is_empty()).then(|| text.into())
}

/// A value whose key bounds it within `T`.
fn bounded<T: TryFrom<i64> + Default>(layers: &Layers, path: &str) -> T {
    match layers.get(path) {
        Some(Set::Integer(number)) => T::try_from(*number).unwrap_or_default(),
        Some(Set::Flag(_) | Set::Text(_) | Set::List(_)) | None => T::default(),
    }
}

fn seconds(layers: &Layers, path: &str) -> Duration {
    Duration::from_secs(bounded(layers, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_the_named_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(
            &path,
            "[executor]\nmode = \"system\"\nsocket = \"/x\"\n[tool]\ndefault_timeout = 7\n",
        )
        .unwrap();
        let settings = Settings::load(Some(&path), |_| None).unwrap();
        assert_eq!(settings.executor, ExecutorPlace::System("/x".into()));
        assert_eq!(settings.timeout, Some(Duration::from_secs(7)));
        assert_eq!(settings.concurrency, None, "the profiles say");
        assert_eq!(
            settings.stdout_bytes_max, 1_048_576,
            "untouched keys keep their defaults"
        );
    }

    #[test]
    fn state_is_kept_where_systemd_says_or_in_the_users_home() {
        let cases = [
            (
                false,
                vec![("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("HOME", "/h")],
                Some("/var/lib/a"),
            ),
            (true, vec![("HOME", "/root")], Some("/var/lib/mantlet")),
            (
                false,
                vec![("XDG_STATE_HOME", "/s"), ("HOME", "/h")],
                Some("/s/mantlet"),
            ),
            (
                false,
                vec![("XDG_STATE_HOME", ""), ("HOME", "/h")],
                Some("/h/.local/state/mantlet"),
            ),
            (false, vec![], None),
        ];
        for (root, variables, expected) in cases {
            let lookup = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let found = state_directory(root, lookup);
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn a_named_file_that_is_missing_is_an_error() {
        let error = Settings::load(Some(Path::new("/nonexistent.toml")), |_| None).unwrap_err();
        assert!(error.to_string().contains("--config"), "{error}");
    }

    #[test]
    fn a_scope_that_cannot_be_parsed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "[security]\nallowed_networks = [\"10.0.0.0/99\"]\n").unwrap();
        assert!(matches!(
            Settings::load(Some(&path), |_| None),
            Err(ConfigError::Scope { .. })
        ));
    }
}
