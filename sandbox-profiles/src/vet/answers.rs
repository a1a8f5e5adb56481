//! What a name resolved to, held against the scope.
//!
//! What it is: the choice of the address that a run is pinned to, and the
//! refusals that explain why there is none (TGT7).
//! What it is not: the look-up, which is the broker's; the addresses come from
//! there, and nothing here trusts them.
//!
//! Invariants: an address is chosen only if every answer is allowed; an address
//! that a refusal proposes is an answer that is.

use std::net::IpAddr;

use crate::aim;
use crate::limits::ANSWERS_MAX;
use crate::profile::Profile;
use crate::refusal::{Detail, Refusal};
use crate::scope::Scope;

/// How many forbidden answers a message gives the reason of.
const REASONS_MAX: usize = 3;

/// The answer to pin: the first of the family asked for (true for IPv6), or
/// where none was asked for the first IPv4 one, else the first.
///
/// Every answer counts, also one that would not be used, and one of a family
/// that isn't enabled: a name that leads out of the scope is not the host that
/// was meant, or won't be one the next time.
pub(super) fn choose(
    profile: &Profile,
    scope: &Scope,
    name: &str,
    asked: Option<bool>,
    answers: &[IpAddr],
) -> Result<IpAddr, Refusal> {
    if answers.len() > ANSWERS_MAX {
        let count = answers.len();
        let message = format!("the name has {count} addresses, at most {ANSWERS_MAX} are taken");
        return Err(
            Refusal::new("TGT7", message, name, "give one of its addresses")
                .with("name", Detail::Text(name.to_owned()))
                .with("answers_count", count_of(count))
                .with("max_allowed", count_of(ANSWERS_MAX)),
        );
    }
    let forbidden: Vec<Refusal> = answers
        .iter()
        .filter_map(|answer| aim::admit_address(profile, scope, *answer).err())
        .collect();
    if !forbidden.is_empty() {
        let allowed: Vec<IpAddr> = answers
            .iter()
            .filter(|answer| aim::admit_address(profile, scope, **answer).is_ok())
            .copied()
            .collect();
        return Err(mixed(name, answers, &forbidden, of_family(&allowed, asked)));
    }
    match (of_family(answers, asked), asked) {
        (Some(address), _) => Ok(address),
        (None, Some(ipv6)) if !answers.is_empty() => {
            Err(wrong_family(profile, name, answers, ipv6))
        }
        (None, _) => Err(Refusal::new(
            "TGT7",
            "the name resolves to no address",
            name,
            "check the name, or give an address",
        )),
    }
}

fn of_family(answers: &[IpAddr], asked: Option<bool>) -> Option<IpAddr> {
    let wanted = asked.unwrap_or(false);
    let first = answers.iter().find(|answer| answer.is_ipv6() == wanted);
    let any = || answers.first().filter(|_| asked.is_none());
    first.or_else(any).copied()
}

/// Not every answer may be touched.
fn mixed(
    name: &str,
    answers: &[IpAddr],
    forbidden: &[Refusal],
    instead: Option<IpAddr>,
) -> Refusal {
    let message = if forbidden.len() == answers.len() {
        "the name resolves outside the scope"
    } else {
        "the name resolves to allowed and to forbidden addresses"
    };
    let reason = |refusal: &Refusal| format!("{}, {}", refusal.rule, refusal.message);
    let shown: Vec<String> = forbidden
        .iter()
        .take(REASONS_MAX)
        .map(|refusal| format!("{} ({})", refusal.offending, reason(refusal)))
        .collect();
    let more = match forbidden.len().saturating_sub(REASONS_MAX) {
        0 => String::new(),
        count => format!(", and {count} more"),
    };
    let remedy = match (instead, forbidden.first()) {
        (Some(address), _) => format!(
            "give an allowed address as the target, like {address}, or correct the name's records"
        ),
        (None, Some(first)) => format!("correct the name's records, or {}", first.remedy),
        (None, None) => "correct the name's records".to_owned(),
    };
    let texts: Vec<String> = forbidden
        .iter()
        .map(|refusal| refusal.offending.to_string())
        .collect();
    let reasons = forbidden
        .iter()
        .map(|refusal| (refusal.offending.to_string(), reason(refusal)));
    let refusal = Refusal::new(
        "TGT7",
        format!("{message}: {}{more}", shown.join("; ")),
        &format!("{name}: {}", texts.join(", ")),
        remedy,
    )
    .with("name", Detail::Text(name.to_owned()))
    .with("answers", texts_of(answers))
    .with("reasons", Detail::Map(reasons.collect()))
    .with("forbidden", Detail::List(texts));
    match instead {
        Some(address) => refusal.with("nearest_target", Detail::Text(address.to_string())),
        None => refusal,
    }
}

/// The call asks for a family of which the name has no address.
fn wrong_family(profile: &Profile, name: &str, answers: &[IpAddr], ipv6: bool) -> Refusal {
    let switch = profile.target.family_switch(ipv6);
    let switch = switch.map_or("", String::as_str);
    let (asked, has) = if ipv6 {
        ("IPv6", "IPv4")
    } else {
        ("IPv4", "IPv6")
    };
    Refusal::new(
        "TGT9",
        format!("{switch} asks for {asked}, and {name} has {has} addresses only"),
        switch,
        "leave it out: Mantlet sets it by the target's address",
    )
    .with("name", Detail::Text(name.to_owned()))
    .with("answers", texts_of(answers))
}

fn texts_of(answers: &[IpAddr]) -> Detail {
    Detail::List(answers.iter().map(ToString::to_string).collect())
}

fn count_of(count: usize) -> Detail {
    Detail::Integer(u64::try_from(count).unwrap_or(u64::MAX))
}
