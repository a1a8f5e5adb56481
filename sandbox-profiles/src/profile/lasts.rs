//! How long a call can take, as a profile states it.
//!
//! Plain data, as all of a profile; [`crate::lasts`] reckons with it.
//!
//! Invariants: every flag of a term takes a number or a span of time, and is
//! always given or has an [`super::Flag::absent`] value; at most one flag of a
//! term's `times` takes a span of time.

use std::time::Duration;

use super::FlagId;

/// How long a call can take: the sum of the terms that apply, and a margin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lasts {
    /// Added to the sum: starting, resolving, waiting for a turn, a last answer.
    pub margin: Duration,
    /// What is added up.
    pub terms: Vec<LastsTerm>,
}

/// A product of values: a time, or, where no flag takes one, seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastsTerm {
    /// The flags whose values are multiplied.
    pub times: Vec<FlagId>,
    /// The flag by whose value the product of the numbers is divided, rounded up.
    pub per: Option<FlagId>,
    /// Counts only where this flag is given.
    pub with: Option<FlagId>,
    /// Counts only where this flag is not given.
    pub unless: Option<FlagId>,
}
