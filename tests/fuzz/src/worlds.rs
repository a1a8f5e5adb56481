//! The tools and scopes that inputs choose from by name.
//!
//! Built once: loading a profile costs a thousand times what a call costs.
//!
//! Invariants: every built-in tool is there; each scope's configuration is valid.

use std::sync::LazyLock;

use sandbox_profiles::{Profile, ProfileSet, Scope, ScopeConfig, load};

use crate::ground::Ground;

static TOOLS: LazyLock<ProfileSet> = LazyLock::new(|| match load::built_in() {
    Ok(tools) => tools,
    Err(errors) => unreachable!("a built-in profile does not load: {errors:?}"),
});

static WORLDS: LazyLock<Vec<World>> = LazyLock::new(|| {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    let plain = ScopeConfig::default();
    let rows = [
        ("default", plain.clone()),
        (
            "intrusive",
            ScopeConfig {
                allow_intrusive: true,
                ..plain.clone()
            },
        ),
        (
            "tight",
            ScopeConfig {
                allowed_networks: texts(&["10.0.0.0/29", "10.0.0.8/30", "192.168.1.1/32"]),
                allowed_suffixes: texts(&[".a.lab.internal"]),
                max_network_size: 8,
                max_port_ranges: 3,
                ..plain.clone()
            },
        ),
        (
            "denied",
            ScopeConfig {
                denied_networks: texts(&["10.0.0.128/25", "10.0.1.7/32", "192.168.0.0/17"]),
                allow_intrusive: true,
                ..plain.clone()
            },
        ),
        (
            "ipv6",
            ScopeConfig {
                allowed_networks: texts(&["10.0.0.0/8", "fd00::/64"]),
                denied_networks: texts(&["fd00::3/128", "fd00::8/125"]),
                allow_intrusive: true,
                ..plain.clone()
            },
        ),
        (
            "wide",
            ScopeConfig {
                allowed_networks: texts(&["0.0.0.0/0", "::/0"]),
                allowed_suffixes: texts(&[".internal", ".example"]),
                allow_intrusive: true,
                max_network_size: 65_536,
                ..plain.clone()
            },
        ),
        ("crowded", crowded(&plain)),
        (
            "closed",
            ScopeConfig {
                allowed_networks: Vec::new(),
                allowed_suffixes: Vec::new(),
                ..plain
            },
        ),
    ];
    rows.into_iter()
        .filter_map(|(name, config)| World::new(name, &config))
        .collect()
});

/// As many networks of each kind as a scope may list.
fn crowded(plain: &ScopeConfig) -> ScopeConfig {
    ScopeConfig {
        allowed_networks: (0..256).map(|part| format!("10.{part}.0.0/17")).collect(),
        denied_networks: (0..256).map(|part| format!("10.0.{part}.64/32")).collect(),
        max_network_size: 65_536,
        ..plain.clone()
    }
}

/// A scope under a name, and a second reading of its configuration.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) ground: Ground,
}

impl World {
    fn new(name: &'static str, config: &ScopeConfig) -> Option<Self> {
        Some(Self {
            name,
            scope: Scope::new(config).ok()?,
            ground: Ground::new(config),
        })
    }
}

/// All built-in tools, sorted by name.
pub(crate) fn tools() -> Vec<&'static Profile> {
    TOOLS.iter().collect()
}

/// The tool of that name; any other text stands for some tool too.
pub(crate) fn tool(name: &str) -> &'static Profile {
    match TOOLS.get(name) {
        Some(profile) => profile,
        None => some(&tools(), name),
    }
}

/// All scopes.
pub(crate) fn worlds() -> &'static [World] {
    &WORLDS
}

/// The scope of that name; any other text stands for some scope too.
pub(crate) fn world(name: &str) -> &'static World {
    match WORLDS.iter().find(|world| world.name == name) {
        Some(world) => world,
        None => some(&WORLDS.iter().collect::<Vec<_>>(), name),
    }
}

/// One of the items, the same for the same text.
fn some<T: Copy>(items: &[T], text: &str) -> T {
    let sum: usize = text.bytes().map(usize::from).sum();
    let at = sum.checked_rem(items.len()).unwrap_or(0);
    match items.get(at) {
        Some(item) => *item,
        None => unreachable!("a list without items"),
    }
}
