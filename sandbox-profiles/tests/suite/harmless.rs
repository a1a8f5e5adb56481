//! What may stand in an argument vector that is going to run, whatever the tool.
//!
//! Not vetting again: it knows no flag's meaning, only what no element may be.

use sandbox_profiles::net::Network;
use sandbox_profiles::profile::{Flag, Form, Piece};
use sandbox_profiles::value::ValueType;
use sandbox_profiles::{Profile, Scope, VettedRun};

/// What is wrong with a run, if anything is.
pub(crate) fn harm(profile: &Profile, scope: &Scope, run: &VettedRun) -> Option<String> {
    let argv = run.argv();
    if Some(argv[0].as_str()) != profile.executable.to_str() {
        return Some("another program".to_owned());
    }
    let rest = &argv[1..];
    if !rest.starts_with(&profile.fixed) {
        return Some("without the fixed arguments".to_owned());
    }
    let url = argv.iter().any(|element| element.contains("://"));
    let mut before = "";
    for element in &rest[profile.fixed.len()..] {
        let wrong = element_harm(profile, element, url)
            .or_else(|| address_harm(profile, scope, before, element));
        if let Some(wrong) = wrong {
            return Some(format!("{element:?} is {wrong}: {argv:?}"));
        }
        before = element;
    }
    None
}

fn element_harm(profile: &Profile, element: &str, url: bool) -> Option<&'static str> {
    if element.is_empty() {
        return Some("empty");
    }
    if !element.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("not printable ASCII without white space");
    }
    if element.starts_with(['-', '+']) && !is_listed(profile, element) {
        return Some("no listed flag");
    }
    let networks = element.split(',').all(|item| Network::parse(item).is_ok());
    // Only a tool that takes URLs has slashes elsewhere, and none of them begins an item.
    let path = if url {
        names_a_file(element)
    } else {
        element.contains('/') && !networks
    };
    path.then_some("a path")
}

fn names_a_file(element: &str) -> bool {
    let mut items = element.split([',', '=', '@']);
    element.contains("..") || items.any(|item| item.starts_with(['/', '~', '.']))
}

/// Whether an element with a hyphen in front is one that the profile lists.
fn is_listed(profile: &Profile, element: &str) -> bool {
    let families = [&profile.target.ipv4_flag, &profile.target.ipv6_flag];
    let mut families = families.into_iter().flatten();
    (element == "--" && profile.target.separator)
        || families.any(|switch| switch == element)
        || is_part_of_the_target(profile, element)
        || profile.flags.iter().any(|flag| is_spelled(flag, element))
}

/// Whether the element is text of the target's form, such as `--resolve`.
fn is_part_of_the_target(profile: &Profile, element: &str) -> bool {
    let rule = &profile.target;
    let mut patterns = rule.form.iter().chain(&rule.named_form);
    patterns.any(|pattern| pattern.pieces == [Piece::Literal(element.to_owned())])
}

fn is_spelled(flag: &Flag, element: &str) -> bool {
    if let ValueType::Ports { all: Some(all), .. } = &flag.value
        && all == element
    {
        return true;
    }
    let Some(rest) = element.strip_prefix(flag.spelling.as_str()) else {
        return false;
    };
    match flag.form {
        Form::Switch | Form::Separate => rest.is_empty(),
        // `-vv`: more of the last letter.
        Form::Counted => rest.chars().all(|ch| flag.spelling.ends_with(ch)),
        Form::Attached | Form::AttachedOptional => !rest.starts_with('-'),
        Form::Equals => rest.starts_with('='),
    }
}

/// An address outside the scope; of a list that is left out, outside its networks.
fn address_harm(
    profile: &Profile,
    scope: &Scope,
    before: &str,
    element: &str,
) -> Option<&'static str> {
    let of = profile.flags.iter().find(|flag| flag.spelling == before);
    // A free text goes nowhere, whatever it looks like.
    if of.is_some_and(|flag| matches!(flag.value, ValueType::Text { .. })) {
        return None;
    }
    let exclusion = of.is_some_and(|flag| matches!(flag.value, ValueType::Networks { .. }));
    for network in addresses(element) {
        let mut allowed = scope.allowed_networks().iter();
        if !allowed.any(|allowed| allowed.contains(&network)) {
            return Some("outside the scope");
        }
        if !exclusion && network.is_single() && !scope.admits(network.base()) {
            return Some("a denied address");
        }
    }
    None
}

/// The addresses and networks that an element names: a list of them, a server
/// after `@`, the host of a URL. A plain number is none.
fn addresses(element: &str) -> Vec<Network> {
    let element = element.strip_prefix('@').unwrap_or(element);
    let host = element.split_once("://").map_or(element, |(_, rest)| {
        let host = rest.split('/').next().unwrap_or(rest);
        let plain = host.rsplit_once(':').map_or(host, |(host, _)| host);
        plain.trim_matches(['[', ']'])
    });
    let items = host.split(',');
    items.filter_map(|item| Network::parse(item).ok()).collect()
}
