//! Every configuration key: its place, variable, type, range, default and meaning.
//!
//! What it is: the one table that reading, checking, the example file and
//! `mantlet check` are made from.
//! What it is not: a typed view; that is [`super::Settings`].
//!
//! Invariants: each default satisfies its own kind (tested).

/// What a key accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds, ends included.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Any text, also empty.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts; in a variable, separated by commas.
    List,
}

/// A default, in the form of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// For [`Kind::Flag`].
    Flag(bool),
    /// For [`Kind::Integer`].
    Integer(i64),
    /// For [`Kind::Text`] and [`Kind::Choice`].
    Text(&'static str),
    /// For [`Kind::List`].
    List(&'static [&'static str]),
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// `table.key` in the file.
    pub path: &'static str,
    /// The environment variable that overrides the file, if there is one.
    pub variable: Option<&'static str>,
    /// What it accepts.
    pub kind: Kind,
    /// Its value where nothing sets it.
    pub preset: Preset,
    /// What it means, for the example file.
    pub meaning: &'static str,
}

const fn key(
    path: &'static str,
    variable: Option<&'static str>,
    kind: Kind,
    preset: Preset,
    meaning: &'static str,
) -> Key {
    Key {
        path,
        variable,
        kind,
        preset,
        meaning,
    }
}

/// All keys, in the order of the example file.
pub const KEYS: &[Key] = &[
    key(
        "server.shutdown_grace_period",
        Some("MCP_SERVER_SHUTDOWN_GRACE_PERIOD"),
        Kind::Integer { min: 0, max: 300 },
        Preset::Integer(30),
        "Seconds that runs may take to finish after SIGTERM or SIGINT before they are cancelled.",
    ),
    key(
        "server.max_calls",
        None,
        Kind::Integer { min: 1, max: 1024 },
        Preset::Integer(32),
        "Calls under way at once over all tools, waiting ones included; more are refused.",
    ),
    key(
        "security.allowed_networks",
        None,
        Kind::List,
        Preset::List(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
        "Networks that tools may be aimed at. List 127.0.0.0/8 to allow this machine itself.",
    ),
    key(
        "security.denied_networks",
        None,
        Kind::List,
        Preset::List(&[]),
        "Networks never touched, also inside allowed ones.",
    ),
    key(
        "security.allowed_suffixes",
        None,
        Kind::List,
        Preset::List(&[".lab.internal"]),
        "Host names must end in one of these; every address they resolve to must be allowed too.",
    ),
    key(
        "security.allowed_ports",
        None,
        Kind::List,
        Preset::List(&["1-65535"]),
        "Ports that tools may touch, of any protocol: items like \"22\" or \"8000-8100\".",
    ),
    key(
        "security.denied_ports",
        None,
        Kind::List,
        Preset::List(&[]),
        "Ports never touched, also among allowed ones.",
    ),
    key(
        "security.allow_intrusive",
        Some("MCP_SECURITY_ALLOW_INTRUSIVE"),
        Kind::Flag,
        Preset::Flag(false),
        "Whether flags and scripts marked intrusive may be used.",
    ),
    key(
        "security.max_network_size",
        None,
        Kind::Integer {
            min: 1,
            max: 65_536,
        },
        Preset::Integer(1024),
        "Most addresses of one network target; a tool's profile may allow fewer.",
    ),
    key(
        "security.max_port_ranges",
        None,
        Kind::Integer { min: 1, max: 100 },
        Preset::Integer(100),
        "Most items of one port list.",
    ),
    key(
        "tool.default_timeout",
        Some("MCP_DEFAULT_TIMEOUT_SEC"),
        Kind::Integer { min: 1, max: 3600 },
        Preset::Integer(300),
        "Seconds a run may take where the call doesn't say. Set here, it stands above the profiles' own.",
    ),
    key(
        "tool.default_concurrency",
        Some("MCP_DEFAULT_CONCURRENCY"),
        Kind::Integer { min: 1, max: 64 },
        Preset::Integer(2),
        "Runs of one tool at once. Set here, it stands above the profiles' own, within their bounds.",
    ),
    key(
        "tool.max_args_length",
        Some("MCP_MAX_ARGS_LEN"),
        Kind::Integer { min: 1, max: 2048 },
        Preset::Integer(2048),
        "Longest extra_args, in bytes.",
    ),
    key(
        "tool.max_stdout_bytes",
        Some("MCP_MAX_STDOUT_BYTES"),
        Kind::Integer {
            min: 1024,
            max: 67_108_864,
        },
        Preset::Integer(1_048_576),
        "Longest readable standard output of a result, in bytes; the rest is counted and dropped.",
    ),
    key(
        "tool.max_stderr_bytes",
        Some("MCP_MAX_STDERR_BYTES"),
        Kind::Integer {
            min: 1024,
            max: 16_777_216,
        },
        Preset::Integer(262_144),
        "Longest standard error of a result, in bytes; the rest is counted and dropped.",
    ),
    key(
        "tool.include",
        Some("TOOL_INCLUDE"),
        Kind::List,
        Preset::List(&[]),
        "Tools offered; empty means all. A tool named here is offered even if excluded below.",
    ),
    key(
        "tool.exclude",
        Some("TOOL_EXCLUDE"),
        Kind::List,
        Preset::List(&[]),
        "Tools not offered.",
    ),
    key(
        "tool.profiles",
        None,
        Kind::List,
        Preset::List(&["/usr/share/mantlet/tools.d", "/etc/mantlet/tools.d"]),
        "Directories of tool profiles. Where the first is not installed, the built-in profiles stand in for it.",
    ),
    key(
        "rate_limit.calls_per_minute",
        None,
        Kind::Integer {
            min: 1,
            max: 60_000,
        },
        Preset::Integer(10),
        "Calls of one caller to one tool within a minute, refused ones included; so many may come at once.",
    ),
    key(
        "rate_limit.max_callers",
        None,
        Kind::Integer {
            min: 16,
            max: 100_000,
        },
        Preset::Integer(1000),
        "Pairs of caller and tool whose rate is kept at once; further ones are refused.",
    ),
    key(
        "circuit_breaker.failure_threshold",
        None,
        Kind::Integer { min: 1, max: 10 },
        Preset::Integer(5),
        "Faults of a tool in a row (it can't be started or confined, crashes, or runs out of time) after which\n\
         calls are refused at once. Set here, it stands above the profiles' own.",
    ),
    key(
        "circuit_breaker.recovery_timeout",
        None,
        Kind::Integer { min: 30, max: 600 },
        Preset::Integer(60),
        "Seconds until one call may try such a tool again. Set here, it stands above the profiles' own.",
    ),
    key(
        "executor.mode",
        None,
        Kind::Choice(&["embedded", "system"]),
        Preset::Text("embedded"),
        "embedded: mantlet starts an executor of its own, without privileges.\n\
         system: the executor installed as a service runs the tools, with the capabilities it holds.",
    ),
    key(
        "executor.socket",
        None,
        Kind::Text,
        Preset::Text("/run/mantlet/executor.sock"),
        "The system executor's socket.",
    ),
    key(
        "executor.binary",
        None,
        Kind::Text,
        Preset::Text(""),
        "The embedded executor's program; empty means mantlet-executor beside mantlet.",
    ),
    key(
        "audit.file",
        None,
        Kind::Text,
        Preset::Text(""),
        "The audit log, one for each broker; empty means that none is kept. Where it can't be written, nothing runs.",
    ),
    key(
        "audit.key_file",
        None,
        Kind::Text,
        Preset::Text(""),
        "A file of 32 or more random bytes, readable by its owner alone, that the audit log's hashes are keyed with;\n\
         empty means that they are not, so that whoever may write the log can write it anew.",
    ),
    key(
        "logging.level",
        Some("LOG_LEVEL"),
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        Preset::Text("info"),
        "Least serious level that is logged, to standard error.",
    ),
    key(
        "logging.format",
        Some("LOG_FORMAT"),
        Kind::Choice(&["auto", "text", "json"]),
        Preset::Text("auto"),
        "auto: text on a terminal, JSON Lines elsewhere.",
    ),
];

/// The key of that path.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether `table` is one of the file's tables.
pub fn is_table(table: &str) -> bool {
    KEYS.iter().any(|key| {
        key.path
            .split_once('.')
            .is_some_and(|(name, _)| name == table)
    })
}
