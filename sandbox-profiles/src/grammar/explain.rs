//! Why an argument is not accepted, and what was probably meant.
//!
//! Only wording: by the time this is called the argument is refused already.
//!
//! Invariants: every way out of this file is a refusal.

use super::meant::{level, leveled, misplaced, torn};
use super::{Place, Trouble};
use crate::nearest::nearest;
use crate::profile::{Flag, Form, Hint, ParameterTarget, Profile, Repeat};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::value::ValueType;

/// The refusal of an argument that is no listed flag.
pub(super) fn unknown(profile: &Profile, scope: &Scope, place: Place<'_>) -> Trouble {
    let token = place.token;
    if !is_flag_like(profile, token) {
        return hinted(profile, place)
            .or_else(|| hinted_glued(profile, place))
            .unwrap_or_else(|| positional(profile, scope, place));
    }
    if matches!(token, "-" | "--") {
        let refusal = Refusal::new(
            "ARG3",
            "a lone hyphen is no flag",
            token,
            "leave it out: the target is placed by Mantlet",
        );
        return Trouble::mended(refusal, place.at, 1, Vec::new());
    }
    hinted(profile, place)
        .or_else(|| part_of_a_run(profile, place))
        .or_else(|| glued_value(profile, scope, place))
        .or_else(|| bundle_trouble(profile, place))
        .or_else(|| {
            let digits = token.trim_start_matches(|ch: char| !ch.is_ascii_digit());
            let with = level(profile, token.strip_suffix(digits)?, digits)?;
            Some(leveled(place, place.at, 1, with))
        })
        .or_else(|| abbreviation(profile, place))
        .or_else(|| hinted_glued(profile, place))
        .unwrap_or_else(|| unlisted(profile, place))
}

/// Whether the tool would take the token for a flag.
fn is_flag_like(profile: &Profile, token: &str) -> bool {
    let plus = || {
        profile
            .flags
            .iter()
            .any(|flag| flag.spelling.starts_with('+'))
    };
    token.starts_with('-') || token.starts_with('+') && plus()
}

/// The profile's own explanation of exactly this flag, if it has one.
pub(super) fn hinted(profile: &Profile, place: Place<'_>) -> Option<Trouble> {
    let name = name_of(place.token);
    let hint = profile
        .hints
        .iter()
        .find(|hint| hint.tokens.iter().any(|known| known == name))?;
    Some(from_hint(hint, place, name == place.token))
}

/// The profile's explanation of a flag with a value glued to it: the longest
/// spelling counts, so `-oNfile` is `-oN`, not `-o`.
fn hinted_glued(profile: &Profile, place: Place<'_>) -> Option<Trouble> {
    let glued = profile
        .hints
        .iter()
        .filter(|hint| hint.attached)
        .flat_map(|hint| hint.tokens.iter().map(move |known| (hint, known)))
        .filter(|(_, known)| place.token.starts_with(known.as_str()))
        .max_by_key(|(_, known)| known.len());
    glued.map(|(hint, _)| from_hint(hint, place, false))
}

/// Turns a hint into a refusal. The value of the refused flag goes with it, or
/// over to the flag to use instead.
fn from_hint(hint: &Hint, place: Place<'_>, bare: bool) -> Trouble {
    let message = format!("{}: {}", name_of(place.token), hint.because);
    let refusal = Refusal::new(&hint.rule, message, place.token, hint.remedy.clone());
    let follows = place.next.filter(|next| bare && !next.starts_with('-'));
    let value = follows.or_else(|| place.token.split_once('=').map(|(_, value)| value));
    let mut with = hint.instead.clone();
    if let ([_], Some(value)) = (hint.instead.as_slice(), value) {
        with.push(value.to_owned());
    }
    Trouble::mended(
        refusal,
        place.at,
        if follows.is_some() { 2 } else { 1 },
        with,
    )
}

/// Arguments that every run has anyway.
fn part_of_a_run(profile: &Profile, place: Place<'_>) -> Option<Trouble> {
    let name = name_of(place.token);
    let fixed = profile
        .fixed
        .iter()
        .any(|known| known == name && known.starts_with('-'));
    fixed.then(|| {
        let refusal = Refusal::new(
            "ARG3",
            "Mantlet sets this argument itself",
            place.token,
            "leave it out",
        );
        let value = place
            .next
            .is_some_and(|next| name == place.token && !next.starts_with('-'));
        Trouble::mended(refusal, place.at, if value { 2 } else { 1 }, Vec::new())
    })
}

fn positional(profile: &Profile, scope: &Scope, place: Place<'_>) -> Trouble {
    let token = place.token;
    if let Some(trouble) = torn(profile, scope, place) {
        return trouble;
    }
    if let Some(flag) = takes_attached(profile, scope, place) {
        let with = format!("{}{token}", flag.spelling);
        let refusal = Refusal::new(
            "ARG3",
            format!(
                "{} takes its value directly attached; apart it is a second target",
                flag.spelling
            ),
            token,
            format!("write {with}"),
        );
        return Trouble::mended(refusal, place.at.saturating_sub(1), 2, vec![with]);
    }
    if let Some(flag) = profile
        .flags
        .iter()
        .find(|flag| flag.bare && flag.value.parse(token, scope).is_ok())
    {
        let with = written(flag, token);
        let refusal = Refusal::new(
            "ARG3",
            "a bare argument, which could mean several things",
            token,
            format!("write {}", with.join(" ")),
        );
        return Trouble::mended(refusal, place.at, 1, with);
    }
    if let Some(trouble) = misplaced(profile, place) {
        return trouble;
    }
    let flags = profile.flags.iter().flat_map(Flag::spellings);
    let meant = nearest(&format!("--{token}"), flags);
    let refusal = Refusal::new(
        "ARG3",
        "an argument that is neither a flag nor the value of one",
        token,
        match meant {
            Some(flag) => format!("did you mean {flag}? the one target belongs in `target`"),
            None => "leave it out: the one target belongs in `target`, and every value follows \
                     its flag"
                .to_owned(),
        },
    );
    Trouble::mended(refusal, place.at, 1, Vec::new())
}

/// The flag before the place, if the token would be its value when attached.
fn takes_attached<'p>(profile: &'p Profile, scope: &Scope, place: Place<'_>) -> Option<&'p Flag> {
    let flag = profile.flag(profile.find_flag(place.before?)?)?;
    let fits = flag.form == Form::AttachedOptional && flag.value.parse(place.token, scope).is_ok();
    fits.then_some(flag)
}

/// The refusal of a flag whose value is absent.
pub(super) fn value_missing(flag: &Flag, scope: &Scope, place: Place<'_>) -> Trouble {
    if let (ValueType::Ports { all: Some(all), .. }, Some("-")) = (&flag.value, place.next) {
        let refusal = Refusal::new(
            &flag.rule,
            format!("a lone hyphen is no value of {}", flag.spelling),
            "-",
            format!("write {all} for all ports"),
        );
        return Trouble::mended(refusal, place.at, 2, vec![all.clone()]);
    }
    let negative = place.next.filter(|next| {
        flag.value
            .parse(next.trim_start_matches('-'), scope)
            .is_ok()
    });
    let (message, offending) = match negative {
        Some(value) => (
            format!("{}: a value never begins with a hyphen", flag.spelling),
            value,
        ),
        None => (format!("{} lacks its value", flag.spelling), place.token),
    };
    let refusal = Refusal::new(
        &flag.rule,
        message,
        offending,
        format!("give {}", flag.value.described()),
    );
    let len = if negative.is_some() { 2 } else { 1 };
    Trouble::mended(refusal, place.at, len, Vec::new())
}

/// The refusal of a value that stands apart from a flag that wants it attached.
pub(super) fn value_not_attached(flag: &Flag, scope: &Scope, place: Place<'_>) -> Trouble {
    let value = place
        .next
        .filter(|next| flag.value.parse(next, scope).is_ok());
    let remedy = match value {
        Some(value) => format!("write {}", written(flag, value).join(" ")),
        None if flag.form == Form::Equals => {
            format!("write {}= and {}", flag.spelling, flag.value.described())
        }
        None => format!("attach {}, without a space", flag.value.described()),
    };
    let refusal = Refusal::new(
        &flag.rule,
        format!("{} lacks its value, which is attached to it", flag.spelling),
        place.token,
        remedy,
    );
    match value {
        Some(value) => Trouble::mended(refusal, place.at, 2, written(flag, value)),
        None => Trouble::mended(refusal, place.at, 1, Vec::new()),
    }
}

/// The refusal of a value for a flag that takes none.
pub(super) fn value_unwanted(flag: &Flag, place: Place<'_>) -> Trouble {
    let refusal = Refusal::new(
        "ARG3",
        format!("{} takes no value", flag.spelling),
        place.token,
        format!("write {} alone", flag.spelling),
    );
    Trouble::mended(refusal, place.at, 1, vec![flag.spelling.clone()])
}

/// The refusal of `=` before a value that is attached.
pub(super) fn value_not_glued(flag: &Flag, value: &str, place: Place<'_>) -> Trouble {
    let with = format!("{}{value}", flag.spelling);
    let refusal = Refusal::new(
        "ARG3",
        format!("{} takes its value directly attached", flag.spelling),
        place.token,
        format!("write {with}"),
    );
    Trouble::mended(refusal, place.at, 1, vec![with])
}

/// `-p80`: a value glued to a flag that takes it apart.
fn glued_value(profile: &Profile, scope: &Scope, place: Place<'_>) -> Option<Trouble> {
    profile
        .flags
        .iter()
        .filter(|flag| flag.form == Form::Separate)
        .find_map(|flag| {
            let spelling = flag.spellings().find(|spelling| {
                !spelling.starts_with("--") && place.token.starts_with(spelling)
            })?;
            let value = place.token.strip_prefix(spelling)?;
            flag.value.parse(value, scope).ok()?;
            let with = written(flag, value);
            let refusal = Refusal::new(
                "ARG3",
                format!("a value glued to {spelling}"),
                place.token,
                format!("write {}", with.join(" ")),
            );
            Some(Trouble::mended(refusal, place.at, 1, with))
        })
}

fn bundle_trouble(profile: &Profile, place: Place<'_>) -> Option<Trouble> {
    let parts = bundle(profile, place.token)?;
    let twice = |part: &String| parts.iter().filter(|other| *other == part).count() > 1;
    let refused = |part: &String| {
        let flag = profile.find_flag(part).and_then(|id| profile.flag(id));
        flag.is_some_and(|flag| flag.repeat == Repeat::Refuse)
    };
    if parts.iter().any(|part| twice(part) && refused(part)) {
        return None;
    }
    let refusal = Refusal::new(
        "ARG3",
        "several flags in one argument",
        place.token,
        format!("write {}", parts.join(" ")),
    );
    Some(Trouble::mended(refusal, place.at, 1, parts))
}

/// The flags of a bundle: `-sSV` is `-sS -sV`, `-nPn` is `-n -Pn`.
fn bundle(profile: &Profile, token: &str) -> Option<Vec<String>> {
    let body = token
        .strip_prefix('-')
        .filter(|body| !body.starts_with('-'))?;
    let switches: Vec<&str> = profile
        .flags
        .iter()
        .filter(|flag| matches!(flag.form, Form::Switch | Form::Counted))
        .flat_map(Flag::spellings)
        .chain(profile.tolerated.iter().map(String::as_str))
        .filter_map(|spelling| spelling.strip_prefix('-'))
        .filter(|spelling| !spelling.starts_with('-'))
        .collect();
    // `-s` letters combine behind one `s`.
    let letters = body.strip_prefix('s').and_then(|letters| {
        let parts: Option<Vec<String>> = letters
            .chars()
            .map(|letter| {
                let part = format!("s{letter}");
                switches
                    .contains(&part.as_str())
                    .then(|| format!("-{part}"))
            })
            .collect();
        parts.filter(|parts| parts.len() > 1)
    });
    letters.or_else(|| {
        let mut rest = body;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            // The last one may take what follows.
            let last = format!("-{rest}");
            if !parts.is_empty()
                && profile
                    .flags
                    .iter()
                    .any(|flag| flag.form == Form::Separate && flag.is_spelled(&last))
            {
                parts.push(last);
                break;
            }
            let longest = switches
                .iter()
                .filter(|switch| rest.starts_with(**switch))
                .max_by_key(|switch| switch.len())?;
            parts.push(format!("-{longest}"));
            rest = rest.strip_prefix(longest)?;
        }
        (parts.len() > 1).then_some(parts)
    })
}

/// A unique beginning of a long flag, or a long flag with one hyphen.
fn abbreviation(profile: &Profile, place: Place<'_>) -> Option<Trouble> {
    let (name, value) = match place.token.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (place.token, None),
    };
    let body = name.trim_start_matches('-');
    if body.len() < 2 {
        return None;
    }
    let mut fitting = profile.flags.iter().filter(|flag| {
        flag.spellings().any(|spelling| {
            spelling
                .strip_prefix("--")
                .is_some_and(|long| long.starts_with(body))
        })
    });
    let flag = fitting.next().filter(|_| fitting.next().is_none())?;
    let refusal = Refusal::new(
        "ARG3",
        "an abbreviated or misspelled flag",
        place.token,
        format!("write {} in full", flag.spelling),
    );
    let mut with = vec![flag.spelling.clone()];
    with.extend(value.map(ToOwned::to_owned));
    Some(Trouble::mended(refusal, place.at, 1, with))
}

fn unlisted(profile: &Profile, place: Place<'_>) -> Trouble {
    let name = name_of(place.token);
    let flags = || profile.flags.iter().flat_map(Flag::spellings);
    // What a parameter of that name sets is the same call; a like spelling may be
    // quite another one, so it is asked about and not suggested.
    // The case of a letter makes another flag; that of a word does not.
    let spelled = flags().find(|flag| name.starts_with("--") && flag.eq_ignore_ascii_case(name));
    let same = flag_of_parameter(profile, name).or(spelled);
    let like = name.strip_prefix("--").and_then(|_| nearest(name, flags()));
    let meant = same.or(like);
    let message = format!("not a flag that the profile of {} lists", profile.name);
    let remedy = match meant {
        Some(flag) => format!("did you mean {flag}?"),
        None => format!(
            "leave it out: `mantlet tools` lists the flags of {}",
            profile.name
        ),
    };
    let refusal = Refusal::new("ARG3", message, place.token, remedy);
    let value = place
        .next
        .is_some_and(|next| !next.starts_with('-') && name == place.token);
    match (same, like) {
        (Some(flag), _) => {
            let rest = place.token.strip_prefix(name).unwrap_or("");
            Trouble::mended(refusal, place.at, 1, vec![format!("{flag}{rest}")])
        }
        (None, Some(_)) => Trouble::plain(refusal),
        (None, None) => Trouble::mended(refusal, place.at, if value { 2 } else { 1 }, Vec::new()),
    }
}

/// The flag that the parameter of that name sets: `--count` is `-c`.
fn flag_of_parameter<'p>(profile: &'p Profile, name: &str) -> Option<&'p str> {
    let name = name.strip_prefix("--")?.replace('-', "_");
    let ParameterTarget::Flag(id) = profile.parameter(&name)?.sets else {
        return None;
    };
    profile.flag(id).map(|flag| flag.spelling.as_str())
}

/// The token without a value after `=`.
fn name_of(token: &str) -> &str {
    token.split_once('=').map_or(token, |(name, _)| name)
}

/// A flag with a value as the profile writes it.
pub(super) fn written(flag: &Flag, value: &str) -> Vec<String> {
    match flag.form {
        Form::Separate => vec![flag.spelling.clone(), value.to_owned()],
        Form::Attached | Form::AttachedOptional => vec![format!("{}{value}", flag.spelling)],
        Form::Equals => vec![format!("{}={value}", flag.spelling)],
        Form::Switch | Form::Counted => vec![flag.spelling.clone()],
    }
}
