//! Targets that were meant: from a form that isn't accepted to one that is.
//!
//! What it is: words and the nearest target for URLs, ports, ranges and the
//! like, which people and models write and which mean one clear thing.
//! What it is not: a way in. Nothing is accepted here; the call was refused
//! already, and a caller has to ask again.
//!
//! Invariants: a target that is proposed is one that the tool and the scope
//! accept, and covers exactly the addresses that were written.

use std::net::{IpAddr, Ipv4Addr};

use crate::aim;
use crate::net::Network;
use crate::profile::{Profile, TargetKind};
use crate::refusal::{Detail, Refusal};
use crate::scope::Scope;
use crate::target::{self, Target};

/// The refusal of a target that can't be read, with what was meant.
pub(crate) fn teach(profile: &Profile, scope: &Scope, text: &str, refusal: Refusal) -> Refusal {
    let Some(meant) = netmask(text)
        .or_else(|| spread(profile, text))
        .or_else(|| peeled(profile, text))
        .or_else(|| several(text))
        .or_else(|| option(text))
    else {
        return refusal;
    };
    let mut taught = Refusal {
        message: meant.message.into_boxed_str(),
        ..refusal
    };
    let Some(target) = meant.target else {
        taught.remedy = meant.remedy.into_boxed_str();
        return taught;
    };
    let remedy = match accepted(profile, scope, &target) {
        Ok(target) => {
            let remedy = format!("give {target}{}", meant.remedy);
            taught = taught.with("nearest_target", Detail::Text(target));
            remedy
        }
        // Two things are wrong: said at once, so that it isn't found out call by call.
        Err(next) => format!(
            "{target} alone would be refused too ({}, {}): {}",
            next.rule, next.message, next.remedy
        ),
    };
    taught.remedy = remedy.into_boxed_str();
    taught
}

/// What a text meant.
struct Meant {
    /// What is wrong with the text.
    message: String,
    /// What to write instead; goes on after the target, if there is one.
    remedy: String,
    /// The target, if exactly one was meant.
    target: Option<String>,
}

/// The target in canonical form, if a call for it would get past its target.
fn accepted(profile: &Profile, scope: &Scope, text: &str) -> Result<String, Refusal> {
    let target = target::parse(text)?.target;
    aim::admit(profile, scope, &target)?;
    Ok(target.argument())
}

/// A host with something around it: scheme, user, brackets, port, zone, path.
fn peeled(profile: &Profile, text: &str) -> Option<Meant> {
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = text.trim_matches([' ', '\t', '\r', '\n']);
    if rest != text {
        parts.push("white space");
    }
    let is_url = rest.split_once("://");
    if let Some((_, after)) = is_url {
        parts.push("scheme");
        rest = after;
    }
    if let Some((host, path)) = rest.split_once(['/', '?', '#']) {
        let prefix = !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_digit());
        let address = host.contains('%') || host.parse::<IpAddr>().is_ok();
        if is_url.is_none() && prefix && address {
            return None;
        }
        parts.push(match (is_url, prefix) {
            (None, true) => "prefix length (only an address has one)",
            (Some(_), _) | (None, false) => "path",
        });
        rest = host;
    }
    if let Some((_, host)) = rest.rsplit_once('@') {
        parts.push("user name");
        rest = host;
    }
    let mut port = None;
    if let Some((inner, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        parts.push("brackets");
        rest = inner;
        port = after.strip_prefix(':');
        if port.is_none() && !after.is_empty() {
            return None;
        }
    } else if let Some((host, after)) = rest.split_once(':')
        && !after.contains(':')
    {
        rest = host;
        port = Some(after);
    }
    if let Some(port) = port {
        if !is_plain(port) || port.parse::<u16>().is_err() {
            return None;
        }
        parts.push("port");
    }
    if let Some((address, _)) = rest.split_once('%')
        && address.parse::<IpAddr>().is_ok()
    {
        parts.push("zone");
        rest = address;
    }
    if parts.is_empty() || !is_host(rest) {
        return None;
    }
    Some(Meant {
        message: format!(
            "a target is a host alone, with no {}",
            parts.join(" and no ")
        ),
        remedy: port.map_or_else(String::new, |port| port_remedy(profile, port)),
        target: Some(rest.to_owned()),
    })
}

fn is_host(text: &str) -> bool {
    let parsed = target::parse(text).map(|parsed| parsed.target);
    matches!(parsed, Ok(Target::Address(_) | Target::Name { .. }))
}

/// Where the port belongs that stood in the target.
fn port_remedy(profile: &Profile, port: &str) -> String {
    let named = ["ports", "port"]
        .into_iter()
        .find_map(|name| profile.parameter(name));
    named.map_or_else(
        || format!("; {} takes no port", profile.name),
        |parameter| format!(", and {port} as the parameter {}", parameter.name),
    )
}

/// An octet range or wildcard of nmap's, or two ends with a hyphen between them.
fn spread(profile: &Profile, text: &str) -> Option<Meant> {
    let (low, high, whole) = ends(text)?;
    let message = "address ranges, lists and wildcards are not accepted".to_owned();
    let holding = holding(low, high);
    let exact = whole && holding.base() == IpAddr::V4(low) && last(&holding) == u32::from(high);
    let networks = profile.target.takes(TargetKind::Network);
    if exact && (networks || holding.is_single()) {
        return Some(Meant {
            message,
            remedy: ", the same addresses".to_owned(),
            target: Some(holding.to_string()),
        });
    }
    let remedy = match (networks, whole) {
        (true, true) => {
            format!("give one address per call, or a network that holds them all, like {holding}")
        }
        (true, false) => "give one address per call, or a network in CIDR form".to_owned(),
        (false, _) => "give one address per call".to_owned(),
    };
    Some(Meant {
        message,
        remedy,
        target: None,
    })
}

/// The least and the greatest address of a range, and whether it has all between.
fn ends(text: &str) -> Option<(Ipv4Addr, Ipv4Addr, bool)> {
    if let Some((low, high)) = text.split_once('-')
        && let (Ok(low), Ok(high)) = (low.parse(), high.parse())
    {
        return Some((low, high, low <= high)).filter(|_| low <= high);
    }
    let octets: Vec<&str> = text.split('.').collect();
    let [first, second, third, fourth] = octets.try_into().ok()?;
    let mut low = [0_u8; 4];
    let mut high = [0_u8; 4];
    let (mut opened, mut whole) = (false, true);
    for (at, octet) in [first, second, third, fourth].into_iter().enumerate() {
        let (least, greatest, all) = octet_ends(octet)?;
        // After an octet that varies, only octets that vary wholly leave no gap.
        whole &= all && (!opened || (least, greatest) == (0, 255));
        opened |= least != greatest;
        *low.get_mut(at)? = least;
        *high.get_mut(at)? = greatest;
    }
    opened.then_some((low.into(), high.into(), whole))
}

/// The ends of one octet in nmap's spelling, and whether it has all between.
fn octet_ends(text: &str) -> Option<(u8, u8, bool)> {
    if text == "*" {
        return Some((0, 255, true));
    }
    let mut ends: Option<(u8, u8)> = None;
    for item in text.split(',') {
        let (low, high) = match item.split_once('-') {
            None => (octet(item)?, octet(item)?),
            Some((low, high)) => {
                let low = if low.is_empty() { 0 } else { octet(low)? };
                let high = if high.is_empty() { 255 } else { octet(high)? };
                (low, high)
            }
        };
        let (least, greatest) = ends.unwrap_or((low, high));
        ends = Some((least.min(low), greatest.max(high))).filter(|_| low <= high);
        ends?;
    }
    ends.map(|(least, greatest)| (least, greatest, !text.contains(',')))
}

/// One octet; a leading zero means octal to some, so nothing is guessed of it.
fn octet(text: &str) -> Option<u8> {
    is_plain(text).then(|| text.parse().ok())?
}

/// Whether the text is a decimal number in its one spelling.
fn is_plain(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}

/// The smallest network that holds both.
fn holding(low: Ipv4Addr, high: Ipv4Addr) -> Network {
    let differing = u32::from(low) ^ u32::from(high);
    let prefix = u8::try_from(differing.leading_zeros()).unwrap_or(0);
    Network::new(low.into(), prefix).unwrap_or_else(|| Network::single(low.into()))
}

/// The last address of an IPv4 network, as a number.
fn last(network: &Network) -> u32 {
    let host = u32::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
    match network.base() {
        IpAddr::V4(base) => u32::from(base) | host,
        IpAddr::V6(_) => 0,
    }
}

/// A netmask in the place of a prefix length.
fn netmask(text: &str) -> Option<Meant> {
    let (address, mask) = text.split_once('/')?;
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    address.parse::<Ipv4Addr>().ok()?;
    if mask.leading_ones().checked_add(mask.trailing_zeros())? != u32::BITS {
        return None;
    }
    Some(Meant {
        message: "a network has a prefix length, not a netmask".to_owned(),
        remedy: ", the same network".to_owned(),
        target: Some(format!("{address}/{}", mask.leading_ones())),
    })
}

/// Several targets in one text.
fn several(text: &str) -> Option<Meant> {
    let mut words = text
        .split([' ', '\t', ',', ';'])
        .filter(|word| !word.is_empty());
    let all = words.clone().count() > 1 && words.all(|word| target::parse(word).is_ok());
    all.then(|| Meant {
        message: "several targets".to_owned(),
        remedy: "give one target per call".to_owned(),
        target: None,
    })
}

/// An argument of the tool in the place of the target.
fn option(text: &str) -> Option<Meant> {
    text.starts_with('-').then(|| Meant {
        message: "a target never begins with a hyphen".to_owned(),
        remedy: "give the target alone; arguments of the tool go into extra_args".to_owned(),
        target: None,
    })
}
