//! Configuration and profiles read anew while calls go on (RES5).
//!
//! What it is: read, check everything, record, then put in place at once.
//! What it is not: a restart: what is opened at the start (addresses, files, the
//! way to the executor) stays, and a change of it is told.
//!
//! Invariants: where anything is wrong, nothing is changed, and all that is wrong
//! is told; calls under way end under the policy that they began with; an
//! embedded executor enforces the new scope before the first call under it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sandbox_profiles::ProfileSet;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Caller;
use super::policy::Policy;
use super::{Engine, audited, reading};
use crate::config::effective::{Row, rows};
use crate::config::{Faults, Settings};
use crate::executor::Executor;
use crate::outcome::{CallError, ErrorType};

/// How long an executor may take to say what it enforces.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// What a reload came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// The policy's number since the start.
    pub generation: u64,
    /// The digest of scope and profiles, in hex.
    pub policy: String,
    /// Keys whose values are others now.
    pub changed: Vec<Change>,
    /// Keys whose values will be others at the next start.
    pub restart_needed: Vec<Change>,
    /// Tools that there were not before.
    pub tools_added: Vec<String>,
    /// Tools that there are no more.
    pub tools_removed: Vec<String>,
    /// Tools whose profiles are others now.
    pub tools_changed: Vec<String>,
    /// What an administrator should know.
    pub warnings: Vec<String>,
}

/// One key whose value changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// Its path.
    pub key: String,
    /// Its value before; none where the key was not there.
    pub from: Option<Value>,
    /// Its value now, or at the next start.
    pub to: Option<Value>,
    /// Who set it.
    pub source: String,
}

/// Why nothing was changed.
#[derive(Debug)]
pub struct NotReloaded {
    /// Everything that is wrong, a line for each.
    pub faults: Vec<String>,
}

impl NotReloaded {
    fn one(fault: impl Into<String>) -> Self {
        let faults = vec![fault.into()];
        Self { faults }
    }

    /// As clients see it; `faults` lists all that is wrong.
    pub fn error(&self) -> CallError {
        let remedy = "put right what `faults` lists (`mantlet check` does too), then reload again";
        let what = "the configuration can't be used; nothing was changed";
        CallError::new(ErrorType::ValidationError, what, remedy).with("faults", self.faults.clone())
    }
}

impl fmt::Display for NotReloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing was changed: {}", self.faults.join("\n"))
    }
}

impl std::error::Error for NotReloaded {}

impl From<Faults> for NotReloaded {
    fn from(faults: Faults) -> Self {
        let faults = faults.lines().collect();
        Self { faults }
    }
}

impl From<CallError> for NotReloaded {
    fn from(error: CallError) -> Self {
        Self::one(format!("{}; {}", error.message, error.recovery_suggestion))
    }
}

/// What was read, whole and without a fault.
struct Read {
    /// As at the next start.
    next: Settings,
    /// As from now on.
    kept: Settings,
    profiles: ProfileSet,
}

fn read(before: &Settings) -> Result<Read, NotReloaded> {
    let next = reading::settings(before.named.as_deref())?;
    let kept = next.keeping(before)?;
    let found = reading::profiles(&kept);
    let faults: Vec<_> = found
        .profile_errors
        .into_iter()
        .chain(found.misnamed)
        .collect();
    if !faults.is_empty() {
        return Err(NotReloaded { faults });
    }
    Ok(Read {
        next,
        kept,
        profiles: found.profiles,
    })
}

impl Engine {
    /// Reads configuration and profiles anew, from where they were read at the
    /// start, and works by them from now on.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, or why it could not be recorded; nothing was
    /// changed then.
    pub async fn reload(&self, caller: &Caller) -> Result<Report, NotReloaded> {
        let reloaded = self.read_anew(caller).await;
        if let Err(refused) = &reloaded {
            tracing::error!(%caller, "the configuration can't be used; nothing was changed");
            for fault in &refused.faults {
                tracing::error!("{fault}");
            }
        }
        reloaded
    }

    async fn read_anew(&self, caller: &Caller) -> Result<Report, NotReloaded> {
        let _changing = self.0.changing.lock().await;
        let before = self.policy();
        let reader = Arc::clone(&before);
        let read = tokio::task::spawn_blocking(move || read(reader.settings()));
        let read = read
            .await
            .map_err(|_| NotReloaded::one("reading failed"))??;
        let Read {
            next,
            kept,
            profiles,
        } = read;
        let mut warnings = reading::warnings();
        let executor = self.executor_for(&before, &kept, &profiles).await?;
        let (executor, warning) = executor;
        warnings.extend(warning);
        let changed = differences(before.settings(), &kept);
        let restart_needed = differences(&kept, &next);
        let [tools_added, tools_removed, tools_changed] = tools(before.profiles(), &profiles);
        let policy = Policy::digest_of(&kept, &profiles);
        let keys = changed.iter().map(|change| change.key.clone()).collect();
        audited::reloaded(self.0.audit.as_ref(), caller, &policy, keys).await?;
        self.adopt(kept, profiles, executor);
        let report = Report {
            generation: self.policy().generation(),
            policy,
            changed,
            restart_needed,
            tools_added,
            tools_removed,
            tools_changed,
            warnings,
        };
        log(&report, caller);
        Ok(report)
    }

    /// The executor for other settings and profiles: the same one, if it enforces
    /// them or is not ours; else a new one, which is shown to enforce them. The
    /// old one ends with the last call that uses it.
    async fn executor_for(
        &self,
        before: &Policy,
        settings: &Settings,
        profiles: &ProfileSet,
    ) -> Result<(Arc<Executor>, Option<String>), NotReloaded> {
        let executor = before.executor();
        let wanted = (profiles.digest(), settings.scope.digest());
        if executor.mode() == "system" {
            let warning = match enforced(executor).await {
                Ok(enforced) if enforced == wanted => None,
                Ok(_) => Some(
                    "the system executor enforces other profiles or another scope, and its own \
                     decide: make its files agree, then restart mantlet-executor.service"
                        .to_owned(),
                ),
                Err(why) => Some(format!(
                    "the system executor can't be asked what it enforces: {why}"
                )),
            };
            return Ok((Arc::clone(executor), warning));
        }
        let held = before.settings();
        let same = (before.profiles().digest(), held.scope.digest()) == wanted
            && held.profiles == settings.profiles;
        if same {
            return Ok((Arc::clone(executor), None));
        }
        let new = Executor::start(
            &settings.executor,
            &settings.scope_config,
            &settings.profiles,
        );
        let new = new.map_err(|error| NotReloaded::one(error.to_string()))?;
        let fault = match enforced(&new).await {
            Ok(enforced) if enforced == wanted => {
                let new = Arc::new(new);
                self.remember(&new);
                return Ok((new, None));
            }
            Ok(_) => "the new embedded executor read other profiles or another scope; were files \
                      changed just now?"
                .to_owned(),
            Err(why) => format!("the new embedded executor does not answer: {why}"),
        };
        new.stop().await;
        Err(NotReloaded::one(fault))
    }
}

/// The digests of profiles and scope that an executor enforces.
async fn enforced(executor: &Executor) -> Result<([u8; 32], [u8; 32]), String> {
    match tokio::time::timeout(ANSWER_WAIT, executor.open()).await {
        Ok(Ok(connection)) => {
            let welcome = connection.welcome();
            Ok((welcome.profiles_digest, welcome.scope_digest))
        }
        Ok(Err(error)) => Err(error.message),
        Err(_) => Err(format!("no answer within {} s", ANSWER_WAIT.as_secs())),
    }
}

/// The keys whose values differ.
fn differences(before: &Settings, after: &Settings) -> Vec<Change> {
    let before: BTreeMap<String, Row> = rows(before).into_iter().collect();
    let after: BTreeMap<String, Row> = rows(after).into_iter().collect();
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |key: &String| {
        let (old, new) = (before.get(key), after.get(key));
        let value = |row: Option<&Row>| row.map(|row| row.value.clone());
        (value(old) != value(new)).then(|| Change {
            key: key.clone(),
            from: value(old),
            to: value(new),
            source: new.map_or_else(|| "built-in".to_owned(), |row| row.source.clone()),
        })
    };
    keys.into_iter().filter_map(change).collect()
}

/// The names of tools added, removed, and changed.
fn tools(before: &ProfileSet, after: &ProfileSet) -> [Vec<String>; 3] {
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    let [added, removed, changed] = &mut found;
    let by_name = |set: &ProfileSet| -> BTreeMap<String, [u8; 32]> {
        let pairs = set
            .iter()
            .map(|profile| (profile.name.clone(), profile.digest));
        pairs.collect()
    };
    let (before, after) = (by_name(before), by_name(after));
    for (name, digest) in &after {
        match before.get(name) {
            None => added.push(name.clone()),
            Some(old) if old != digest => changed.push(name.clone()),
            Some(_) => {}
        }
    }
    removed.extend(
        before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .cloned(),
    );
    found
}

fn log(report: &Report, caller: &Caller) {
    let keys = |changes: &[Change]| {
        let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
        keys.join(", ")
    };
    tracing::info!(
        %caller, policy = report.policy, changed = keys(&report.changed),
        tools_added = ?report.tools_added, tools_removed = ?report.tools_removed,
        tools_changed = ?report.tools_changed, "configuration reloaded"
    );
    if !report.restart_needed.is_empty() {
        let keys = keys(&report.restart_needed);
        tracing::warn!(keys, "changed, and takes effect at the next start");
    }
    for warning in &report.warnings {
        tracing::warn!("{warning}");
    }
}

#[cfg(test)]
mod tests;
