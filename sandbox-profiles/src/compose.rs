//! Combining settings: template under call, defaults, conflicts, order.
//!
//! Works on typed settings only; knows no target and no policy.
//!
//! Invariants: what a call says itself is never dropped, except where another
//! flag of the call includes it; composing a composed result changes nothing.

use crate::grammar::{self, Settings, Trouble, element_of, render};
use crate::profile::{Conflict, DefaultSetting, Flag, FlagId, Profile, Required};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::target::Target;
use crate::value::Value;

/// Refuses flags that the call itself can't combine.
pub(crate) fn check(profile: &Profile, settings: &Settings) -> Result<(), Trouble> {
    for first in settings.keys() {
        for (second, _) in settings.range(first..).skip(1) {
            let Some(conflict) = conflict(profile, settings, *first, *second) else {
                continue;
            };
            let mut kept = settings.clone();
            kept.remove(second);
            let refusal = Refusal::new(
                &conflict.rule,
                format!("can't be combined: {}", conflict.reason),
                &format!("{} {}", profile.spelling(*first), profile.spelling(*second)),
                format!(
                    "keep one of them: {} or {}",
                    profile.spelling(*first),
                    profile.spelling(*second)
                ),
            );
            return Err(Trouble::rewritten(refusal, render(profile, &kept)));
        }
    }
    check_orders(profile, settings)
}

fn check_orders(profile: &Profile, settings: &Settings) -> Result<(), Trouble> {
    for order in &profile.orders {
        let value = |id: FlagId| settings.get(&id).and_then(Value::magnitude);
        let absent = |id: FlagId| profile.flag(id)?.absent;
        let high = value(order.high).or(absent(order.high));
        let (Some(low), Some(high)) = (value(order.low), high) else {
            continue;
        };
        if low > high {
            let mut kept = settings.clone();
            kept.remove(&order.low);
            let refusal = Refusal::new(
                "ARG3",
                order.reason.clone(),
                &format!(
                    "{} {}",
                    profile.spelling(order.low),
                    profile.spelling(order.high)
                ),
                format!(
                    "give {} a value that is not above that of {}",
                    profile.spelling(order.low),
                    profile.spelling(order.high)
                ),
            );
            return Err(Trouble::rewritten(refusal, render(profile, &kept)));
        }
    }
    Ok(())
}

/// The rule that forbids two flags beside each other, if one does.
fn conflict<'p>(
    profile: &'p Profile,
    settings: &Settings,
    first: FlagId,
    second: FlagId,
) -> Option<&'p Conflict> {
    profile.conflicts.iter().find(|conflict| {
        let is = |list: &[FlagId], id: FlagId| list.contains(&id);
        let clash = if conflict.with.is_empty() {
            is(&conflict.any_of, first) && is(&conflict.any_of, second)
        } else {
            is(&conflict.any_of, first) && is(&conflict.with, second)
                || is(&conflict.any_of, second) && is(&conflict.with, first)
        };
        clash && !conflict.unless.iter().any(|id| settings.contains_key(id))
    })
}

/// Puts a template's settings under those of the call. What the call says
/// itself takes the place of the template's value for the same flag, and of
/// another way of the same thing. What would take away what the template is for
/// is refused: the run would be neither the template's nor quite the call's.
pub(crate) fn underlay(
    profile: &Profile,
    name: &str,
    template: &Settings,
    call: &Settings,
    notes: &mut Vec<String>,
) -> Result<Settings, Trouble> {
    let mut settings = call.clone();
    for (id, value) in template {
        if let Some(own) = call.get(id) {
            if own != value {
                notes.push(gave_way(profile, *id, value, *id, own));
            }
            continue;
        }
        let mut clashes = call
            .iter()
            .filter_map(|(other, own)| Some((other, own, conflict(profile, call, *id, *other)?)));
        match clashes.next() {
            Some((other, own, conflict)) if conflict.alternatives => {
                notes.push(gave_way(profile, *id, value, *other, own));
            }
            Some((other, _, conflict)) => {
                return Err(defeated(profile, name, *id, *other, conflict, call));
            }
            None => {
                settings.insert(*id, value.clone());
            }
        }
    }
    Ok(settings)
}

/// The refusal of a call that takes away what its template is for.
fn defeated(
    profile: &Profile,
    name: &str,
    id: FlagId,
    by: FlagId,
    conflict: &Conflict,
    call: &Settings,
) -> Trouble {
    let (own, other) = (profile.spelling(id), profile.spelling(by));
    let refusal = Refusal::new(
        &conflict.rule,
        format!(
            "the template {name} stands for {own}, which can't be combined with {other}: {}",
            conflict.reason
        ),
        other,
        format!("leave {other} out, or call without the template"),
    );
    let mut kept = call.clone();
    kept.remove(&by);
    Trouble::rewritten(refusal, render(profile, &kept))
}

fn gave_way(profile: &Profile, id: FlagId, value: &Value, by: FlagId, own: &Value) -> String {
    let text = |id: FlagId, value: &Value| {
        profile
            .flag(id)
            .map(|flag| element_of(flag, value).join(" "))
            .unwrap_or_default()
    };
    format!(
        "the template's {} gave way to {}",
        text(id, value),
        text(by, own)
    )
}

/// Adds what flags of the call bring with them, and drops flags that another one
/// includes.
pub(crate) fn absorb(
    profile: &Profile,
    scope: &Scope,
    settings: &mut Settings,
) -> Result<(), Trouble> {
    let bringing: Vec<(FlagId, &Flag)> = settings
        .keys()
        .filter_map(|id| Some((*id, profile.flag(*id)?)))
        .filter(|(_, flag)| !flag.brings.is_empty())
        .collect();
    for (id, flag) in bringing {
        if flag.shorthand {
            settings.remove(&id);
        }
        for (id, value) in grammar::read(profile, scope, &flag.brings)?.settings {
            bring(profile, settings, id, value)?;
        }
    }
    let included: Vec<FlagId> = settings
        .keys()
        .filter_map(|id| profile.flag(*id))
        .flat_map(|flag| flag.includes.iter().copied())
        .collect();
    for id in included {
        settings.remove(&id);
    }
    Ok(())
}

/// Adds a setting to what the call says: names join its own, any other value
/// gives way to it.
fn bring(
    profile: &Profile,
    settings: &mut Settings,
    id: FlagId,
    value: Value,
) -> Result<(), Trouble> {
    let (Some(Value::Names(own)), Value::Names(more)) = (settings.get_mut(&id), &value) else {
        settings.entry(id).or_insert(value);
        return Ok(());
    };
    own.extend(more.iter().cloned());
    own.sort_unstable();
    own.dedup();
    let count = own.len();
    match profile.flag(id) {
        Some(flag) if !flag.value.has_room_for(count) => {
            let remedy = "name fewer, or make several calls";
            let message = format!("{}: {count} names, more than are accepted", flag.spelling);
            let refusal = Refusal::new(&flag.rule, message, &flag.spelling, remedy);
            Err(Trouble::plain(refusal))
        }
        Some(_) | None => Ok(()),
    }
}

/// Adds the profile's defaults where the settings have none of their kind.
pub(crate) fn add_defaults(
    profile: &Profile,
    scope: &Scope,
    target: &Target,
    settings: &mut Settings,
) -> Result<(), Trouble> {
    let is_network = matches!(target, Target::Network(_));
    // Each default sees the call alone, so that their order doesn't matter, but
    // for those that say what must be given: these see the defaults before them.
    let call = settings.clone();
    for default in &profile.defaults {
        let asked = default.unless.iter().any(|id| call.contains_key(id));
        if asked || (is_network && default.single) || !holds(profile, scope, settings, default)? {
            continue;
        }
        for (id, value) in grammar::read(profile, scope, &default.args)?.settings {
            let clashes = call
                .keys()
                .any(|other| conflict(profile, &call, id, *other).is_some());
            if !clashes {
                settings.entry(id).or_insert(value);
            }
        }
    }
    Ok(())
}

/// Whether what a default wants to be given is.
fn holds(
    profile: &Profile,
    scope: &Scope,
    settings: &Settings,
    default: &DefaultSetting,
) -> Result<bool, Trouble> {
    let given = grammar::read(profile, scope, &default.given)?.settings;
    Ok(given
        .iter()
        .all(|(id, value)| settings.get(id) == Some(value)))
}

/// Refuses settings that leave nothing to do.
pub(crate) fn check_required(profile: &Profile, settings: &Settings) -> Result<(), Trouble> {
    let missing =
        |required: &&Required| !required.any_of.iter().any(|id| settings.contains_key(id));
    let Some(required) = profile.required.iter().find(missing) else {
        return Ok(());
    };
    let flags: Vec<&str> = required
        .any_of
        .iter()
        .map(|id| profile.spelling(*id))
        .collect();
    Err(Trouble::plain(Refusal::new(
        "ARG1",
        required.reason.clone(),
        &flags.join(" "),
        required.remedy.clone(),
    )))
}
