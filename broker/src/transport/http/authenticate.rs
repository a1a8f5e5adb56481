//! Authentication: from what a request shows to who is calling (ACC1).
//!
//! What it is: the token of the `Authorization` header, or the certificate of
//! the connection, and the role that a route needs.
//! What it is not: what may be run; the pipeline asks the caller's grant.
//!
//! Invariants: every route needs a role but those of [`needed`] that need none;
//! each that changes something is named there (tested against the API's own
//! description); a token is never logged.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::connection::Peer;
use crate::access::{Denied, LiveTokens, Role};
use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::rest::problem::Problem;

/// How often an open stream's token is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whom to let in.
#[derive(Debug)]
pub(super) struct Access {
    tokens: Arc<LiveTokens>,
    /// What a certificate alone is worth, if anything.
    certificate_role: Option<Role>,
}

impl Access {
    pub(super) fn new(tokens: LiveTokens, certificate_role: Option<Role>) -> Self {
        Self {
            tokens: Arc::new(tokens),
            certificate_role,
        }
    }

    /// Comes when this caller, once let in, would be let in no more: their token
    /// was taken back, or ran out. Never for a certificate, which no file names.
    pub(super) fn withdrawn(&self, caller: &Caller) -> impl Future<Output = ()> + Send + 'static {
        let tokens = Arc::clone(&self.tokens);
        let id = caller.token_id().map(str::to_owned);
        async move {
            let Some(id) = id else {
                return std::future::pending().await;
            };
            while tokens.stands(&id) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Who is calling.
    ///
    /// # Errors
    ///
    /// 401 where that isn't shown or isn't valid, 503 where tokens can't be checked.
    pub(super) fn caller(&self, peer: &Peer, headers: &HeaderMap) -> Result<Caller, Problem> {
        let shown = bearer(headers)?;
        // A token that is shown counts, even beside a certificate.
        let Some(token) = shown else {
            let by_certificate = self.certificate_role.zip(peer.certificate.as_deref());
            let (role, fingerprint) = by_certificate.ok_or_else(|| denied(Denied::Missing))?;
            return Ok(Caller::by_certificate(fingerprint, role));
        };
        let known = self.tokens.check(token).map_err(denied)?;
        Ok(Caller::by_token(&known))
    }
}

/// The role that a request needs; `None` where anybody may ask.
pub(super) fn needed(method: &Method, path: &str) -> Option<Role> {
    let reads = method == Method::GET || method == Method::HEAD;
    let posts = method == Method::POST;
    match path {
        "/" | "/livez" if reads => None,
        "/config" => Some(Role::Admin),
        "/reload" if posts => Some(Role::Admin),
        _ if posts && (path.ends_with("/enable") || path.ends_with("/disable")) => {
            Some(Role::Admin)
        }
        _ if method == Method::DELETE && path.starts_with("/runs/") => Some(Role::Execute),
        // Running tools, here and over MCP, needs more: the pipeline sees to that
        // and records who was refused. Of what isn't there the router says so.
        _ => Some(Role::Read),
    }
}

/// Lets a caller pass who has the role.
///
/// # Errors
///
/// 403, with the role that is needed.
pub(super) fn authorise(caller: &Caller, needed: Role) -> Result<(), Problem> {
    if caller.grant().may(needed) {
        return Ok(());
    }
    let (has, needs) = (caller.grant().role.as_str(), needed.as_str());
    let what = format!("role {has} may not do this; it needs {needs}");
    let remedy = format!("use a token with role {needs}");
    Err(CallError::new(ErrorType::PermissionDenied, what, remedy)
        .with("role", has)
        .with("needed", needs)
        .into())
}

/// The token shown, if any.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        let what = "authorization is given twice";
        let remedy = "show one token";
        return Err(CallError::new(ErrorType::ValidationError, what, remedy).into());
    }
    let text = value.to_str().map_err(|_| denied(Denied::Unknown))?;
    let (scheme, token) = text
        .split_once(' ')
        .ok_or_else(|| denied(Denied::Unknown))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(denied(Denied::Unknown));
    }
    Ok(Some(token.trim_matches(' ')))
}

fn denied(why: Denied) -> Problem {
    let (status, remedy, challenge) = match why {
        Denied::Missing => (
            StatusCode::UNAUTHORIZED,
            "send `Authorization: Bearer TOKEN`; an administrator makes tokens with `mantlet token create`",
            Some("Bearer realm=\"mantlet\""),
        ),
        Denied::Unknown | Denied::Expired => (
            StatusCode::UNAUTHORIZED,
            "ask an administrator for a token; `mantlet token create` makes one",
            Some("Bearer realm=\"mantlet\", error=\"invalid_token\""),
        ),
        Denied::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the service's log says what is wrong with the token file",
            None,
        ),
    };
    let error = CallError::new(ErrorType::PermissionDenied, why.to_string(), remedy);
    let problem = Problem::with_status(status, error);
    match challenge {
        Some(challenge) => problem.header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        ),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_needs_a_role_but_two() {
        #[rustfmt::skip]
        let cases = [
            ("GET",     "/",                   None,                "says what this is"),
            ("HEAD",    "/livez",              None,                "says that it is there"),
            ("POST",    "/",                   Some(Role::Read),    "not for reading"),
            ("GET",     "//",                  Some(Role::Read),    "another path"),
            ("GET",     "/livez/",             Some(Role::Read),    "another path"),
            ("GET",     "/health",             Some(Role::Read),    "reads"),
            ("POST",    "/nothing",            Some(Role::Read),    "the router says that it isn't there"),
            ("GET",     "/config",             Some(Role::Admin),   "for administrators"),
            ("POST",    "/reload",             Some(Role::Admin),   "for administrators"),
            ("POST",    "/tools/nmap/enable",  Some(Role::Admin),   "for administrators"),
            ("POST",    "/tools/nmap/disable", Some(Role::Admin),   "for administrators"),
            ("POST",    "/tools/nmap/execute", Some(Role::Read),    "the pipeline asks for more"),
            ("POST",    "/mcp",                Some(Role::Read),    "the pipeline asks for more"),
            ("DELETE",  "/runs/1",             Some(Role::Execute), "cancels"),
        ];
        for (method, path, expected, why) in cases {
            assert_eq!(
                needed(&method.parse().unwrap(), path),
                expected,
                "{method} {path}: {why}"
            );
        }
    }

    #[test]
    fn every_route_that_changes_something_is_named() {
        let api = include_str!("../../../../docs/API.md");
        let routes = api.lines().filter_map(|line| line.strip_prefix("### `"));
        let routes = routes.filter_map(|line| line.trim_end_matches('`').split_once(' '));
        let mut changing = Vec::new();
        for (method, path) in routes.filter(|(method, _)| *method != "GET") {
            let path = path.replace("{name}", "nmap").replace("{id}", "1");
            let role = needed(&method.parse().unwrap(), &path);
            // The pipeline asks who may run what, and records who may not.
            let by_pipeline = path.ends_with("/execute");
            assert!(role > Some(Role::Read) || by_pipeline, "{method} {path}");
            changing.push(path);
        }
        assert!(changing.len() >= 5, "{changing:?}");
    }
}
