//! Settings to arguments, in the one canonical form.
//!
//! Pure: the same settings give the same arguments, in the profile's order. People
//! are shown the caller's spelling; the tool may get a longer one.
//!
//! Invariants: each flag is rendered by its main spelling; each separate value
//! is a whole argument.

use crate::grammar::Settings;
use crate::profile::{Flag, Form, Profile};
use crate::scope::Scope;
use crate::value::{PortList, Value, ValueType};

/// The arguments of all settings, as a caller may write them.
pub(crate) fn render(profile: &Profile, settings: &Settings) -> Vec<String> {
    settings
        .iter()
        .filter_map(|(id, value)| Some(element_of(profile.flag(*id)?, value)))
        .flatten()
        .collect()
}

/// The arguments of all settings as the tool gets them.
pub(crate) fn render_for_tool(
    profile: &Profile,
    scope: &Scope,
    settings: &Settings,
) -> Vec<String> {
    settings
        .iter()
        .filter_map(|(id, value)| {
            // A part stands inside the target.
            let flag = profile
                .flag(*id)
                .filter(|_| !profile.target.has_part(*id))?;
            Some(element_with(
                flag,
                value,
                flag.value.tool_text(value, scope),
            ))
        })
        .flatten()
        .collect()
}

/// The arguments of one setting, as a caller may write them.
pub(crate) fn element_of(flag: &Flag, value: &Value) -> Vec<String> {
    element_with(flag, value, value.text())
}

fn element_with(flag: &Flag, value: &Value, text: Option<String>) -> Vec<String> {
    if let (ValueType::Ports { all: Some(all), .. }, Value::Ports(PortList::All)) =
        (&flag.value, value)
    {
        return vec![all.clone()];
    }
    let spelling = flag.spelling.clone();
    if let (Form::Separate, Value::Items(items)) = (flag.form, value) {
        let pair = |item: &String| [spelling.clone(), item.clone()];
        return items.iter().flat_map(pair).collect();
    }
    match (flag.form, text) {
        (Form::Equals, Some(text)) => vec![format!("{spelling}={text}")],
        (Form::Separate, Some(text)) => vec![spelling, text],
        (Form::Attached | Form::AttachedOptional, Some(text)) => vec![format!("{spelling}{text}")],
        (Form::Counted, _) => vec![counted(spelling, value)],
        (Form::Switch, _) | (_, None) => vec![spelling],
    }
}

/// The spelling with its last letter repeated.
fn counted(mut spelling: String, value: &Value) -> String {
    if let (Value::Count(count), Some(letter)) = (value, spelling.chars().last()) {
        for _ in 1..*count {
            spelling.push(letter);
        }
    }
    spelling
}
