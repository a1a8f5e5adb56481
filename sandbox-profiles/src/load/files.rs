//! Which profile files are read, and who may have written them.
//!
//! A profile decides what may run, so it is as trusted as the weakest directory
//! above it. Links are not followed inside a profile directory.
//!
//! Invariants: what is checked is what is read: the opened file's own identity
//! is compared with the one that was checked.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::LoadError;
use crate::limits::{PROFILE_BYTES_MAX, PROFILE_FILES_MAX};

/// Who must own profile files and every directory above them. None of them may
/// be writable by group or others; directories with the sticky bit excepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerRule {
    /// Root.
    RootOnly,
    /// Root, or this user.
    RootOr(u32),
    /// Anyone; for tests and for checking files before they are installed.
    Unchecked,
}

const SYMLINKS: &str = "give the real path; links are not followed here";

/// The profile files of a directory, sorted by name.
pub(super) fn list(dir: &Path, owner: OwnerRule) -> Result<Vec<PathBuf>, LoadError> {
    let real = fs::canonicalize(dir).map_err(|error| {
        mistake(
            dir,
            format!("no such directory: {error}"),
            "create it, or correct the configuration",
        )
    })?;
    // Whoever can change a link on the way chooses the directory, so both the
    // way and the place are checked.
    let way = std::path::absolute(dir).map_err(|error| {
        mistake(
            dir,
            format!("no usable path: {error}"),
            "write an absolute path",
        )
    })?;
    for part in way.ancestors().chain(real.ancestors()) {
        check_owner(part, &status(part)?, owner)?;
    }
    let entries = fs::read_dir(&real).map_err(|error| {
        mistake(
            dir,
            format!("can't list the directory: {error}"),
            "make it readable",
        )
    })?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| {
            mistake(
                dir,
                format!("can't list the directory: {error}"),
                "make it readable",
            )
        })?;
        if is_profile_name(&entry.file_name().to_string_lossy()) {
            paths.push(entry.path());
        }
        if paths.len() > PROFILE_FILES_MAX {
            let what = format!("more than {PROFILE_FILES_MAX} profiles in one directory");
            return Err(mistake(dir, what, "remove those that are not needed"));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The text of a profile file.
pub(super) fn read(path: &Path, owner: OwnerRule) -> Result<String, LoadError> {
    let before = status(path)?;
    if !before.file_type().is_file() {
        return Err(mistake(path, "not a regular file".to_owned(), SYMLINKS));
    }
    check_owner(path, &before, owner)?;
    let unreadable = |error: std::io::Error| {
        mistake(path, format!("can't be read: {error}"), "make it readable")
    };
    let file = File::open(path).map_err(unreadable)?;
    let opened = file.metadata().map_err(unreadable)?;
    if (opened.dev(), opened.ino()) != (before.dev(), before.ino()) {
        return Err(mistake(
            path,
            "was replaced while it was read".to_owned(),
            "load it again",
        ));
    }
    let mut bytes = Vec::new();
    let mut limited = file.take(PROFILE_BYTES_MAX.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > PROFILE_BYTES_MAX {
        let what = format!("larger than {PROFILE_BYTES_MAX} bytes");
        return Err(mistake(path, what, "shorten it"));
    }
    String::from_utf8(bytes).map_err(|_| mistake(path, "not UTF-8".to_owned(), "save it as UTF-8"))
}

fn is_profile_name(name: &str) -> bool {
    let path = Path::new(name);
    path.extension()
        .is_some_and(|extension| extension == "toml")
        && !name.starts_with(['_', '.'])
}

fn status(path: &Path) -> Result<Metadata, LoadError> {
    fs::symlink_metadata(path).map_err(|error| {
        mistake(
            path,
            format!("can't be examined: {error}"),
            "make its directory searchable",
        )
    })
}

fn check_owner(path: &Path, status: &Metadata, owner: OwnerRule) -> Result<(), LoadError> {
    const STICKY: u32 = 0o1000;
    const WRITABLE: u32 = 0o022;
    let trusted = match owner {
        OwnerRule::Unchecked => return Ok(()),
        OwnerRule::RootOnly => status.uid() == 0,
        OwnerRule::RootOr(uid) => status.uid() == 0 || status.uid() == uid,
    };
    if !trusted {
        let what = format!(
            "owned by uid {}, who is not trusted with profiles",
            status.uid()
        );
        return Err(mistake(path, what, "chown it to root"));
    }
    // A link has no mode of its own; in a sticky directory only owners rename.
    let excepted = status.is_symlink() || (status.is_dir() && status.mode() & STICKY != 0);
    if status.mode() & WRITABLE != 0 && !excepted {
        let what = format!(
            "writable by group or others (mode {:04o})",
            status.mode() & 0o7777
        );
        return Err(mistake(path, what, "chmod go-w it"));
    }
    Ok(())
}

fn mistake(path: &Path, what: String, remedy: &str) -> LoadError {
    LoadError::of_file(path.to_string_lossy(), what, remedy)
}
