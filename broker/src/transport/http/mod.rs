//! HTTP/1.1 over TCP, TLS or a Unix socket.
//!
//! What it is: accepting, the bound on connections, and the drain.
//! What it is not: routes (`rest`) or the protocol of models (`mcp`).
//!
//! Invariants: connections, heads, bodies and the time that each may take are
//! bounded, so memory is whatever clients do; when [`serve`] returns, no
//! connection is left.

pub mod bind;
pub mod mcp;
pub mod tls;

mod authenticate;
mod bodies;
mod connection;
mod descriptors;
mod front;
mod hosts;
mod sessions;
mod socket;
mod stall;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;

use super::Stop;
use crate::access::{LiveTokens, Role};
use crate::config::service::Service;
use authenticate::Access;
use bind::Listener;
use connection::{Peer, Shared};
use front::Front;
use socket::Socket;

pub use bodies::BODY_BYTES_MAX;

/// How long the end of cancelled runs, and the last answers, may take.
const FAREWELL: Duration = Duration::from_secs(6);
/// How long accepting pauses when this process has no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);
/// Seconds of silence after which the kernel asks whether a client is still there,
/// between two such questions, and how many remain unanswered until the
/// connection is broken: two minutes in all.
const KEEPALIVE_IDLE_SEC: u32 = 60;
const KEEPALIVE_INTERVAL_SEC: u32 = 15;
const KEEPALIVE_COUNT: u32 = 4;
/// Sent to connections beyond the bound.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
    retry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// What the service is made of.
#[derive(Debug)]
pub struct Parts {
    /// The routes.
    pub router: Router,
    /// Whom to let in.
    pub tokens: LiveTokens,
    /// TLS, if it is spoken.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Serves until told to stop, and until what was under way then has ended or
/// was cancelled.
///
/// # Errors
///
/// Where no address is known for the socket that listens.
pub async fn serve(
    listener: Listener,
    service: &Service,
    parts: Parts,
    stop: Stop,
) -> io::Result<()> {
    let role = match service.certificate_role.as_str() {
        "read" => Some(Role::Read),
        "execute" => Some(Role::Execute),
        "admin" => Some(Role::Admin),
        _ => None,
    };
    let scheme = if parts.tls.is_some() { "https" } else { "http" };
    tracing::info!(address = address(&listener, scheme)?, "listening");
    let shared = Arc::new(Shared {
        front: Front::new(service, Access::new(parts.tokens, role), parts.router),
        tls: parts.tls,
        patience: service.request_timeout,
        drain: stop.drain.clone(),
    });
    let mut connections = JoinSet::new();
    accept(
        listener,
        &shared,
        descriptors::room(service.connections_max),
        &mut connections,
        &stop,
    )
    .await;
    let ended = async { while connections.join_next().await.is_some() {} };
    let given_up = async {
        stop.cancel.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        () = ended => {}
        () = given_up => tracing::warn!("connections were cut"),
    }
    connections.shutdown().await;
    Ok(())
}

/// What clients would call it by.
fn address(listener: &Listener, scheme: &str) -> io::Result<String> {
    Ok(match listener {
        Listener::Tcp(listener) => format!("{scheme}://{}", listener.local_addr()?),
        Listener::Unix(_, file) => format!("unix:{}", file.path().display()),
    })
}

async fn accept(
    listener: Listener,
    shared: &Arc<Shared>,
    connections_max: usize,
    connections: &mut JoinSet<()>,
    stop: &Stop,
) {
    let permits = Arc::new(Semaphore::new(connections_max));
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.drain.cancelled() => break,
            () = stop.cancel.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = next(&listener) => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                // A client that left early is nobody's trouble; anything else may last.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            tracing::debug!("too many connections");
            stream.refuse(shared.tls.is_some());
            continue;
        };
        let shared = Arc::clone(shared);
        connections.spawn(async move {
            let (socket, peer) = stream.met();
            connection::serve(shared, socket, peer).await;
            drop(permit);
        });
    }
}

/// An accepted connection.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

impl Stream {
    /// The socket, and what is known of the other end.
    fn met(self) -> (Socket, Peer) {
        match self {
            Self::Tcp(stream, from) => {
                let peer = Peer {
                    name: from.to_string(),
                    reached: stream.local_addr().ok().map(|local| local.ip()),
                    certificate: None,
                };
                (stream.into(), peer)
            }
            Self::Unix(stream) => {
                let peer = Peer {
                    name: "unix".to_owned(),
                    ..Peer::default()
                };
                (stream.into(), peer)
            }
        }
    }

    /// Says that there is no room, if that can be said at once.
    fn refuse(self, tls: bool) {
        if tls {
            return;
        }
        // What the client sent already is taken, since closing on unread bytes
        // resets the connection, and the answer is lost.
        let mut request = [0_u8; 4096];
        match self {
            Self::Tcp(stream, _) => {
                drop(stream.try_read(&mut request));
                drop(stream.try_write(FULL));
            }
            Self::Unix(stream) => {
                drop(stream.try_read(&mut request));
                drop(stream.try_write(FULL));
            }
        }
    }
}

async fn next(listener: &Listener) -> io::Result<Stream> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, from) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A client whose machine is gone must not hold a run for ever.
            setsockopt(&stream, sockopt::KeepAlive, &true)?;
            setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_SEC)?;
            setsockopt(&stream, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_SEC)?;
            setsockopt(&stream, sockopt::TcpKeepCount, &KEEPALIVE_COUNT)?;
            Ok(Stream::Tcp(stream, from))
        }
        Listener::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            Ok(Stream::Unix(stream))
        }
    }
}
