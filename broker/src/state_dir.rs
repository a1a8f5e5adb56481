//! The directory of what outlives the broker: tokens, runs.
//!
//! What it is: found, made and handed to the account that root will be given up
//! for, before it is given up; that account could not make it.
//! What it is not: what is kept in it; that is for those who keep it.
//!
//! Invariants: mode 0700, and owned by the account that this process is or will
//! be; one that belongs to somebody else is refused, never taken over, and
//! nothing that only points at a directory is followed.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::{fchown, geteuid};

use crate::config;
use crate::identity::{self, IdentityError};

/// Only the owner may look into it.
const MODE: u32 = 0o700;

/// Why there is no directory to keep anything in.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Nobody says where.
    #[error(
        "there is no place for what has to be kept: set STATE_DIRECTORY, XDG_STATE_HOME or HOME"
    )]
    Nowhere,
    /// A step failed.
    #[error("{}: the state directory can't be {step}", path.display())]
    Step {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is somebody else's.
    #[error(
        "{}: the state directory belongs to uid {owner}, not to uid {wanted}; \
         `chown` it, or name another one by STATE_DIRECTORY", path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// There is nobody to give root up for.
    #[error(transparent)]
    Account(#[from] IdentityError),
}

/// Makes the directory, where it isn't there yet, and gives its path. To be
/// called before root is given up.
///
/// # Errors
///
/// Where the environment names no place, or the directory can't be made, or it
/// is not this process's.
pub fn prepare(lookup: impl Fn(&str) -> Option<String>) -> Result<PathBuf, StateDirError> {
    let root = geteuid().is_root();
    let path = config::state_directory(root, lookup).ok_or(StateDirError::Nowhere)?;
    prepare_at(&path)?;
    Ok(path)
}

/// As [`prepare`], for a directory that the configuration names.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_at(path: &Path) -> Result<(), StateDirError> {
    let owner = if geteuid().is_root() {
        let (_, user) = identity::account()?;
        (user.uid.as_raw(), user.gid.as_raw())
    } else {
        (geteuid().as_raw(), nix::unistd::getegid().as_raw())
    };
    hand_over(path, owner)
}

fn hand_over(path: &Path, (uid, gid): (u32, u32)) -> Result<(), StateDirError> {
    let fail = |step| {
        move |source| StateDirError::Step {
            path: path.to_owned(),
            step,
            source,
        }
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        // Those in between are like `mkdir -p` makes them; this one is private.
        fs::create_dir_all(parent).map_err(fail("made"))?;
    }
    match DirBuilder::new().mode(MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(fail("made"))?,
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let dir = opened.map_err(fail("opened"))?;
    let facts = dir.metadata().map_err(fail("looked at"))?;
    let own = geteuid().as_raw();
    // What somebody uses for something else (`STATE_DIRECTORY=/tmp`) stays theirs.
    let unused = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if facts.uid() != uid && !(facts.uid() == own && unused()) {
        return Err(StateDirError::Foreign {
            path: path.to_owned(),
            owner: facts.uid(),
            wanted: uid,
        });
    }
    if facts.mode() & 0o777 != MODE {
        let narrowed = dir.set_permissions(Permissions::from_mode(MODE));
        narrowed.map_err(fail("made private"))?;
    }
    if facts.uid() != uid {
        let handed = fchown(&dir, Some(uid.into()), Some(gid.into()));
        handed.map_err(|error| fail("handed over")(error.into()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> (u32, u32) {
        (geteuid().as_raw(), nix::unistd::getegid().as_raw())
    }

    #[test]
    fn is_made_private_with_what_lies_above_it_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/mantlet");
        hand_over(&path, own()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        hand_over(&path, own()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
    }

    #[test]
    fn what_is_not_a_directory_of_ours_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        for path in [file, link] {
            let refused = hand_over(&path, own());
            assert!(matches!(
                refused,
                Err(StateDirError::Step { step: "opened", .. })
            ));
        }
        if geteuid().is_root() {
            let theirs = dir.path().join("theirs");
            fs::create_dir(&theirs).unwrap();
            nix::unistd::chown(&theirs, Some(1.into()), Some(1.into())).unwrap();
            let refused = hand_over(&theirs, (2, 2));
            assert!(matches!(
                refused,
                Err(StateDirError::Foreign { owner: 1, .. })
            ));
            assert_eq!(fs::metadata(&theirs).unwrap().uid(), 1, "left as it was");
            let (new, used) = (dir.path().join("new"), dir.path());
            hand_over(&new, (2, 2)).unwrap();
            assert_eq!(fs::metadata(&new).unwrap().uid(), 2);
            let refused = hand_over(used, (2, 2));
            assert!(matches!(
                refused,
                Err(StateDirError::Foreign { owner: 0, .. })
            ));
        }
    }
}
