//! Named sets of paths, with a reason per row.
//!
//! A profile names sets and adds rows of its own. Paths differ between
//! architectures here and nowhere else. Opening, following links and skipping
//! what a host doesn't have are the executor's matter.
//!
//! Invariants: every path is absolute and has no `..`.

/// What a path may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Reading and executing.
    Execute,
}

type Row = (Access, &'static str, &'static str);

#[cfg(target_arch = "x86_64")]
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
#[cfg(target_arch = "x86_64")]
const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const LIBRARIES: &str = "/usr/lib/aarch64-linux-gnu";
#[cfg(target_arch = "aarch64")]
const INTERPRETER: &str = "/lib/ld-linux-aarch64.so.1";
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("name the library directory and the ELF interpreter of this architecture");

/// What every dynamically linked program needs to start.
const BASE: &[Row] = &[
    (
        Access::Read,
        "/etc/ld.so.cache",
        "where the loader finds libraries",
    ),
    (Access::Read, LIBRARIES, "shared libraries"),
    (Access::Read, "/dev/urandom", "seeds"),
    (
        Access::Write,
        "/dev/null",
        "tools reopen their own streams on it",
    ),
    (
        Access::Execute,
        INTERPRETER,
        "the loader; a link, whose real file is meant",
    ),
];

/// Verifying certificates.
const TLS: &[Row] = &[
    (Access::Read, "/etc/ssl/certs", "certificate authorities"),
    (
        Access::Read,
        "/etc/ssl/openssl.cnf",
        "settings of the TLS library",
    ),
    (
        Access::Read,
        "/usr/lib/ssl",
        "where the TLS library looks for both",
    ),
    (
        Access::Read,
        "/usr/share/ca-certificates",
        "certificate authorities are links to it",
    ),
];

const SETS: &[(&str, &[Row])] = &[("base", BASE), ("tls", TLS)];

/// The names of all sets.
pub fn set_names() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|(name, _)| *name)
}

/// The paths of a set on this architecture, each with its use and its reason.
pub fn set(name: &str) -> Option<impl Iterator<Item = (Access, &'static str, &'static str)>> {
    SETS.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, rows)| rows.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_plain() {
        for (set, rows) in SETS {
            for (_, path, why) in *rows {
                assert!(path.starts_with('/'), "{set}: {path}");
                assert!(
                    !path.contains("..") && !path.contains("//"),
                    "{set}: {path}"
                );
                assert!(!why.is_empty(), "{set}: {path} has no reason");
            }
        }
    }
}
