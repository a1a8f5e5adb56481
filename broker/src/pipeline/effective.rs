//! What holds for each tool, and who says so: `/config` and `mantlet check --json`.
//!
//! What it is: the profile's values with what the configuration set above them.
//! What it is not: the keys themselves; [`crate::config::effective`] has those.
//!
//! Invariants: the values are those that the pipeline works with.

use std::path::Path;

use sandbox_profiles::{Profile, ProfileSet};
use serde_json::{Map, Value, json};

use super::admit;
use super::permits::runs_max;
use super::policy::Policy;
use crate::config::{Settings, Source, effective};

/// The whole configuration in effect: keys, tools, and the policy's digest.
pub fn configuration(policy: &Policy) -> Value {
    let settings = policy.settings();
    json!({
        "file": settings.file,
        "policy": policy.digest(),
        "generation": policy.generation(),
        "values": effective::object(settings),
        "tools": tools(settings, policy.profiles(), &|profile| policy.switched_off(profile)),
    })
}

/// What holds for each tool, by its name.
pub fn tools(
    settings: &Settings,
    profiles: &ProfileSet,
    switched_off: &dyn Fn(&Profile) -> bool,
) -> Value {
    let tool = |profile: &Profile| {
        let off = switched_off(profile);
        (profile.name.clone(), tool(settings, profile, off))
    };
    Value::Object(profiles.iter().map(tool).collect::<Map<_, _>>())
}

fn tool(settings: &Settings, profile: &Profile, switched_off: bool) -> Value {
    let run = &profile.run;
    // A key above the profile, where somebody set it; its bound stands above both.
    let above = |key: &str, value: u64, own: u64, max: u64| {
        let source = match settings.layers.source(key) {
            Some(source) if *source != Source::BuiltIn && value <= max => {
                source.place(settings.file.as_deref())
            }
            Some(_) | None => format!("profile {}", profile.source),
        };
        json!({ "value": value.min(max), "source": source, "profile": own })
    };
    let seconds =
        |set: Option<std::time::Duration>, own: std::time::Duration| set.unwrap_or(own).as_secs();
    let (timeout_max, breaker) = (run.timeout_max.as_secs(), settings.breaker);
    let runs = u64::try_from(runs_max(profile, settings.concurrency)).unwrap_or(u64::MAX);
    let limits = profile.sandbox.limits;
    // The profile's own is the bound: what is set only cuts it down.
    let lesser = |key: &str, set: Option<u64>, own: u64| above(key, set.unwrap_or(own), own, own);
    let failures = breaker.failures.unwrap_or(run.breaker_failures);
    json!({
        "offered": admit::offered(settings, profile) && !switched_off,
        "switched_off": switched_off,
        "profile": profile.source,
        "timeout_sec": above("tool.default_timeout", seconds(settings.timeout, run.timeout),
            run.timeout.as_secs(), timeout_max),
        "timeout_sec_max": timeout_max,
        "concurrency": above("tool.default_concurrency", runs, run.concurrency.into(),
            run.concurrency_max.into()),
        "queue": run.queue,
        "memory_bytes": lesser("tool.max_memory_mb", settings.memory_bytes_max,
            limits.address_space_bytes),
        "file_descriptors": lesser("tool.max_file_descriptors", settings.files_max.map(u64::from),
            limits.files),
        "breaker_failures": above("circuit_breaker.failure_threshold", failures.into(),
            run.breaker_failures.into(), u64::MAX),
        "breaker_recovery_sec": above("circuit_breaker.recovery_timeout",
            seconds(breaker.recovery, run.breaker_recovery), run.breaker_recovery.as_secs(), u64::MAX),
        "scope": scope(settings, profile),
    })
}

/// Each key of the scope as it holds for the tool.
fn scope(settings: &Settings, profile: &Profile) -> Value {
    let scope = settings.scope.for_tool(&profile.name);
    let own = settings.layers.tool_scopes().get(&profile.name);
    let file: Option<&Path> = settings.file.as_deref();
    let texts = |items: &[sandbox_profiles::net::Network]| {
        items.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let values = [
        ("allowed_networks", json!(texts(scope.allowed_networks()))),
        ("denied_networks", json!(texts(scope.denied_networks()))),
        ("allowed_suffixes", json!(scope.allowed_suffixes())),
        ("allowed_ports", json!(scope.ports().to_string())),
        ("allow_intrusive", json!(scope.allows_intrusive())),
        ("max_network_size", json!(scope.network_size_max())),
        ("max_port_ranges", json!(scope.port_ranges_max())),
    ];
    let rows = values.into_iter().map(|(name, value)| {
        let key = format!("security.{name}");
        let own = own.and_then(|values| values.get(key.as_str()));
        let source = own.map(|(_, source)| source);
        let source = source.or_else(|| settings.layers.source(&key));
        let source = source.copied().unwrap_or(Source::BuiltIn).place(file);
        (name.to_owned(), json!({ "value": value, "source": source }))
    });
    Value::Object(rows.collect::<Map<_, _>>())
}
