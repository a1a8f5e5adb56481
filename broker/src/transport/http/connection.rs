//! One connection: its handshake, its requests, its end.
//!
//! What it is not: what a request may do; [`super::front`] decides that.
//!
//! Invariants: a head that doesn't arrive in time, a handshake that doesn't
//! end, an answer that nobody takes and a connection that idles are each given
//! up after the same time; what is read ahead is bounded; while the service
//! drains, the request under way is the last one.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{self, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::front::{Front, is_stream, until};
use super::socket::Socket;
use super::stall::Stall;
use super::tls;

/// Bytes of a request that are read ahead of its parsing: its whole head must fit.
const READ_AHEAD_BYTES_MAX: usize = 16 * 1024;
/// How long, and how much, is still read after the last answer, so that the
/// answer isn't lost to the reset that unread bytes would cause.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 1024 * 1024;

/// The other end, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    /// Its address, for logs.
    pub(super) name: String,
    /// The address of ours that it reached; `None` over a Unix socket.
    pub(super) reached: Option<IpAddr>,
    /// The fingerprint of its certificate, which one of the authorities signed.
    pub(super) certificate: Option<String>,
}

/// What connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) front: Front,
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// For each of: handshake, head, body, idling, an answer to be taken.
    pub(super) patience: Duration,
    /// Cancelled when no further requests are taken.
    pub(super) drain: CancellationToken,
}

/// Serves a connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, socket: Socket, peer: Peer) {
    let stream = Stall::new(socket.clone(), shared.patience);
    // In boxes, so that a connection holds what it is, not what it could be.
    match shared.tls.clone() {
        None => Box::pin(requests(&shared, stream, socket, peer)).await,
        Some(config) => Box::pin(secured(&shared, config, stream, socket, peer)).await,
    }
}

async fn secured(
    shared: &Arc<Shared>,
    config: Arc<ServerConfig>,
    stream: Stall<Socket>,
    socket: Socket,
    mut peer: Peer,
) {
    let handshake = TlsAcceptor::from(config).accept(stream);
    let secured = tokio::select! {
        () = shared.drain.cancelled() => return,
        secured = tokio::time::timeout(shared.patience, Box::pin(handshake)) => secured,
    };
    match secured {
        Ok(Ok(stream)) => {
            peer.certificate = tls::fingerprint(stream.get_ref().1);
            Box::pin(requests(shared, stream, socket, peer)).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, peer = peer.name, "no TLS"),
        Err(_) => tracing::debug!(peer = peer.name, "the TLS handshake took too long"),
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[error("the client went away")]
struct Gone;

async fn requests<T>(shared: &Arc<Shared>, stream: T, socket: Socket, peer: Peer)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let answer = |request: Request<Incoming>| {
        let (shared, peer, socket) = (Arc::clone(shared), Arc::clone(&peer), socket.clone());
        let answer = async move {
            let response = tokio::select! {
                biased;
                response = shared.front.answer(&peer, request) => response,
                () = socket.gone() => return Err(Gone),
            };
            if !is_stream(&response) {
                return Ok(response);
            }
            Ok(response.map(|body| until(body, async move { socket.gone().await })))
        };
        // hyper moves it while it is polled.
        Box::pin(answer)
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.patience)
        .max_buf_size(READ_AHEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut draining = pin!(shared.drain.cancelled().fuse());
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            () = &mut draining => pin::Pin::new(&mut connection).graceful_shutdown(),
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = peer.name, "connection ended");
    }
    linger(connection.into_parts().io.into_inner()).await;
}

/// Says that nothing more is sent, and takes what the client still sends.
async fn linger<T: AsyncRead + AsyncWrite + Unpin>(mut stream: T) {
    let rest = async {
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // The client is answered; whether it also hears the end well is its affair.
    drop(tokio::time::timeout(LINGER, rest).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl Fn(Arc<Shared>, Socket, Peer) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_does_not_hold_what_it_could_be() {
        let plain = |shared: Arc<Shared>, socket: Socket, peer| async move {
            let stream = Stall::new(socket.clone(), Duration::ZERO);
            requests(&shared, stream, socket, peer).await;
        };
        let (whole, plain) = (size(serve), size(plain));
        assert!(whole < 512 && plain < 2048, "{whole} and {plain} bytes");
    }
}
