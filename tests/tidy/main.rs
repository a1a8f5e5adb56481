//! Tidiness: what the code says of itself, checked against the code.
//!
//! What it is not: a matter of taste. Each check guards a rule that a reader
//! relies on and that no compiler keeps.
//!
//! Invariants: nothing is started but cargo; nothing is written.

mod dependencies;
mod documents;
mod files;
mod imports;
mod sources;
