//! The boundary: hostile peers, hostile tools, and what must hold against both.
//!
//! What it is not: a test of the broker; here the executor stands alone.
//!
//! Invariants: a check that something fails has a control that shows it can
//! succeed; a test that can't run here says `SKIP reason`.

mod confinement;
mod differential;
mod endings;
mod escapes;
mod explained;
mod limits;
mod ownership;
mod peers;
mod replaced_broker;
mod scripts;
mod selftest;
