//! What holds for a call: settings, profiles, and the tools switched off.
//!
//! What it is: one immutable value. A call takes the one in effect when it
//! begins and works on it to its end; a change makes another.
//! What it is not: the change; the [`super::Engine`] puts another in its place.
//!
//! Invariants: what is counted about a tool (its runs, its queue, its faults)
//! belongs to the tool, not to a policy: a tool that stays keeps it.

use std::collections::BTreeSet;
use std::sync::Arc;

use sandbox_profiles::{Profile, ProfileSet};

use super::breaker::Breakers;
use super::call::Call;
use super::permits::Permits;
use super::{admit, vet};
use crate::config::Settings;
use crate::executor::Executor;
use crate::observe::audit::chain::policy_digest;
use crate::outcome::CallError;

/// A policy. Calls under way keep theirs alive, its executor included.
#[derive(Debug)]
pub struct Policy {
    settings: Arc<Settings>,
    profiles: Arc<ProfileSet>,
    /// Names of tools switched off since the start.
    disabled: BTreeSet<String>,
    executor: Arc<Executor>,
    pub(super) permits: Arc<Permits>,
    pub(super) breakers: Arc<Breakers>,
    digest: String,
    generation: u64,
}

impl Policy {
    /// The first one.
    pub(super) fn new(settings: Settings, profiles: ProfileSet, executor: Executor) -> Self {
        let permits = Permits::new(profiles.iter(), settings.calls_max, settings.concurrency);
        let breakers = Breakers::new(profiles.iter(), settings.breaker);
        Self {
            digest: Self::digest_of(&settings, &profiles),
            settings: Arc::new(settings),
            profiles: Arc::new(profiles),
            disabled: BTreeSet::new(),
            executor: Arc::new(executor),
            permits: Arc::new(permits),
            breakers: Arc::new(breakers),
            generation: 0,
        }
    }

    /// The one after this with other settings and profiles. Bounds that became
    /// others hold from now on, also for calls of former policies.
    pub(super) fn replaced(
        &self,
        settings: Settings,
        profiles: ProfileSet,
        executor: Arc<Executor>,
    ) -> Self {
        let (calls_max, concurrency) = (settings.calls_max, settings.concurrency);
        let permits = self
            .permits
            .renewed(profiles.iter(), calls_max, concurrency);
        let breakers = self.breakers.renewed(profiles.iter(), settings.breaker);
        let known = |name: &String| profiles.get(name).is_some();
        Self {
            disabled: self
                .disabled
                .iter()
                .filter(|name| known(name))
                .cloned()
                .collect(),
            digest: Self::digest_of(&settings, &profiles),
            settings: Arc::new(settings),
            permits: Arc::new(permits),
            breakers: Arc::new(breakers),
            profiles: Arc::new(profiles),
            executor,
            generation: self.generation.saturating_add(1),
        }
    }

    /// The one after this with a tool switched on or off.
    pub(super) fn switched(&self, tool: &str, enabled: bool) -> Self {
        let mut disabled = self.disabled.clone();
        if enabled {
            disabled.remove(tool);
        } else {
            disabled.insert(tool.to_owned());
        }
        Self {
            settings: Arc::clone(&self.settings),
            profiles: Arc::clone(&self.profiles),
            disabled,
            executor: Arc::clone(&self.executor),
            permits: Arc::clone(&self.permits),
            breakers: Arc::clone(&self.breakers),
            digest: self.digest.clone(),
            generation: self.generation.saturating_add(1),
        }
    }

    /// The settings in effect.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All profiles, also of tools that are not offered.
    pub fn profiles(&self) -> &ProfileSet {
        &self.profiles
    }

    /// The tools offered.
    pub fn enabled(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter().filter(|profile| self.offers(profile))
    }

    /// Whether a tool is offered: not left out by configuration, nor switched off.
    pub fn offers(&self, profile: &Profile) -> bool {
        admit::offered(&self.settings, profile) && !self.switched_off(profile)
    }

    /// Whether a tool was switched off since the start.
    pub fn switched_off(&self, profile: &Profile) -> bool {
        self.disabled.contains(&profile.name)
    }

    /// The executor that runs the tools.
    pub fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Counts the changes since the start, from 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The digest of scope and profiles, in hex, as the audit log has it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// As [`Policy::digest`], of a policy made of these.
    pub fn digest_of(settings: &Settings, profiles: &ProfileSet) -> String {
        policy_digest(&settings.scope.digest(), &profiles.digest())
    }

    /// The verdict on a call, without running or resolving anything.
    ///
    /// # Errors
    ///
    /// The refusal, as a client would get it.
    pub fn vet(&self, call: &Call) -> Result<vet::Vetted<'_>, CallError> {
        let about = |error: CallError| error.about(&call.tool, &call.target);
        let profile = admit::profile(self, call).map_err(about)?;
        admit::bounds(&self.settings, profile, call).map_err(about)?;
        vet::vet(&self.settings, profile, call).map_err(about)
    }
}
