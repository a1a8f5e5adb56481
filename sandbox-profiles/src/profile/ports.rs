//! Ports that a tool touches without being told to, as its profile lists them.
//!
//! Plain data, as all of a profile. They matter only where a scope doesn't allow
//! every port.
//!
//! Invariants: `ports` is not empty.

use super::FlagId;
use crate::scope::PortSet;

/// Ports that a run touches beside those that the call names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImpliedPorts {
    /// The ports.
    pub ports: PortSet,
    /// Touched where one of these flags is given; empty: by every run.
    pub when: Vec<FlagId>,
    /// Not touched where one of these is given.
    pub unless: Vec<FlagId>,
    /// Touched only where the flag of `when` stands without a value.
    pub bare: bool,
    /// Names that the value of the flag may hold without these ports being touched.
    pub except: Vec<String>,
    /// Whether the tool's list of excluded ports holds it off them, so that it is
    /// enough if one of them is allowed.
    pub excludable: bool,
    /// Arguments that avoid them, in place of the flag; `{port}` stands for the
    /// least allowed port.
    pub instead: Vec<String>,
    /// What touches them, and why.
    pub reason: String,
}
