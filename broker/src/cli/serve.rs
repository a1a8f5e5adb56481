//! `mantlet serve`: the HTTP service, from its first line of configuration to
//! its last answer.
//!
//! What it is: what has to be settled before anybody is served: TLS, the
//! address, the tokens.
//! What it is not: the service itself; `transport::http` is.
//!
//! Invariants: an address that other machines reach is refused before it is
//! bound, unless somebody made a token on purpose or certificates are asked
//! for; the first token is made only where nobody else can come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use tokio_rustls::rustls::ServerConfig;

use super::start::{self, Logs, Ready, with_cause};
use super::{Exit, complain, token};
use crate::access::{LiveTokens, TokenFile, first_token};
use crate::config::Settings;
use crate::identity;
use crate::mcp::{Clients, Server};
use crate::observe::audit::chain::Key;
use crate::probes;
use crate::rest;
use crate::transport::http::bind::{Bound, Place};
use crate::transport::http::mcp::McpEndpoint;
use crate::transport::http::{self, tls};

/// What `mantlet serve --help` adds.
pub const ABOUT: &str = "\
Listens on 127.0.0.1:8080 unless server.host, server.port or server.socket say
otherwise; the log says where. Nothing but / and /livez answers without a token.
Where there is no token yet, one for the administrator is made, and the log says
in which file it is. SIGTERM and SIGINT let runs finish, a second one ends them.

Exit codes:
  0  told to stop
  1  the address can't be had
  2  the configuration can't be used, or would let anybody in
  4  the executor, or what has to be kept, can't be used";

/// What was made with the rights of whoever started the program.
struct Opened {
    bound: Bound,
    tls: Option<Arc<ServerConfig>>,
    /// Where things are kept; `None` where the configuration names other places.
    state: Option<PathBuf>,
    /// Where runs are kept; `None` means in memory.
    runs: Option<PathBuf>,
}

/// Runs the command.
pub fn command(config: Option<&Path>) -> Exit {
    match serve(config) {
        Ok(()) => Exit::Done,
        Err(exit) => exit,
    }
}

fn serve(config: Option<&Path>) -> Result<(), Exit> {
    let (ready, opened) = start::ready_after(config, Logs::Service, open)?;
    let runtime = start::runtime()?;
    let served = runtime.block_on(listen(ready, opened));
    // A blocked look-up must not hold the end up.
    runtime.shutdown_background();
    served
}

fn open(settings: &Settings) -> Result<Opened, Exit> {
    let service = &settings.service;
    let usage = |error: &dyn std::error::Error| {
        complain(&with_cause(error));
        Exit::Usage
    };
    let tls = service.tls.as_ref().map(tls::load).transpose();
    let tls = tls.map_err(|error| {
        complain(&tls_fault(&error));
        Exit::Usage
    })?;
    let state = token::state(settings)?;
    let runs = start::store_directory(settings)?;
    let place = Place::find(&service.listen).map_err(|error| usage(&error))?;
    if place.reaches_others() {
        is_guarded(settings, state.as_deref(), &place)?;
    }
    let root = geteuid().is_root();
    let account = root.then(identity::account).transpose();
    let account = account.map_err(|error| {
        complain(&with_cause(&error));
        Exit::Unavailable
    })?;
    let owner = account.map(|(_, user)| (user.uid, user.gid));
    let bound = Bound::bind(&place, owner).map_err(|error| {
        complain(&with_cause(&error));
        Exit::Failed
    })?;
    Ok(Opened {
        bound,
        tls,
        state,
        runs,
    })
}

/// What would keep the service from starting, as far as that can be told
/// without starting it; the files are looked at as whoever started us.
pub(super) fn faults(settings: &Settings) -> Vec<String> {
    let tls = settings.service.tls.as_ref().map(tls::load).transpose();
    let tls = tls.err().map(|error| tls_fault(&error));
    let place = Place::find(&settings.service.listen).err();
    let place = place.map(|error| with_cause(&error));
    let key = settings
        .audit_key_file
        .as_deref()
        .map(Key::read)
        .transpose();
    let key = key.err().map(|error| format!("audit.key_file: {error}"));
    let log = settings.audit_file.as_deref().and_then(Path::parent);
    let log = log.filter(|dir| !dir.as_os_str().is_empty() && !dir.is_dir());
    let log = log.map(|dir| format!("audit.file: there is no directory {}", dir.display()));
    tls.into_iter().chain(place).chain(key).chain(log).collect()
}

fn tls_fault(error: &tls::TlsError) -> String {
    let keys = "server.tls_certificate, server.tls_key, server.tls_client_ca";
    format!("{} ({keys})", with_cause(error))
}

/// ACC2: nobody listens openly by accident.
fn is_guarded(settings: &Settings, state: Option<&Path>, place: &Place) -> Result<(), Exit> {
    let service = &settings.service;
    let file = token::file(settings, state)?;
    let usable = file.usable().map_err(|error| {
        complain(&with_cause(&error));
        Exit::Usage
    })?;
    if !usable && !service.asks_for_certificates() {
        let Place::Tcp(address) = place else {
            return Ok(());
        };
        complain(&format!(
            "other machines can reach {address}, and nobody has made a token yet: make one with \
             `mantlet token create`, or ask for certificates (server.tls_client_ca), or listen on 127.0.0.1"
        ));
        return Err(Exit::Usage);
    }
    if service.tls.is_none() {
        tracing::warn!(
            "tokens will cross the network as plain text: set server.tls_certificate and server.tls_key"
        );
    }
    Ok(())
}

async fn listen(ready: Ready, opened: Opened) -> Result<(), Exit> {
    let settings = ready.settings.clone();
    let file = token::file(&settings, opened.state.as_deref())?;
    let certificates = settings.service.asks_for_certificates();
    let engine = ready.audited_engine(opened.runs.as_deref())?;
    let reload = start::reload_on_hangup(engine.clone());
    let stop = start::on_service_signals(settings.shutdown_grace, reload);
    // Nobody can come before there is a token, and none is made for a service that
    // can't start.
    let listener = first(&file, opened.state.as_deref(), certificates).and_then(|()| {
        opened.bound.listen().map_err(|error| {
            complain(&format!("can't listen: {error}"));
            Exit::Failed
        })
    });
    let listener = match listener {
        Ok(listener) => listener,
        Err(exit) => {
            engine.stop().await;
            return Err(exit);
        }
    };
    // Its lists are made once, for all sessions and requests.
    let tools = Server::new(engine.clone(), Clients::Many, stop.drain.clone());
    let sessions_max = settings.service.sessions_max;
    let mcp = McpEndpoint::new(move || tools.clone(), sessions_max, &stop);
    let service = rest::Service::new(rest::Parts {
        health: probes::start(&engine, "http", Vec::new()),
        engine: engine.clone(),
        drain: stop.drain.clone(),
        cancel: stop.cancel.clone(),
    });
    let parts = http::Parts {
        router: rest::router(service, mcp.route()),
        tokens: LiveTokens::of(file),
        tls: opened.tls,
    };
    let cut = stop.cancel.clone();
    let served = http::serve(listener, &settings.service, parts, stop).await;
    // Runs that nobody waits for may end too.
    if served.is_ok() {
        engine.runs().drain(&cut).await;
    }
    engine.stop().await;
    served.map_err(|error| {
        complain(&with_cause(&error));
        Exit::Failed
    })
}

/// The administrator's token, where there is none at all.
fn first(file: &TokenFile, state: Option<&Path>, certificates: bool) -> Result<(), Exit> {
    let unusable = |error: &dyn std::error::Error| {
        complain(&with_cause(error));
        Exit::Usage
    };
    if let Some(dir) = state {
        let made = first_token::ensure(file, dir).map_err(|error| unusable(&error))?;
        if let Some(path) = made {
            tracing::info!(
                file = %path.display(),
                "there was no token: one for the administrator was made and is in this file"
            );
        }
        return Ok(());
    }
    let none = file.read().map_err(|error| unusable(&error))?.is_empty();
    if none && !certificates {
        let shown = file.path().display();
        complain(&format!(
            "{shown} has no token, so nobody could use the service: `mantlet token create` makes one"
        ));
        return Err(Exit::Usage);
    }
    Ok(())
}
