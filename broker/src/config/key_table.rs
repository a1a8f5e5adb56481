//! The table of configuration keys.
//!
//! What it is: what can be configured, in the order of the example file.
//! What it is not: the meaning of a row's fields; that is [`super::keys`].
//!
//! Invariants: each default satisfies its own kind (tested).

use super::keys::{Key, Kind, Preset};

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
        "server.transport",
        Some("MCP_SERVER_TRANSPORT"),
        Kind::Choice(&["stdio", "http"]),
        Preset::Text("stdio"),
        "What `mantlet` without a command serves, where this is set: stdio or http.",
    ),
    key(
        "server.host",
        Some("MCP_SERVER_HOST"),
        Kind::Text,
        Preset::Text("127.0.0.1"),
        "Address that `mantlet serve` listens on. One that other machines reach is refused unless tokens were made\n\
         (`mantlet token create`) or clients need a certificate (server.tls_client_ca).",
    ),
    key(
        "server.port",
        Some("MCP_SERVER_PORT"),
        Kind::Integer {
            min: 0,
            max: 65_535,
        },
        Preset::Integer(8080),
        "Port that it listens on; 0 takes any that is free, and the log says which.",
    ),
    key(
        "server.socket",
        None,
        Kind::Text,
        Preset::Text(""),
        "Unix socket to listen on in place of address and port.",
    ),
    key(
        "server.socket_mode",
        None,
        Kind::Choice(&["0600", "0660", "0666"]),
        Preset::Text("0660"),
        "Permissions of that socket.",
    ),
    key(
        "server.tls_certificate",
        None,
        Kind::Text,
        Preset::Text(""),
        "PEM file of the certificate chain; set with server.tls_key, TLS is spoken and nothing else.",
    ),
    key(
        "server.tls_key",
        None,
        Kind::Text,
        Preset::Text(""),
        "PEM file of the certificate's private key, readable by its owner alone.",
    ),
    key(
        "server.tls_client_ca",
        None,
        Kind::Text,
        Preset::Text(""),
        "PEM file of the authorities whose certificates clients must show; empty means that they need none.",
    ),
    key(
        "server.allowed_hosts",
        None,
        Kind::List,
        Preset::List(&[]),
        "Names that clients may call this service by (HTTP's Host), besides localhost and server.host.",
    ),
    key(
        "server.allowed_origins",
        None,
        Kind::List,
        Preset::List(&[]),
        "Origins (scheme://host:port) whose pages may call this service from a browser; empty means none.",
    ),
    key(
        "server.max_connections",
        None,
        Kind::Integer {
            min: 1,
            max: 65_536,
        },
        Preset::Integer(1024),
        "Connections open at once; more get 503 and are closed.",
    ),
    key(
        "server.max_sessions",
        None,
        Kind::Integer {
            min: 1,
            max: 65_536,
        },
        Preset::Integer(1024),
        "MCP sessions open at once, about 60 KiB each; a silent one makes room for a new one.",
    ),
    key(
        "server.request_timeout",
        None,
        Kind::Integer { min: 1, max: 120 },
        Preset::Integer(10),
        "Seconds within which a request's head has to arrive, and then its body.",
    ),
    key(
        "server.inline_time",
        None,
        Kind::Integer { min: 1, max: 3600 },
        Preset::Integer(45),
        "Seconds that an answer over MCP is waited for; a run that takes longer goes on, and the answer says how to ask for it.",
    ),
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
        "tool.max_memory_mb",
        Some("MCP_MAX_MEMORY_MB"),
        Kind::Integer { min: 16, max: 4096 },
        Preset::Integer(512),
        "MiB of address space that a tool may take. Set here, it cuts the profiles' own down and never raises them.\n\
         With too little a tool fails: 16 is enough for ping and traceroute, 24 for curl, 64 for nmap, 128 for dig.",
    ),
    key(
        "tool.max_file_descriptors",
        Some("MCP_MAX_FILE_DESCRIPTORS"),
        Kind::Integer { min: 16, max: 4096 },
        Preset::Integer(256),
        "Files and sockets that a tool may have open. Set here, it cuts the profiles' own down and never raises them.\n\
         traceroute needs 24.",
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
        "access.tokens_file",
        None,
        Kind::Text,
        Preset::Text(""),
        "The file of tokens; empty means tokens.toml in the state directory.",
    ),
    key(
        "access.certificate_role",
        None,
        Kind::Choice(&["none", "read", "execute", "admin"]),
        Preset::Text("none"),
        "What a client may do by its certificate alone; none: it has to show a token as well.",
    ),
    key(
        "store.directory",
        None,
        Kind::Text,
        Preset::Text(""),
        "Where runs and their results are kept; empty means the state directory, none means in memory only.",
    ),
    key(
        "store.max_age_days",
        None,
        Kind::Integer { min: 1, max: 3650 },
        Preset::Integer(30),
        "Days that a run is kept.",
    ),
    key(
        "store.max_size_mb",
        None,
        Kind::Integer {
            min: 16,
            max: 1_048_576,
        },
        Preset::Integer(1024),
        "Megabytes that runs may take in all; the oldest go first.",
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
        "metrics.enabled",
        None,
        Kind::Flag,
        Preset::Flag(true),
        "Whether /metrics answers.",
    ),
    key(
        "health.check_interval",
        None,
        Kind::Integer { min: 5, max: 300 },
        Preset::Integer(30),
        "Seconds between checks of the executor and the tools; what they found is answered until the next.",
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
