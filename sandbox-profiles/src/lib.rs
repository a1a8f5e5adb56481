//! What each tool may do: profiles, scope, and the vetting of calls.
//!
//! One way leads from a client's call to an argument vector, and both processes
//! go it with the same code:
//!
//! ```text
//! tools/*.toml ─ load ─▶ Profile ┐
//! configuration ───────▶ Scope   ├─ vet ─▶ VettedRun ─ pin ─▶ argv ─▶ executor ─ vet_argv ─▶ run
//! client ──────────────▶ Call    ┘        └▶ Refusal                            └▶ Refusal
//! ```
//!
//! - [`load`] reads profiles, checks who may write them, and holds each one
//!   against the examples it carries. [`profile`] and [`sandbox`] are the result:
//!   plain data.
//! - [`scope`] says which networks and names may be touched; [`target`] reads
//!   what a call aims at.
//! - `words` splits arguments, `grammar` reads them into typed values
//!   ([`value`]) as the tool itself would, and renders those in one canonical
//!   form. What was rendered is what runs; a caller's own text never is.
//! - [`vet`] puts it together. It is pure: no clock, no environment, no network,
//!   no file. Only [`load`] touches files.
//!
//! ```
//! use sandbox_profiles::{load, scope::{Scope, ScopeConfig}, vet::{self, Arguments, Call}};
//! let tools = load::built_in().map_err(|errors| format!("{errors:?}"))?;
//! let scope = Scope::new(&ScopeConfig::default())?;
//! let nmap = tools.get("nmap").ok_or("no such tool")?;
//! let call = Call {
//!     target: "10.66.0.7/24".into(),
//!     arguments: Arguments::Text("-sV -p 443,80".into()),
//!     ..Call::default()
//! };
//! let run = vet::vet(nmap, &scope, &call)?;
//! assert_eq!(run.argv().last().map(String::as_str), Some("10.66.0.0/24"));
//! assert!(run.argv().join(" ").contains("-p 80,443 -sV"));
//! assert_eq!(vet::vet_argv(nmap, &scope, run.argv())?.argv(), run.argv());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: no dependency of this crate reads the network, the clock or the
//! environment; no regular expressions; no unsafe code; vetting is total.

#![forbid(unsafe_code)]

pub mod load;
pub mod vet;

mod meant;
mod aim;
mod parameters;

mod compose;
mod lasts;

mod grammar;
mod words;

pub mod call;
pub mod profile;
pub mod sandbox;
pub mod value;

pub mod scope;
pub mod target;

pub mod net;
pub mod paths;
pub mod syscalls;

pub mod nearest;
pub mod refusal;

pub mod limits;

pub use call::{Arguments, Call, ParamValue};
pub use load::{LoadError, Loaded, OwnerRule, ProfileSet};
pub use profile::{Capability, Profile};
pub use refusal::{Detail, Refusal, RefusalKind};
pub use scope::{Scope, ScopeConfig, ScopeError};
pub use target::Target;
pub use vet::VettedRun;
