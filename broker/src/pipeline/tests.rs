//! What a change of policy does to calls, and what it leaves alone.
//!
//! What it is not: runs; no executor is asked here.

use std::path::Path;

use super::caller::Surface;
use super::*;

fn settings(text: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, text).unwrap();
    Settings::load(Some(Path::new(&path)), |_| None).unwrap()
}

fn engine(text: &str) -> Engine {
    let profiles = sandbox_profiles::load::built_in().unwrap();
    Engine::new(
        settings(text),
        profiles,
        Executor::none(),
        None,
        Store::none(),
    )
}

fn caller() -> Caller {
    Caller::local(Surface::Terminal)
}

fn verdict(engine: &Engine, tool: &str) -> Result<(), ErrorType> {
    let policy = engine.policy();
    let vetted = policy.vet(&Call::new(tool, "10.0.0.1"));
    vetted.map(drop).map_err(|error| error.error_type)
}

#[tokio::test]
async fn a_tool_is_switched_off_and_on_by_any_of_its_names() {
    let engine = engine("[tool]\nexclude = [\"dig\"]\n");
    let alias = engine.policy().profiles().get("ping").unwrap().aliases[0].clone();
    let cases = [
        // tool, on, what comes of it, the verdict on a call of ping then, why
        ("ping", true, Ok(false), Ok(()), "it is on"),
        (
            alias.as_str(),
            false,
            Ok(true),
            Err(ErrorType::ToolDisabled),
            "by its alias",
        ),
        (
            "ping",
            false,
            Ok(false),
            Err(ErrorType::ToolDisabled),
            "it is off",
        ),
        ("ping", true, Ok(true), Ok(()), "on again"),
        (
            "pingg",
            false,
            Err(ErrorType::NotFound),
            Ok(()),
            "no such tool",
        ),
        (
            "dig",
            true,
            Err(ErrorType::ToolDisabled),
            Ok(()),
            "the configuration stands above",
        ),
        ("dig", false, Ok(true), Ok(()), "narrower is no harm"),
    ];
    for (tool, enabled, expected, ping, why) in cases {
        let switched = engine.set_enabled(tool, enabled, &caller()).await;
        if let Err(error) = &switched
            && error.error_type == ErrorType::NotFound
        {
            assert_eq!(error.recovery_suggestion, "did you mean ping?");
        }
        let switched = switched.map_err(|error| error.error_type);
        assert_eq!(switched, expected, "{why}");
        assert_eq!(verdict(&engine, "ping"), ping, "{why}");
        assert_eq!(verdict(&engine, &alias), ping, "{why}");
    }
}

#[tokio::test]
async fn limits_are_shown_as_they_hold_and_by_whom() {
    let engine = engine("[tool]\nmax_memory_mb = 256\nmax_file_descriptors = 64\n");
    let shown = effective::configuration(&engine.policy());
    for (tool, key, value, by, why) in [
        (
            "nmap",
            "memory_bytes",
            256 << 20,
            "c.toml",
            "less than the profile's",
        ),
        (
            "nmap",
            "file_descriptors",
            64,
            "c.toml",
            "less than the profile's",
        ),
        (
            "ping",
            "memory_bytes",
            128 << 20,
            "profile",
            "never widened",
        ),
        ("ping", "file_descriptors", 32, "profile", "never widened"),
        ("dig", "file_descriptors", 64, "c.toml", "as much"),
    ] {
        let row = &shown["tools"][tool][key];
        assert_eq!(row["value"], value, "{tool} {key}: {why}");
        let source = row["source"].as_str().unwrap();
        assert!(source.contains(by), "{tool} {key}: {source}");
    }
}

#[tokio::test]
async fn a_policy_that_is_kept_stays_as_it_is_and_changes_are_told() {
    let engine = engine("");
    let mut changes = engine.changes();
    let before = engine.policy();
    engine.set_enabled("ping", false, &caller()).await.unwrap();
    engine.set_enabled("dig", false, &caller()).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), 2);
    assert_eq!(engine.policy().generation(), 2);
    assert!(before.vet(&Call::new("ping", "10.0.0.1")).is_ok());
    assert_eq!(verdict(&engine, "ping"), Err(ErrorType::ToolDisabled));
    engine.set_enabled("dig", false, &caller()).await.unwrap();
    assert!(!changes.has_changed().unwrap(), "nothing was changed");
}

#[tokio::test]
async fn other_settings_keep_what_is_switched_off_and_drop_what_is_gone() {
    let engine = engine("");
    for tool in ["ping", "dig"] {
        engine.set_enabled(tool, false, &caller()).await.unwrap();
    }
    let narrower = settings("[security]\nallowed_networks = [\"10.9.0.0/16\"]\n");
    let executor = engine.executor();
    let profiles = sandbox_profiles::load::built_in().unwrap();
    engine.adopt(narrower, profiles, executor);
    assert_eq!(verdict(&engine, "ping"), Err(ErrorType::ToolDisabled));
    assert_eq!(verdict(&engine, "nmap"), Err(ErrorType::ValidationError));
    let digest = engine.policy().digest().to_owned();
    engine.set_enabled("ping", true, &caller()).await.unwrap();
    assert_eq!(engine.policy().digest(), digest, "scope and profiles stand");
}
