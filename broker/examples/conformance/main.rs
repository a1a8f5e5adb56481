//! The fixture: a server with the tools, resources and prompts that the official
//! MCP conformance suite demands.
//!
//! ```text
//! cargo run --package mantlet --example conformance
//! ```
//!
//! What it is: stand-ins behind the product's own transport, so that the suite
//! judges the transport in both eras of the protocol.
//! What it is not: part of the product, or a server of network tools. Of the
//! Tasks extension it has nothing; the suite doesn't score that.
//!
//! Invariants: it listens on loopback alone, on a port that the kernel picks,
//! and prints its URL on one line when it does; it uses no feature of a library
//! that the product's build lacks, or the two would not be the same transport.

#![expect(
    deprecated,
    reason = "the suite demands sampling, roots and logging of both eras, which the newer one deprecates"
)]

mod fixture;

mod tools;

mod ask_in_call;
mod ask_by_result;
mod subscriptions;

mod prompts;
mod resources;

mod content;

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use fixture::Fixture;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let fixture = Fixture::new().map_err(std::io::Error::other)?;
    let service = StreamableHttpService::new(
        move || Ok(fixture.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let router = axum::Router::new().route_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    axum::serve(listener, router).await
}
