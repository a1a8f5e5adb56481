//! Host and Origin: by which names the service may be called, and from whose pages.
//!
//! What it is: the answer to DNS rebinding and to pages that call what listens
//! on their reader's machine.
//! What it is not: authentication; a request that passes still needs a token.
//!
//! Invariants: an absent Origin is no browser's and passes; a Host that is not
//! one of ours never does; ports are left open, since a forwarded one differs.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};

use crate::config::service::{Listen, Service};
use crate::outcome::{CallError, ErrorType};
use crate::rest::problem::Problem;
use crate::results::neutralise;

/// Names of this machine that every service is called by.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// Most characters of a forged name that are repeated.
const SHOWN_CHARS_MAX: usize = 128;

/// The names allowed.
#[derive(Debug)]
pub(super) struct Names {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Behind a Unix socket a name says nothing.
    any_host: bool,
}

impl Names {
    pub(super) fn of(service: &Service) -> Self {
        let mut hosts: Vec<String> = OWN.map(str::to_owned).into();
        let any_host = match &service.listen {
            Listen::Unix { .. } => true,
            Listen::Tcp { host, .. } => {
                hosts.push(host.to_ascii_lowercase());
                if host.contains(':') && !host.starts_with('[') {
                    hosts.push(format!("[{host}]").to_ascii_lowercase());
                }
                false
            }
        };
        hosts.extend(
            service
                .allowed_hosts
                .iter()
                .map(|name| name.to_ascii_lowercase()),
        );
        let origins = service.allowed_origins.iter();
        let origins = origins.map(|origin| origin.trim_end_matches('/').to_ascii_lowercase());
        Self {
            hosts,
            origins: origins.collect(),
            any_host,
        }
    }

    /// Whether a request names this service, and comes from no page of others.
    ///
    /// # Errors
    ///
    /// 400 where the names can't be told, 421 for a foreign host, 403 for a
    /// foreign origin.
    pub(super) fn check(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        reached: Option<IpAddr>,
    ) -> Result<(), Problem> {
        let host = only(headers, &header::HOST)?;
        if !self.any_host {
            // RFC 9112: the target's own authority stands above the header, and
            // there is always a header.
            let named = host.ok_or_else(|| malformed("there is no Host"))?;
            let target = uri.authority().map(Authority::as_str);
            for name in [Some(named), target].into_iter().flatten() {
                if !self.knows(name) && !is_reached(name, reached) {
                    return Err(foreign_host(name));
                }
            }
        }
        match only(headers, &header::ORIGIN)? {
            Some(origin) if !self.lists(origin) && !is_own(origin) => Err(foreign_origin(origin)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether an origin is one of the configured ones, whose pages may read answers.
    pub(super) fn lists(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.contains(&origin)
    }

    fn knows(&self, authority: &str) -> bool {
        let name = host_of(authority).map(str::to_ascii_lowercase);
        name.is_some_and(|name| self.hosts.contains(&name))
    }
}

/// Whether this is the very address that the client reached: one that listens on
/// all addresses is called by each, and no name of somebody else's is an address.
fn is_reached(authority: &str, reached: Option<IpAddr>) -> bool {
    let name = host_of(authority).map(|name| name.trim_matches(['[', ']']));
    let address: Option<IpAddr> = name.and_then(|name| name.parse().ok());
    address.is_some_and(|address| reached.map(|reached| reached.to_canonical()) == Some(address))
}

/// A page of this machine: any port, either scheme.
fn is_own(origin: &str) -> bool {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    let name = rest.and_then(host_of);
    name.is_some_and(|name| OWN.iter().any(|own| own.eq_ignore_ascii_case(name)))
}

/// `name` of `name` or `name:port`; brackets of IPv6 stay. `None` for anything else.
fn host_of(authority: &str) -> Option<&str> {
    let parsed: Authority = authority.parse().ok()?;
    if authority.contains('@') || (authority.ends_with(':')) {
        return None;
    }
    // As long as what was parsed, but borrowed from the caller's text.
    authority.get(..parsed.host().len())
}

/// The header's value, which stands there once or not at all.
fn only<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(malformed(&format!("{name} is given twice")));
    }
    let text = value.to_str();
    let text = text.map_err(|_| malformed(&format!("{name} is no text")))?;
    Ok(Some(text))
}

fn malformed(what: &str) -> Problem {
    let remedy = "send one HTTP/1.1 request with each of its headers once";
    CallError::new(ErrorType::ValidationError, what, remedy).into()
}

fn foreign_host(name: &str) -> Problem {
    let shown = neutralise::line(name, SHOWN_CHARS_MAX);
    let what = format!("this service is not called {shown:?}");
    let remedy = "call it by localhost or the address it listens on, or let an administrator list the name in server.allowed_hosts";
    let error = CallError::new(ErrorType::PermissionDenied, what, remedy).with("offending", shown);
    Problem::with_status(StatusCode::MISDIRECTED_REQUEST, error)
}

fn foreign_origin(origin: &str) -> Problem {
    let shown = neutralise::line(origin, SHOWN_CHARS_MAX);
    let what = format!("pages of {shown:?} may not call this service");
    let remedy =
        "call it from a program, or let an administrator list the origin in server.allowed_origins";
    CallError::new(ErrorType::PermissionDenied, what, remedy)
        .with("offending", shown)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            hosts: ["localhost", "127.0.0.1", "[::1]", "lab.example"]
                .map(str::to_owned)
                .into(),
            origins: vec!["https://ui.example:8443".to_owned()],
            any_host: false,
        }
    }

    fn status(uri: &str, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let verdict = names().check(&uri.parse().unwrap(), &headers, Some([10, 0, 0, 7].into()));
        verdict.map_or_else(
            |problem| {
                axum::response::IntoResponse::into_response(problem)
                    .status()
                    .as_u16()
            },
            |()| 200,
        )
    }

    #[test]
    fn only_our_names_and_pages_of_ours_pass() {
        type Headers = [(&'static str, &'static str)];
        let cases: [(&str, &Headers, u16); 26] = [
            ("/", &[("host", "localhost")], 200),
            ("/", &[("host", "LocalHost:9999")], 200),
            ("/", &[("host", "127.0.0.1:8080")], 200),
            ("/", &[("host", "[::1]:8080")], 200),
            ("/", &[("host", "lab.example")], 200),
            ("/", &[("host", "lab.example.")], 421),
            ("/", &[("host", "evil.example")], 421),
            ("/", &[("host", "localhost.evil.example")], 421),
            ("/", &[("host", "evil@localhost")], 421),
            ("/", &[("host", "localhost@evil")], 421),
            ("/", &[("host", "")], 421),
            ("/", &[("host", "127.0.0.2")], 421),
            ("/", &[("host", "10.0.0.7:8080")], 200),
            ("/", &[("host", "10.0.0.8:8080")], 421),
            ("/", &[], 400),
            ("/", &[("host", "localhost"), ("host", "localhost")], 400),
            ("http://evil.example/", &[("host", "localhost")], 421),
            ("http://localhost/", &[("host", "localhost")], 200),
            (
                "/",
                &[("host", "localhost"), ("origin", "http://localhost:3000")],
                200,
            ),
            (
                "/",
                &[("host", "localhost"), ("origin", "https://[::1]")],
                200,
            ),
            (
                "/",
                &[("host", "localhost"), ("origin", "https://ui.example:8443")],
                200,
            ),
            (
                "/",
                &[("host", "localhost"), ("origin", "https://ui.example")],
                403,
            ),
            ("/", &[("host", "localhost"), ("origin", "null")], 403),
            (
                "/",
                &[("host", "localhost"), ("origin", "http://localhost.evil")],
                403,
            ),
            (
                "/",
                &[("host", "localhost"), ("origin", "file://localhost")],
                403,
            ),
            (
                "/",
                &[
                    ("host", "localhost"),
                    ("origin", "http://a"),
                    ("origin", "http://b"),
                ],
                400,
            ),
        ];
        for (uri, fields, expected) in cases {
            assert_eq!(status(uri, fields), expected, "{uri} {fields:?}");
        }
    }
}
