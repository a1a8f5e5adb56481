//! Elements of an argument vector and what stands in them, found by what the
//! profile says of their form.
//!
//! What it is not: `vet::form`. It takes the longest run of characters that a piece
//! may consist of, knows no neighbours, and asks the ground about addresses and names.
//!
//! Invariants: an element that was taken apart is nothing but its pieces.

use sandbox_profiles::Profile;
use sandbox_profiles::profile::{Flag, Form, Pattern, Piece, TargetPlace};
use sandbox_profiles::value::ValueType;

use crate::ground::{Ground, Span, literals};

/// The elements after the fixed arguments, told apart.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// Flags and their values.
    pub(crate) flags: &'a [String],
    /// The addresses that the target covers; nothing for a name that is not pinned.
    pub(crate) span: Option<Span>,
    /// Flags whose values stand in the target, with their values.
    pub(crate) values: Vec<(&'a Flag, &'a str)>,
}

/// Tells the target from the flags.
pub(crate) fn apart<'a>(
    profile: &'a Profile,
    ground: &Ground,
    elements: &'a [String],
) -> Result<Parts<'a>, String> {
    let rule = &profile.target;
    let mut why = "no target".to_owned();
    for form in [&rule.named_form, &rule.form]
        .into_iter()
        .filter(|form| !form.is_empty())
    {
        let found = match rule.place {
            TargetPlace::First => elements.split_at_checked(form.len()),
            TargetPlace::Last => elements
                .len()
                .checked_sub(form.len())
                .and_then(|at| elements.split_at_checked(at))
                .map(|(flags, target)| (target, flags)),
        };
        let Some((target, flags)) = found else {
            continue;
        };
        match target_of(profile, ground, form, target) {
            Ok((span, values)) => {
                let flags = without_marks(profile, flags)?;
                return Ok(Parts {
                    flags,
                    span,
                    values,
                });
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// The flags without the separator behind and the family switch in front of them.
fn without_marks<'a>(profile: &Profile, flags: &'a [String]) -> Result<&'a [String], String> {
    let rule = &profile.target;
    let mut flags = flags;
    if rule.separator {
        match flags.split_last() {
            Some((separator, before)) if separator == "--" => flags = before,
            Some(_) | None => return Err("the target does not stand behind --".to_owned()),
        }
    }
    let families = [&rule.ipv4_flag, &rule.ipv6_flag];
    match flags.split_first() {
        Some((first, after)) if families.into_iter().flatten().any(|switch| switch == first) => {
            Ok(after)
        }
        Some(_) | None => Ok(flags),
    }
}

type Found<'a> = (Option<Span>, Vec<(&'a Flag, &'a str)>);

/// Takes the elements of a target apart.
fn target_of<'a>(
    profile: &'a Profile,
    ground: &Ground,
    form: &[Pattern],
    elements: &'a [String],
) -> Result<Found<'a>, String> {
    let mut spans: Vec<Option<Span>> = Vec::new();
    let mut values: Vec<(&Flag, &str)> = Vec::new();
    for (pattern, element) in form.iter().zip(elements) {
        let mut rest = element.as_str();
        for piece in &pattern.pieces {
            let end = end_of(profile, piece, rest);
            let (text, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = after;
            match piece {
                Piece::Literal(literal) if literal == text => {}
                Piece::Literal(_) => return Err(format!("no target of this form: {element}")),
                Piece::Host if text.contains(':') => spans.push(bracketed(ground, text)?),
                Piece::Target | Piece::Host => spans.push(address_or_name(ground, text)?),
                Piece::Name => drop(name(ground, text)?),
                Piece::Part(id) => {
                    let flag = profile.flags.get(id.index()).ok_or("a part of no flag")?;
                    values.push((flag, text));
                }
            }
        }
        if !rest.is_empty() {
            return Err(format!("more than a target: {element}"));
        }
    }
    match spans.as_slice() {
        [span] => Ok((*span, values)),
        _ => Err("not one target".to_owned()),
    }
}

/// How much of the text the piece takes.
fn end_of(profile: &Profile, piece: &Piece, text: &str) -> usize {
    let run = |may: fn(char) -> bool| text.find(|ch| !may(ch)).unwrap_or(text.len());
    match piece {
        Piece::Literal(literal) => literal.len().min(text.len()),
        Piece::Host if text.starts_with('[') => {
            text.find(']').map_or(text.len(), |at| at.saturating_add(1))
        }
        Piece::Host | Piece::Name => run(|ch| ch.is_ascii_alphanumeric() || "-.".contains(ch)),
        Piece::Target => run(|ch| ch.is_ascii_alphanumeric() || "-.:/".contains(ch)),
        Piece::Part(id) => match profile.flags.get(id.index()).map(|flag| &flag.value) {
            Some(ValueType::UrlPath { .. }) => run(|ch| ch != '?'),
            Some(ValueType::UrlQuery { .. }) => text.len(),
            Some(_) | None => run(|ch| ch.is_ascii_alphanumeric()),
        },
    }
}

/// The addresses of a target; nothing for a name.
fn address_or_name(ground: &Ground, text: &str) -> Result<Option<Span>, String> {
    let numeric = |byte: u8| byte.is_ascii_hexdigit() || b".:/".contains(&byte);
    if !text.bytes().all(numeric) {
        return name(ground, text);
    }
    match literals(text).as_slice() {
        [span] if ground.allows(span) => Ok(Some(*span)),
        [_] => Err(format!("a target outside the scope: {text}")),
        _ => Err(format!("a target that is not one address: {text}")),
    }
}

fn bracketed(ground: &Ground, text: &str) -> Result<Option<Span>, String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    address_or_name(ground, inner.ok_or("an IPv6 address without brackets")?)
}

fn name(ground: &Ground, text: &str) -> Result<Option<Span>, String> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    if !text.bytes().all(plain) {
        return Err(format!("a target that is no host name: {text}"));
    }
    if !ground.admits_name(text) {
        return Err(format!("a name outside the scope: {text}"));
    }
    Ok(None)
}

/// Whether the element is the flag; if so, the value in it, empty where there is none.
pub(crate) fn value_in<'e>(flag: &Flag, element: &'e str) -> Option<&'e str> {
    if is_all_ports(flag, element) {
        return Some("");
    }
    let after = element.strip_prefix(flag.spelling.as_str())?;
    match flag.form {
        Form::Switch | Form::Separate => after.is_empty().then_some(""),
        Form::Counted => after
            .chars()
            .all(|ch| flag.spelling.ends_with(ch))
            .then_some(""),
        Form::Attached => (!after.is_empty()).then_some(after),
        Form::AttachedOptional => Some(after),
        Form::Equals => after.strip_prefix('=').filter(|value| !value.is_empty()),
    }
}

/// Whether the element is the flag's own word for all ports.
pub(crate) fn is_all_ports(flag: &Flag, element: &str) -> bool {
    matches!(&flag.value, ValueType::Ports { all: Some(all), .. } if all == element)
}
