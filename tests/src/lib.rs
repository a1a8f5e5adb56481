//! The harness: a lab of network namespaces, the real binaries, and clients.
//!
//! What it is: everything the suites in `e2e/`, `boundary/` and `bench/` need
//! to see Mantlet as a user or an attacker sees it: through binaries, sockets
//! and standard input and output.
//! What it is not: a way into the code under test. It links the wire contract
//! (to speak it well and badly) and nothing else of the product.
//!
//! Invariants: traffic stays on loopback and in the namespaces that a [`Lab`]
//! made; whatever the harness starts dies with the test that started it, by
//! drop, by panic, or, when the test is killed, by the kernel; every wait has
//! a bound.

#![forbid(unsafe_code)]

// Clients and servers first, what they stand on after them.
pub mod python_client;

pub mod node;

pub mod stdio_client;

pub mod crowd;

pub mod http_service;

pub mod executor_process;

pub mod hostile;

pub mod raw_peer;

pub mod names;

pub mod path;

pub mod lab;

pub mod services;

pub mod touched;
pub mod trap;

pub mod responder;

pub mod namespace;

pub mod identity;

pub mod processes;

pub mod config;

pub mod binaries;

pub mod running;

pub mod wait;

pub mod skip;

pub use binaries::Binaries;
pub use executor_process::ExecutorProcess;
pub use http_service::HttpService;
pub use lab::Lab;
pub use raw_peer::RawPeer;
pub use responder::Responder;
pub use running::{Ended, Running};
pub use stdio_client::StdioClient;
