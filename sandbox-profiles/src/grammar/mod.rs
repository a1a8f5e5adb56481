//! The argument grammar: argument list to typed settings and back.
//!
//! Each argument is read as the tool itself would read it, or refused; where the
//! tool's own parser is lenient (abbreviations, bundles, glued values), the
//! refusal names the exact spelling. Policy, targets and combinations are
//! decided elsewhere.
//!
//! Invariants: rendering is a function of the settings alone; reading what was
//! rendered gives the same settings; nothing positional is ever accepted.

mod explain;
mod meant;
mod render;

pub(crate) use render::{element_of, render, render_for_tool};

use std::collections::BTreeMap;

use crate::profile::{Flag, FlagId, Form, Profile, Repeat};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::value::{PortList, Value, ValueError, ValueType};

/// Typed settings by flag; the order of the keys is the order of rendering.
pub(crate) type Settings = BTreeMap<FlagId, Value>;

/// What an argument list says.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reading {
    pub(crate) settings: Settings,
    /// Address families asked for: true for IPv6.
    pub(crate) families: Vec<bool>,
    /// What was read in a way that the result should mention.
    pub(crate) notes: Vec<String>,
}

/// A refusal, and the change that might mend the argument list.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) refusal: Box<Refusal>,
    pub(crate) fix: Option<Fix>,
}

/// A change to an argument list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fix {
    /// `len` arguments from `at` on give way to `with`.
    Part {
        at: usize,
        len: usize,
        with: Vec<String>,
    },
    /// The whole list gives way to this one.
    Whole(Vec<String>),
}

impl Fix {
    /// The argument list with the change made.
    pub(crate) fn apply(&self, tokens: &[String]) -> Vec<String> {
        match self {
            Self::Part { at, len, with } => {
                let before = tokens.iter().take(*at);
                let after = tokens.iter().skip(at.saturating_add(*len));
                before.chain(with).chain(after).cloned().collect()
            }
            Self::Whole(tokens) => tokens.clone(),
        }
    }
}

impl Trouble {
    /// A refusal that no change to the arguments can mend.
    pub(crate) fn plain(refusal: Refusal) -> Self {
        Self {
            refusal: Box::new(refusal),
            fix: None,
        }
    }

    /// A refusal that changing part of the arguments might mend.
    pub(crate) fn mended(refusal: Refusal, at: usize, len: usize, with: Vec<String>) -> Self {
        Self {
            refusal: Box::new(refusal),
            fix: Some(Fix::Part { at, len, with }),
        }
    }

    /// A refusal that another argument list might mend.
    pub(crate) fn rewritten(refusal: Refusal, tokens: Vec<String>) -> Self {
        Self {
            refusal: Box::new(refusal),
            fix: Some(Fix::Whole(tokens)),
        }
    }
}

/// Reads an argument list.
pub(crate) fn read(
    profile: &Profile,
    scope: &Scope,
    tokens: &[String],
) -> Result<Reading, Trouble> {
    let mut reading = Reading::default();
    let mut at: usize = 0;
    while let Some(token) = tokens.get(at) {
        let place = Place {
            at,
            before: at
                .checked_sub(1)
                .and_then(|before| tokens.get(before))
                .map(String::as_str),
            token,
            tokens,
            next: tokens.get(at.saturating_add(1)).map(String::as_str),
        };
        let step = read_one(profile, scope, &mut reading, place)?;
        at = at.saturating_add(step);
    }
    Ok(reading)
}

/// One argument and what stands around it.
#[derive(Debug, Clone, Copy)]
struct Place<'t> {
    at: usize,
    before: Option<&'t str>,
    token: &'t str,
    next: Option<&'t str>,
    /// The whole list.
    tokens: &'t [String],
}

/// Reads the argument at one place; gives how many arguments it took.
fn read_one(
    profile: &Profile,
    scope: &Scope,
    reading: &mut Reading,
    place: Place<'_>,
) -> Result<usize, Trouble> {
    let token = place.token;
    if profile.tolerated.iter().any(|switch| switch == token) {
        return Ok(1);
    }
    for ipv6 in [false, true] {
        if profile
            .target
            .family_switch(ipv6)
            .is_some_and(|switch| switch == token)
        {
            reading.families.push(ipv6);
            return Ok(1);
        }
    }
    if let Some(id) = all_ports(profile, token) {
        insert(profile, reading, place, 1, id, Value::Ports(PortList::All))?;
        return Ok(1);
    }
    let (name, glued) = match token.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (token, None),
    };
    if let Some((id, flag)) = lookup(profile, name) {
        return read_flag(profile, scope, reading, place, (id, flag), glued);
    }
    if let Some((id, flag, value)) = attached(profile, token) {
        return read_attached(profile, scope, reading, place, (id, flag), value);
    }
    Err(explain::unknown(profile, scope, place))
}

/// The flag whose whole spelling for "all ports" the token is.
fn all_ports(profile: &Profile, token: &str) -> Option<FlagId> {
    profile
        .flags
        .iter()
        .position(
            |flag| matches!(&flag.value, ValueType::Ports { all: Some(all), .. } if all == token),
        )
        .map(FlagId)
}

fn lookup<'p>(profile: &'p Profile, name: &str) -> Option<(FlagId, &'p Flag)> {
    let id = profile.find_flag(name)?;
    Some((id, profile.flag(id)?))
}

/// The flag that takes its value attached, with the longest fitting spelling.
fn attached<'p, 't>(profile: &'p Profile, token: &'t str) -> Option<(FlagId, &'p Flag, &'t str)> {
    profile
        .flags
        .iter()
        .enumerate()
        .filter_map(|(index, flag)| {
            let value = flag.spellings().find_map(|spelling| match flag.form {
                Form::Attached | Form::AttachedOptional => token.strip_prefix(spelling),
                // The last letter repeats: what follows must be more of it.
                Form::Counted => token
                    .strip_prefix(spelling)
                    .filter(|more| more.chars().all(|ch| spelling.ends_with(ch))),
                Form::Switch | Form::Separate | Form::Equals => None,
            })?;
            (!value.is_empty()).then_some((FlagId(index), flag, value))
        })
        .min_by_key(|(_, _, value)| value.len())
}

/// Reads a flag that stands there by its exact spelling, perhaps with `=value`.
fn read_flag(
    profile: &Profile,
    scope: &Scope,
    reading: &mut Reading,
    place: Place<'_>,
    (id, flag): (FlagId, &Flag),
    glued: Option<&str>,
) -> Result<usize, Trouble> {
    match (flag.form, glued) {
        (Form::Switch | Form::AttachedOptional, None) => {
            insert(profile, reading, place, 1, id, Value::Switch)?;
            Ok(1)
        }
        (Form::Counted, None) => {
            insert(profile, reading, place, 1, id, Value::Count(1))?;
            Ok(1)
        }
        (Form::Separate | Form::Equals, Some(text)) => {
            let value = flag
                .value
                .parse(text, scope)
                .map_err(|error| bad_value(flag, text, error, place.at, 1))?;
            insert(profile, reading, place, 1, id, value)?;
            Ok(1)
        }
        (Form::Separate, None) => {
            let text = place
                .next
                .filter(|next| !next.starts_with('-'))
                .ok_or_else(|| explain::value_missing(flag, scope, place))?;
            let value = flag.value.parse(text, scope).map_err(|error| {
                meant::split_value(flag, scope, text, place, place.at)
                    .unwrap_or_else(|| bad_value(flag, text, error, place.at, 2))
            })?;
            insert(profile, reading, place, 2, id, value)?;
            Ok(2)
        }
        (Form::Attached | Form::Equals, None) => {
            Err(explain::value_not_attached(flag, scope, place))
        }
        (Form::Switch | Form::Counted, Some(_)) => Err(explain::value_unwanted(flag, place)),
        (Form::Attached | Form::AttachedOptional, Some(text)) => {
            Err(explain::value_not_glued(flag, text, place))
        }
    }
}

fn read_attached(
    profile: &Profile,
    scope: &Scope,
    reading: &mut Reading,
    place: Place<'_>,
    (id, flag): (FlagId, &Flag),
    text: &str,
) -> Result<usize, Trouble> {
    let value = if flag.form == Form::Counted {
        let more = u8::try_from(text.chars().count()).unwrap_or(u8::MAX);
        Value::Count(more.saturating_add(1))
    } else {
        // An explanation made for this very token says more than "not one of".
        if let Some(trouble) = explain::hinted(profile, place) {
            return Err(trouble);
        }
        flag.value
            .parse(text, scope)
            .map_err(|error| bad_value(flag, text, error, place.at, 1))?
    };
    insert(profile, reading, place, 1, id, value)?;
    Ok(1)
}

/// The refusal of a value, with the argument list mended where a near value exists.
pub(crate) fn bad_value(
    flag: &Flag,
    text: &str,
    error: ValueError,
    at: usize,
    len: usize,
) -> Trouble {
    if let Some(write) = flag.meant_by(text) {
        return meant::meant(flag, text, write, at, len);
    }
    let part = if error.part.is_empty() {
        text
    } else {
        error.part.as_str()
    };
    let refusal = Refusal::new(
        error.rule.unwrap_or(&flag.rule),
        format!("{}: {}", flag.spelling, error.message),
        part,
        error.remedy,
    )
    .of_kind(error.kind);
    if let (ValueType::Ports { all: Some(all), .. }, "-") = (&flag.value, text) {
        return Trouble::mended(refusal, at, len, vec![all.clone()]);
    }
    match error.nearest {
        Some(nearest) => Trouble::mended(refusal, at, len, explain::written(flag, &nearest)),
        // Left out, the flag would no longer hold the run back: another call.
        None => Trouble::plain(refusal),
    }
}

/// Adds one setting, or refuses a repetition that the tool would take ill or
/// quietly.
fn insert(
    profile: &Profile,
    reading: &mut Reading,
    place: Place<'_>,
    len: usize,
    id: FlagId,
    value: Value,
) -> Result<(), Trouble> {
    let Some(flag) = profile.flag(id) else {
        return Ok(());
    };
    let value = match (reading.settings.get(&id), value) {
        (Some(Value::Count(before)), Value::Count(more)) => {
            Value::Count(before.saturating_add(more))
        }
        (Some(Value::Items(before)), Value::Items(more)) if flag.repeat == Repeat::Collect => flag
            .value
            .collect(before.clone(), more)
            .map_err(|error| bad_value(flag, place.token, error, place.at, len))?,
        (_, value) => value,
    };
    if let (ValueType::Count { max }, Value::Count(count)) = (&flag.value, &value)
        && count > max
    {
        let most = element_of(flag, &Value::Count(*max));
        let refusal = Refusal::new(
            &flag.rule,
            format!("{} counts to {max} at most", flag.spelling),
            place.token,
            format!("write {}", most.join(" ")),
        );
        let before = match reading.settings.get(&id) {
            Some(Value::Count(before)) => *before,
            Some(_) | None => 0,
        };
        let with = match max.saturating_sub(before) {
            0 => Vec::new(),
            more => element_of(flag, &Value::Count(more)),
        };
        return Err(Trouble::mended(refusal, place.at, len, with));
    }
    if let Some(before) = reading.settings.get(&id) {
        match flag.repeat {
            Repeat::Same | Repeat::Collect => {}
            Repeat::Last => {
                if *before != value {
                    reading.notes.push(format!(
                        "{} was given more than once; the last one holds: {}",
                        flag.spelling,
                        element_of(flag, &value).join(" ")
                    ));
                }
            }
            Repeat::Refuse => {
                let refusal = Refusal::new(
                    &flag.rule,
                    format!("{} is given twice", flag.spelling),
                    &element_of(flag, &value).join(" "),
                    format!("give {} once", flag.spelling),
                );
                return Err(Trouble::mended(refusal, place.at, len, Vec::new()));
            }
        }
    }
    reading.settings.insert(id, value);
    Ok(())
}
