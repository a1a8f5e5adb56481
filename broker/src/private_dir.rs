//! A directory of this process alone, gone when the process is.
//!
//! What it is: made with mode 0700 whatever the umask, locked as long as it is
//! used, removed on drop. One whose process was killed is removed by the next
//! process of the same user that makes one.
//! What it is not: a place for anything that should last.
//!
//! Invariants: a directory under its final name is locked by its owner; whoever
//! gets the lock may remove it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the names begin with.
const PREFIX: &str = "mantlet-";
/// Most entries of the temporary directory that are looked at for left-overs.
const SWEPT_MAX: usize = 10_000;

/// A private directory.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
    // Locked; the kernel unlocks it when this process ends, however it ends.
    _lock: File,
}

impl PrivateDir {
    /// Makes one below `parent`, and removes what dead processes left there.
    ///
    /// # Errors
    ///
    /// The path that can't be made, and why.
    pub fn make(parent: &Path) -> Result<Self, (PathBuf, io::Error)> {
        sweep(parent);
        let path = parent.join(format!("{PREFIX}{}", uuid::Uuid::now_v7()));
        // Locked before it has the name that a sweep looks for.
        let new = path.with_extension("new");
        let made = make_dir(&new).and_then(|()| {
            let lock = create(&new.join("lock"))?;
            lock.try_lock()?;
            fs::rename(&new, &path)?;
            Ok(lock)
        });
        match made {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(error) => {
                // Empty, or never there.
                drop(fs::remove_dir_all(&new));
                Err((path, error))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(%error, dir = %self.path.display(), "directory not removed");
        }
    }
}

/// Makes a directory with mode 0700 whatever the umask.
///
/// # Errors
///
/// Whatever mkdir(2) or chmod(2) says.
pub fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Makes a file with mode 0600 whatever the umask.
///
/// # Errors
///
/// Whatever open(2) or chmod(2) says; it must not exist.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Removes the directories of this user whose process is gone. What can't be
/// removed is left: it costs a little space, and hurts nobody.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let ours = nix::unistd::geteuid().as_raw();
    for entry in entries.take(SWEPT_MAX).filter_map(Result::ok) {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if id.is_none_or(|id| uuid::Uuid::try_parse(id).is_err()) {
            continue;
        }
        let path = entry.path();
        let is_ours =
            fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_dir() && facts.uid() == ours);
        let lock = if is_ours {
            File::open(path.join("lock")).ok()
        } else {
            None
        };
        if lock.is_some_and(|lock| lock.try_lock().is_ok()) {
            tracing::debug!(dir = %path.display(), "removing what a killed process left");
            drop(fs::remove_dir_all(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_private_whatever_the_umask_and_gone_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let dir = PrivateDir::make(parent.path()).unwrap();
        let path = dir.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(
            fs::metadata(path.join("lock")).unwrap().mode() & 0o7777,
            0o600
        );
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn removes_what_a_killed_process_left_and_nothing_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let used = PrivateDir::make(parent.path()).unwrap();
        let left = parent
            .path()
            .join(format!("{PREFIX}{}", uuid::Uuid::now_v7()));
        let strange = parent.path().join("mantlet-notes");
        for dir in [&left, &strange] {
            make_dir(dir).unwrap();
            drop(create(&dir.join("lock")).unwrap());
        }
        let _next = PrivateDir::make(parent.path()).unwrap();
        assert!(!left.exists(), "its lock is free");
        assert!(used.path().exists(), "its lock is held");
        assert!(strange.exists(), "not a name of ours");
    }
}
