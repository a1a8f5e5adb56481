//! The scope as configuration spells it, for all tools and for single ones.
//!
//! Both processes read these keys with these meanings. Nothing is checked here;
//! [`super::Scope::new`] does that.
//!
//! Invariants: an unknown key is an error; what a tool's table leaves out is
//! what holds for all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Every key of the scope, in the order to show them, without `tools`.
pub const SCOPE_KEYS: &[&str] = &[
    "allowed_networks",
    "denied_networks",
    "allowed_suffixes",
    "allowed_ports",
    "denied_ports",
    "allow_intrusive",
    "max_network_size",
    "max_port_ranges",
];

/// The scope as configuration spells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeConfig {
    /// Networks that may be touched, in CIDR form.
    pub allowed_networks: Vec<String>,
    /// Networks that may not, even inside allowed ones.
    pub denied_networks: Vec<String>,
    /// Ends of host names that may be asked for, each with its leading dot.
    pub allowed_suffixes: Vec<String>,
    /// Ports that may be touched: items like `22` or `8000-8100`.
    pub allowed_ports: Vec<String>,
    /// Ports that may not, even among allowed ones.
    pub denied_ports: Vec<String>,
    /// Whether intrusive flags and values are allowed.
    pub allow_intrusive: bool,
    /// Most addresses of a target network, 1 to 65,536.
    pub max_network_size: u32,
    /// Most items of a port list, 1 to 100.
    pub max_port_ranges: u32,
    /// What holds for single tools instead, by the tool's name.
    pub tools: BTreeMap<String, ToolScopeConfig>,
}

/// What holds for one tool. A key that is given takes the place of the general
/// one; the denied lists add to the general ones, so that what is denied for all
/// is denied for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolScopeConfig {
    /// In place of [`ScopeConfig::allowed_networks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_networks: Option<Vec<String>>,
    /// Beside [`ScopeConfig::denied_networks`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_networks: Option<Vec<String>>,
    /// In place of [`ScopeConfig::allowed_suffixes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_suffixes: Option<Vec<String>>,
    /// In place of [`ScopeConfig::allowed_ports`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ports: Option<Vec<String>>,
    /// Beside [`ScopeConfig::denied_ports`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_ports: Option<Vec<String>>,
    /// In place of [`ScopeConfig::allow_intrusive`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_intrusive: Option<bool>,
    /// In place of [`ScopeConfig::max_network_size`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_network_size: Option<u32>,
    /// In place of [`ScopeConfig::max_port_ranges`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_port_ranges: Option<u32>,
}

impl Default for ScopeConfig {
    fn default() -> Self {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Self {
            allowed_networks: texts(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]),
            denied_networks: Vec::new(),
            allowed_suffixes: texts(&[".lab.internal"]),
            allowed_ports: texts(&["1-65535"]),
            denied_ports: Vec::new(),
            allow_intrusive: false,
            max_network_size: 1024,
            max_port_ranges: 100,
            tools: BTreeMap::new(),
        }
    }
}

impl ScopeConfig {
    /// The whole scope of one tool, spelled out.
    pub(super) fn for_tool(&self, own: &ToolScopeConfig) -> Self {
        let instead = |own: &Option<Vec<String>>, general: &Vec<String>| {
            own.clone().unwrap_or_else(|| general.clone())
        };
        let beside = |own: &Option<Vec<String>>, general: &Vec<String>| {
            let own = own.iter().flatten();
            general.iter().chain(own).cloned().collect()
        };
        Self {
            allowed_networks: instead(&own.allowed_networks, &self.allowed_networks),
            denied_networks: beside(&own.denied_networks, &self.denied_networks),
            allowed_suffixes: instead(&own.allowed_suffixes, &self.allowed_suffixes),
            allowed_ports: instead(&own.allowed_ports, &self.allowed_ports),
            denied_ports: beside(&own.denied_ports, &self.denied_ports),
            allow_intrusive: own.allow_intrusive.unwrap_or(self.allow_intrusive),
            max_network_size: own.max_network_size.unwrap_or(self.max_network_size),
            max_port_ranges: own.max_port_ranges.unwrap_or(self.max_port_ranges),
            tools: BTreeMap::new(),
        }
    }
}
