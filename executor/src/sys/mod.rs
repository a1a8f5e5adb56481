//! The system calls that need `unsafe`, one small function each.
//!
//! What it is: the only place in Mantlet that says `unsafe`. Everything that
//! `std` and `nix` offer safely is called where it is needed and not here.
//! What it is not: policy. Nothing here decides; a caller that passes the wrong
//! number gets the kernel's error.
//!
//! Invariants: one unsafe operation per block; no raw descriptor enters or
//! leaves without an owner, except the one that the kernel hands to a child of
//! [`start_sharing_memory`] and that its parent adopts at once.

mod process;

mod authority;

mod confine;

pub(crate) use authority::{
    CapabilitySets, Disposition, SIGNAL_MAX, SIGPIPE, ambient_clear, ambient_raise, bounding_drop,
    bounding_has, capabilities, set_capabilities, set_disposition, signal_number,
};
pub(crate) use confine::{
    LandlockHandled, announced_call, install_filter, is_filtered, landlock_abi,
    landlock_allow_path, landlock_restrict, landlock_ruleset, refuses_a_harmless_call,
};
pub(crate) use process::{
    Stack, StringTable, adopt_descriptor_3, adopt_from_child, close_on_exec_from, duplicate_above,
    execute, fork, leave, peer_groups, start_sharing_memory,
};
