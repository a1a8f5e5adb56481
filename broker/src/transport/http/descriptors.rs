//! Room for connections among the descriptors that this process may have.
//!
//! What it is not: the bound that an operator sets; it only lowers it where the
//! system gives less.
//!
//! Invariants: clients' connections never take the descriptors that runs, the
//! store and the log need.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// One part in so many is kept for everything but connections.
const KEPT_PART: u64 = 4;
/// At least so many are kept.
const KEPT_MIN: u64 = 64;

/// How many connections there may be: `wanted`, or fewer where the system gives
/// fewer descriptors. Asks for as many as it may have first.
pub(super) fn room(wanted: usize) -> usize {
    let limit = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(_) => soft,
        },
        // Without a known limit there is none to keep.
        Err(_) => return wanted,
    };
    let room = within(wanted, limit);
    if room < wanted {
        tracing::warn!(
            connections = room,
            descriptors = limit,
            "fewer connections are served than server.max_connections says, since this process \
             may have no more descriptors: raise its limit (LimitNOFILE, ulimit -n)"
        );
    }
    room
}

fn within(wanted: usize, limit: u64) -> usize {
    let kept = limit
        .checked_div(KEPT_PART)
        .unwrap_or_default()
        .max(KEPT_MIN);
    let room = usize::try_from(limit.saturating_sub(kept)).unwrap_or(usize::MAX);
    wanted.min(room).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_descriptors_for_its_own_work() {
        let cases = [
            (1024, 1024, 768, "a quarter is kept"),
            (1024, 524_288, 1024, "there are enough"),
            (1024, 100, 36, "a few at least"),
            (1024, 64, 1, "one is served, or why listen"),
            (10, 1024, 10, "no more than wanted"),
        ];
        for (wanted, limit, expected, why) in cases {
            assert_eq!(within(wanted, limit), expected, "{why}");
        }
    }
}
