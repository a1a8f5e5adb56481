//! The wire contract between the broker and the executor.
//!
//! What it is: the requests a broker may send, the events an executor may
//! answer with, the bounds both keep, and how either is laid out in bytes.
//! What it is not: it opens no socket and holds no connection state. The broker
//! frames with an async codec, the executor with the blocking reader in
//! [`frame`]; both decode with the same total functions.
//!
//! `docs/PROTOCOL.md` is the prose for this crate and carries its hash.
//!
//! Invariants: decoding is total: any bytes give a value within the bounds of
//! [`limits`] or an error, never a panic, and never an allocation larger than
//! a frame.

#![forbid(unsafe_code)]

pub mod frame;
pub mod request;
pub mod event;
mod list;
pub mod limits;

pub use event::Event;
pub use frame::FrameError;
pub use request::Request;

/// Version of the contract. Both sides must speak the same one: they are
/// installed together, so there is no negotiation to get wrong.
pub const VERSION: u16 = 3;
