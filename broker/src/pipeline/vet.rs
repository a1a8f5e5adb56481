//! The broker's side of vetting: from a call to an argv that may be sent.
//!
//! What it is: the bridge to sandbox-profiles, which decides, and the pinning
//! of names.
//! What it is not: a second opinion; it adds no rule.
//!
//! Invariants: a vetted call whose name is pinned was checked again with each
//! address that the name has.

use std::time::Duration;

use sandbox_profiles::Profile;
use sandbox_profiles::refusal::{Detail, Refusal, RefusalKind};
use sandbox_profiles::vet::{self, VettedRun};
use serde_json::Value;

use super::call::Call;
use super::resolve::Resolver;
use crate::config::Settings;
use crate::outcome::{CallError, ErrorType, Outcome, Resolved};

/// A call that may run.
#[derive(Debug, Clone)]
pub struct Vetted<'a> {
    /// The tool's profile.
    pub profile: &'a Profile,
    /// What vetting made of the call.
    pub run: VettedRun,
    /// What its name resolved to, if it was resolved.
    pub resolved: Option<Resolved>,
}

impl Vetted<'_> {
    /// Its targets, canonical; a pinned name with its address.
    pub fn targets(&self) -> Vec<String> {
        self.run.targets().iter().map(ToString::to_string).collect()
    }

    /// How many addresses it is aimed at; unknown while a name is unresolved.
    pub fn addresses(&self) -> Option<u64> {
        let sizes = self
            .run
            .targets()
            .iter()
            .map(|target| Some(target.network()?.size()));
        let sum: Option<u128> = sizes.sum();
        sum.and_then(|sum| u64::try_from(sum).ok())
    }

    /// An executor's refusal for want of a capability, with the nearest call that
    /// needs none: the executor says it in words, clients need it as a list.
    pub fn with_nearest(&self, error: CallError) -> CallError {
        let wanting = error.error_type == ErrorType::PermissionDenied
            && error.metadata.get("refused_by").is_some();
        let nearest = self
            .run
            .needs()
            .iter()
            .filter(|_| wanting)
            .find_map(|need| self.run.refuse_without(self.profile, *need).nearest);
        match nearest {
            Some(nearest) => error.with("nearest_allowed", nearest),
            None => error,
        }
    }

    /// Writes down what is known by now.
    pub fn note(&self, outcome: &mut Outcome) {
        outcome.argv = self.run.argv().to_vec();
        outcome.targets = self.targets();
        outcome.notes = self.run.notes().to_vec();
        outcome.resolved.clone_from(&self.resolved);
    }
}

/// Vets a call against the profile and the broker's scope.
///
/// # Errors
///
/// The refusal, worded for clients.
pub fn vet<'a>(
    settings: &Settings,
    profile: &'a Profile,
    call: &Call,
) -> Result<Vetted<'a>, CallError> {
    let asked = vet::Call {
        target: call.target.clone(),
        arguments: call.arguments.clone(),
        template: call.template.clone(),
        parameters: call.parameters.clone(),
    };
    let run = vet::vet(profile, &settings.scope, &asked).map_err(|refusal| worded(&refusal))?;
    Ok(Vetted {
        profile,
        run,
        resolved: None,
    })
}

/// Resolves the call's name, if its target is one, and pins the run to one of
/// its addresses, all of which must be in scope. Waits no longer than `within`.
///
/// # Errors
///
/// Where the name can't be resolved, or one of its addresses is out of scope.
pub async fn pin<'a>(
    settings: &Settings,
    resolver: &Resolver,
    vetted: Vetted<'a>,
    within: Duration,
) -> Result<Vetted<'a>, CallError> {
    let Vetted { profile, run, .. } = vetted;
    let Some(name) = run.unresolved().map(str::to_owned) else {
        return Ok(Vetted {
            profile,
            run,
            resolved: None,
        });
    };
    let answers = resolver.addresses(&name, within).await?;
    let run = run
        .pin_answers(profile, &settings.scope, &answers)
        .map_err(|refusal| worded(&refusal).with("name", name.clone()))?;
    let found = run.pinned().map(|pinned| Resolved {
        name,
        answers,
        pinned,
    });
    Ok(Vetted {
        profile,
        run,
        resolved: found,
    })
}

/// A refusal as clients see it.
pub fn worded(refusal: &Refusal) -> CallError {
    let error_type = match refusal.kind {
        RefusalKind::Validation => ErrorType::ValidationError,
        RefusalKind::Intrusive | RefusalKind::Capability => ErrorType::PermissionDenied,
    };
    let mut error = CallError::new(
        error_type,
        refusal.message.as_ref(),
        refusal.remedy.as_ref(),
    )
    .with("rule", refusal.rule.as_ref())
    .with("offending", refusal.offending.as_ref());
    if let Some(nearest) = &refusal.nearest {
        error = error.with("nearest_allowed", nearest.clone());
    }
    for (name, detail) in &refusal.detail {
        let value = match detail {
            Detail::Integer(number) => Value::from(*number),
            Detail::Text(text) => Value::from(text.clone()),
            Detail::List(items) => Value::from(items.clone()),
            Detail::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, text)| (key.clone(), Value::from(text.clone())));
                Value::Object(pairs.collect())
            }
        };
        error = error.with(name, value);
    }
    error
}
