//! The flags of a tool and the rules between them.
//!
//! Plain data, as all of a profile.
//!
//! Invariants: the order of [`FlagId`]s is the order of rendering.

use super::Capability;
use crate::value::ValueType;

/// Index of a flag in its profile; the order of ids is the order of rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagId(pub(crate) usize);

impl FlagId {
    /// The flag's place in [`super::Profile::flags`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// One flag that a profile lists.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Flag {
    /// The spelling that is rendered.
    pub spelling: String,
    /// Other exact spellings that mean the same.
    pub aliases: Vec<String>,
    /// What it does, in a clause.
    pub summary: String,
    /// How its value is written.
    pub form: Form,
    /// What its value may be.
    pub value: ValueType,
    /// What its number means, where its value is one.
    pub meaning: Meaning,
    /// What the tool takes where the flag isn't given: a number, or a time in
    /// milliseconds. Nothing where that can't be said in a number.
    pub absent: Option<u64>,
    /// What it means to give it twice.
    pub repeat: Repeat,
    /// What a run with it needs.
    pub needs: Vec<Need>,
    /// Whether only an intrusive policy allows it.
    pub intrusive: bool,
    /// Why it can't be used on an IPv6 target; nothing where it can.
    pub ipv4_only: Option<String>,
    /// What to use where intrusive runs are not allowed; empty: leave it out.
    pub instead: Vec<String>,
    /// Flags that it includes, which are dropped beside it.
    pub includes: Vec<FlagId>,
    /// Arguments that hold wherever the flag is given.
    pub brings: Vec<String>,
    /// Whether it is nothing but what it brings, and is not rendered itself.
    pub shorthand: bool,
    /// The rule that a bad value breaks.
    pub rule: String,
    /// Whether a bare argument of its type was probably meant as its value.
    pub bare: bool,
    /// What is written for values that callers use and the flag doesn't take.
    pub meant: Vec<Meant>,
}

/// What a caller means by a value that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meant {
    /// The value; upper and lower case are the same.
    pub value: String,
    /// Whether the value may go on; what follows stands for `{rest}`.
    pub begins: bool,
    /// The arguments that say it.
    pub write: Vec<String>,
}

impl Flag {
    /// Whether the text is exactly one of the flag's spellings.
    pub(crate) fn is_spelled(&self, text: &str) -> bool {
        self.spelling == text || self.aliases.iter().any(|alias| alias == text)
    }

    /// The arguments that say what a caller means by a value that is none.
    pub(crate) fn meant_by(&self, text: &str) -> Option<Vec<String>> {
        self.meant.iter().find_map(|meant| {
            let head = text.get(..meant.value.len())?;
            let rest = text.get(meant.value.len()..)?;
            // What follows must not need the same again.
            let plain = !self.meant.iter().any(|other| rest.contains(&other.value));
            let fits =
                plain && head.eq_ignore_ascii_case(&meant.value) && rest.is_empty() != meant.begins;
            let fill = |word: &String| word.replace("{rest}", rest);
            fits.then(|| meant.write.iter().map(fill).collect())
        })
    }

    /// All spellings, the rendered one first.
    pub(crate) fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.spelling.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// What the number of a flag means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// An amount, a setting: nothing that the scope covers.
    Plain,
    /// A port of the target.
    Port,
}

/// How a flag's value is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// No value.
    Switch,
    /// No value; the last letter repeats: `-v`, `-vv`.
    Counted,
    /// Value in the next argument, or after `=`; rendered in the next argument.
    Separate,
    /// Value directly after the flag, required: `-T4`.
    Attached,
    /// Value directly after the flag, or none: `-PS`, `-PS80`.
    AttachedOptional,
    /// Value after `=` in the same argument, and only so: `+time=5`.
    Equals,
}

/// What it means to give a flag twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Harmless: the same as once.
    Same,
    /// The last one holds, as the tool itself has it.
    Last,
    /// Refused.
    Refuse,
    /// Each occurrence adds one item to the value's list.
    Collect,
}

/// A capability that a flag, or every run of a tool, needs, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// What is needed.
    pub what: Requirement,
    /// Why.
    pub reason: String,
    /// The nearest arguments that don't need it; empty: leave the flag out.
    pub instead: Vec<String>,
}

/// What an executor must have for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Requirement {
    /// A capability.
    pub capability: Capability,
    /// What does as well.
    pub or: Substitute,
}

/// What does as well as a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Substitute {
    /// Nothing.
    Nothing,
    /// ICMP datagram sockets, where the kernel opens them to the executor's
    /// groups (`net.ipv4.ping_group_range`).
    IcmpSocket,
}

impl Requirement {
    /// One requirement per capability, sorted: where somebody insists on the
    /// capability itself, nothing does as well any more.
    pub(crate) fn union(all: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut all: Vec<Self> = all.collect();
        // `Nothing` sorts before the substitutes, so it is the one that is kept.
        all.sort_unstable();
        all.dedup_by_key(|requirement| requirement.capability);
        all
    }

    /// How an administrator provides it, in a clause.
    pub fn remedy(self) -> String {
        let system = format!("run the executor in system mode with {}", self.capability);
        match self.or {
            Substitute::Nothing => system,
            Substitute::IcmpSocket => format!(
                "{system}, or open ICMP datagram sockets to its group: \
                 sysctl -w net.ipv4.ping_group_range='0 2147483647'"
            ),
        }
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.or {
            Substitute::Nothing => write!(f, "{}", self.capability),
            Substitute::IcmpSocket => write!(f, "{} or ICMP datagram sockets", self.capability),
        }
    }
}

/// Flags that can't be combined.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// None of these …
    pub any_of: Vec<FlagId>,
    /// … together with one of these. Empty: at most one of `any_of`.
    pub with: Vec<FlagId>,
    /// Allowed after all when one of these is given.
    pub unless: Vec<FlagId>,
    /// Whether the flags are several ways of the same thing, so that a call may
    /// choose another one than its template does.
    pub alternatives: bool,
    /// Why not.
    pub reason: String,
    /// The rule that a combination breaks.
    pub rule: String,
}

/// Two flags whose values must be in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Order {
    /// The flag with the value that must not be greater.
    pub low: FlagId,
    /// The flag with the value that must not be smaller.
    pub high: FlagId,
    /// Why.
    pub reason: String,
}

/// A setting that is added when a call has none of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefaultSetting {
    /// The arguments that are added; one flag.
    pub args: Vec<String>,
    /// Not added when one of these flags is given (or the flag itself).
    pub unless: Vec<FlagId>,
    /// Only added for a single address or name, not for a network.
    pub single: bool,
    /// Only added where these settings hold, earlier defaults included.
    pub given: Vec<String>,
}

/// Flags of which a call needs at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Required {
    /// One of these.
    pub any_of: Vec<FlagId>,
    /// Why.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// An argument that is refused with an explanation of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// The spellings, without a value.
    pub tokens: Vec<String>,
    /// Whether the tool takes a value glued to it.
    pub attached: bool,
    /// The rule it breaks.
    pub rule: String,
    /// Why it is refused.
    pub because: String,
    /// What to do instead.
    pub remedy: String,
    /// The arguments to use instead, if there are any.
    pub instead: Vec<String>,
}
