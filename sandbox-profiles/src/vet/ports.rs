//! Ports against the scope: those that a call names, those that the tool touches
//! by itself, and those that it must be told to leave alone.
//!
//! What a tool touches by itself is the profile's to say; this file knows no
//! tool. Where the scope allows every port it changes nothing.
//!
//! Invariants: after [`hold`] no setting names a port outside the scope, and a
//! tool that chooses ports itself is told every port that it must not choose.

use crate::grammar::{Settings, Trouble, element_of, render};
use crate::limits::ARG_BYTES_MAX;
use crate::profile::{Flag, FlagId, ImpliedPorts, Meaning, Profile};
use crate::refusal::{Detail, Refusal};
use crate::scope::{PortSet, Scope};
use crate::value::{PortList, Value, ValueType};

/// The rule of ports, beside those of targets (`TGT`) and arguments (`ARG`).
const RULE: &str = "SEC1";

/// Most ranges that a refusal lists.
const RANGES_SHOWN_MAX: usize = 12;

/// Holds complete settings against the scope's ports, and adds what the tool must
/// leave alone. `asked` is what the call and its template say, without defaults:
/// what a refusal's nearest call is made from.
pub(super) fn hold(
    profile: &Profile,
    scope: &Scope,
    asked: &Settings,
    settings: &mut Settings,
) -> Result<(), Trouble> {
    check_something_left(profile, settings)?;
    let allowed = scope.ports();
    if allowed.is_all() {
        return Ok(());
    }
    let excluding = excluding(profile);
    let mut is_choosing = false;
    for (id, value) in settings.iter() {
        let Some(flag) = profile.flag(*id) else {
            continue;
        };
        let chooses = matches!(value, Value::Ports(PortList::All))
            && excluding.is_some()
            && !allowed.is_empty();
        is_choosing |= chooses;
        match named(flag, value) {
            Some(ports) if !chooses && !ports.is_within(allowed) => {
                return Err(named_outside(profile, allowed, asked, (*id, flag), &ports));
            }
            Some(_) | None => {}
        }
    }
    for row in &profile.implied_ports {
        is_choosing |= check_implied(profile, allowed, asked, settings, row)?;
    }
    match excluding {
        // Where every port is named nothing is added, so that a call within both
        // sides' scopes is the same call on both.
        Some((id, flag)) if is_choosing => exclude(allowed, (id, flag), settings),
        Some(_) | None => Ok(()),
    }
}

/// The flag that tells the tool which ports to leave alone, if it has one.
fn excluding(profile: &Profile) -> Option<(FlagId, &Flag)> {
    let leaves_out = |flag: &&Flag| matches!(flag.value, ValueType::Ports { excluded: true, .. });
    let flag = profile.flags.iter().find(leaves_out)?;
    Some((profile.find_flag(&flag.spelling)?, flag))
}

/// The ports of the target that a setting names.
fn named(flag: &Flag, value: &Value) -> Option<PortSet> {
    match (&flag.value, value) {
        (ValueType::Ports { excluded: true, .. }, _) => None,
        (_, Value::Ports(ports)) => Some(set_of(ports)),
        (_, Value::Integer(number)) if flag.meaning == Meaning::Port => {
            let port = u16::try_from(*number).ok()?;
            Some(PortSet::of([(port, port)]))
        }
        (_, _) => None,
    }
}

fn set_of(ports: &PortList) -> PortSet {
    match ports {
        PortList::All => PortSet::all(),
        PortList::Ranges(ranges) => PortSet::of(ranges.iter().copied()),
    }
}

/// Refuses a list of ports of which the call itself leaves nothing.
fn check_something_left(profile: &Profile, settings: &Settings) -> Result<(), Trouble> {
    let Some((id, flag)) = excluding(profile) else {
        return Ok(());
    };
    let Some(Value::Ports(excluded)) = settings.get(&id) else {
        return Ok(());
    };
    let left_out = set_of(excluded);
    for (other, value) in settings {
        let ports = profile.flag(*other).and_then(|flag| named(flag, value));
        if ports.is_some_and(|ports| ports.is_within(&left_out)) {
            let message = format!("nothing of {} is left", profile.spelling(*other));
            let remedy = "name other ports, or leave out fewer";
            let offending = element_of(flag, &Value::Ports(excluded.clone())).join(" ");
            let refusal = Refusal::new(&flag.rule, message, &offending, remedy);
            let mut kept = settings.clone();
            kept.remove(&id);
            return Err(Trouble::rewritten(refusal, render(profile, &kept)));
        }
    }
    Ok(())
}

/// The refusal of a setting that names ports outside the scope; the nearest call
/// names those of them that lie inside.
fn named_outside(
    profile: &Profile,
    allowed: &PortSet,
    asked: &Settings,
    (id, flag): (FlagId, &Flag),
    ports: &PortSet,
) -> Trouble {
    let refusal = refusal(
        format!("{}: not among the scope's allowed_ports", flag.spelling),
        &shown(&ports.without(allowed)),
        allowed,
        &format!("choose from {}", shown(allowed)),
    );
    let inside = ports.intersection(allowed);
    let nearest = match (&flag.value, allowed.first()) {
        (ValueType::Ports { .. }, _) if !inside.is_empty() => {
            Value::Ports(PortList::Ranges(inside.ranges().to_vec()))
        }
        // A port that nobody asked for can give way to any other.
        (ValueType::Integer { .. }, Some(port)) if !asked.contains_key(&id) => {
            Value::Integer(u64::from(port))
        }
        (_, _) => return Trouble::plain(refusal),
    };
    let mut kept = asked.clone();
    kept.insert(id, nearest);
    Trouble::rewritten(refusal, render(profile, &kept))
}

/// Refuses a run that would touch ports outside the scope by itself. Gives whether
/// the tool must be told to leave some of them alone.
fn check_implied(
    profile: &Profile,
    allowed: &PortSet,
    asked: &Settings,
    settings: &Settings,
    row: &ImpliedPorts,
) -> Result<bool, Trouble> {
    let Some(flags) = touching(profile, settings, row) else {
        return Ok(false);
    };
    if row.ports.is_within(allowed) {
        return Ok(false);
    }
    let held_off = row.excludable
        && excluding(profile).is_some()
        && !row.ports.intersection(allowed).is_empty();
    if held_off {
        return Ok(true);
    }
    let mut kept = asked.clone();
    let mut instead: Vec<String> = Vec::new();
    let mut offending = Vec::new();
    for id in flags {
        let Some((flag, value)) = profile.flag(id).zip(settings.get(&id)) else {
            continue;
        };
        offending.extend(element_of(flag, value));
        match harmless(row, value) {
            Some(value) => kept.insert(id, value),
            None => kept.remove(&id),
        };
    }
    if offending.is_empty() {
        offending.push(shown(&row.ports));
    }
    if let Some(port) = allowed.first() {
        let filled = |word: &String| word.replace("{port}", &port.to_string());
        instead.extend(row.instead.iter().map(filled));
    }
    let remedy = if instead.is_empty() {
        "leave it out".to_owned()
    } else {
        format!("use {}", instead.join(" "))
    };
    let refusal = refusal(
        format!(
            "{}, and the scope's allowed_ports are {}",
            row.reason,
            shown(allowed)
        ),
        &offending.join(" "),
        allowed,
        &remedy,
    );
    let mut tokens = render(profile, &kept);
    tokens.extend(instead);
    Err(Trouble::rewritten(refusal, tokens))
}

/// The flags by which the row holds for these settings; nothing where it doesn't.
fn touching(profile: &Profile, settings: &Settings, row: &ImpliedPorts) -> Option<Vec<FlagId>> {
    if row.unless.iter().any(|id| settings.contains_key(id)) {
        return None;
    }
    if row.when.is_empty() {
        return Some(Vec::new());
    }
    let holds = |id: &&FlagId| match (profile.flag(**id), settings.get(id)) {
        (Some(_), Some(Value::Names(names))) => {
            row.except.is_empty() || names.iter().any(|name| !row.except.contains(name))
        }
        (Some(_), Some(value)) => !row.bare || *value == Value::Switch,
        (_, None) | (None, _) => false,
    };
    let flags: Vec<FlagId> = row.when.iter().filter(holds).copied().collect();
    (!flags.is_empty()).then_some(flags)
}

/// What of a value the row doesn't hold for, if anything.
fn harmless(row: &ImpliedPorts, value: &Value) -> Option<Value> {
    let Value::Names(names) = value else {
        return None;
    };
    let kept = names.iter().filter(|name| row.except.contains(name));
    let kept: Vec<String> = kept.cloned().collect();
    (!kept.is_empty()).then_some(Value::Names(kept))
}

/// Tells the tool to leave every other port alone, beside those that the call
/// leaves out itself.
fn exclude(
    allowed: &PortSet,
    (id, flag): (FlagId, &Flag),
    settings: &mut Settings,
) -> Result<(), Trouble> {
    let mut ports = allowed.complement();
    if let Some(Value::Ports(own)) = settings.get(&id) {
        ports = ports.union(&set_of(own));
    }
    let count = ports.ranges().len();
    let value = Value::Ports(PortList::Ranges(ports.ranges().to_vec()));
    let items = if let ValueType::Ports { items_max, .. } = &flag.value {
        u32::try_from(count).is_ok_and(|count| count <= *items_max)
    } else {
        false
    };
    let words = element_of(flag, &value);
    if !items || words.iter().any(|word| word.len() > ARG_BYTES_MAX) {
        return Err(Trouble::plain(refusal(
            format!("{count} ranges of ports are to be left out, more than one flag can say"),
            &flag.spelling,
            allowed,
            "an administrator must write allowed_ports in fewer ranges",
        )));
    }
    settings.insert(id, value);
    Ok(())
}

fn refusal(message: String, offending: &str, allowed: &PortSet, remedy: &str) -> Refusal {
    let remedy = if allowed.is_empty() {
        "no port is allowed; an administrator must set allowed_ports"
    } else {
        remedy
    };
    let ranges = allowed.ranges().iter().take(RANGES_SHOWN_MAX);
    let ranges = ranges.map(|range| PortSet::of([*range]).to_string());
    Refusal::new(RULE, message, offending, remedy)
        .with("allowed_ports", Detail::List(ranges.collect()))
}

/// A set of ports for a message, bounded.
fn shown(ports: &PortSet) -> String {
    if ports.is_empty() {
        return "none".to_owned();
    }
    let first = ports.ranges().iter().take(RANGES_SHOWN_MAX);
    let text = PortSet::of(first.copied()).to_string();
    match ports.ranges().len().checked_sub(RANGES_SHOWN_MAX) {
        Some(more) if more > 0 => format!("{text} and {more} more ranges"),
        Some(_) | None => text,
    }
}
