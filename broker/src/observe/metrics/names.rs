//! Label values: names from sets that an administrator or this program decides.
//!
//! Invariants: whatever is asked for, a name is one of the set or [`OTHER`]; no
//! text of a client becomes a label.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Stands for every name that is not in its set.
pub const OTHER: &str = "other";

/// A label's value.
pub type Name = Arc<str>;

/// The names that a label may have.
#[derive(Debug)]
pub struct Names {
    known: RwLock<BTreeSet<Name>>,
    other: Name,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            known: RwLock::default(),
            other: OTHER.into(),
        }
    }
}

impl Names {
    /// Adds names. Only for what a client can't choose.
    pub fn add<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            // Mostly it is known, and readers don't wait for one another.
            if *self.name(name) == *name {
                continue;
            }
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(name.into());
        }
    }

    /// The name, or [`OTHER`] where it is not of the set.
    pub fn name(&self, asked: &str) -> Name {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(asked).unwrap_or(&self.other).clone()
    }

    /// All names.
    pub fn all(&self) -> Vec<Name> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().cloned().collect()
    }
}
