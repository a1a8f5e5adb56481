//! What depends on policy or on the target: intrusive settings, exclusions,
//! address families, decoys.
//!
//! Each check refuses or is silent.
//!
//! Invariants: after these checks no setting holds an address outside the scope.

use crate::grammar::{Settings, Trouble, element_of, render};
use crate::limits::ARG_BYTES_MAX;
use crate::net::{Network, is_covered, merged};
use crate::profile::{FlagId, Profile};
use crate::refusal::{Refusal, RefusalKind};
use crate::scope::Scope;
use crate::target::Target;
use crate::value::{Decoy, Value, ValueType};

/// The settings that only an intrusive policy allows.
pub(super) fn intrusive_parts(profile: &Profile, settings: &Settings) -> Vec<FlagId> {
    let intrusive = |(id, value): (&FlagId, &Value)| {
        let flag = profile.flag(*id)?;
        (flag.intrusive || flag.value.is_intrusive(value)).then_some(*id)
    };
    settings.iter().filter_map(intrusive).collect()
}

pub(super) fn check_intrusive(
    profile: &Profile,
    scope: &Scope,
    settings: &Settings,
) -> Result<(), Trouble> {
    let parts = intrusive_parts(profile, settings);
    if scope.allows_intrusive() || parts.is_empty() {
        return Ok(());
    }
    let mut offending = Vec::new();
    let mut allowed = Vec::new();
    for (id, value) in settings {
        let Some(flag) = profile.flag(*id) else {
            continue;
        };
        if parts.contains(id) {
            offending.extend(element_of(flag, value));
            allowed.extend(flag.instead.iter().cloned());
        } else {
            allowed.extend(element_of(flag, value));
        }
    }
    let remedy = if allowed.is_empty() {
        "an administrator must set allow_intrusive on both sides; without it, leave it out"
            .to_owned()
    } else {
        format!(
            "an administrator must set allow_intrusive on both sides; without it, use: {}",
            allowed.join(" ")
        )
    };
    let refusal = Refusal::new(
        "ARG6",
        "intrusive, and the policy does not allow intrusive runs",
        &offending.join(" "),
        remedy,
    )
    .of_kind(RefusalKind::Intrusive);
    Err(Trouble::rewritten(refusal, allowed))
}

/// What a call leaves out must lie in its target, or it would be a list of
/// foreign addresses in the argument vector.
pub(super) fn check_exclusions(
    profile: &Profile,
    target: &Target,
    settings: &Settings,
) -> Result<(), Trouble> {
    for (id, value) in settings {
        let Value::Networks(networks) = value else {
            continue;
        };
        let Some(flag) = profile.flag(*id) else {
            continue;
        };
        let outside = target.network().map_or_else(
            || networks.first(),
            |target| networks.iter().find(|network| !target.contains(network)),
        );
        if let Some(outside) = outside {
            let refusal = Refusal::new(
                &flag.rule,
                format!("{} leaves out what is not in the target", flag.spelling),
                &outside.to_string(),
                "leave out addresses of the target network only",
            );
            let mut kept = settings.clone();
            kept.remove(id);
            return Err(Trouble::rewritten(refusal, render(profile, &kept)));
        }
        check_something_left(profile, target, *id, networks)?;
    }
    Ok(())
}

fn check_something_left(
    profile: &Profile,
    target: &Target,
    id: FlagId,
    excluded: &[Network],
) -> Result<(), Trouble> {
    let Some(network) = target.network() else {
        return Ok(());
    };
    if !is_covered(&network, excluded) {
        return Ok(());
    }
    Err(Trouble::plain(Refusal::new(
        "TGT4",
        format!(
            "nothing of the target is left after {}",
            profile.spelling(id)
        ),
        &target.to_string(),
        "choose another target, or leave out less",
    )))
}

/// Adds the denied parts of the target to what the call leaves out.
pub(super) fn add_exclusions(
    profile: &Profile,
    target: &Target,
    id: FlagId,
    denied: Vec<Network>,
    settings: &mut Settings,
) -> Result<(), Trouble> {
    let mut networks = denied;
    if let Some(Value::Networks(own)) = settings.get(&id) {
        networks.extend(own);
    }
    let networks = merged(networks);
    check_something_left(profile, target, id, &networks)?;
    let count = networks.len();
    let value = Value::Networks(networks);
    if !fits(profile, id, &value) {
        return Err(Trouble::plain(Refusal::new(
            "TGT4",
            format!("{count} parts of the network are to be left out, more than one flag can say"),
            &target.to_string(),
            "choose a smaller network",
        )));
    }
    settings.insert(id, value);
    Ok(())
}

/// Whether the executor would take the value that vetting put together.
fn fits(profile: &Profile, id: FlagId, value: &Value) -> bool {
    let Some(flag) = profile.flag(id) else {
        return false;
    };
    let items = match (&flag.value, value) {
        (ValueType::Networks { items_max }, Value::Networks(networks)) => {
            u32::try_from(networks.len()).is_ok_and(|count| count <= *items_max)
        }
        (_, _) => false,
    };
    items
        && element_of(flag, value)
            .iter()
            .all(|element| element.len() <= ARG_BYTES_MAX)
}

/// Refuses an address family that the target does not have.
pub(super) fn check_families(
    profile: &Profile,
    scope: &Scope,
    target: &Target,
    families: &[bool],
) -> Result<(), Trouble> {
    // A name has no family yet, but it can't have two.
    let family = target
        .network()
        .map(|network| network.is_ipv6())
        .or(families.first().copied());
    let Some(wrong) = families.iter().find(|asked| Some(**asked) != family) else {
        return check_listed(scope, families);
    };
    let switch = profile
        .target
        .family_switch(*wrong)
        .map_or("", String::as_str);
    let (asked, is) = if *wrong {
        ("IPv6", "IPv4")
    } else {
        ("IPv4", "IPv6")
    };
    Err(Trouble::plain(Refusal::new(
        "TGT9",
        format!("{switch} asks for {asked}, and the target is {is}"),
        switch,
        "leave it out: Mantlet sets it by the target's address",
    )))
}

/// Refuses IPv6 where no address could be allowed, before a name is resolved.
fn check_listed(scope: &Scope, families: &[bool]) -> Result<(), Trouble> {
    if scope.lists_ipv6() || !families.contains(&true) {
        return Ok(());
    }
    Err(Trouble::plain(Refusal::new(
        "TGT9",
        "IPv6 is not enabled: no IPv6 network is allowed",
        "IPv6",
        "leave it out, or let an administrator add an IPv6 network to allowed_networks",
    )))
}

/// Refuses flags that the tool has for IPv4 only. An unresolved name is checked
/// once it is pinned.
pub(super) fn check_ipv4_only(
    profile: &Profile,
    target: &Target,
    settings: &Settings,
) -> Result<(), Trouble> {
    if !target.network().is_some_and(|network| network.is_ipv6()) {
        return Ok(());
    }
    let only = |id: &FlagId| Some((*id, profile.flag(*id)?.ipv4_only.as_ref()?));
    let Some((id, reason)) = settings.keys().find_map(only) else {
        return Ok(());
    };
    let spelling = profile.spelling(id);
    let refusal = Refusal::new(
        "TGT9",
        format!("{spelling} is for IPv4 targets only: {reason}"),
        spelling,
        format!("leave {spelling} out, or give an IPv4 target"),
    );
    let mut kept = settings.clone();
    kept.remove(&id);
    Err(Trouble::rewritten(refusal, render(profile, &kept)))
}

pub(super) fn check_decoys(
    profile: &Profile,
    scope: &Scope,
    target: &Target,
    settings: &Settings,
) -> Result<(), Trouble> {
    for (id, value) in settings {
        let Value::Decoys(decoys) = value else {
            continue;
        };
        let Some(flag) = profile.flag(*id) else {
            continue;
        };
        let family = target.network().map(|network| network.is_ipv6());
        let bad = decoys.iter().find(|decoy| match decoy {
            Decoy::Me => false,
            Decoy::Address(address) => {
                !scope.admits(*address) || family.is_some_and(|ipv6| ipv6 != address.is_ipv6())
            }
        });
        let Some(bad) = bad else { continue };
        let mut kept = settings.clone();
        kept.remove(id);
        let refusal = Refusal::new(
            &flag.rule,
            format!(
                "{}: a decoy outside the scope, or of another address family",
                flag.spelling
            ),
            &bad.to_string(),
            "use ME and addresses within the allowed networks",
        );
        return Err(Trouble::rewritten(refusal, render(profile, &kept)));
    }
    Ok(())
}
