//! Configuration: what the broker is told, and by whom.
//!
//! What it is: the keys, the layers that set them (environment over file over
//! built-in), and the typed settings that the rest of the broker reads.
//! What it is not: the executor's configuration; that is its own root-owned
//! file, which the broker can't widen.
//!
//! Invariants: settings don't change, others take their place; a configuration
//! with any error is refused whole, and all of its errors are told.

pub mod keys;
mod key_table;
pub mod faults;
pub mod source;
pub mod layers;
mod scope;
pub mod service;
pub mod tool_scopes;
pub mod values;
pub mod environment;
pub mod effective;
pub mod example;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox_profiles::scope::{Scope, ScopeConfig};

pub use faults::{ConfigError, Faults};
pub use layers::Layers;
pub use source::Source;
pub use values::Set;

/// Bytes of a mebibyte.
const MIB: u64 = 1024 * 1024;

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
    /// Memory that a tool may take where its profile gives more, in bytes, if it was set.
    pub memory_bytes_max: Option<u64>,
    /// Descriptors that a tool may have where its profile gives more, if it was set.
    pub files_max: Option<u32>,
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
    /// What `mantlet` serves without a command, if that was set: `stdio` or `http`.
    pub transport: Option<String>,
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
    /// The file that was named on the command line.
    pub named: Option<PathBuf>,
}

impl Settings {
    /// Reads the file (named, found, or none) and the environment.
    ///
    /// # Errors
    ///
    /// Names each file, line and key, and each variable, that can't be used.
    pub fn load(
        named: Option<&Path>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Faults> {
        let mut layers = Layers::built_in();
        let file = named.map(Path::to_owned).or_else(|| find_file(&lookup));
        let mut faults = Vec::new();
        if let Some(path) = &file {
            match std::fs::read_to_string(path) {
                Ok(text) => faults.extend(faults_of(layers.lay_file(path, &text))),
                Err(source) => faults.push(ConfigError::Read {
                    path: path.clone(),
                    source,
                }),
            }
        }
        faults.extend(faults_of(layers.lay_environment(lookup)));
        let config = scope::config(&layers);
        let scope = scope::parsed(&layers, &config, file.as_deref());
        faults.extend(faults_of(scope.map(drop)));
        // A key that couldn't be read may be the one that another needs.
        Faults::none_or(faults)?;
        Self::from_layers(layers, file, named.map(Path::to_owned))
    }

    /// These settings as far as they are taken anew while mantlet runs; for the
    /// other keys, `before` holds until the next start.
    ///
    /// # Errors
    ///
    /// Where the two don't go together.
    pub fn keeping(&self, before: &Self) -> Result<Self, Faults> {
        let layers = self.layers.keeping(&before.layers);
        Self::from_layers(layers, self.file.clone(), self.named.clone())
    }

    fn from_layers(
        layers: Layers,
        file: Option<PathBuf>,
        named: Option<PathBuf>,
    ) -> Result<Self, Faults> {
        let scope_config = scope::config(&layers);
        let scope = scope::parsed(&layers, &scope_config, file.as_deref())?;
        let place = file.as_ref().map(|file| file.display().to_string());
        let place = place.unwrap_or_else(|| "environment".to_owned());
        let service =
            service::service(&layers).map_err(|what| ConfigError::Conflict { place, what })?;
        let binary = text(&layers, "executor.binary");
        let executor = if text(&layers, "executor.mode") == "system" {
            ExecutorPlace::System(text(&layers, "executor.socket").into())
        } else {
            ExecutorPlace::Embedded((!binary.is_empty()).then(|| binary.into()))
        };
        Ok(Self {
            shutdown_grace: seconds(&layers, "server.shutdown_grace_period"),
            calls_max: bounded(&layers, "server.max_calls"),
            scope,
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
            memory_bytes_max: layers
                .was_set("tool.max_memory_mb")
                .then(|| bounded::<u64>(&layers, "tool.max_memory_mb").saturating_mul(MIB)),
            files_max: layers
                .was_set("tool.max_file_descriptors")
                .then(|| bounded(&layers, "tool.max_file_descriptors")),
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
            transport: layers
                .was_set("server.transport")
                .then(|| text(&layers, "server.transport")),
            service,
            store: service::store(&layers),
            executor,
            log_level: text(&layers, "logging.level"),
            log_format: text(&layers, "logging.format"),
            audit_file: path(&layers, "audit.file"),
            audit_key_file: path(&layers, "audit.key_file"),
            layers,
            file,
            named,
        })
    }
}

fn faults_of(read: Result<(), Faults>) -> Vec<ConfigError> {
    read.map_or_else(Faults::into_vec, |()| Vec::new())
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
    fn limits_of_tools_are_asked_for_only_where_they_were_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "").unwrap();
        let cases = [
            (None, Ok((None, None)), "the profiles say"),
            (
                Some("16"),
                Ok((Some(16 << 20), Some(16))),
                "the floor of both",
            ),
            (
                Some("512"),
                Ok((Some(512 << 20), Some(512))),
                "set, if to what is built in",
            ),
            (
                Some("4096"),
                Ok((Some(4096 << 20), Some(4096))),
                "more than 32 bits hold",
            ),
            (Some("15"), Err(()), "too little to start with"),
            (Some("4097"), Err(()), "more than any profile gives"),
            (Some("0"), Err(()), "no way to say none"),
        ];
        for (value, expected, why) in cases {
            let lookup = |name: &str| {
                let ours = ["MCP_MAX_MEMORY_MB", "MCP_MAX_FILE_DESCRIPTORS"];
                ours.contains(&name).then(|| value.map(str::to_owned))?
            };
            let settings = Settings::load(Some(&path), lookup);
            let limits = settings.map(|settings| (settings.memory_bytes_max, settings.files_max));
            assert_eq!(limits.map_err(drop), expected, "{why}");
        }
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
        let faults = Settings::load(Some(&path), |_| None).unwrap_err();
        assert!(
            faults
                .to_string()
                .contains("c.toml:2: security.allowed_networks")
        );
    }

    #[test]
    fn everything_wrong_in_file_scope_and_environment_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let text = "[security]\nallowed_networks = [\"10.0.0.0/99\", \"10.0.0.0/8\", \"lab\"]\n\
            denied_ports = [\"70000\"]\n[security.tools.nmap]\nallowed_suffixes = [\"LAB\"]\n\
            [tool]\ndefault_timeou = 5\n";
        std::fs::write(&path, text).unwrap();
        let lookup = |name: &str| (name == "MCP_SERVER_PORT").then(|| "http".to_owned());
        let faults = Settings::load(Some(&path), lookup).unwrap_err();
        let expected = [
            "c.toml:7: unknown key tool.default_timeou",
            "environment variable MCP_SERVER_PORT",
            "c.toml:2: security.allowed_networks: \"10.0.0.0/99\"",
            "c.toml:2: security.allowed_networks: \"lab\"",
            "c.toml:3: security.denied_ports: \"70000\"",
            "c.toml:5: security.tools.nmap.allowed_suffixes: \"LAB\"",
        ];
        let lines: Vec<String> = faults.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn keys_that_need_a_restart_keep_their_values_and_sources() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Settings::load(Some(&path), |_| None).unwrap()
        };
        let before = read("[server]\nport = 1\n[tool]\ndefault_timeout = 5\n");
        let next = read("\n[server]\nport = 2\nmax_calls = 3\n[tool]\ndefault_timeout = 6\n");
        let kept = next.keeping(&before).unwrap();
        assert_eq!(kept.timeout, Some(Duration::from_secs(6)));
        assert_eq!(kept.calls_max, 3);
        assert!(matches!(
            kept.service.listen,
            service::Listen::Tcp { port: 1, .. }
        ));
        assert_eq!(
            kept.layers.source("server.port"),
            Some(&Source::File { line: 2 })
        );
    }
}
