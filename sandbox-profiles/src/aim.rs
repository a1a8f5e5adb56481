//! Holding a target against the scope and the tool's own rule.
//!
//! The last word on which addresses a run may touch. It reads no text and
//! resolves no name.
//!
//! Invariants: an admitted address or network lies wholly in allowed networks,
//! touches nothing that is never allowed, and touches denied networks only where
//! they are listed in [`Aim::exclude`].

use std::net::{IpAddr, Ipv4Addr};

use crate::net::Network;
use crate::profile::{Profile, TargetKind};
use crate::refusal::{Detail, Refusal};
use crate::scope::Scope;
use crate::target::Target;

/// What has to be left out of a target that may be touched.
#[derive(Debug)]
pub(crate) struct Aim {
    /// Denied parts of the target, which the tool must be told to leave out.
    pub(crate) exclude: Vec<Network>,
    pub(crate) notes: Vec<String>,
}

/// Admits a target, or says why not.
pub(crate) fn admit(profile: &Profile, scope: &Scope, target: &Target) -> Result<Aim, Refusal> {
    let exclude = match target {
        Target::Address(address) => {
            admit_address(profile, scope, *address)?;
            Vec::new()
        }
        Target::Name {
            name,
            pinned: Some(address),
        } => {
            admit_name(profile, scope, name)?;
            admit_address(profile, scope, *address)?;
            Vec::new()
        }
        Target::Network(network) => admit_network(profile, scope, network)?,
        Target::Name { name, pinned: None } => {
            admit_name(profile, scope, name)?;
            Vec::new()
        }
    };
    let notes = exclude
        .iter()
        .map(|part| format!("denied part left out: {part}"))
        .collect();
    Ok(Aim { exclude, notes })
}

/// Admits one address.
pub(crate) fn admit_address(
    profile: &Profile,
    scope: &Scope,
    address: IpAddr,
) -> Result<(), Refusal> {
    let network = Network::single(address);
    let text = address.to_string();
    check_family(profile, scope, &network, &text)?;
    check_never(scope, &network, &text)?;
    check_allowed(scope, &network, &text)?;
    match scope.denied_parts(&network).first() {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            "TGT4",
            "the address lies in a denied network",
            &text,
            "choose another target; denied networks win over allowed ones",
        )),
    }
}

/// Admits a network; gives its denied parts, for the tool to leave out.
fn admit_network(
    profile: &Profile,
    scope: &Scope,
    network: &Network,
) -> Result<Vec<Network>, Refusal> {
    let text = network.to_string();
    if !profile.target.takes(TargetKind::Network) {
        return Err(Refusal::new(
            "TGT1",
            format!(
                "{} takes one address or host name, not a network",
                profile.name
            ),
            &text,
            format!("give one address of it, like {}", example_in(network)),
        ));
    }
    check_family(profile, scope, network, &text)?;
    check_never(scope, network, &text)?;
    check_allowed(scope, network, &text)?;
    check_size(profile, scope, network, &text)?;
    let denied = scope.denied_parts(network);
    if let Some(whole) = denied.iter().find(|part| *part == network) {
        return Err(Refusal::new(
            "TGT4",
            "the whole network is denied",
            &whole.to_string(),
            "choose another target; denied networks win over allowed ones",
        ));
    }
    match (denied.first(), profile.target.exclude) {
        (Some(part), None) => Err(Refusal::new(
            "TGT4",
            format!("part of the network is denied: {part}"),
            &text,
            format!(
                "choose a network without {part}; {} can't leave it out",
                profile.name
            ),
        )
        .with(
            "denied",
            Detail::List(denied.iter().map(ToString::to_string).collect()),
        )),
        (Some(_) | None, _) => Ok(denied),
    }
}

fn admit_name(profile: &Profile, scope: &Scope, name: &str) -> Result<(), Refusal> {
    if !profile.target.takes(TargetKind::Name) {
        return Err(Refusal::new(
            "TGT1",
            format!("{} takes no host names", profile.name),
            name,
            "give an address",
        ));
    }
    if scope.admits_name(name) {
        return Ok(());
    }
    let suffixes = scope.allowed_suffixes();
    let remedy = if suffixes.is_empty() {
        "no host names are allowed; give an address".to_owned()
    } else {
        let list: Vec<String> = suffixes
            .iter()
            .map(|suffix| format!("NAME{suffix}"))
            .collect();
        format!(
            "use a name under an allowed suffix ({}), or an address",
            list.join(", ")
        )
    };
    if is_localhost(name) {
        return Err(localhost(profile, scope, name, &remedy));
    }
    Err(Refusal::new(
        "TGT2",
        "the host name is not under an allowed suffix",
        name,
        remedy,
    )
    .with("allowed_suffixes", Detail::List(suffixes.to_vec())))
}

/// Whether the name means this machine wherever it is looked up (RFC 6761).
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// This machine by name: its address says the same, where the scope has it.
fn localhost(profile: &Profile, scope: &Scope, name: &str, remedy: &str) -> Refusal {
    let refusal = |remedy: String| {
        let message = "loopback is taken by address only, and only where allowed_networks lists it";
        Refusal::new("TGT2", message, name, remedy)
    };
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    if admit_address(profile, scope, address).is_ok() {
        return refusal(format!("give {address}"))
            .with("nearest_target", Detail::Text(address.to_string()));
    }
    refusal(format!(
        "{remedy}; an administrator can open loopback by listing 127.0.0.0/8 in allowed_networks"
    ))
}

fn check_family(
    profile: &Profile,
    scope: &Scope,
    network: &Network,
    text: &str,
) -> Result<(), Refusal> {
    if !network.is_ipv6() {
        return Ok(());
    }
    if !scope.lists_ipv6() {
        return Err(Refusal::new(
            "TGT9",
            "IPv6 is not enabled: no IPv6 network is allowed",
            text,
            "give an IPv4 target, or let an administrator add an IPv6 network to allowed_networks",
        ));
    }
    if !profile.target.ipv6 {
        return Err(Refusal::new(
            "TGT9",
            format!("{} is not set up for IPv6", profile.name),
            text,
            "give an IPv4 target",
        ));
    }
    Ok(())
}

fn check_never(scope: &Scope, network: &Network, text: &str) -> Result<(), Refusal> {
    let Some((never, name)) = scope.never_part(network) else {
        return Ok(());
    };
    Err(Refusal::new(
        "TGT3",
        format!("never allowed, whatever the configuration lists: {never} is {name}"),
        text,
        allowed_remedy(scope),
    ))
}

fn check_allowed(scope: &Scope, network: &Network, text: &str) -> Result<(), Refusal> {
    if scope.is_allowed(network) {
        return Ok(());
    }
    let loopback = network.base().is_loopback();
    let message = if loopback {
        "loopback is this machine itself, and no allowed network has it"
    } else if network.is_single() {
        "the address is not in an allowed network"
    } else {
        "the network does not lie wholly in allowed networks"
    };
    let allowed = scope
        .allowed_networks()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut remedy = allowed_remedy(scope);
    if loopback {
        let listed = if network.is_ipv6() {
            "::1/128"
        } else {
            "127.0.0.0/8"
        };
        remedy = format!(
            "{remedy}; an administrator can open loopback by listing {listed} in allowed_networks"
        );
    }
    Err(Refusal::new("TGT2", message, text, remedy).with("allowed_networks", Detail::List(allowed)))
}

fn allowed_remedy(scope: &Scope) -> String {
    let allowed = scope.allowed_networks();
    if allowed.is_empty() {
        return "no network is allowed; an administrator must set allowed_networks".to_owned();
    }
    let shown: Vec<String> = allowed.iter().take(8).map(ToString::to_string).collect();
    let more = if allowed.len() > shown.len() {
        " and others"
    } else {
        ""
    };
    format!("choose a target in {}{more}", shown.join(", "))
}

fn check_size(
    profile: &Profile,
    scope: &Scope,
    network: &Network,
    text: &str,
) -> Result<(), Refusal> {
    let max = scope
        .network_size_max()
        .min(profile.target.addresses_max)
        .max(1);
    let size = network.size();
    if size <= u128::from(max) {
        return Ok(());
    }
    let bound = if scope.network_size_max() <= profile.target.addresses_max {
        "max_network_size of the scope"
    } else {
        "addresses_max of the tool's profile"
    };
    // The largest network that still fits: floor(log2(max)) host bits.
    let host_bits = u8::try_from(max.ilog2()).unwrap_or(0);
    let width: u8 = if network.is_ipv6() { 128 } else { 32 };
    let prefix = width.saturating_sub(host_bits);
    let example =
        Network::new(network.base(), prefix).map_or_else(String::new, |fit| fit.to_string());
    let breakdown = (0..4_u8)
        .filter_map(|more| {
            let prefix = prefix.checked_add(more).filter(|prefix| *prefix <= width)?;
            let hosts = 1_u64.checked_shl(u32::from(width.saturating_sub(prefix)))?;
            Some((format!("/{prefix}"), format!("{hosts} hosts")))
        })
        .collect();
    Err(Refusal::new(
        "TGT5",
        format!("the network has {size} addresses, at most {max} are allowed ({bound})"),
        text,
        format!("use /{prefix} or smaller, like {example}"),
    )
    .with(
        "network_size",
        Detail::Integer(u64::try_from(size).unwrap_or(u64::MAX)),
    )
    .with("max_allowed", Detail::Integer(u64::from(max)))
    .with("suggested_cidr", Detail::Text(format!("/{prefix}")))
    .with("example", Detail::Text(example))
    .with("cidr_breakdown", Detail::Map(breakdown)))
}

/// An address of the network that hosts usually have: the one after its first.
fn example_in(network: &Network) -> String {
    let mut last = *network;
    while let Some((low, high)) = last.halves() {
        if low.is_single() {
            last = high;
            break;
        }
        last = low;
    }
    last.base().to_string()
}
