//! The words of each target's inputs, as libFuzzer's dictionaries.
//!
//! Made from the profiles themselves, so that a new tool or flag is fuzzed from its
//! first day.
//!
//! Invariants: words are sorted and unique, and short enough for libFuzzer.

use std::collections::BTreeSet;

use sandbox_profiles::Profile;
use sandbox_profiles::profile::ParameterKind;
use sandbox_profiles::value::ValueType;

use crate::script::PROFILES;
use crate::worlds::{tools, worlds};

/// Longest word of a dictionary that libFuzzer takes, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// The dictionary for calls and argument vectors.
pub fn of_calls() -> String {
    let mut words: BTreeSet<String> = BTreeSet::new();
    words.extend(worlds().iter().map(|world| world.name.to_owned()));
    for profile in tools() {
        words.extend(of_profile(profile));
    }
    words.extend(HOSTILE.iter().map(|&word| word.to_owned()));
    written(&words)
}

/// The dictionary for profiles: keys, types and the values that stand for something.
pub fn of_profiles() -> String {
    let profile: String = PROFILES.iter().map(|(_, text)| *text).collect();
    let breaks = |ch: char| !ch.is_ascii_alphanumeric() && !"_-./".contains(ch);
    let mut words: BTreeSet<String> = profile.split(breaks).map(ToOwned::to_owned).collect();
    let lines = profile.lines().filter(|line| line.starts_with('['));
    words.extend(lines.map(ToOwned::to_owned));
    words.extend(PROFILES.iter().map(|(name, _)| (*name).to_owned()));
    words.extend(
        [
            " = ",
            "= [",
            "\"]",
            "''",
            "\"\"",
            "{ ",
            " }",
            "0x",
            "99999999999",
        ]
        .map(ToOwned::to_owned),
    );
    written(&words)
}

/// What attacks are made of, beside the words of the profiles.
const HOSTILE: [&str; 34] = [
    "\n",
    "|",
    "=",
    "#",
    "?true",
    "?false",
    ":",
    ";",
    "--",
    "-",
    "+",
    "@",
    "/",
    "//",
    "../",
    "/etc/passwd",
    "http://",
    "file://",
    "%",
    "\\",
    "\"",
    "'",
    "\u{1f}",
    "\u{0}",
    "::ffff:",
    "10.0.0.",
    "/32",
    "/0",
    "8.8.8.8",
    "169.254.169.254",
    "0x0a000001",
    "010.0.0.1",
    "fd00::",
    ".lab.internal",
];

fn of_profile(profile: &Profile) -> Vec<String> {
    let mut words = vec![profile.name.clone()];
    words.extend(profile.executable.to_str().map(ToOwned::to_owned));
    words.extend(profile.fixed.iter().chain(&profile.tolerated).cloned());
    let families = [&profile.target.ipv4_flag, &profile.target.ipv6_flag];
    words.extend(families.into_iter().flatten().cloned());
    for flag in &profile.flags {
        words.push(flag.spelling.clone());
        words.extend(flag.aliases.iter().cloned());
        words.extend(words_of(&flag.value));
    }
    words.extend(profile.hints.iter().flat_map(|hint| hint.tokens.clone()));
    words.extend(
        profile
            .templates
            .iter()
            .map(|template| template.name.clone()),
    );
    for parameter in &profile.parameters {
        words.push(parameter.name.clone());
        if let ParameterKind::Choice { words: choices, .. } = &parameter.kind {
            words.extend(choices.iter().map(|choice| choice.word.clone()));
        }
    }
    words
}

/// The words that a value may consist of.
fn words_of(kind: &ValueType) -> Vec<String> {
    if let ValueType::Word { words, .. } = kind {
        return words.clone();
    }
    if let ValueType::Names(rule) = kind {
        let bounds = rule.without.iter().chain(&rule.without_unless_intrusive);
        let left_out = bounds.map(|part| format!("and(not({part}))"));
        let names = rule.safe.iter().chain(&rule.intrusive).cloned();
        return names.chain(left_out).collect();
    }
    if let ValueType::Headers { names, .. } = kind {
        return names.iter().map(|name| format!("{name}:")).collect();
    }
    if let ValueType::Integer { min, max, .. } = kind {
        return vec![min.to_string(), max.to_string()];
    }
    if let ValueType::Ports { all: Some(all), .. } = kind {
        return vec![all.clone()];
    }
    Vec::new()
}

/// The words in libFuzzer's spelling.
fn written(words: &BTreeSet<String>) -> String {
    let mut text = String::new();
    let fitting = words
        .iter()
        .filter(|word| !word.is_empty() && word.len() <= WORD_BYTES_MAX);
    for word in fitting {
        text.push('"');
        for byte in word.bytes() {
            match byte {
                b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\x{byte:02x}")),
            }
        }
        text.push_str("\"\n");
    }
    text
}
