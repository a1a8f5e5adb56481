//! Lists that stop at their bound while they are read.
//!
//! What it is not: the check of what a list holds, which comes after decoding. It
//! is here because a frame full of empty texts would be decoded to a list of many
//! times its size first.
//!
//! Invariants: no list is ever longer than [`LIST_MAX`] in memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::limits::LIST_MAX;

/// Reads a list of at most [`LIST_MAX`] items; for `deserialize_with`.
pub(crate) fn bounded<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(Bounded(PhantomData))
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {LIST_MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let announced = items.size_hint().unwrap_or(0);
        if announced > LIST_MAX {
            return Err(A::Error::invalid_length(announced, &self));
        }
        let mut list = Vec::with_capacity(announced);
        while let Some(item) = items.next_element()? {
            if list.len() >= LIST_MAX {
                return Err(A::Error::invalid_length(LIST_MAX.saturating_add(1), &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}
