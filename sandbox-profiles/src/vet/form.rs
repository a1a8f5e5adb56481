//! The target's place in an argument vector: writing it, and reading it back.
//!
//! Reading only finds the pieces. Whether they are what vetting would write is
//! decided by writing them again and comparing, so a wrong guess here refuses
//! and never admits.
//!
//! Invariants: what is written from a target and settings is read back as the
//! same target and the same parts.

use crate::grammar::{Settings, Trouble, bad_value};
use crate::profile::{FlagId, Pattern, Piece, Profile};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::target::{self, Target};
use crate::value::ValueType;

/// The elements of a target.
pub(super) fn write(
    profile: &Profile,
    target: &Target,
    settings: &Settings,
) -> Result<Vec<String>, Refusal> {
    let (form, name) = match target {
        Target::Name {
            name,
            pinned: Some(_),
        } if !profile.target.named_form.is_empty() => (&profile.target.named_form, name.as_str()),
        Target::Address(_) | Target::Network(_) | Target::Name { .. } => (&profile.target.form, ""),
    };
    let argument = target.argument();
    let mut elements = Vec::with_capacity(form.len());
    for pattern in form {
        let mut element = String::new();
        for piece in &pattern.pieces {
            match piece {
                Piece::Literal(text) => element.push_str(text),
                Piece::Host if argument.contains(':') => {
                    element.push_str(&format!("[{argument}]"));
                }
                Piece::Target | Piece::Host => element.push_str(&argument),
                Piece::Name => element.push_str(name),
                Piece::Part(id) => element.push_str(&part(profile, settings, *id)?),
            }
        }
        elements.push(element);
    }
    Ok(elements)
}

fn part(profile: &Profile, settings: &Settings, id: FlagId) -> Result<String, Refusal> {
    let flag = profile.flag(id);
    let text = flag.and_then(|flag| flag.value.part_text(settings.get(&id)?));
    match (text, flag) {
        (Some(text), _) => Ok(text),
        // A query may be absent; anything else has a default in the profile.
        (None, Some(flag)) if matches!(flag.value, ValueType::UrlQuery { .. }) => Ok(String::new()),
        (None, _) => Err(Refusal::new(
            "ARG1",
            "a part of the target has no value",
            profile.spelling(id),
            format!("give {}", profile.spelling(id)),
        )),
    }
}

/// A target as it was found in an argument vector, with its parts.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) parts: Settings,
}

/// The forms a target can have, by how many elements each takes.
pub(super) fn lengths(profile: &Profile) -> impl Iterator<Item = usize> {
    let rule = &profile.target;
    [&rule.named_form, &rule.form]
        .into_iter()
        .filter(|form| !form.is_empty())
        .map(Vec::len)
}

/// Whether the elements could be a target of the profile.
pub(super) fn fits(profile: &Profile, elements: &[String]) -> bool {
    captured(profile, elements).is_some()
}

/// Reads the elements of a target.
pub(super) fn read(
    profile: &Profile,
    scope: &Scope,
    elements: &[String],
) -> Result<Found, Trouble> {
    let Some(pieces) = captured(profile, elements) else {
        let remedy = "send the argument vector that vetting rendered";
        let shown = elements.last().map_or("", String::as_str);
        let refusal = Refusal::new("ARG7", "the target has another form", shown, remedy);
        return Err(Trouble::plain(refusal));
    };
    let mut parts = Settings::new();
    for (id, text) in &pieces.parts {
        let Some(flag) = profile.flag(*id) else {
            continue;
        };
        let value = flag
            .value
            .parse_part(text, scope)
            .map_err(|error| Trouble::plain(*bad_value(flag, text, error, 0, 0).refusal))?;
        if let Some(value) = value {
            parts.insert(*id, value);
        }
    }
    let parse = |text: &str| target::parse(text).map_err(Trouble::plain);
    let mut target = parse(pieces.target)?.target;
    if let Some(name) = pieces.name {
        target = named(parse(name)?.target, &target, name).map_err(Trouble::plain)?;
    }
    Ok(Found { target, parts })
}

/// A name with the address that it was pinned to.
fn named(name: Target, address: &Target, text: &str) -> Result<Target, Refusal> {
    match (name, address) {
        (Target::Name { name, pinned: None }, Target::Address(address)) => Ok(Target::Name {
            name,
            pinned: Some(*address),
        }),
        (_, _) => Err(Refusal::new(
            "ARG7",
            "not a name that is pinned to one address",
            text,
            "send the argument vector that vetting rendered",
        )),
    }
}

/// The texts of the pieces of a target.
#[derive(Debug)]
struct Captured<'a> {
    target: &'a str,
    name: Option<&'a str>,
    parts: Vec<(FlagId, &'a str)>,
}

fn captured<'a>(profile: &Profile, elements: &'a [String]) -> Option<Captured<'a>> {
    let rule = &profile.target;
    let form = [&rule.named_form, &rule.form]
        .into_iter()
        .find(|form| !form.is_empty() && form.len() == elements.len())?;
    let mut found = Captured {
        target: "",
        name: None,
        parts: Vec::new(),
    };
    for (pattern, element) in form.iter().zip(elements) {
        capture(profile, pattern, element, &mut found)?;
    }
    Some(found)
}

/// Takes one element apart.
fn capture<'a>(
    profile: &Profile,
    pattern: &Pattern,
    element: &'a str,
    found: &mut Captured<'a>,
) -> Option<()> {
    let mut rest = element;
    let mut pieces = pattern.pieces.iter().peekable();
    while let Some(piece) = pieces.next() {
        if let Piece::Literal(text) = piece {
            rest = rest.strip_prefix(text.as_str())?;
            continue;
        }
        let end = end_of(profile, rest, pieces.peek().copied())?;
        let (text, after) = rest.split_at_checked(end)?;
        rest = after;
        match piece {
            Piece::Literal(_) => {}
            Piece::Target => found.target = text,
            Piece::Host => {
                let inner = text
                    .strip_prefix('[')
                    .and_then(|text| text.strip_suffix(']'));
                // Only IPv6 stands in brackets, which writing it again holds.
                found.target = inner.unwrap_or(text);
            }
            Piece::Name => found.name = Some(text),
            Piece::Part(id) => found.parts.push((*id, text)),
        }
    }
    rest.is_empty().then_some(())
}

/// Where the piece at the beginning of the text ends.
fn end_of(profile: &Profile, text: &str, next: Option<&Piece>) -> Option<usize> {
    // The colons inside brackets are no ends.
    let inside = match text.strip_prefix('[') {
        Some(_) => text.find(']')?,
        None => 0,
    };
    let tail = text.get(inside..)?;
    let at = match next {
        None => Some(tail.len()),
        Some(Piece::Literal(literal)) => tail.find(literal.as_str()),
        Some(Piece::Part(id)) => {
            let kind = &profile.flag(*id)?.value;
            if matches!(kind, ValueType::UrlQuery { .. }) {
                Some(tail.find('?').unwrap_or(tail.len()))
            } else {
                tail.find('/')
            }
        }
        Some(Piece::Target | Piece::Host | Piece::Name) => None,
    };
    inside.checked_add(at?)
}
