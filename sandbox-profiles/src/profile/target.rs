//! Which targets a tool takes, and how they stand in its argument vector.
//!
//! Plain data, as all of a profile; [`crate::vet`] renders and reads the forms.
//!
//! Invariants: a form holds the target exactly once; a flag that a form names is
//! a part: its value stands there and nowhere else.

use super::FlagId;

/// Which targets a tool takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetRule {
    /// What is accepted.
    pub kinds: Vec<TargetKind>,
    /// Whether the tool can take IPv6, if the scope allows it too.
    pub ipv6: bool,
    /// Most addresses of a network; the scope may set a lower number.
    pub addresses_max: u32,
    /// Where the target stands.
    pub place: TargetPlace,
    /// Whether `--` stands before the target.
    pub separator: bool,
    /// The elements of an address, a network, or a name that is not pinned yet.
    pub form: Vec<Pattern>,
    /// The elements of a name that is pinned to an address. Empty: the tool gets
    /// the address by [`TargetRule::form`], and never the name.
    pub named_form: Vec<Pattern>,
    /// The switch that the tool wants for an IPv4 target, if any.
    pub ipv4_flag: Option<String>,
    /// The switch that the tool wants for an IPv6 target, if any.
    pub ipv6_flag: Option<String>,
    /// The flag that leaves out addresses, if the tool has one.
    pub exclude: Option<FlagId>,
}

/// What a target can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetKind {
    /// One address.
    Address,
    /// A network in CIDR form.
    Network,
    /// A host name, which the broker resolves.
    Name,
}

/// Where the target stands in the argument vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetPlace {
    /// After all flags.
    Last,
    /// Before all flags that a call can set, after the fixed arguments.
    First,
}

/// One element of the argument vector, as pieces that stand directly after
/// each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pattern {
    /// The pieces; at least one.
    pub pieces: Vec<Piece>,
}

/// A piece of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text: `://`.
    Literal(String),
    /// The address or network, or a name that is not pinned yet: `{target}`.
    Target,
    /// The same with an IPv6 address in brackets, as URLs have it: `{host}`.
    Host,
    /// The name that was pinned: `{name}`.
    Name,
    /// The value of a part: `{--port}`.
    Part(FlagId),
}

impl TargetRule {
    /// Whether targets of that kind are accepted.
    pub fn takes(&self, kind: TargetKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The switch that the tool wants for a target of that address family.
    pub(crate) const fn family_switch(&self, ipv6: bool) -> Option<&String> {
        if ipv6 {
            self.ipv6_flag.as_ref()
        } else {
            self.ipv4_flag.as_ref()
        }
    }

    /// Whether the flag's value stands inside the target, and not as a flag: the
    /// tool has none for it.
    pub(crate) fn has_part(&self, id: FlagId) -> bool {
        self.form
            .iter()
            .chain(&self.named_form)
            .flat_map(|pattern| &pattern.pieces)
            .any(|piece| *piece == Piece::Part(id))
    }
}
