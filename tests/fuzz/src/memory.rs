//! How much memory a step may take at most.
//!
//! The allocator of the process counts; a step that asks for more than its bound
//! gets none, which ends the process and so is a finding.
//!
//! Invariants: outside of [`within`] there is no bound.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Does a step that may hold that many bytes more than there were before.
pub(crate) fn within<T>(bytes_max: usize, step: impl FnOnce() -> T) -> T {
    let limit = ALLOCATOR.allocated().saturating_add(bytes_max);
    // The bound holds from the next allocation on; it can't be below what is held.
    let set = ALLOCATOR.set_limit(limit);
    debug_assert!(set.is_ok(), "the bound is above what is held");
    let result = step();
    let unset = ALLOCATOR.set_limit(usize::MAX);
    debug_assert!(unset.is_ok(), "no bound is below what is held");
    result
}
