//! The machine: load, memory and room on disk.
//!
//! What it is: numbers for people, from `/proc` and the file systems that the
//! broker writes to.
//! What it is not: a reason to be unhealthy; only room on disk matters, since
//! without it nothing can be recorded.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use serde_json::json;

use crate::observe::health::{Check, Findings, Priority, Status};
use crate::pipeline::Engine;

/// Less room than this is said, in bytes.
const ROOM_LOW: u64 = 64 * 1024 * 1024;
/// Less room than this is all but none, in bytes.
const ROOM_NONE: u64 = 1024 * 1024;

pub(super) async fn look(engine: &Engine) -> Findings {
    let directories = directories(engine);
    let read = tokio::task::spawn_blocking(move || {
        let mut findings = vec![load(), memory()];
        findings.extend(directories.iter().map(|(what, path)| room(what, path)));
        findings
    });
    read.await.unwrap_or_default()
}

/// Where the broker writes, by what it writes there.
fn directories(engine: &Engine) -> Vec<(&'static str, PathBuf)> {
    let policy = engine.policy();
    let settings = policy.settings();
    let audit = settings.audit_file.as_deref().map(|file| {
        let parent = file.parent().filter(|dir| !dir.as_os_str().is_empty());
        ("disk_audit", parent.unwrap_or(Path::new(".")).to_owned())
    });
    let store = engine.runs().store_directory().map(Path::to_owned);
    audit
        .into_iter()
        .chain(store.map(|path| ("disk_store", path)))
        .collect()
}

fn informational(name: &str, read: Result<(String, serde_json::Value), String>) -> Check {
    match read {
        Ok((message, facts)) => {
            Check::new(name, Priority::Informational, Status::Healthy, message).with(facts)
        }
        Err(message) => Check::new(name, Priority::Informational, Status::Degraded, message),
    }
}

fn load() -> Check {
    let read = std::fs::read_to_string("/proc/loadavg");
    let read = read
        .map_err(|error| format!("/proc/loadavg: {error}"))
        .and_then(|text| {
            let first = text.split_whitespace().next();
            let load: f64 = first
                .and_then(|word| word.parse().ok())
                .ok_or("/proc/loadavg: no number")?;
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            let message = format!("load {load} on {processors} processors");
            Ok((message, json!({ "load": load, "processors": processors })))
        });
    informational("cpu", read)
}

fn memory() -> Check {
    let of = |path: &str, key: &str| -> Result<u64, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        let kib: Option<u64> = number.and_then(|number| number.parse().ok());
        kib.map(|kib| kib.saturating_mul(1024))
            .ok_or_else(|| format!("{path}: no {key}"))
    };
    let read = || {
        let available = of("/proc/meminfo", "MemAvailable:")?;
        let resident = of("/proc/self/status", "VmRSS:")?;
        let message = format!(
            "{} MiB available, {} MiB used by the broker",
            mib(available),
            mib(resident)
        );
        Ok((
            message,
            json!({ "available_bytes": available, "broker_bytes": resident }),
        ))
    };
    informational("memory", read())
}

fn room(name: &str, path: &Path) -> Check {
    let shown = path.display();
    let check = |status, message| Check::new(name, Priority::Important, status, message);
    let facts = match statvfs(path) {
        Ok(facts) => facts,
        Err(error) => return check(Status::Degraded, format!("{shown}: {error}")),
    };
    let free = facts
        .blocks_available()
        .saturating_mul(facts.fragment_size());
    let (status, advice) = match free {
        ..ROOM_NONE => (Status::Unhealthy, "; make room, or nothing can be recorded"),
        ROOM_NONE..ROOM_LOW => (Status::Degraded, "; make room"),
        ROOM_LOW.. => (Status::Healthy, ""),
    };
    let message = format!("{} MiB free at {shown}{advice}", mib(free));
    check(status, message).with(json!({ "free_bytes": free }))
}

const fn mib(bytes: u64) -> u64 {
    bytes >> 20
}
