//! Capabilities: which the executor keeps, and which a tool gets.
//!
//! What it is: the executor keeps at most `CAP_NET_RAW` and gives it to a tool
//! only when its call needs it.
//! What it is not: root. Whoever starts the executor as root makes it give that
//! up first (`identity.rs`).
//!
//! Invariants: after [`keep`] or [`hand_over`] the kernel was asked what is
//! left, and it is exactly what was meant.

use std::fmt;

use nix::errno::Errno;
use sandbox_profiles::profile::Capability;

use crate::sys::{self, CapabilitySets};

/// Highest capability number that any kernel has room for.
const NUMBER_MAX: u8 = 63;

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CapabilitySet(u64);

impl CapabilitySet {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self(0);

    /// The set of those.
    pub(crate) fn of(capabilities: &[Capability]) -> Self {
        let bit = |capability: &Capability| 1_u64 << number(*capability);
        Self(capabilities.iter().map(bit).fold(0, |all, bit| all | bit))
    }

    /// The capabilities that this process may use and that Mantlet knows.
    ///
    /// # Errors
    ///
    /// Whatever capget(2) says.
    pub(crate) fn permitted() -> Result<Self, Errno> {
        let known = Self::of(&[Capability::NetRaw]);
        Ok(Self(sys::capabilities()?.permitted & known.0))
    }

    /// Whether all of `other` are in it.
    pub(crate) fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The kernel's names.
    pub(crate) fn names(self) -> Vec<String> {
        [Capability::NetRaw]
            .into_iter()
            .filter(|capability| self.0 & 1 << number(*capability) != 0)
            .map(|capability| capability.as_str().to_owned())
            .collect()
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(","))
    }
}

fn number(capability: Capability) -> u8 {
    match capability {
        Capability::NetRaw => 13,
    }
}

/// Gives up every capability of this process but `set`, from the bounding set
/// too where that is allowed.
///
/// # Errors
///
/// Whatever the kernel says; `EPERM` too when more is left than was meant.
pub(crate) fn keep(set: CapabilitySet) -> Result<(), Errno> {
    narrow_bounding_set()?;
    hand_over(set)
}

/// Takes everything but `CAP_NET_RAW` out of the bounding set, as far as this
/// process is allowed to.
///
/// `CAP_NET_RAW` stays. Without it the kernel refuses to execute a program that
/// has it in its file, as Debian's ping has, even where it isn't wanted; and
/// nobody can gain it from there, because no new privileges are allowed before anything
/// is executed.
///
/// # Errors
///
/// Whatever prctl(2) says, except that it is not ours to change.
pub(crate) fn narrow_bounding_set() -> Result<(), Errno> {
    let CapabilitySet(kept) = CapabilitySet::of(&[Capability::NetRaw]);
    for number in 0..=NUMBER_MAX {
        let held = match sys::bounding_has(number) {
            Ok(held) => held,
            // Beyond the kernel's last capability.
            Err(Errno::EINVAL) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        if held && kept & (1 << number) == 0 {
            match sys::bounding_drop(number) {
                Ok(()) => {}
                // Without CAP_SETPCAP it stays what systemd or the user's
                // session made it.
                Err(Errno::EPERM) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

/// Sets the capabilities that this process, and what it executes, will have.
///
/// Permitted, effective, inheritable and ambient become `set`. Clearing the
/// ambient set alone would be no drop: capset is.
///
/// # Errors
///
/// `EPERM` when `set` holds more than this process has, or when the kernel
/// says afterwards that something else is left.
pub(crate) fn hand_over(set: CapabilitySet) -> Result<(), Errno> {
    let CapabilitySet(bits) = set;
    let wanted = CapabilitySets {
        effective: bits,
        permitted: bits,
        inheritable: bits,
    };
    // What isn't permitted can't be ambient, so nothing to give up is nothing
    // to do.
    if set == CapabilitySet::EMPTY && sys::capabilities()? == wanted {
        return Ok(());
    }
    sys::ambient_clear()?;
    sys::set_capabilities(wanted)?;
    for number in 0..=NUMBER_MAX {
        if bits & (1 << number) != 0 {
            sys::ambient_raise(number)?;
        }
    }
    if sys::capabilities()? == wanted {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_covers_its_parts_and_shows_their_names() {
        let raw = CapabilitySet::of(&[Capability::NetRaw]);
        let cases = [
            (
                CapabilitySet::EMPTY,
                CapabilitySet::EMPTY,
                true,
                "none",
                "nothing needs nothing",
            ),
            (
                CapabilitySet::EMPTY,
                raw,
                false,
                "none",
                "nothing gives nothing",
            ),
            (
                raw,
                CapabilitySet::EMPTY,
                true,
                "CAP_NET_RAW",
                "more than needed",
            ),
            (raw, raw, true, "CAP_NET_RAW", "the same"),
        ];
        for (set, part, covers, shown, why) in cases {
            assert_eq!(
                (set.covers(part), set.to_string().as_str()),
                (covers, shown),
                "{why}"
            );
        }
        assert_eq!(
            raw,
            CapabilitySet(0x2000),
            "bit 13, as the kernel numbers it"
        );
    }
}
