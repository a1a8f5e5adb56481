//! Typed parameters: the other way to say what arguments say.
//!
//! Each parameter becomes the text of a flag's value and is read by the same
//! typed values as `extra_args`, so both lead to the same settings.
//!
//! Invariants: a parameter can't say anything that an argument couldn't.

use crate::call::{Arguments, ParamValue};
use crate::grammar::{self, Reading, Settings, Trouble, bad_value};
use crate::limits::{PARAMETER_ITEMS_MAX, PARAMETERS_MAX};
use crate::nearest::nearest;
use crate::profile::{ChoiceWord, Flag, Form, Parameter, ParameterKind, ParameterTarget, Profile};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::value::{PortList, Value, ValueType};
use crate::words;

/// The settings that the parameters of a call stand for.
pub(crate) fn read(
    profile: &Profile,
    scope: &Scope,
    parameters: &[(String, ParamValue)],
) -> Result<Reading, Refusal> {
    if parameters.len() > PARAMETERS_MAX {
        let message = format!("{} parameters, at most {PARAMETERS_MAX}", parameters.len());
        return Err(Refusal::new(
            "ARG1",
            message,
            "parameters",
            "give fewer parameters",
        ));
    }
    let mut reading = Reading::default();
    for (index, (name, value)) in parameters.iter().enumerate() {
        let parameter = profile
            .parameter(name)
            .ok_or_else(|| unknown(profile, name))?;
        if parameters
            .iter()
            .take(index)
            .any(|(before, _)| before == name)
        {
            return Err(Refusal::new(
                "ARG1",
                "a parameter is given twice",
                name,
                "give it once",
            ));
        }
        let one = read_one(profile, scope, parameter, value)?;
        reading.settings = merge(profile, reading.settings, one.settings, name)?;
        reading.notes.extend(one.notes);
    }
    Ok(reading)
}

/// Joins two sets of settings of one call; different values for one flag are refused.
pub(crate) fn merge(
    profile: &Profile,
    mut into: Settings,
    from: Settings,
    source: &str,
) -> Result<Settings, Refusal> {
    for (id, value) in from {
        if into.get(&id).is_some_and(|before| *before != value) {
            let spelling = profile.spelling(id);
            return Err(Refusal::new(
                "ARG1",
                format!("{spelling} is set twice, to different values ({source})"),
                spelling,
                "set it either by its parameter or in the arguments",
            ));
        }
        into.insert(id, value);
    }
    Ok(into)
}

/// The fields of a call that are no parameters.
const FIELDS: &[&str] = &[
    "target",
    "template",
    "extra_args",
    "timeout_sec",
    "correlation_id",
];

fn unknown(profile: &Profile, name: &str) -> Refusal {
    let names = || {
        profile
            .parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
    };
    // A field that every call has may have been meant, too.
    let remedy = match nearest(name, names().chain(FIELDS.iter().copied())) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!(
            "known parameters: {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    };
    Refusal::new(
        "ARG1",
        format!("{} has no such parameter", profile.name),
        name,
        remedy,
    )
}

fn read_one(
    profile: &Profile,
    scope: &Scope,
    parameter: &Parameter,
    value: &ParamValue,
) -> Result<Reading, Refusal> {
    match parameter.sets {
        ParameterTarget::Words => read_words(profile, scope, parameter, value),
        ParameterTarget::Flag(id) => {
            let Some(flag) = profile.flag(id) else {
                return Ok(Reading::default());
            };
            let mut reading = Reading::default();
            if let Some(value) = flag_value(scope, parameter, flag, value)? {
                reading.settings.insert(id, value);
            }
            Ok(reading)
        }
    }
}

/// The value of the flag that a parameter sets; nothing where it says "not set".
fn flag_value(
    scope: &Scope,
    parameter: &Parameter,
    flag: &Flag,
    value: &ParamValue,
) -> Result<Option<Value>, Refusal> {
    if let ValueType::Count { max } = &flag.value {
        return count(parameter, value, *max);
    }
    if let ValueType::Switch = &flag.value {
        return match value {
            ParamValue::Flag(on) => Ok(on.then_some(Value::Switch)),
            ParamValue::Text(text) if text == "true" => Ok(Some(Value::Switch)),
            ParamValue::Text(text) if text == "false" => Ok(None),
            ParamValue::Integer(_) | ParamValue::Text(_) | ParamValue::List(_) => {
                Err(mistyped(parameter, value, "true or false"))
            }
        };
    }
    if takes_items(&flag.value) {
        return items(scope, parameter, flag, value).map(Some);
    }
    let text = match value {
        ParamValue::Text(text) => text.clone(),
        ParamValue::Integer(number) => number.to_string(),
        ParamValue::List(items) => list_text(parameter, items)?,
        ParamValue::Flag(_) => return Err(mistyped(parameter, value, &flag.value.described())),
    };
    if matches!(&flag.value, ValueType::Ports { all: Some(_), .. }) && text == "-" {
        return Ok(Some(Value::Ports(PortList::All)));
    }
    if matches!(value, ParamValue::List(_)) && !takes_list(&flag.value) {
        return Err(mistyped(parameter, value, &flag.value.described()));
    }
    let parsed = checked(parameter, &text).and_then(|()| {
        flag.value
            .parse(&text, scope)
            .map_err(|error| named(parameter, *bad_value(flag, &text, error, 0, 0).refusal))
    });
    parsed
        .map(Some)
        .map_err(|refusal| respelled(scope, parameter, flag, &text).unwrap_or(refusal))
}

/// The refusal of a value that only has to be written in another way.
fn respelled(scope: &Scope, parameter: &Parameter, flag: &Flag, text: &str) -> Option<Refusal> {
    let remedy = if let Some(write) = flag.meant_by(text) {
        match write.as_slice() {
            [one] if one.starts_with(&flag.spelling) => {
                format!("give {}", one.strip_prefix(&flag.spelling).unwrap_or(one))
            }
            words => format!("leave it out, and write {} in extra_args", words.join(" ")),
        }
    } else {
        let words: Vec<&str> = text
            .split([' ', '\t', ','])
            .filter(|word| !word.is_empty())
            .collect();
        // Digits after digits would be another number.
        let unit = words.get(1)?.starts_with(|ch: char| !ch.is_ascii_digit());
        let whole = [Some(words.join(",")), unit.then(|| words.concat())];
        let mut fitting = whole.into_iter().flatten();
        let whole = fitting.find(|whole| flag.value.parse(whole, scope).is_ok())?;
        format!("give {whole}, without blanks")
    };
    let message = format!("{}: not an accepted value", parameter.name);
    Some(Refusal::new(&flag.rule, message, text, remedy))
}

const fn takes_list(kind: &ValueType) -> bool {
    match kind {
        ValueType::Ports { .. }
        | ValueType::Names(_)
        | ValueType::Decoys { .. }
        | ValueType::Networks { .. } => true,
        ValueType::Switch
        | ValueType::Count { .. }
        | ValueType::Integer { .. }
        | ValueType::Duration { .. }
        | ValueType::Word { .. }
        | ValueType::Mac
        | ValueType::Text { .. }
        | ValueType::Headers { .. }
        | ValueType::UrlPath { .. }
        | ValueType::UrlQuery { .. }
        | ValueType::ByteRange
        | ValueType::DnsName
        | ValueType::Address => false,
    }
}

/// Whether a list stands for several occurrences of the flag.
const fn takes_items(kind: &ValueType) -> bool {
    matches!(kind, ValueType::Headers { .. } | ValueType::UrlQuery { .. })
}

/// A list, each item of which is one occurrence of the flag.
fn items(
    scope: &Scope,
    parameter: &Parameter,
    flag: &Flag,
    value: &ParamValue,
) -> Result<Value, Refusal> {
    let list = match value {
        ParamValue::List(items) if !items.is_empty() => items.as_slice(),
        ParamValue::Text(_) => std::slice::from_ref(value),
        ParamValue::List(_) | ParamValue::Flag(_) | ParamValue::Integer(_) => {
            return Err(mistyped(parameter, value, &flag.value.described()));
        }
    };
    let mut collected = Vec::new();
    for item in list {
        let ParamValue::Text(text) = item else {
            return Err(mistyped(parameter, item, &flag.value.described()));
        };
        checked(parameter, text)?;
        let refuse = |error| named(parameter, *bad_value(flag, text, error, 0, 0).refusal);
        let Value::Items(more) = flag.value.parse(text, scope).map_err(refuse)? else {
            return Err(mistyped(parameter, item, &flag.value.described()));
        };
        let Value::Items(all) = flag.value.collect(collected, more).map_err(refuse)? else {
            return Err(mistyped(parameter, item, &flag.value.described()));
        };
        collected = all;
    }
    Ok(Value::Items(collected))
}

fn count(parameter: &Parameter, value: &ParamValue, max: u8) -> Result<Option<Value>, Refusal> {
    let expected = format!("a whole number from 0 to {max}");
    let number = match value {
        ParamValue::Integer(number) => u8::try_from(*number).ok(),
        // As other numbers, also as its text; a sign or a leading zero is none.
        ParamValue::Text(text) => text
            .parse()
            .ok()
            .filter(|number: &u8| number.to_string() == *text),
        ParamValue::Flag(_) | ParamValue::List(_) => None,
    };
    match number {
        Some(0) => Ok(None),
        Some(count) if count <= max => Ok(Some(Value::Count(count))),
        Some(_) | None => Err(mistyped(parameter, value, &expected)),
    }
}

/// A list as the comma list that the flag takes.
fn list_text(parameter: &Parameter, items: &[ParamValue]) -> Result<String, Refusal> {
    if items.is_empty() || items.len() > PARAMETER_ITEMS_MAX {
        let message = format!("{}: {} items in the list", parameter.name, items.len());
        let remedy = format!("give 1 to {PARAMETER_ITEMS_MAX} items, or leave the parameter out");
        return Err(Refusal::new("ARG1", message, &parameter.name, remedy));
    }
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let text = match item {
            ParamValue::Text(text) if !text.is_empty() && !text.contains(',') => text.clone(),
            ParamValue::Integer(number) => number.to_string(),
            ParamValue::Text(_) | ParamValue::Flag(_) | ParamValue::List(_) => {
                return Err(mistyped(parameter, item, "texts without commas as items"));
            }
        };
        texts.push(text);
    }
    Ok(texts.join(","))
}

/// The same characters are refused here as in arguments.
fn checked(parameter: &Parameter, text: &str) -> Result<(), Refusal> {
    words::arguments(&Arguments::Tokens(vec![text.to_owned()]))
        .map(|_| ())
        .map_err(|refusal| named(parameter, refusal))
}

fn read_words(
    profile: &Profile,
    scope: &Scope,
    parameter: &Parameter,
    value: &ParamValue,
) -> Result<Reading, Refusal> {
    let ParameterKind::Choice { words, several } = &parameter.kind else {
        return Ok(Reading::default());
    };
    let expected = || {
        let list: Vec<&str> = words.iter().map(|word| word.word.as_str()).collect();
        let several = if *several { ", or a list of them" } else { "" };
        format!("one of {}{several}", list.join(", "))
    };
    let chosen: Vec<&ParamValue> = match value {
        ParamValue::List(items) if *several && !items.is_empty() && items.len() <= words.len() => {
            items.iter().collect()
        }
        ParamValue::Text(_) => vec![value],
        ParamValue::List(_) | ParamValue::Flag(_) | ParamValue::Integer(_) => {
            return Err(mistyped(parameter, value, &expected()));
        }
    };
    let mut tokens = Vec::new();
    for item in chosen {
        let word = match item {
            ParamValue::Text(text) => words.iter().find(|word| word.word == *text),
            ParamValue::Flag(_) | ParamValue::Integer(_) | ParamValue::List(_) => None,
        };
        let word = word.ok_or_else(|| match meant_word(words, item) {
            Some(meant) => mistyped(parameter, item, &format!("{meant}: {}", expected())),
            None => mistyped(parameter, item, &expected()),
        })?;
        tokens.extend(word.args.iter().cloned());
    }
    grammar::read(profile, scope, &tokens)
        .map_err(|Trouble { refusal, .. }| named(parameter, *refusal))
}

/// The word of a choice that was probably meant: by its own arguments, or by spelling.
fn meant_word<'w>(words: &'w [ChoiceWord], item: &ParamValue) -> Option<&'w str> {
    let ParamValue::Text(text) = item else {
        return None;
    };
    let mut fitting = words
        .iter()
        .filter(|word| word.args.as_slice() == std::slice::from_ref(text));
    let by_args = fitting.next().map(|word| word.word.as_str());
    by_args.or_else(|| nearest(text, words.iter().map(|word| word.word.as_str())))
}

fn mistyped(parameter: &Parameter, value: &ParamValue, expected: &str) -> Refusal {
    Refusal::new(
        "ARG1",
        format!("{}: not an accepted value", parameter.name),
        &value.to_string(),
        format!("give {expected}"),
    )
}

/// The same refusal, with the parameter's name in front.
fn named(parameter: &Parameter, mut refusal: Refusal) -> Refusal {
    refusal.message = format!("parameter {}: {}", parameter.name, refusal.message).into();
    refusal
}

/// What a parameter over one flag may be, for a schema.
pub(crate) fn kind_of(flag: &Flag) -> ParameterKind {
    match &flag.value {
        ValueType::Switch => ParameterKind::Boolean,
        ValueType::Count { max } => ParameterKind::Integer {
            min: 0,
            max: u64::from(*max),
            step: 1,
        },
        ValueType::Integer { min, max, step, .. } => ParameterKind::Integer {
            min: *min,
            max: *max,
            step: *step,
        },
        ValueType::Duration {
            min_ms,
            max_ms,
            style,
        } => ParameterKind::Duration {
            min_ms: *min_ms,
            max_ms: *max_ms,
            style: *style,
        },
        ValueType::Ports { items_max, all, .. } => ParameterKind::Ports {
            items_max: *items_max,
            all: all.is_some() && flag.form == Form::Separate,
        },
        ValueType::Word {
            words, intrusive, ..
        } => word_kind(words, intrusive),
        ValueType::Names(rule) => ParameterKind::Names {
            safe: rule.safe.clone(),
            intrusive: rule.intrusive.clone(),
            items_max: rule.items_max,
        },
        ValueType::Decoys { items_max } | ValueType::Networks { items_max } => {
            ParameterKind::Addresses {
                items_max: *items_max,
            }
        }
        ValueType::Headers { items_max, .. } => ParameterKind::Texts {
            items_max: *items_max,
            pattern: "^[A-Za-z0-9-]+: ?[^ ]+$",
        },
        ValueType::UrlQuery { items_max } => ParameterKind::Texts {
            items_max: *items_max,
            pattern: "^[A-Za-z0-9._~!'()*+,=:@%/?-]+$",
        },
        ValueType::Mac => text_kind(17, "^(0|([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})$"),
        ValueType::Text { bytes_max } => text_kind(*bytes_max, "^[A-Za-z][A-Za-z0-9._~/()+,=-]*$"),
        ValueType::UrlPath { bytes_max } => {
            text_kind(*bytes_max, "^/[A-Za-z0-9._~!'()*+,=:@%/-]*$")
        }
        ValueType::ByteRange => text_kind(41, "^[0-9]+-[0-9]+$"),
        ValueType::DnsName => text_kind(254, "^[A-Za-z0-9._-]+$"),
        ValueType::Address => text_kind(45, "^[0-9A-Fa-f.:]+$"),
    }
}

const fn text_kind(chars_max: u32, pattern: &'static str) -> ParameterKind {
    ParameterKind::Text { chars_max, pattern }
}

/// Words that are consecutive numbers make an integer, which models get right more often.
fn word_kind(words: &[String], intrusive: &[String]) -> ParameterKind {
    let numbers: Option<Vec<u64>> = words.iter().map(|word| word.parse().ok()).collect();
    let consecutive = numbers.filter(|numbers| {
        numbers
            .iter()
            .zip(numbers.iter().skip(1))
            .all(|(low, high)| low.checked_add(1) == Some(*high))
    });
    if let Some((first, last)) =
        consecutive.and_then(|numbers| Some((*numbers.first()?, *numbers.last()?)))
    {
        return ParameterKind::Integer {
            min: first,
            max: last,
            step: 1,
        };
    }
    let words = words
        .iter()
        .map(|word| ChoiceWord {
            word: word.clone(),
            description: String::new(),
            args: Vec::new(),
            intrusive: intrusive.contains(word),
        })
        .collect();
    ParameterKind::Choice {
        words,
        several: false,
    }
}
