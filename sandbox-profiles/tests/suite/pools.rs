//! Calls made from a profile: its own flags with values of every kind.
//!
//! What it is not: a second reading of profiles. Vetting decides what is accepted,
//! and the properties say what must then hold.

use std::sync::LazyLock;

use sandbox_profiles::profile::{Flag, Form};
use sandbox_profiles::value::ValueType;
use sandbox_profiles::vet::{self, Arguments, Call};
use sandbox_profiles::{Profile, Scope, VettedRun};

use crate::bench::{every_tool, intrusive_ipv6};

/// Values that fit some type of flag.
pub(crate) const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "5",
    "7",
    "8",
    "10",
    "64",
    "80",
    "0.5",
    "1.5",
    "65535",
    "1s",
    "5s",
    "10ms",
    "1h",
    "22,80",
    "1-65535",
    "-",
    "ME",
    "10.0.0.9",
    "10.0.0.9,ME",
    "10.0.0.0/30",
    "10.0.0.1",
    "fd00::9",
    "02:00:5e:10:00:01",
    "02-00-5e-10-00-01",
    "web.lab.internal",
];

/// Values that no type takes, or none should.
pub(crate) const HOSTILE: &[&str] = &[
    "",
    "00",
    "01",
    "-1",
    "+1",
    "0x1",
    "1e3",
    "65536",
    "99999999999999999999",
    "1d",
    "80-22",
    "T:80",
    "http",
    "http*",
    "8.8.8.8",
    "8.8.8.0/24",
    "0.0.0.0/0",
    "169.254.169.254",
    "010.0.0.1",
    "fe80::1%eth0",
    "RND",
    "example.com",
    "/etc/passwd",
    "/",
    "../x",
    "./x",
    "~/x",
    "@/etc/passwd",
    "@8.8.8.8",
    "-oN",
    "--",
    "--help",
    "=",
    "a=b",
    "file:///etc/passwd",
    "%00",
    "%2e%2e",
    "x y",
    "x\ty",
    "x\ny",
    "x\0y",
    "x;y",
    "$(x)",
    "\u{e9}",
    "\u{202e}x",
];

pub(crate) const TARGETS: &[&str] = &[
    "10.0.0.1",
    "10.0.0.0/29",
    "10.0.0.53",
    "fd00::1",
    "fd00::/125",
    "web.lab.internal",
];

/// Calls of one tool, and the parts to make others of.
pub(crate) struct Pool {
    pub(crate) profile: &'static Profile,
    /// Arguments of accepted examples, and none at all.
    pub(crate) bases: Vec<(String, Vec<String>)>,
    /// Flags with values, each accepted with some base.
    pub(crate) good: Vec<Vec<String>>,
    /// Flags with values most of which are refused with every base.
    pub(crate) odd: Vec<Vec<String>>,
}

pub(crate) static POOLS: LazyLock<Vec<Pool>> =
    LazyLock::new(|| every_tool().map(Pool::of).collect());

impl Pool {
    fn of(profile: &'static Profile) -> Self {
        let examples = profile.examples.accept.iter();
        let examples = examples
            .filter_map(|example| Some((example.target.clone(), shlex::split(&example.args)?)));
        let mut bases: Vec<(String, Vec<String>)> = TARGETS
            .iter()
            .map(|target| ((*target).to_owned(), Vec::new()))
            .collect();
        bases.extend(examples);
        let mut pool = Self {
            profile,
            bases,
            good: Vec::new(),
            odd: Vec::new(),
        };
        for flag in &profile.flags {
            for group in values(profile, flag)
                .iter()
                .flat_map(|value| shapes(flag, value))
            {
                if !pool.accepts(&group) {
                    pool.odd.push(group);
                } else if !pool.good.contains(&group) {
                    pool.good.push(group);
                }
            }
            pool.odd
                .extend(HOSTILE.iter().flat_map(|value| shapes(flag, value)));
        }
        pool
    }

    /// A few of the bases: an address, a network and an example.
    pub(crate) fn probes(&self) -> impl Iterator<Item = &(String, Vec<String>)> {
        let example = self.bases.get(TARGETS.len());
        self.bases.iter().take(2).chain(example)
    }

    fn accepts(&self, group: &[String]) -> bool {
        let scope = intrusive_ipv6();
        self.probes()
            .any(|(target, base)| vet(self.profile, &scope, target, base, group).is_some())
    }
}

/// The run that a call comes to, if it is accepted.
pub(crate) fn vet(
    profile: &Profile,
    scope: &Scope,
    target: &str,
    base: &[String],
    group: &[String],
) -> Option<VettedRun> {
    vet::vet(profile, scope, &tokens(target, [base, group].concat())).ok()
}

/// A call with separate arguments.
pub(crate) fn tokens(target: &str, tokens: Vec<String>) -> Call {
    let arguments = Arguments::Tokens(tokens);
    Call {
        target: target.to_owned(),
        arguments,
        ..Call::default()
    }
}

/// Values for a flag: its type's bounds and what lies beyond them, what the
/// profile shows, and what fits any other type.
fn values(profile: &Profile, flag: &Flag) -> Vec<String> {
    let mut values: Vec<String> = VALUES.iter().map(|&value| value.to_owned()).collect();
    values.extend(
        profile
            .parameters
            .iter()
            .filter_map(|parameter| parameter.example.clone()),
    );
    if let ValueType::Integer {
        min,
        max,
        step,
        intrusive_above,
    } = &flag.value
    {
        let near = [
            min.wrapping_sub(1),
            *min,
            min + step,
            max - step,
            *max,
            max + 1,
            max + step,
        ];
        let policy = intrusive_above.iter().flat_map(|above| [*above, above + 1]);
        values.extend(
            near.into_iter()
                .chain(policy)
                .map(|number| number.to_string()),
        );
    }
    if let ValueType::Duration { min_ms, max_ms, .. } = &flag.value {
        for ms in [min_ms.wrapping_sub(1), *min_ms, *max_ms, max_ms + 1] {
            values.extend([format!("{ms}ms"), format!("{}.{:03}", ms / 1000, ms % 1000)]);
        }
    }
    if let ValueType::Word { words, .. } = &flag.value {
        values.extend(
            words
                .iter()
                .flat_map(|word| [word.clone(), word.to_uppercase()]),
        );
    }
    if let ValueType::Names(rule) = &flag.value {
        values.extend(rule.safe.iter().chain(&rule.intrusive).cloned());
        values.extend(
            rule.intrusive
                .iter()
                .map(|name| name.replace('*', "x/../y")),
        );
        values.push([rule.safe[0].as_str(), rule.intrusive[0].as_str()].join(","));
    }
    values
}

/// A flag with a value, in the ways to write it.
fn shapes(flag: &Flag, value: &str) -> Vec<Vec<String>> {
    let mut shapes = Vec::new();
    if let ValueType::Ports { all: Some(all), .. } = &flag.value {
        shapes.push(vec![all.clone()]);
    }
    for spelling in [&flag.spelling].into_iter().chain(&flag.aliases) {
        match flag.form {
            Form::Switch | Form::Counted => {
                shapes.push(vec![spelling.clone()]);
                shapes.push(vec![spelling.clone(), spelling.clone()]);
            }
            Form::Separate => {
                shapes.push(vec![spelling.clone(), value.to_owned()]);
                shapes.push(vec![format!("{spelling}={value}")]);
            }
            Form::Equals => shapes.push(vec![format!("{spelling}={value}")]),
            Form::Attached => shapes.push(vec![format!("{spelling}{value}")]),
            Form::AttachedOptional => {
                shapes.push(vec![spelling.clone()]);
                shapes.push(vec![format!("{spelling}{value}")]);
            }
        }
    }
    shapes
}
