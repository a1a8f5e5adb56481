//! Every bound of the crate, in one place.
//!
//! Bounds on what a caller sends are small on purpose: a call that a person or
//! a model means is far below them. This file holds numbers and nothing else.
//!
//! Invariants: the constants at the end tie the bounds to each other, so that
//! none of them can be raised alone into a lie.

/// Longest `extra_args` text, and longest sum of separately given arguments, in bytes.
pub const EXTRA_ARGS_BYTES_MAX: usize = 2048;

/// Most arguments that one call may hold after splitting.
pub const ARG_TOKENS_MAX: usize = 64;

/// Longest single element of an argument vector, in bytes.
pub const ARG_BYTES_MAX: usize = 4096;

/// Most elements of an argument vector, the program path included.
pub const ARGV_ELEMENTS_MAX: usize = 256;

/// Longest target text in bytes: a full host name with its root dot.
pub const TARGET_BYTES_MAX: usize = 254;

/// Longest host name in bytes, without a root dot.
pub const HOST_BYTES_MAX: usize = 253;

/// Longest label of a host name in bytes.
pub const LABEL_BYTES_MAX: usize = 63;

/// Most typed parameters of one call.
pub const PARAMETERS_MAX: usize = 64;

/// Most items of one list parameter.
pub const PARAMETER_ITEMS_MAX: usize = 256;

/// Most addresses that one name may resolve to and still be pinned.
pub const ANSWERS_MAX: usize = 64;

/// Most networks, suffixes and items of a port list that one scope may list of each kind.
pub const SCOPE_ENTRIES_MAX: usize = 256;

/// Most tools that may have a scope of their own.
pub const SCOPE_TOOLS_MAX: usize = 64;

/// Largest `max_network_size` that a scope may set, in addresses.
pub const NETWORK_SIZE_MAX: u32 = 65_536;

/// Largest `max_port_ranges` that a scope may set, in items of a port list.
pub const PORT_RANGES_MAX: u32 = 100;

/// Largest profile file in bytes.
pub const PROFILE_BYTES_MAX: u64 = 256 * 1024;

/// Most profile files that one directory may hold.
pub const PROFILE_FILES_MAX: usize = 128;

/// Most flags of one profile.
pub const FLAGS_MAX: usize = 256;

/// Most items of any list or table in a profile.
pub const PROFILE_ITEMS_MAX: usize = 512;

/// Most mistakes reported for one profile file.
pub const PROFILE_ERRORS_MAX: usize = 32;

/// Longest text of an offending part that a refusal repeats, in characters.
pub const OFFENDING_CHARS_MAX: usize = 120;

// Every accepted call must fit an argument vector that can be sent.
const _: () = assert!(EXTRA_ARGS_BYTES_MAX <= ARG_BYTES_MAX);
const _: () = assert!(ARG_TOKENS_MAX * 2 < ARGV_ELEMENTS_MAX);
const _: () = assert!(HOST_BYTES_MAX < TARGET_BYTES_MAX);
