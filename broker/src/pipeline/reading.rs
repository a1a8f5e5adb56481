//! Configuration and profiles, read and held against one another.
//!
//! What it is: what a start and a reload have in common.
//! What it is not: what to do with faults: a start goes on without a profile
//! that is wrong, a reload changes nothing.
//!
//! Invariants: everything that is wrong is told, not only the first.

use std::path::Path;

use sandbox_profiles::ProfileSet;
use sandbox_profiles::load::{self, OwnerRule};
use sandbox_profiles::scope::{Scope, ScopeConfig};

use super::admit;
use crate::config::environment::unknown_variables;
use crate::config::{Faults, Settings};

/// The profiles, and what is wrong with them or does not fit them.
#[derive(Debug)]
pub struct Reading {
    /// Those that loaded.
    pub profiles: ProfileSet,
    /// What is wrong with those that did not.
    pub profile_errors: Vec<String>,
    /// Names in the configuration that no profile has.
    pub misnamed: Vec<String>,
}

/// Reads the file (named, found, or none) and the environment of this process.
///
/// # Errors
///
/// All that is wrong.
pub fn settings(named: Option<&Path>) -> Result<Settings, Faults> {
    Settings::load(named, |name| std::env::var(name).ok())
}

/// What is to be said of the environment of this process.
pub fn warnings() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown_variables(names)
}

/// Reads the profiles that the settings name.
pub fn profiles(settings: &Settings) -> Reading {
    // The broker's copy only decides early: the executor checks ownership of its own.
    let loaded = load::installed(&settings.profiles, OwnerRule::Unchecked);
    let mut misnamed = misnamed_scopes(settings, &loaded.profiles);
    misnamed.extend(admit::unknown(settings, &loaded.profiles));
    Reading {
        profiles: loaded.profiles,
        profile_errors: loaded.errors.iter().map(ToString::to_string).collect(),
        misnamed,
    }
}

/// The tables `[security.tools.NAME]` of tools that don't exist.
fn misnamed_scopes(settings: &Settings, profiles: &ProfileSet) -> Vec<String> {
    let place = settings.file.as_ref().map(|file| file.display());
    let place = place.map_or_else(String::new, |file| format!("{file}: "));
    let tools = &settings.scope_config.tools;
    let alone = |(tool, own): (&String, &_)| {
        let tools = std::iter::once((tool.clone(), Clone::clone(own))).collect();
        let config = ScopeConfig {
            tools,
            ..settings.scope_config.clone()
        };
        let scope = Scope::new(&config).ok()?;
        let error = profiles.check_scope(&scope).err()?;
        Some(format!("{place}security.{error}"))
    };
    tools.iter().filter_map(alone).collect()
}
