//! The settings of the HTTP service, its access and the run store, typed.
//!
//! What it is not: their use; the transport, `access` and `store` do that.
//!
//! Invariants: what can't work together is refused when it is read, not when a
//! client comes.

use std::path::PathBuf;
use std::time::Duration;

use super::{Layers, Set, bounded, list, path, seconds, text};

/// Where `mantlet serve` listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On this address (or name) and port; port 0 takes any that is free.
    Tcp {
        /// The address, or a name of this machine.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a Unix socket with these permissions.
    Unix {
        /// Where.
        path: PathBuf,
        /// Its mode, for example 0o660.
        mode: u32,
    },
}

/// The files that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities of clients' certificates, PEM; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// What `mantlet serve` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where it listens.
    pub listen: Listen,
    /// Set to speak TLS.
    pub tls: Option<TlsFiles>,
    /// Names it may be called by, besides its own.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may call it.
    pub allowed_origins: Vec<String>,
    /// Connections at once.
    pub connections_max: usize,
    /// MCP sessions at once.
    pub sessions_max: usize,
    /// How long a request's head, and then its body, may take to arrive.
    pub request_timeout: Duration,
    /// How long MCP waits for a run before it answers with a handle.
    pub inline_time: Duration,
    /// The tokens; `None` means in the state directory.
    pub tokens_file: Option<PathBuf>,
    /// The role of a certificate without a token: `none`, `read`, `execute` or `admin`.
    pub certificate_role: String,
    /// Whether `/metrics` answers.
    pub metrics: bool,
    /// Time between checks of the executor and the tools.
    pub check_interval: Duration,
}

impl Service {
    /// Whether clients get no connection without a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.client_ca.is_some())
    }
}

/// Where runs are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Where.
    pub place: StorePlace,
    /// For how long.
    pub age_max: Duration,
    /// How many bytes in all.
    pub bytes_max: u64,
}

/// Where runs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorePlace {
    /// In the state directory.
    State,
    /// In this directory.
    Directory(PathBuf),
    /// In memory, until the broker ends.
    Memory,
}

/// Reads the service's part.
///
/// # Errors
///
/// Which keys don't go together, and what to do.
pub(super) fn service(layers: &Layers) -> Result<Service, String> {
    let certificate = path(layers, "server.tls_certificate");
    let key = path(layers, "server.tls_key");
    let client_ca = path(layers, "server.tls_client_ca");
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate,
            key,
            client_ca,
        }),
        (None, None) if client_ca.is_some() => {
            return Err(
                "server.tls_client_ca needs server.tls_certificate and server.tls_key".into(),
            );
        }
        (None, None) => None,
        (Some(_), None) => return Err("server.tls_certificate needs server.tls_key".into()),
        (None, Some(_)) => return Err("server.tls_key needs server.tls_certificate".into()),
    };
    let certificate_role = text(layers, "access.certificate_role");
    let asks_for_certificates = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if certificate_role != "none" && !asks_for_certificates {
        return Err("access.certificate_role needs server.tls_client_ca".into());
    }
    let allowed_origins = list(layers, "server.allowed_origins");
    if let Some(origin) = allowed_origins.iter().find(|origin| !is_origin(origin)) {
        return Err(format!(
            "server.allowed_origins: {origin:?} is no origin; write https://host or http://host:port"
        ));
    }
    let allowed_hosts = list(layers, "server.allowed_hosts");
    let is_bare = |host: &&String| !host.is_empty() && !host.contains(['/', ' ', '@']);
    if let Some(host) = allowed_hosts.iter().find(|host| !is_bare(host)) {
        return Err(format!(
            "server.allowed_hosts: {host:?} is no name; write it without scheme, port and path"
        ));
    }
    let listen = match path(layers, "server.socket") {
        Some(path) => Listen::Unix {
            path,
            mode: u32::from_str_radix(&text(layers, "server.socket_mode"), 8).unwrap_or(0o600),
        },
        None => Listen::Tcp {
            host: text(layers, "server.host"),
            port: bounded(layers, "server.port"),
        },
    };
    Ok(Service {
        listen,
        tls,
        allowed_hosts,
        allowed_origins,
        connections_max: bounded(layers, "server.max_connections"),
        sessions_max: bounded(layers, "server.max_sessions"),
        request_timeout: seconds(layers, "server.request_timeout"),
        inline_time: seconds(layers, "server.inline_time"),
        tokens_file: path(layers, "access.tokens_file"),
        certificate_role,
        metrics: matches!(layers.get("metrics.enabled"), Some(Set::Flag(true))),
        check_interval: seconds(layers, "health.check_interval"),
    })
}

/// `http://host`, `https://host:port`: what a browser sends as Origin (RFC 6454).
fn is_origin(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let rest = rest.map(|rest| rest.trim_end_matches('/'));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', ' ', '@', '*', ',']))
}

/// Reads the store's part.
pub(super) fn store(layers: &Layers) -> StoreSettings {
    let directory = text(layers, "store.directory");
    let place = match directory.as_str() {
        "" => StorePlace::State,
        "none" => StorePlace::Memory,
        named => StorePlace::Directory(named.into()),
    };
    let days: u64 = bounded(layers, "store.max_age_days");
    let megabytes: u64 = bounded(layers, "store.max_size_mb");
    StoreSettings {
        place,
        age_max: Duration::from_hours(days.saturating_mul(24)),
        bytes_max: megabytes.saturating_mul(1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Service, String> {
        let mut layers = Layers::built_in();
        layers.lay_file(Path::new("c.toml"), text).unwrap();
        service(&layers)
    }

    #[test]
    fn keys_that_need_one_another_are_refused_alone() {
        let cases = [
            (
                "[server]\ntls_key = \"k\"\n",
                "server.tls_key needs server.tls_certificate",
            ),
            (
                "[server]\ntls_certificate = \"c\"\n",
                "server.tls_certificate needs server.tls_key",
            ),
            (
                "[server]\ntls_client_ca = \"a\"\n",
                "server.tls_client_ca needs",
            ),
            (
                "[server]\nallowed_origins = [\"ui.example\"]\n",
                "server.allowed_origins: \"ui.example\" is no origin",
            ),
            (
                "[server]\nallowed_origins = [\"https://*\"]\n",
                "server.allowed_origins: \"https://*\" is no origin",
            ),
            (
                "[server]\nallowed_hosts = [\"http://x\"]\n",
                "server.allowed_hosts: \"http://x\" is no name",
            ),
            (
                "[access]\ncertificate_role = \"admin\"\n",
                "access.certificate_role needs server.tls_client_ca",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_socket_takes_the_place_of_address_and_port() {
        let service = read("[server]\nsocket = \"/run/m.sock\"\nsocket_mode = \"0600\"\n").unwrap();
        let expected = Listen::Unix {
            path: "/run/m.sock".into(),
            mode: 0o600,
        };
        assert_eq!(service.listen, expected);
    }
}
