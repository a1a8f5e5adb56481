//! The sandbox of a profile: paths, calls, sockets, limits, environment.
//!
//! As `schema`: reads what stands there, records what can't be read.
//!
//! Invariants: a sandbox row that names a forbidden call, an unknown set or a
//! relative path is reported, never dropped.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::read::{At, Table};
use crate::nearest::nearest;
use crate::paths::{self, Access};
use crate::sandbox::{ErrnoRow, Limits, PathRow, RawUse, Sandbox, SocketKind, SyscallRow};
use crate::syscalls;

pub(super) fn sandbox(root: &Table<'_>) -> Option<Sandbox> {
    let table = root.required_table("sandbox")?;
    let paths = path_rows(&table);
    let calls = call_rows(&table);
    let errno = errno_rows(&table, &calls);
    let raw = raw_use(&table);
    let limits = limits(&table);
    let env = environment(&table, "env");
    let env_raw = environment(&table, "env_raw");
    let open = sockets(&table, "sockets");
    let raw_sockets = sockets(&table, "sockets_raw");
    let threads = table.boolean("threads");
    let tcp_bind = table.boolean("tcp_bind");
    if tcp_bind && calls.contains_key("listen") {
        let remedy = "remove one of the two: a port that is bound and listens is a door";
        table.mistake(table.at(), "tcp_bind", "listed beside listen", remedy);
    }
    table.finish();
    Some(Sandbox {
        read: paths.read,
        read_raw: paths.read_raw,
        write: paths.write,
        exec: paths.exec,
        allow: calls
            .into_iter()
            .map(|(name, reason)| SyscallRow { name, reason })
            .collect(),
        errno,
        sockets: open,
        sockets_raw: raw_sockets,
        raw: raw?,
        threads,
        tcp_bind,
        limits: limits?,
        env,
        env_raw,
    })
}

#[derive(Default)]
struct PathRows {
    read: Vec<PathRow>,
    read_raw: Vec<PathRow>,
    write: Vec<PathRow>,
    exec: Vec<PathRow>,
}

fn path_rows(table: &Table<'_>) -> PathRows {
    let mut rows = PathRows::default();
    for name in table.texts("path_sets") {
        let Some(set) = paths::set(&name.value) else {
            unknown_set(table, "path_sets", &name, paths::set_names());
            continue;
        };
        for (access, path, reason) in set {
            let row = PathRow {
                path: PathBuf::from(path),
                reason: reason.to_owned(),
            };
            match access {
                Access::Read => rows.read.push(row),
                Access::Write => rows.write.push(row),
                Access::Execute => rows.exec.push(row),
            }
        }
    }
    rows.read.extend(path_map(table, "read"));
    rows.read_raw.extend(path_map(table, "read_raw"));
    rows.write.extend(path_map(table, "write"));
    rows.exec.extend(path_map(table, "exec"));
    for list in [
        &mut rows.read,
        &mut rows.read_raw,
        &mut rows.write,
        &mut rows.exec,
    ] {
        list.sort_unstable();
        list.dedup_by(|left, right| left.path == right.path);
    }
    rows
}

fn path_map(table: &Table<'_>, key: &'static str) -> Vec<PathRow> {
    let mut rows = Vec::new();
    for (path, reason) in table.text_map(key) {
        if is_plain_path(&path.value) {
            rows.push(PathRow {
                path: PathBuf::from(path.value),
                reason,
            });
        } else {
            let what = format!("not an absolute, plain path: {}", path.value);
            table.mistake(path.at, key, what, "write the whole path, without . or ..");
        }
    }
    rows
}

/// Whether the path is absolute, below the root, and has no empty, `.` or `..` part.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
    }) && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Allowed calls with their reasons: sets first, the profile's own rows over them.
fn call_rows(table: &Table<'_>) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for name in table.texts("call_sets") {
        let Some(set) = syscalls::set(&name.value) else {
            unknown_set(table, "call_sets", &name, syscalls::set_names());
            continue;
        };
        rows.extend(set.map(|(call, reason)| (call.to_owned(), reason.to_owned())));
    }
    for (call, reason) in table.text_map("calls") {
        if syscalls::FORBIDDEN.contains(&call.value.as_str()) {
            let what = format!("no profile may allow {}", call.value);
            table.mistake(
                call.at,
                "calls",
                what,
                "remove it: it leads out of the sandbox",
            );
        } else if is_call_name(&call.value) {
            rows.insert(call.value, reason);
        } else {
            let what = format!("no name of a system call: {}", call.value);
            table.mistake(
                call.at,
                "calls",
                what,
                "write the kernel's name, like getpgid",
            );
        }
    }
    rows
}

fn is_call_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn errno_rows(table: &Table<'_>, allowed: &BTreeMap<String, String>) -> Vec<ErrnoRow> {
    let mut rows: Vec<ErrnoRow> = syscalls::contained()
        .map(|(name, errno, reason)| ErrnoRow {
            name: name.to_owned(),
            errno,
            reason: reason.to_owned(),
        })
        .collect();
    for row in table.tables("errno") {
        let call = row.required_text("call");
        let errno = row.required_text("errno");
        let reason = row.required_text("reason");
        row.finish();
        let (Some(call), Some(errno), Some(reason)) = (call, errno, reason) else {
            continue;
        };
        let Some(number) = syscalls::errno(&errno.value) else {
            let what = format!("no error that a call may answer: {}", errno.value);
            table.mistake(
                errno.at,
                "errno",
                what,
                "write EPERM, EACCES, ENOSYS or EAFNOSUPPORT",
            );
            continue;
        };
        if !is_call_name(&call.value) || rows.iter().any(|row| row.name == call.value) {
            let what = format!(
                "no system call, or one that has its row already: {}",
                call.value
            );
            table.mistake(call.at, "errno", what, "write the kernel's name, each once");
            continue;
        }
        rows.push(ErrnoRow {
            name: call.value,
            errno: number,
            reason: reason.value,
        });
    }
    for row in &rows {
        if allowed.contains_key(&row.name) {
            let what = format!("{} is both allowed and answered with an error", row.name);
            table.mistake(table.at(), "errno", what, "keep one of the two rows");
        }
    }
    rows.sort_unstable();
    rows
}

fn unknown_set<'n>(
    table: &Table<'_>,
    key: &str,
    name: &At<String>,
    known: impl Iterator<Item = &'n str>,
) {
    let known: Vec<&str> = known.collect();
    let remedy = format!("known sets: {}", known.join(", "));
    table.mistake(
        name.at,
        key,
        format!("no such set: {}", name.value),
        &remedy,
    );
}

fn sockets(table: &Table<'_>, key: &'static str) -> Vec<SocketKind> {
    let mut kinds = Vec::new();
    for name in table.texts(key) {
        if let Some(kind) = SocketKind::from_name(&name.value) {
            kinds.push(kind);
            continue;
        }
        let remedy = match nearest(&name.value, SocketKind::names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!(
                "known kinds: {}",
                SocketKind::names().collect::<Vec<_>>().join(", ")
            ),
        };
        table.mistake(
            name.at,
            key,
            format!("no kind of socket: {}", name.value),
            &remedy,
        );
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn raw_use(table: &Table<'_>) -> Option<RawUse> {
    let text = table.required_text("raw")?;
    match text.value.as_str() {
        "never" => Some(RawUse::Never),
        "by-need" => Some(RawUse::ByNeed),
        other => {
            let what = format!("no way to use raw sockets: {other}");
            table.mistake(text.at, "raw", what, "write never or by-need");
            None
        }
    }
}

fn limits(table: &Table<'_>) -> Option<Limits> {
    let limits = table.required_table("limits")?;
    let cpu_s = limits.required_integer("cpu_s", 1..7201);
    let address_space = limits.required_integer("address_space_mib", 16..4097);
    let files = limits.required_integer("files", 8..4097);
    let processes = limits.required_integer("processes", 1..257);
    let file_size_bytes = limits.required_integer("file_size_bytes", 0..(1 << 30));
    limits.finish();
    Some(Limits {
        cpu_s: cpu_s?,
        address_space_bytes: address_space?.checked_mul(1 << 20)?,
        files: files?,
        processes: processes?,
        file_size_bytes: file_size_bytes?,
    })
}

/// Variables that would put foreign code or files into a tool.
const VARIABLES_REFUSED: [&str; 12] = [
    "HOME",
    "PATH",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "NMAPDIR",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "GCONV_PATH",
    "HOSTALIASES",
    "RES_OPTIONS",
    "LOCALDOMAIN",
];

fn environment(table: &Table<'_>, key: &'static str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in table.text_map(key) {
        let upper = name
            .value
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let refused = VARIABLES_REFUSED.contains(&name.value.as_str())
            || name.value.starts_with("LD_")
            || name.value.starts_with("PYTHON");
        let plain = value
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !upper || name.value.is_empty() || !plain {
            let what = format!("no plain variable: {}", name.value);
            table.mistake(name.at, key, what, "write NAME = \"printable text\"");
        } else if refused {
            let what = format!("no profile may set {}", name.value);
            table.mistake(
                name.at,
                key,
                what,
                "remove it: the executor sets it, or nobody does",
            );
        } else {
            pairs.push((name.value, value));
        }
    }
    pairs
}
