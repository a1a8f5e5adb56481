//! MCP over standard input and output, for a client that started this process.
//!
//! What it is: the life of one connection, from the first line to the last.
//! What it is not: the protocol ([`crate::mcp`]), nor the signals that end it.
//!
//! Invariants: standard output carries MCP and nothing else; memory is bounded
//! by [`Limits`] whatever the client sends or leaves unread; when [`serve`]
//! returns, every run that the client asked for has been cancelled or is over.

use std::sync::Arc;
use std::time::Duration;

use rmcp::service::{RoleServer, ServerInitializeError, Service, serve_server_with_ct};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Stop;
use crate::mcp::guard::Guard;
use crate::mcp::{Clients, Server};
use crate::pipeline::Engine;
use crate::pipeline::caller::{Caller, Surface};

mod connection;
mod handles;
mod in_flight;
mod line;
mod output;
mod session;

use connection::{Connection, PeerGone};
use in_flight::InFlight;
use line::Lines;
use output::Output;
use session::Session;

/// How long the last answers may take to be read after the end, before they are dropped.
const FAREWELL: Duration = Duration::from_millis(250);

/// Requests beyond the calls that may be under way.
const REQUESTS_SPARE: u32 = 32;

/// The bounds of one connection.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Longest line read, in bytes.
    line_bytes_max: usize,
    /// Requests read and not yet answered. Must be more than the calls that may run at once, or
    /// nothing else gets through while they do.
    requests_max: u32,
    /// How long a request may take, counted from the client's last message, when the input has
    /// ended: a client may send its requests, close, and read the answers.
    grace: Duration,
}

impl Limits {
    /// The usual bounds for a server that has at most so many calls under way.
    fn for_calls(calls_max: usize) -> Self {
        let calls_max = u32::try_from(calls_max).unwrap_or(u32::MAX);
        Self {
            line_bytes_max: 256 * 1024,
            // So that a client can still list, ping, cancel, and be told that there are too many.
            requests_max: calls_max.saturating_add(REQUESTS_SPARE),
            grace: Duration::from_secs(2),
        }
    }
}

/// Why a connection could not be served.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The standard streams can't be used.
    #[error("cannot use standard input and output")]
    Streams(#[source] std::io::Error),
    /// The client and this server have no protocol version in common, or similar.
    #[error("the MCP session could not be opened")]
    Open(#[source] Box<ServerInitializeError>),
    /// A fault of ours; the log has more.
    #[error("the MCP session broke")]
    Broken(#[source] tokio::task::JoinError),
}

/// Serves one client on standard input and output until it is gone. Cancelling `stop.drain`
/// lets what is under way end and takes nothing more on; cancelling `stop.cancel` ends it at once.
///
/// # Errors
///
/// Where the streams can't be used, no session could be opened, or the session broke. A client
/// that goes away is not an error.
pub async fn serve(engine: Engine, stop: Stop) -> Result<(), StdioError> {
    let limits = Limits::for_calls(engine.policy().settings().calls_max);
    let clients = Clients::One(Caller::local(Surface::Stdio));
    let service = Server::new(engine, clients, stop.drain.clone());
    let handles = handles::open().map_err(StdioError::Streams)?;
    serve_streams(
        service,
        handles.input,
        handles.output,
        handles.peer_gone,
        limits,
        stop,
    )
    .await
}

async fn serve_streams<S, R, W>(
    service: S,
    input: R,
    output: W,
    peer_gone: PeerGone,
    limits: Limits,
    stop: Stop,
) -> Result<(), StdioError>
where
    S: Service<RoleServer>,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    // Every request's token descends from this one.
    let ended = stop.cancel.child_token();
    let output = Arc::new(Output::new(output));
    let in_flight = Arc::new(InFlight::new(limits.requests_max));
    let connection = Connection::new(
        Lines::new(input, limits.line_bytes_max),
        Arc::clone(&output),
        Arc::clone(&in_flight),
        peer_gone,
        ended.clone(),
        limits.grace,
        stop.drain,
    );
    let session = async {
        let session = Session::new(Guard::new(service), in_flight);
        let running = match serve_server_with_ct(session, connection, ended.clone()).await {
            Ok(running) => running,
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
                return Ok(());
            }
            Err(error) => return Err(StdioError::Open(Box::new(error))),
        };
        running
            .waiting()
            .await
            .map(drop)
            .map_err(StdioError::Broken)
    };
    let farewell = async {
        ended.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
        output.close();
        std::future::pending().await
    };
    tokio::select! {
        result = session => result,
        result = farewell => result,
    }
}

#[cfg(test)]
mod tests;
