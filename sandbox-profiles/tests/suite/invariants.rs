//! What holds for every accepted call and every refusal, whatever was asked.
//!
//! What it is: one statement of the promises of vetting, for the property tests
//! of this crate and for the fuzz targets (`tests/fuzz`), which include this file.
//! What it is not: a second vetting. It takes an argument vector as a tool would,
//! element by element, and asks of each one why it may stand there.
//!
//! Invariants: every check ends in a sentence that names what broke it; none of
//! them depends on which profiles there are.

use sandbox_profiles::limits::{ARG_BYTES_MAX, ARGV_ELEMENTS_MAX, OFFENDING_CHARS_MAX};
use sandbox_profiles::profile::{Flag, Form, Piece, Repeat};
use sandbox_profiles::value::ValueType;
use sandbox_profiles::vet::{self, VettedRun};
use sandbox_profiles::{Detail, Profile, Refusal, Scope};

use crate::elements::{Parts, apart, is_all_ports, value_in};
use crate::ground::{Ground, Span, literals};

/// The sentence that says what is broken, if something is.
pub(crate) type Check = Result<(), String>;

/// Longest message or remedy, in bytes: it quotes one element at most.
const TEXT_BYTES_MAX: usize = ARG_BYTES_MAX + 1024;

/// Holds an accepted run against everything that it must be.
pub(crate) fn accepted(
    profile: &Profile,
    scope: &Scope,
    ground: &Ground,
    run: &VettedRun,
) -> Check {
    let argv = run.argv();
    harmless(profile, ground, argv)?;
    ensure(run.tool() == profile.name, "the run is of another tool")?;
    ensure(
        ground.intrusive || !run.intrusive(),
        "an intrusive run under a policy without",
    )?;
    let listed = run
        .needs()
        .iter()
        .all(|need| profile.capabilities.contains(&need.capability));
    ensure(listed, "a need that the profile does not list")?;
    if let Some(name) = run.unresolved() {
        return ensure(ground.admits_name(name), "a name outside the scope");
    }
    let again = vet::vet_argv(profile, scope, argv)
        .map_err(|refusal| format!("not accepted again: {argv:?}: {refusal}"))?;
    ensure(again.argv() == argv, "no fixpoint")?;
    ensure(again.needs() == run.needs(), "other needs the second time")?;
    ensure(again.intrusive() == run.intrusive(), "intrusive once only")
}

/// Holds a refusal against everything that it must say.
pub(crate) fn refused(refusal: &Refusal) -> Check {
    let rule = refusal
        .rule
        .trim_start_matches(|ch: char| ch.is_ascii_uppercase());
    let is_rule = rule.len() < refusal.rule.len()
        && !rule.is_empty()
        && rule.bytes().all(|byte| byte.is_ascii_digit());
    ensure(is_rule, "no rule")?;
    for (text, what) in [(&refusal.message, "message"), (&refusal.remedy, "remedy")] {
        ensure(!text.trim().is_empty(), &format!("no {what}"))?;
        ensure(
            text.len() <= TEXT_BYTES_MAX,
            &format!("a {what} without a bound"),
        )?;
        ensure(
            is_shown(text),
            &format!("a {what} with characters to escape: {text:?}"),
        )?;
    }
    let escaped_max = "\\u{10ffff}"
        .len()
        .saturating_mul(OFFENDING_CHARS_MAX.saturating_add(3));
    let bounded = refusal.offending.len() <= escaped_max;
    ensure(
        bounded && is_shown(&refusal.offending),
        "an offending part unescaped",
    )?;
    for (name, detail) in &refusal.detail {
        let good = match detail {
            Detail::Integer(_) => true,
            Detail::Text(text) => is_shown(text),
            Detail::List(texts) => texts.iter().all(|text| is_shown(text)),
            Detail::Map(pairs) => pairs
                .iter()
                .all(|(key, text)| is_shown(key) && is_shown(text)),
        };
        ensure(good, &format!("a detail unescaped: {name}"))?;
    }
    Ok(())
}

fn ensure(holds: bool, otherwise: &str) -> Check {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

/// Whether a terminal shows the text as it is.
fn is_shown(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Holds an argument vector against what a tool could make of it.
pub(crate) fn harmless(profile: &Profile, ground: &Ground, argv: &[String]) -> Check {
    let broken = |why: String| format!("{why}: {argv:?}");
    let (program, rest) = argv.split_first().ok_or("no program")?;
    ensure(
        Some(program.as_str()) == profile.executable.to_str(),
        "another program",
    )?;
    ensure(argv.len() <= ARGV_ELEMENTS_MAX, "too many elements")?;
    let plain = |element: &String| {
        !element.is_empty()
            && element.len() <= ARG_BYTES_MAX
            && element.bytes().all(|byte| byte.is_ascii_graphic())
    };
    ensure(rest.iter().all(plain), "an element that is not plain").map_err(broken)?;
    let rest = rest
        .strip_prefix(profile.fixed.as_slice())
        .ok_or_else(|| broken("the fixed arguments are not there".to_owned()))?;
    let parts = apart(profile, ground, rest).map_err(broken)?;
    for (flag, value) in &parts.values {
        allowed(ground, flag, Some(value)).map_err(broken)?;
    }
    let left_out = flags(profile, ground, &parts).map_err(broken)?;
    let kept = parts
        .span
        .is_none_or(|span| ground.leaves_out_denied(&span, &left_out));
    ensure(kept, "a denied part of the target is not left out").map_err(broken)
}

/// Takes flags and values apart; gives what they leave out of the target.
fn flags(profile: &Profile, ground: &Ground, parts: &Parts<'_>) -> Result<Vec<Span>, String> {
    let in_target = |flag: &Flag| {
        let patterns = profile.target.form.iter().chain(&profile.target.named_form);
        let mut pieces = patterns.flat_map(|pattern| &pattern.pieces);
        pieces.any(|piece| match piece {
            Piece::Part(id) => profile
                .flags
                .get(id.index())
                .is_some_and(|part| part.spelling == flag.spelling),
            Piece::Literal(_) | Piece::Target | Piece::Host | Piece::Name => false,
        })
    };
    let mut left_out = Vec::new();
    let mut last: Option<usize> = None;
    let mut elements = parts.flags.iter();
    while let Some(element) = elements.next() {
        let mut known = profile.flags.iter().enumerate();
        let found = known.find_map(|(at, flag)| Some((at, flag, value_in(flag, element)?)));
        let (at, flag, inner) = found.ok_or_else(|| format!("no listed flag: {element}"))?;
        ensure(
            !in_target(flag),
            &format!("its value belongs into the target: {element}"),
        )?;
        let again = last == Some(at) && flag.repeat == Repeat::Collect;
        ensure(
            last < Some(at) || again,
            &format!("not in the profile's order: {element}"),
        )?;
        last = Some(at);
        let value = if flag.form == Form::Separate && !is_all_ports(flag, element) {
            let next = elements.next().ok_or("a flag without its value")?;
            Some(next.as_str())
        } else {
            Some(inner).filter(|value| !value.is_empty())
        };
        allowed(ground, flag, value)?;
        if let (ValueType::Networks { .. }, Some(value)) = (&flag.value, value) {
            let spans = literals(value);
            let inside = spans
                .iter()
                .all(|span| parts.span.is_some_and(|target| target.holds(span)));
            ensure(
                inside,
                &format!("leaves out what is not in the target: {value}"),
            )?;
            left_out.extend(spans);
        }
    }
    Ok(left_out)
}

/// Holds a flag and its value against policy and type.
fn allowed(ground: &Ground, flag: &Flag, value: Option<&str>) -> Check {
    let spelling = &flag.spelling;
    ensure(
        ground.intrusive || !flag.intrusive,
        &format!("intrusive: {spelling}"),
    )?;
    let Some(value) = value else {
        return Ok(());
    };
    let marks = value.starts_with(['-', '+', '@', '~', '.']);
    ensure(
        !marks,
        &format!("a value that looks like a flag: {spelling} {value}"),
    )?;
    ensure(
        fits(ground, flag, value),
        &format!("a value out of bounds: {spelling} {value}"),
    )?;
    if is_text(&flag.value) {
        return Ok(());
    }
    ensure(!value.contains('/'), &format!("a path: {spelling} {value}"))?;
    let mut spans = literals(value).into_iter();
    let inside = spans.all(|span| span.is_single() && ground.admits(&span));
    ensure(
        inside,
        &format!("an address outside the scope: {spelling} {value}"),
    )
}

/// Whether the value is one of those that the flag's type describes.
fn fits(ground: &Ground, flag: &Flag, value: &str) -> bool {
    match &flag.value {
        ValueType::Integer {
            min,
            max,
            step,
            intrusive_above,
        } => {
            let number: u64 = value.parse().unwrap_or(u64::MAX);
            let bound = intrusive_above
                .filter(|_| !ground.intrusive)
                .unwrap_or(*max);
            (*min..=bound.min(*max)).contains(&number)
                && number.checked_rem(*step) == Some(0)
                && number.to_string() == value
        }
        ValueType::Word {
            words, intrusive, ..
        } => {
            words.iter().any(|word| word == value)
                && (ground.intrusive || !intrusive.iter().any(|word| word == value))
        }
        ValueType::Ports { .. } | ValueType::ByteRange => value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b",-".contains(&byte)),
        ValueType::DnsName => ground.admits_question(value),
        ValueType::UrlPath { .. } => value.starts_with('/') && !value.contains(['?', '#']),
        ValueType::UrlQuery { .. } => {
            value.is_empty() || value.starts_with('?') && !value.contains('#')
        }
        ValueType::Headers { names, .. } => {
            let name = value.split_once(':').map(|(name, _)| name);
            names.iter().any(|known| Some(known.as_str()) == name)
        }
        ValueType::Text { .. } => value.starts_with(|ch: char| ch.is_ascii_alphabetic()),
        ValueType::Switch
        | ValueType::Count { .. }
        | ValueType::Duration { .. }
        | ValueType::Names(_)
        | ValueType::Decoys { .. }
        | ValueType::Networks { .. }
        | ValueType::Mac
        | ValueType::Address => true,
    }
}

/// Whether the value is a text for a server, or networks that are held against the
/// target.
fn is_text(kind: &ValueType) -> bool {
    match kind {
        ValueType::UrlPath { .. }
        | ValueType::UrlQuery { .. }
        | ValueType::Headers { .. }
        | ValueType::Text { .. }
        | ValueType::Networks { .. }
        | ValueType::DnsName => true,
        ValueType::Switch
        | ValueType::Count { .. }
        | ValueType::Integer { .. }
        | ValueType::Duration { .. }
        | ValueType::Ports { .. }
        | ValueType::Word { .. }
        | ValueType::Names(_)
        | ValueType::Decoys { .. }
        | ValueType::Mac
        | ValueType::ByteRange
        | ValueType::Address => false,
    }
}
