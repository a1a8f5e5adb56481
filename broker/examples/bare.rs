//! The floor of `make bench`: what the libraries alone take to answer.
//!
//! ```text
//! cargo run --release --package mantlet --example bare
//! ```
//!
//! What it is: a greeting by axum at `/`, and a server without tools by rmcp at
//! `/mcp`, as the manuals of both show it.
//! What it is not: part of the product, or a user of its code. Nothing is
//! authenticated, bounded, logged or measured here.
//!
//! Invariants: it listens on loopback alone, on a port that the kernel picks and
//! the first line of standard output tells.

use std::error::Error;
use std::io::{Write as _, stdout};
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use rmcp::ServerHandler;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

/// Answers what the library answers by itself.
#[derive(Clone)]
struct Bare;

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(true)
        .with_json_response(true)
        .with_sse_retry(None);
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Bare), sessions, config);
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route_service("/mcp", service);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(stdout().lock(), "http://{}", listener.local_addr()?)?;
    // Or each answer of a session waits 44 ms for the peer's acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::warn!(%error, "packets may be delayed");
        }
    });
    axum::serve(listener, router).await?;
    Ok(())
}
