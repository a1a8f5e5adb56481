//! The fixture: a server with the tools, resources and prompts that the official
//! MCP conformance suite demands.
//!
//! ```text
//! cargo run --package mantlet --example conformance -- DIRECTORY
//! ```
//!
//! What it is: stand-ins behind the product's own transport, so that the suite
//! judges the transport in both eras of the protocol.
//! What it is not: part of the product, or a server of network tools. Of the
//! Tasks extension it has nothing; the suite doesn't score that.
//!
//! DIRECTORY keeps its tokens, and the text of the first one as `admin-token`.
//!
//! Invariants: between socket and handler there is nothing but the product's
//! code; it listens on loopback alone, on a port that the kernel picks and the
//! log tells; it uses no feature of a library that the product's build lacks,
//! or the two would not be the same transport.

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

use std::error::Error;
use std::path::PathBuf;

use axum::Router;
use broker::access::{LiveTokens, TokenFile, first_token};
use broker::config::Settings;
use broker::config::service::Listen;
use broker::observe::logging;
use broker::transport::Stop;
use broker::transport::http::bind::{Bound, Place};
use broker::transport::http::mcp::McpEndpoint;
use broker::transport::http::{self, Parts};

use fixture::Fixture;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1);
    let directory = PathBuf::from(directory.ok_or("usage: conformance DIRECTORY")?);
    logging::start("info", "auto");
    let mut service = Settings::load(None, |_| None)?.service;
    service.listen = Listen::Tcp {
        host: "127.0.0.1".to_owned(),
        port: 0,
    };
    let tokens = TokenFile::at(directory.join("tokens.toml"));
    first_token::ensure(&tokens, &directory)?;
    let fixture = Fixture::new()?;
    let stop = Stop::default();
    let endpoint = McpEndpoint::new(move || fixture.clone(), service.sessions_max, &stop);
    let parts = Parts {
        router: Router::new().route("/mcp", endpoint.route()),
        tokens: LiveTokens::of(tokens),
        tls: None,
    };
    let listener = Bound::bind(&Place::find(&service.listen)?, None)?.listen()?;
    http::serve(listener, &service, parts, stop).await?;
    Ok(())
}
