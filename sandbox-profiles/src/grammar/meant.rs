//! What a caller means by a value in another tool's or a person's spelling.
//!
//! As `explain`: only wording, for arguments that are refused already.
//!
//! Invariants: every way out of this file is a refusal, or nothing.

use super::explain::written;
use super::{Place, Trouble, element_of};
use crate::profile::{Flag, Form, Profile};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::target;
use crate::value::{Value, ValueType};

/// The refusal of a value that callers use and the flag doesn't take.
pub(super) fn meant(flag: &Flag, text: &str, write: Vec<String>, at: usize, len: usize) -> Trouble {
    let refusal = Refusal::new(
        &flag.rule,
        format!("{}: not a value of this flag", flag.spelling),
        text,
        format!("write {}", write.join(" ")),
    );
    Trouble::mended(refusal, at, len, write)
}

/// `30 s` or `80, 443`: a value that blanks have torn apart. `at` is the flag's
/// place, `text` the first part of its value.
pub(super) fn split_value(
    flag: &Flag,
    scope: &Scope,
    text: &str,
    place: Place<'_>,
    at: usize,
) -> Option<Trouble> {
    let more = place.tokens.get(at.saturating_add(2))?;
    let head = text.trim_end_matches(',');
    // Digits after digits would be another number.
    let unit = (!more.starts_with(|ch: char| ch.is_ascii_digit())).then(|| format!("{text}{more}"));
    let whole = [Some(format!("{head},{more}")), unit]
        .into_iter()
        .flatten()
        .find(|whole| !more.starts_with('-') && flag.value.parse(whole, scope).is_ok())?;
    let with = written(flag, &whole);
    let refusal = Refusal::new(
        &flag.rule,
        format!("{}: a value has no blanks in it", flag.spelling),
        &format!("{text} {more}"),
        format!("write {}", with.join(" ")),
    );
    Some(Trouble::mended(refusal, at, 3, with))
}

/// The flag whose value the token goes on with.
fn goes_on(profile: &Profile, scope: &Scope, place: Place<'_>) -> Option<Trouble> {
    let at = place.at.checked_sub(2)?;
    let flag = profile.flag(profile.find_flag(place.tokens.get(at)?)?)?;
    let fits = flag.form == Form::Separate;
    fits.then(|| split_value(flag, scope, place.before?, place, at))?
}

/// A level after a flag that counts: `-v 2` and `-v2` are `-vv`.
pub(super) fn level(profile: &Profile, name: &str, level: &str) -> Option<Vec<String>> {
    let flag = profile.flag(profile.find_flag(name)?)?;
    let ValueType::Count { max } = &flag.value else {
        return None;
    };
    let level = level.parse::<u8>().ok().filter(|level| *level > 0)?;
    Some(element_of(flag, &Value::Count(level.min(*max))))
}

/// The refusal of a level after a flag that counts.
pub(super) fn leveled(place: Place<'_>, at: usize, len: usize, with: Vec<String>) -> Trouble {
    let refusal = Refusal::new(
        "ARG3",
        "the flag takes no number; it is repeated",
        place.token,
        format!("write {}", with.join(" ")),
    );
    Trouble::mended(refusal, at, len, with)
}

/// The refusal of an argument that belongs to the one before it.
pub(super) fn torn(profile: &Profile, scope: &Scope, place: Place<'_>) -> Option<Trouble> {
    goes_on(profile, scope, place).or_else(|| {
        let with = level(profile, place.before?, place.token)?;
        Some(leveled(place, place.at.saturating_sub(1), 2, with))
    })
}

/// The refusal of an argument that the call says elsewhere: the tool, the target.
pub(super) fn misplaced(profile: &Profile, place: Place<'_>) -> Option<Trouble> {
    let token = place.token;
    let (message, remedy) = if token == profile.name {
        (
            "the tool's own name among its arguments",
            "leave it out: the tool is named by the call itself",
        )
    } else if token.contains(['.', ':', '/']) && target::parse(token).is_ok() {
        (
            "a target among the arguments",
            "leave it out: the one target of a call is given as `target`, first on the command \
             line; several targets are several calls",
        )
    } else {
        return None;
    };
    let refusal = Refusal::new("ARG3", message, token, remedy);
    Some(Trouble::mended(refusal, place.at, 1, Vec::new()))
}
