//! Every bound of the contract, in one place.
//!
//! What it is not: policy. Bounds of a tool or a call live in its profile and
//! in configuration, and may only be tighter than these.
//!
//! Invariants: the constants fit each other; the assertions below don't
//! compile when they stop fitting.

/// Longest frame body, in bytes.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;
/// Bytes of the big-endian length before each frame body.
pub const FRAME_HEADER_BYTES: usize = 4;
/// Most elements of an argv, the program included.
pub const ARGS_MAX: usize = 256;
/// Longest single argument, in bytes.
pub const ARG_BYTES_MAX: usize = 4 * 1024;
/// Longest argv altogether, in bytes. Less than `ARGS_MAX * ARG_BYTES_MAX`, so
/// that a run always fits a frame.
pub const ARGV_BYTES_MAX: usize = 64 * 1024;
/// Longest run id or tool name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest message, rule, offending part or remedy of a refusal, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Largest piece of output in one event, in bytes. Measured: 64 KiB pieces pass
/// four times as fast as 4 KiB ones.
pub const OUTPUT_CHUNK_BYTES: usize = 64 * 1024;
/// Most output per stream that a run may ask to keep, in bytes.
pub const OUTPUT_KEPT_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Longest timeout a run may ask for, in milliseconds (one hour).
pub const TIMEOUT_MS_MAX: u32 = 3_600_000;
/// Least memory that a run may be cut down to, in bytes (16 MiB): with less, most
/// tools aren't even loaded. Also the least that a profile may give.
pub const MEMORY_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Fewest descriptors that a run may be cut down to: what every tool starts with.
pub const FILES_MIN: u32 = 16;
/// Most rows of any list in an event (tools, capabilities, limits).
pub const ROWS_MAX: usize = 256;
/// Most bytes of the tools of an inventory, and most of its scope, as
/// [`crate::event::ToolState::bytes`] and [`crate::event::ScopeRow::bytes`] count.
pub const INVENTORY_PART_BYTES_MAX: usize = 52 * 1024;
/// Most items that any list is decoded to; what a list may hold is checked after.
pub const LIST_MAX: usize = 256;

// A list within its own bound can be decoded.
const _: () = assert!(ARGS_MAX <= LIST_MAX && ROWS_MAX <= LIST_MAX);
// A full argv, or a full chunk, must fit a frame with room for the rest of its
// message, or the bounds above would be a lie.
const _: () = assert!(ARG_BYTES_MAX <= ARGV_BYTES_MAX);
const _: () = assert!(ARGV_BYTES_MAX + ARGS_MAX * 3 + 1024 <= FRAME_BYTES_MAX);
const _: () = assert!(OUTPUT_CHUNK_BYTES + 64 <= FRAME_BYTES_MAX);
const _: () = assert!(TEXT_BYTES_MAX * 5 <= FRAME_BYTES_MAX);
// Both parts of an inventory, its other texts and its capabilities.
const _: () = assert!(
    INVENTORY_PART_BYTES_MAX * 2 + TEXT_BYTES_MAX + (ROWS_MAX + 2) * (NAME_BYTES_MAX + 2)
        <= FRAME_BYTES_MAX
);
