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
use sandbox_profiles::profile::{Flag, Form};
use sandbox_profiles::value::ValueType;
use sandbox_profiles::vet::{self, VettedRun};
use sandbox_profiles::{Detail, Profile, Refusal, Scope};

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
        .all(|need| profile.capabilities.contains(need));
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
    let broken = |why: &str| format!("{why}: {argv:?}");
    let Some((program, rest)) = argv.split_first() else {
        return Err(broken("no program"));
    };
    if Some(program.as_str()) != profile.executable.to_str() {
        return Err(broken("another program"));
    }
    if argv.len() > ARGV_ELEMENTS_MAX {
        return Err(broken("too many elements"));
    }
    let plain = |element: &String| {
        !element.is_empty()
            && element.len() <= ARG_BYTES_MAX
            && element.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !rest.iter().all(plain) {
        return Err(broken("an element that is not plain"));
    }
    let Some(rest) = rest.strip_prefix(profile.fixed.as_slice()) else {
        return Err(broken("the fixed arguments are not there"));
    };
    let Some((target, mut middle)) = rest.split_last() else {
        return Err(broken("no target"));
    };
    if profile.target.separator {
        match middle.split_last() {
            Some((separator, before)) if separator == "--" => middle = before,
            Some(_) | None => return Err(broken("the target does not stand behind --")),
        }
    }
    let families = [&profile.target.ipv4_flag, &profile.target.ipv6_flag];
    if let Some((first, after)) = middle.split_first()
        && families.into_iter().flatten().any(|switch| switch == first)
    {
        middle = after;
    }
    let span = target_span(ground, target).map_err(|why| broken(&why))?;
    let left_out = settings(profile, ground, span.as_ref(), middle).map_err(|why| broken(&why))?;
    match span {
        Some(span) if !ground.leaves_out_denied(&span, &left_out) => {
            Err(broken("a denied part of the target is not left out"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The addresses that the target element covers; nothing for a name.
fn target_span(ground: &Ground, target: &str) -> Result<Option<Span>, String> {
    let numeric = |byte: u8| byte.is_ascii_hexdigit() || b".:/".contains(&byte);
    if !target.bytes().all(numeric) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let canonical = target.bytes().all(plain) && *target == target.to_ascii_lowercase();
        ensure(canonical, "a target that is no host name")?;
        ensure(ground.admits_name(target), "a name outside the scope")?;
        return Ok(None);
    }
    let found = literals(target);
    let [span] = found.as_slice() else {
        return Err("a target that is not one address".to_owned());
    };
    ensure(ground.allows(span), "a target outside the scope")?;
    Ok(Some(*span))
}

/// Takes the elements between fixed arguments and target apart; gives what they
/// leave out of the target.
fn settings(
    profile: &Profile,
    ground: &Ground,
    target: Option<&Span>,
    elements: &[String],
) -> Result<Vec<Span>, String> {
    let mut left_out = Vec::new();
    let mut last = None;
    let mut elements = elements.iter();
    while let Some(element) = elements.next() {
        let found = profile
            .flags
            .iter()
            .enumerate()
            .find_map(|(at, flag)| value_in(flag, element).map(|value| (at, flag, value)));
        let Some((at, flag, attached)) = found else {
            return Err(format!("no listed flag: {element}"));
        };
        ensure(
            last < Some(at),
            &format!("not in the profile's order: {element}"),
        )?;
        last = Some(at);
        let is_all = is_all_ports(flag, element);
        let value = match (flag.form, attached) {
            (Form::Separate, _) if !is_all => {
                let next = elements.next().ok_or("a flag without its value")?;
                ensure(
                    !next.starts_with(['-', '+', '@']),
                    &format!("a value that looks like a flag: {next}"),
                )?;
                Some(next.as_str())
            }
            (_, attached) => Some(attached).filter(|value| !value.is_empty()),
        };
        allowed(ground, flag, value)?;
        let Some(value) = value else { continue };
        let spans = literals(value);
        if let ValueType::Networks { .. } = flag.value {
            let inside = spans
                .iter()
                .all(|span| target.is_some_and(|target| target.holds(span)));
            ensure(
                inside,
                &format!("leaves out what is not in the target: {value}"),
            )?;
            left_out.extend(spans);
        } else {
            ensure(!value.contains('/'), &format!("a path: {value}"))?;
            let inside = spans
                .iter()
                .all(|span| span.is_single() && ground.admits(span));
            ensure(inside, &format!("an address outside the scope: {value}"))?;
        }
    }
    Ok(left_out)
}

/// The value that is attached to the element's flag, empty where there is none;
/// nothing if the element is not that flag.
fn value_in<'e>(flag: &Flag, element: &'e str) -> Option<&'e str> {
    if is_all_ports(flag, element) {
        return Some("");
    }
    let after = element.strip_prefix(flag.spelling.as_str())?;
    let fits = match flag.form {
        Form::Switch | Form::Separate => after.is_empty(),
        Form::Counted => after.chars().all(|ch| flag.spelling.ends_with(ch)),
        Form::Attached => !after.is_empty(),
        Form::AttachedOptional => true,
    };
    let value = if flag.form == Form::Counted {
        ""
    } else {
        after
    };
    fits.then_some(value)
}

fn is_all_ports(flag: &Flag, element: &str) -> bool {
    matches!(&flag.value, ValueType::Ports { all: Some(all), .. } if all == element)
}

/// Holds a flag and its value against policy and type.
fn allowed(ground: &Ground, flag: &Flag, value: Option<&str>) -> Check {
    let spelling = &flag.spelling;
    ensure(
        ground.intrusive || !flag.intrusive,
        &format!("intrusive: {spelling}"),
    )?;
    let fits = match (&flag.value, value) {
        (
            ValueType::Integer {
                min,
                max,
                step,
                intrusive_above,
            },
            Some(text),
        ) => {
            let number: u64 = text.parse().unwrap_or(u64::MAX);
            let bound = intrusive_above
                .filter(|_| !ground.intrusive)
                .unwrap_or(*max);
            (*min..=bound.min(*max)).contains(&number)
                && number.checked_rem(*step) == Some(0)
                && number.to_string() == text
        }
        (ValueType::Word { words }, Some(text)) => words.iter().any(|word| word == text),
        (ValueType::Ports { .. }, Some(text)) => text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b",-".contains(&byte)),
        (_, _) => true,
    };
    ensure(
        fits,
        &format!("a value out of bounds: {spelling} {value:?}"),
    )
}

#[cfg(test)]
mod tests {
    use sandbox_profiles::ScopeConfig;

    use super::*;
    use crate::bench::{config_of, tool};

    const FIXED: &str = "/usr/bin/nmap -oX - --stats-every 2s -n ";

    #[test]
    fn sees_what_is_not_harmless() {
        let plain = ScopeConfig::default();
        let denied = config_of(&["10.0.0.0/8"], &["10.0.0.64/26"]);
        let intrusive = ScopeConfig {
            allow_intrusive: true,
            ..plain.clone()
        };
        let cases = [
            // scope, what follows the fixed arguments, what is said of it
            (&plain, "-p 80 -T4 -- 10.0.0.1", None),
            (&plain, "-p- -vv -- web.lab.internal", None),
            (&plain, "-6 -- 10.0.0.1", None),
            (&denied, "--exclude 10.0.0.64/26 -- 10.0.0.0/24", None),
            (&intrusive, "-A --ttl 3 -- 10.0.0.1", None),
            (&intrusive, "-D 10.0.0.9,ME -- 10.0.0.1", None),
            (&plain, "-p 80 10.0.0.1", Some("behind --")),
            (&plain, "-oN -- 10.0.0.1", Some("no listed flag")),
            (&plain, "10.0.0.2 -- 10.0.0.1", Some("no listed flag")),
            (&plain, "-T4 -p 80 -- 10.0.0.1", Some("profile's order")),
            (&plain, "-p 80 -p 81 -- 10.0.0.1", Some("profile's order")),
            (&plain, "-p -sV -- 10.0.0.1", Some("looks like a flag")),
            (&plain, "-p -- 10.0.0.1", Some("without its value")),
            (&plain, "-p http -- 10.0.0.1", Some("out of bounds")),
            (&plain, "-T7 -- 10.0.0.1", Some("out of bounds")),
            (&plain, "--top-ports 0 -- 10.0.0.1", Some("out of bounds")),
            (&plain, "--script /tmp/x -- 10.0.0.1", Some("a path")),
            (&plain, "-A -- 10.0.0.1", Some("intrusive")),
            (
                &plain,
                "--exclude 8.8.8.8 -- 10.0.0.0/24",
                Some("not in the target"),
            ),
            (&plain, "-- 8.8.8.8", Some("outside the scope")),
            (&plain, "-- 10.0.0.1,8.8.8.8", Some("no host name")),
            (&plain, "-- example.com", Some("outside the scope")),
            (&plain, "-- http://10.0.0.1/", Some("no host name")),
            (&denied, "-- 10.0.0.0/24", Some("not left out")),
            (
                &denied,
                "--exclude 10.0.0.64/27 -- 10.0.0.0/24",
                Some("not left out"),
            ),
            (
                &intrusive,
                "-D 8.8.8.8 -- 10.0.0.1",
                Some("outside the scope"),
            ),
        ];
        for (config, text, expected) in cases {
            let argv: Vec<String> = format!("{FIXED}{text}")
                .split(' ')
                .map(ToOwned::to_owned)
                .collect();
            let said = harmless(tool("nmap"), &Ground::new(config), &argv);
            let as_expected = match expected {
                None => said.is_ok(),
                Some(part) => said.as_ref().is_err_and(|why| why.contains(part)),
            };
            assert!(as_expected, "{text}: {said:?}");
        }
        for odd in ["", " ", "\n", "\u{e9}"] {
            let mut argv: Vec<String> = FIXED.trim().split(' ').map(ToOwned::to_owned).collect();
            argv.extend(["-p", odd, "--", "10.0.0.1"].map(ToOwned::to_owned));
            assert!(harmless(tool("nmap"), &Ground::new(&plain), &argv).is_err());
        }
    }
}
