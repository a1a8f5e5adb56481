//! Whom a file can come from: the owner of the file and of every directory above.
//!
//! What it is: the check for the configuration and the tools' programs. Profiles
//! are checked by `sandbox_profiles` in the same way.
//! What it is not: a check of contents.
//!
//! Invariants: what is checked is what is opened: the descriptor's own identity
//! is compared, never a second look at the path alone.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandbox_profiles::OwnerRule;

const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why a file is not trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// It can't be looked at.
    #[error("{} can't be examined", path.display())]
    Unseen {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is another file than a moment ago.
    #[error("{} was replaced while it was read; start again", .0.display())]
    Replaced(PathBuf),
    /// Somebody else owns it or a directory above it.
    #[error("{} is owned by uid {uid}, who is not trusted; chown it to root", path.display())]
    Owner {
        /// The path.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Somebody else may write to it or to a directory above it.
    #[error("{} is writable by group or others (mode {mode:04o}); chmod go-w it", path.display())]
    Writable {
        /// The path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Checks that an open file is the one that a path leads to.
///
/// # Errors
///
/// [`TrustError::Replaced`].
pub(crate) fn check_same(opened: &File, path: &Path) -> Result<(), TrustError> {
    let unseen = |source| TrustError::Unseen {
        path: path.to_owned(),
        source,
    };
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let now = fs::symlink_metadata(path).map_err(unseen)?;
    if identity(&opened.metadata().map_err(unseen)?) == identity(&now) {
        return Ok(());
    }
    Err(TrustError::Replaced(path.to_owned()))
}

/// Checks a path, what it leads to, and every directory above either. Returns
/// the real path.
///
/// # Errors
///
/// Names the first part that is not trusted.
pub(crate) fn check(path: &Path, rule: OwnerRule) -> Result<PathBuf, TrustError> {
    let unseen = |source| TrustError::Unseen {
        path: path.to_owned(),
        source,
    };
    let real = fs::canonicalize(path).map_err(unseen)?;
    // The path as given, too: a link in a directory of somebody else's could
    // lead elsewhere the next time.
    for part in path.ancestors().chain(real.ancestors()) {
        if part.as_os_str().is_empty() {
            continue;
        }
        let metadata = fs::symlink_metadata(part).map_err(|source| TrustError::Unseen {
            path: part.to_owned(),
            source,
        })?;
        check_part(part, &metadata, rule)?;
    }
    Ok(real)
}

fn check_part(path: &Path, metadata: &Metadata, rule: OwnerRule) -> Result<(), TrustError> {
    let uid = metadata.uid();
    let is_trusted = match rule {
        OwnerRule::RootOnly => uid == 0,
        OwnerRule::RootOr(other) => uid == 0 || uid == other,
        OwnerRule::Unchecked => return Ok(()),
    };
    if !is_trusted {
        return Err(TrustError::Owner {
            path: path.to_owned(),
            uid,
        });
    }
    let mode = metadata.mode();
    // A link has no mode of its own, and in a sticky directory nobody can
    // replace what is another's.
    let is_exempt = metadata.is_symlink() || (metadata.is_dir() && mode & STICKY != 0);
    if mode & WRITABLE_BY_OTHERS != 0 && !is_exempt {
        return Err(TrustError::Writable {
            path: path.to_owned(),
            mode: mode & 0o7777,
        });
    }
    Ok(())
}
