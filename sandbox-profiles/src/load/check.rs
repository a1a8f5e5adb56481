//! Whether a profile makes sense, and whether it does what it says.
//!
//! Everything is checked with the code that will use it: argument lists are read
//! by the grammar, examples are vetted. A profile that passes can still be
//! unwise; it can't be inconsistent.
//!
//! Invariants: every argument list inside a checked profile can be read, so
//! vetting never fails because of the profile.

use std::collections::BTreeSet;

use super::confine::is_plain_path;
use super::read::{Document, Places};
use super::schema::Parsed;
use crate::compose;
use crate::grammar;
use crate::profile::{AcceptExample, Flag, FlagId, Form, Need, ParameterKind, Profile};
use crate::refusal::Refusal;
use crate::sandbox::RawUse;
use crate::scope::{Scope, ScopeConfig};
use crate::value::{NameRule, ValueType};
use crate::vet::{Arguments, Call, VettedRun, verdict, vet_argv};

/// Records every inconsistency of the profile.
pub(super) fn check(document: &Document<'_>, parsed: &Parsed) {
    let Parsed {
        profile, places, ..
    } = parsed;
    check_names(document, profile);
    check_flags(document, profile, places);
    check_parameters(document, profile, places);
    check_run(document, profile);
    if document.has_mistakes() {
        return;
    }
    let Some(scopes) = Scopes::new() else {
        document.mistake(
            0,
            "examples",
            "the default scope can't be made",
            "report this",
        );
        return;
    };
    check_lists(document, profile, places, &scopes);
    if !document.has_mistakes() {
        check_examples(document, profile, places, &scopes);
    }
}

/// The scope of the examples: the default one, without and with intrusive runs.
struct Scopes {
    plain: Scope,
    intrusive: Scope,
}

impl Scopes {
    fn new() -> Option<Self> {
        let config = ScopeConfig::default();
        let intrusive = ScopeConfig {
            allow_intrusive: true,
            ..ScopeConfig::default()
        };
        Some(Self {
            plain: Scope::new(&config).ok()?,
            intrusive: Scope::new(&intrusive).ok()?,
        })
    }

    const fn of(&self, intrusive: bool) -> &Scope {
        if intrusive {
            &self.intrusive
        } else {
            &self.plain
        }
    }
}

fn check_names(document: &Document<'_>, profile: &Profile) {
    if !is_name(&profile.name, b'-') {
        let remedy = "use lower case letters, digits and hyphens";
        document.mistake(
            0,
            "name",
            format!("not a plain name: {}", profile.name),
            remedy,
        );
    }
    for alias in &profile.aliases {
        if alias.is_empty() || !alias.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let remedy = "use letters and digits";
            document.mistake(0, "aliases", format!("not a plain alias: {alias}"), remedy);
        }
    }
    if !profile.executable.to_str().is_some_and(is_plain_path) {
        let remedy = "write the whole path, without . or .., and without links";
        document.mistake(0, "executable", "not an absolute, plain path", remedy);
    }
    for text in profile.fixed.iter().chain(&profile.tolerated) {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let remedy = "write one argument per text, in printable ASCII without spaces";
            document.mistake(
                0,
                "fixed",
                format!("not a plain argument: {text:?}"),
                remedy,
            );
        }
    }
    for switch in &profile.tolerated {
        if !profile.fixed.contains(switch) {
            let what = format!("{switch} is not among the fixed arguments");
            document.mistake(0, "tolerated", what, "tolerate only what holds anyway");
        }
    }
}

fn is_name(name: &str, joint: u8) -> bool {
    name.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_lowercase())
        && name.len() <= 32
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == joint)
}

fn check_flags(document: &Document<'_>, profile: &Profile, places: &Places) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let reserved = profile
        .target
        .ipv4_flag
        .iter()
        .chain(&profile.target.ipv6_flag);
    seen.extend(profile.fixed.iter().chain(reserved).map(String::as_str));
    for (flag, at) in profile.flags.iter().zip(&places.flags) {
        for spelling in flag.spellings() {
            if !seen.insert(spelling) {
                let what = format!("{spelling} is listed twice, or set by Mantlet itself");
                document.mistake(*at, "flags.flag", what, "list each spelling once");
            }
            let plain = spelling.len() > 1
                && (spelling.starts_with('-') || spelling.starts_with('+'))
                && spelling
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'=');
            if !plain || spelling == "--" {
                let what = format!("not a flag: {spelling:?}");
                document.mistake(
                    *at,
                    "flags.flag",
                    what,
                    "write it with its hyphens, without =",
                );
            }
        }
        check_value(document, flag, *at);
        check_needs(document, profile, &flag.needs, (*at, "flags.needs"));
    }
    check_needs(document, profile, &profile.needs, (0, "needs"));
    if let Some(id) = profile.target.exclude
        && !profile
            .flag(id)
            .is_some_and(|flag| matches!(flag.value, ValueType::Networks { .. }))
    {
        let remedy = "name a flag of type networks";
        document.mistake(
            0,
            "target.exclude_flag",
            "not a flag that takes networks",
            remedy,
        );
    }
}

fn check_needs(
    document: &Document<'_>,
    profile: &Profile,
    needs: &[Need],
    (at, key): (usize, &str),
) {
    for need in needs {
        let capability = need.what.capability;
        if !profile.capabilities.contains(&capability) || profile.sandbox.raw == RawUse::Never {
            let what = format!("{capability} is needed, and the profile does not list it");
            let remedy = "add it to capabilities, and set sandbox.raw = \"by-need\"";
            document.mistake(at, key, what, remedy);
        }
    }
}

fn check_value(document: &Document<'_>, flag: &Flag, at: usize) {
    if let Some((what, remedy)) = value_mistake(flag) {
        document.mistake(
            at,
            "flags.type",
            format!("{}: {what}", flag.spelling),
            remedy,
        );
    }
}

/// What is wrong with the value type of a flag, and what to do about it.
fn value_mistake(flag: &Flag) -> Option<(&'static str, &'static str)> {
    match &flag.value {
        ValueType::Switch | ValueType::Count { .. } => {
            let plain = matches!(flag.form, Form::Switch | Form::Counted);
            (!plain).then_some((
                "a flag without a value has nothing to attach",
                "remove attached",
            ))
        }
        ValueType::Integer { min, max, step, .. } => {
            let on_step = min.checked_rem(*step) == Some(0) && max.checked_rem(*step) == Some(0);
            let wrong = min > max || !on_step;
            wrong.then_some((
                "the bounds are in the wrong order, or off the step",
                "correct them",
            ))
        }
        ValueType::Duration { min_ms, max_ms, .. } => {
            (min_ms > max_ms).then_some(("the bounds are in the wrong order", "swap them"))
        }
        ValueType::Ports { all, .. } => {
            let wrong = all
                .as_ref()
                .is_some_and(|all| !all.starts_with(&flag.spelling));
            wrong.then_some((
                "`all` does not begin with the flag",
                "write the whole argument",
            ))
        }
        ValueType::Word {
            words, intrusive, ..
        } => {
            let wrong = words.is_empty()
                || !words.iter().all(|word| is_plain_value(word))
                || !intrusive.iter().all(|word| words.contains(word));
            wrong.then_some((
                "no words, or a word that can't be a value",
                "list plain words",
            ))
        }
        ValueType::Names(rule) => names_mistake(rule),
        ValueType::Headers { names, .. } => {
            let plain = |name: &String| {
                let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                !name.is_empty() && !name.starts_with('-') && name.bytes().all(word)
            };
            let wrong = names.is_empty()
                || !names.iter().all(plain)
                || names.iter().any(|name| name.eq_ignore_ascii_case("host"));
            wrong.then_some((
                "no names, or one that is no header field, or Host, which is the target's",
                "list plain names",
            ))
        }
        ValueType::Decoys { .. }
        | ValueType::Networks { .. }
        | ValueType::Mac
        | ValueType::Text { .. }
        | ValueType::UrlPath { .. }
        | ValueType::UrlQuery { .. }
        | ValueType::ByteRange
        | ValueType::DnsName
        | ValueType::Address => None,
    }
}

fn names_mistake(rule: &NameRule) -> Option<(&'static str, &'static str)> {
    // A pattern is a plain beginning, one hyphen and a star.
    let plain = |name: &String| is_name(name.strip_suffix("-*").unwrap_or(name), b'-');
    if rule.safe.is_empty() || !rule.safe.iter().chain(&rule.intrusive).all(plain) {
        return Some((
            "no names, or a name that is not plain",
            "list plain lower case names",
        ));
    }
    let twice = rule
        .safe
        .iter()
        .any(|name| name.ends_with('*') || rule.intrusive.contains(name));
    if twice {
        return Some((
            "a safe name is a pattern, or listed as intrusive too",
            "list it once",
        ));
    }
    let mut left_out = rule.without.iter().chain(&rule.without_unless_intrusive);
    let known = |name: &String| rule.safe.contains(name) || rule.intrusive.contains(name);
    let wrong = !left_out.all(plain) || !rule.categories.iter().all(known);
    wrong.then_some((
        "a category that is no listed name, or leaves out what is not plain",
        "list categories among the names; leave out plain names and patterns",
    ))
}

fn is_plain_value(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn check_parameters(document: &Document<'_>, profile: &Profile, places: &Places) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    // What every call has is taken.
    seen.extend([
        "target",
        "extra_args",
        "timeout_sec",
        "correlation_id",
        "template",
    ]);
    for (parameter, at) in profile.parameters.iter().zip(&places.parameters) {
        if !is_name(&parameter.name, b'_') {
            let what = format!("not a plain name: {}", parameter.name);
            document.mistake(
                *at,
                "parameter",
                what,
                "use lower case letters, digits and underscores",
            );
        }
        if !seen.insert(&parameter.name) {
            let what = format!("the parameter {} is taken", parameter.name);
            document.mistake(*at, "parameter", what, "choose another name");
        }
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (template, at) in profile.templates.iter().zip(&places.templates) {
        if !is_name(&template.name, b'-') || !names.insert(&template.name) {
            let what = format!("not a plain name, or taken: {}", template.name);
            document.mistake(*at, "templates.name", what, "choose another name");
        }
    }
}

fn check_run(document: &Document<'_>, profile: &Profile) {
    let run = &profile.run;
    if !(run.timeout_min..=run.timeout_max).contains(&run.timeout) {
        let remedy = "set timeout_s between timeout_min_s and timeout_max_s";
        document.mistake(
            0,
            "run.timeout_s",
            "the timeout is outside its own bounds",
            remedy,
        );
    }
    if run.concurrency > run.concurrency_max {
        let remedy = "set concurrency to concurrency_max at most";
        document.mistake(0, "run.concurrency", "more than concurrency_max", remedy);
    }
}

/// Reads every argument list of the profile as a call would.
fn check_lists(document: &Document<'_>, profile: &Profile, places: &Places, scopes: &Scopes) {
    let scope = &scopes.intrusive;
    let read = |at: usize, key: &str, args: &[String]| match grammar::read(profile, scope, args) {
        Ok(reading) => {
            if let Err(trouble) = compose::check(profile, &reading.settings) {
                document.mistake(
                    at,
                    key,
                    trouble.refusal.to_string(),
                    "correct the arguments",
                );
            }
            reading.settings.len()
        }
        Err(trouble) => {
            document.mistake(
                at,
                key,
                trouble.refusal.to_string(),
                "correct the arguments",
            );
            0
        }
    };
    for (template, at) in profile.templates.iter().zip(&places.templates) {
        read(*at, "templates.args", &template.args);
    }
    for (default, at) in profile.defaults.iter().zip(&places.defaults) {
        read(*at, "defaults.given", &default.given);
        if read(*at, "defaults.args", &default.args) != 1 {
            document.mistake(
                *at,
                "defaults.args",
                "not exactly one flag",
                "one flag per default",
            );
        }
    }
    for (index, (flag, at)) in profile.flags.iter().zip(&places.flags).enumerate() {
        read(*at, "flags.instead", &flag.instead);
        read(*at, "flags.brings", &flag.brings);
        for need in &flag.needs {
            read(*at, "flags.without", &need.instead);
        }
        if flag.includes.contains(&FlagId(index)) {
            document.mistake(*at, "flags.includes", "a flag includes itself", "remove it");
        }
    }
    for row in &profile.implied_ports {
        let filled = |word: &String| word.replace("{port}", "1");
        let instead: Vec<String> = row.instead.iter().map(filled).collect();
        read(0, "implied_ports.instead", &instead);
    }
    for need in &profile.needs {
        read(0, "without", &need.instead);
    }
    for (parameter, at) in profile.parameters.iter().zip(&places.parameters) {
        if let ParameterKind::Choice { words, .. } = &parameter.kind {
            for word in words {
                read(*at, "choices.words.args", &word.args);
            }
        }
    }
}

fn check_examples(document: &Document<'_>, profile: &Profile, places: &Places, scopes: &Scopes) {
    for (example, at) in profile.examples.accept.iter().zip(&places.accept) {
        let call = call(&example.target, &example.args, example.template.as_deref());
        let outcome = verdict(profile, scopes.of(example.intrusive), &call);
        if let Some(what) = accept_mistake(profile, scopes.of(example.intrusive), example, outcome)
        {
            document.mistake(*at, "examples.accept", what, EXAMPLE_REMEDY);
        }
    }
    for (example, at) in profile.examples.refuse.iter().zip(&places.refuse) {
        let call = call(&example.target, &example.args, example.template.as_deref());
        let what = match verdict(profile, scopes.of(example.intrusive), &call) {
            Ok(run) => format!("is accepted: {}", run.argv().join(" ")),
            Err(refusal) if *refusal.rule == *example.rule => continue,
            Err(refusal) => format!("is refused by another rule: {refusal}"),
        };
        let what = format!("{:?} for {} {what}", example.args, example.target);
        document.mistake(*at, "examples.refuse", what, EXAMPLE_REMEDY);
    }
}

const EXAMPLE_REMEDY: &str = "correct the example or the profile";

fn call(target: &str, args: &str, template: Option<&str>) -> Call {
    Call {
        target: target.to_owned(),
        arguments: Arguments::Text(args.to_owned()),
        template: template.map(ToOwned::to_owned),
        parameters: Vec::new(),
    }
}

/// How an accepted example differs from what it says.
fn accept_mistake(
    profile: &Profile,
    scope: &Scope,
    example: &AcceptExample,
    verdict: Result<VettedRun, Refusal>,
) -> Option<String> {
    let run = match verdict {
        Ok(run) => run,
        Err(refusal) => return Some(format!("is refused: {refusal}")),
    };
    let argv = run.argv().get(1..).unwrap_or_default();
    if argv != example.argv {
        return Some(format!(
            "leads to another argument vector: {}",
            argv.join(" ")
        ));
    }
    if run.unresolved().is_some() {
        return None;
    }
    let refusal = vet_argv(profile, scope, run.argv()).err()?;
    Some(format!(
        "is accepted, but the executor would refuse it: {refusal}"
    ))
}
