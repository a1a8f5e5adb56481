//! What a profile is: plain, read-only data about one tool.
//!
//! The loader makes these from TOML and checks them; vetting and the executor
//! read them. Nothing here parses, decides or touches a file.
//!
//! Invariants: values are made by [`crate::load`] only (each struct is
//! `non_exhaustive`); every [`FlagId`] in a profile is an index into its own
//! `flags`; names and spellings within a profile are unique.

mod call;
mod lasts;
mod flag;
mod ports;
mod target;

pub use call::{
    AcceptExample, ChoiceWord, Examples, Parameter, ParameterKind, RefuseExample, Template,
};
pub use flag::{
    Conflict, DefaultSetting, Flag, FlagId, Form, Hint, Meaning, Meant, Need, Order, Repeat,
    Required, Requirement, Substitute,
};
pub use lasts::{Lasts, LastsTerm};
pub use ports::ImpliedPorts;
pub use target::{Pattern, Piece, TargetKind, TargetPlace, TargetRule};

pub(crate) use call::ParameterTarget;

use std::path::PathBuf;
use std::time::Duration;

use crate::sandbox::Sandbox;
use crate::value::ValueType;

/// A capability that a run can need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// `CAP_NET_RAW`: raw and packet sockets.
    NetRaw,
}

impl Capability {
    /// The kernel's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetRaw => "CAP_NET_RAW",
        }
    }

    /// The capability of that kernel name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::NetRaw]
            .into_iter()
            .find(|capability| capability.as_str() == name)
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one tool may do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Profile {
    /// The name that calls use: lower case letters, digits and hyphens.
    pub name: String,
    /// Other names that mean the same tool.
    pub aliases: Vec<String>,
    /// A short title for people.
    pub title: String,
    /// What the tool is for and what is allowed, for people and models.
    pub description: String,
    /// The Debian package that brings the executable.
    pub package: String,
    /// Absolute path of the program; `argv[0]` of every run.
    pub executable: PathBuf,
    /// How to ask the program for its version.
    pub version: VersionProbe,
    /// Which targets the tool takes and how they are written.
    pub target: TargetRule,
    /// What every run needs, whatever its flags.
    pub needs: Vec<Need>,
    /// The flags that are accepted, in the order in which they are rendered.
    pub flags: Vec<Flag>,
    /// Arguments that stand first in every run, whatever the call says.
    pub fixed: Vec<String>,
    /// Fixed switches that a caller may repeat, since they hold anyway.
    pub tolerated: Vec<String>,
    /// Flags that can't be combined.
    pub conflicts: Vec<Conflict>,
    /// Pairs of values that must not be the wrong way round.
    pub orders: Vec<Order>,
    /// Ports that runs touch beside those that calls name.
    pub implied_ports: Vec<ImpliedPorts>,
    /// Settings added when a call has none of their kind.
    pub defaults: Vec<DefaultSetting>,
    /// Flags without which there is nothing to run.
    pub required: Vec<Required>,
    /// Named argument lists.
    pub templates: Vec<Template>,
    /// The typed parameters of a call, in the order to show them.
    pub parameters: Vec<Parameter>,
    /// What is refused with an explanation of its own.
    pub hints: Vec<Hint>,
    /// Every capability that any flag needs; a run never gets another one.
    pub capabilities: Vec<Capability>,
    /// How a run is confined.
    pub sandbox: Sandbox,
    /// How long and how often the tool may run.
    pub run: RunLimits,
    /// What the tool prints and who reads it.
    pub output: OutputSpec,
    /// Calls with their verdicts, checked whenever the profile is loaded.
    pub examples: Examples,
    /// Where the profile was read from.
    pub source: String,
    /// SHA-256 of the profile's text.
    pub digest: [u8; 32],
}

impl Profile {
    /// The flag of that id.
    pub(crate) fn flag(&self, id: FlagId) -> Option<&Flag> {
        self.flags.get(id.0)
    }

    /// The canonical spelling of a flag, for messages.
    pub(crate) fn spelling(&self, id: FlagId) -> &str {
        self.flag(id).map_or("", |flag| flag.spelling.as_str())
    }

    /// The flag with exactly that spelling or alias.
    pub(crate) fn find_flag(&self, spelling: &str) -> Option<FlagId> {
        self.flags
            .iter()
            .position(|flag| flag.is_spelled(spelling))
            .map(FlagId)
    }

    /// Whether its runs touch ports, as far as the profile says.
    pub fn touches_ports(&self) -> bool {
        let names_ports = |flag: &Flag| {
            flag.meaning == Meaning::Port || matches!(flag.value, ValueType::Ports { .. })
        };
        self.flags.iter().any(names_ports) || !self.implied_ports.is_empty()
    }

    /// The template of that name.
    pub fn template(&self, name: &str) -> Option<&Template> {
        self.templates.iter().find(|template| template.name == name)
    }

    /// Parameters without which a call is refused: the first of each group that
    /// the profile requires.
    pub fn required_parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.required.iter().filter_map(|required| {
            let mut flags = required.any_of.iter();
            flags.find_map(|id| {
                let mut parameters = self.parameters.iter();
                parameters.find(|parameter| parameter.sets == ParameterTarget::Flag(*id))
            })
        })
    }

    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }
}

/// How the version is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionProbe {
    /// Arguments after the program path.
    pub args: Vec<String>,
    /// What the first line begins with; the version is the word after it.
    pub prefix: String,
    /// Whether the program opens sockets before it answers, though it sends nothing.
    pub sockets: bool,
}

/// How long and how often a tool may run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunLimits {
    /// Timeout of a call that asks for none.
    pub timeout: Duration,
    /// How long a call can take, which may be longer than `timeout`.
    pub lasts: Option<Lasts>,
    /// Shortest timeout that a call may ask for.
    pub timeout_min: Duration,
    /// Longest timeout that a call may ask for.
    pub timeout_max: Duration,
    /// Runs of the tool at the same time.
    pub concurrency: u32,
    /// Most runs at the same time that a configuration may set.
    pub concurrency_max: u32,
    /// Calls that may wait for a run to end.
    pub queue: u32,
    /// Most bytes of standard output that are kept.
    pub stdout_bytes_max: u32,
    /// Most bytes of standard error that are kept.
    pub stderr_bytes_max: u32,
    /// Faults in a row after which the breaker opens.
    pub breaker_failures: u32,
    /// How long the breaker stays open before it probes.
    pub breaker_recovery: Duration,
}

/// What a tool prints and who reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputSpec {
    /// The name of the parser: `nmap-xml`, `ping-text`, `curl-json`, `dig-yaml`, `text`.
    pub format: String,
    /// What a machine-readable standard output is stored as; nothing if it is meant for people.
    pub artefact: Option<String>,
    /// Exit codes that mean the tool did its work.
    pub success: Vec<u8>,
}
