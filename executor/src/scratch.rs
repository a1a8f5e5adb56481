//! Scratch directories: one per run, empty at first, gone at its end.
//!
//! What it is: making, holding and removing them. A session holds a lock on its
//! own; a directory that nobody holds a lock on belongs to a run that is over.
//! What it is not: a place that survives a run, or that two runs share.
//!
//! Invariants: mode 0700; removed when the session ends, and by the listener
//! or the next start when the session could not; removing follows no symbolic
//! link and needs the same memory however many entries a tool made and however
//! deep it nested them.

use std::ffi::{CStr, CString};
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

/// Most entries that are moved to empty one scratch directory. A tool within its
/// time doesn't get there; a broken loop would.
const MOVES_MAX: u32 = 1_000_000;

/// Names that are read at once.
const BATCH_MAX: usize = 1024;
/// Longest that a sweep may hold up whoever sweeps.
const SWEEP_MAX: Duration = Duration::from_secs(2);

/// Why there is no scratch directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScratchError {
    /// The directory for all of them can't be had.
    #[error("{} can't be used for the runs' directories", path.display())]
    Parent {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may write to it, or it is not ours.
    #[error("{} is owned by uid {owner} with mode {mode:o}; it must be uid {uid}'s alone", path.display())]
    Shared {
        /// The path.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Its mode.
        mode: u32,
        /// Who should.
        uid: u32,
    },
    /// The run's own can't be made.
    #[error("the run's directory could not be made")]
    Make(#[source] io::Error),
}

/// The directory that holds the runs' directories.
#[derive(Debug)]
pub(crate) struct Parent {
    path: PathBuf,
    opened: OwnedFd,
}

impl Parent {
    /// Opens it, making it if it doesn't exist, on behalf of the user that will
    /// serve; then removes what earlier runs left.
    ///
    /// # Errors
    ///
    /// When it can't be had, or somebody else could change what is in it.
    pub(crate) fn open(path: &Path, uid: Uid, gid: Gid) -> Result<Self, ScratchError> {
        let failed = |source: io::Error| ScratchError::Parent {
            path: path.to_owned(),
            source,
        };
        let made = nix::unistd::mkdir(path, Mode::S_IRWXU);
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let opened = match (made, open(path, flags, Mode::empty())) {
            (_, Ok(opened)) => File::from(opened),
            (Err(Errno::EEXIST) | Ok(()), Err(error)) | (Err(error), Err(_)) => {
                return Err(failed(error.into()));
            }
        };
        let owner = || opened.metadata().map_err(failed);
        if Uid::current().is_root() && owner()?.uid() == 0 {
            fchown(&opened, Some(uid), Some(gid)).map_err(|error| failed(error.into()))?;
        }
        let metadata = owner()?;
        if metadata.uid() != uid.as_raw() || metadata.mode() & 0o022 != 0 {
            return Err(ScratchError::Shared {
                path: path.to_owned(),
                owner: metadata.uid(),
                mode: metadata.mode() & 0o7777,
                uid: uid.as_raw(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            opened: opened.into(),
        })
    }

    /// Makes a run's directory.
    ///
    /// # Errors
    ///
    /// `EEXIST` when a run of that id is under way or was left behind.
    pub(crate) fn make(&self, run_id: &str) -> Result<Scratch<'_>, ScratchError> {
        let failed = |error: io::Error| ScratchError::Make(error);
        // While this is held nobody sweeps, so a new directory isn't taken for
        // a left-over before it is locked.
        let guard = self.subdirectory(c".").map_err(failed)?;
        guard.lock_shared().map_err(failed)?;
        let name = CString::new(run_id).map_err(|error| failed(error.into()))?;
        mkdirat(&self.opened, name.as_c_str(), Mode::S_IRWXU)
            .map_err(|error| failed(error.into()))?;
        let mut scratch = Scratch {
            parent: self,
            name: name.clone(),
            opened: None,
        };
        let opened = self.subdirectory(&name).map_err(failed)?;
        match opened.try_lock() {
            Ok(()) => {}
            // Another executor of the same user takes it for a left-over.
            Err(TryLockError::WouldBlock) => return Err(failed(Errno::EBUSY.into())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        if opened.metadata().map_err(failed)?.nlink() == 0 {
            return Err(failed(Errno::ENOENT.into()));
        }
        scratch.opened = Some(opened);
        Ok(scratch)
    }

    fn subdirectory(&self, name: &CStr) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(File::from(openat(
            &self.opened,
            name,
            flags,
            Mode::empty(),
        )?))
    }

    /// Removes the directories of runs that are over. Returns how many there
    /// were.
    ///
    /// # Errors
    ///
    /// The first that could not be removed, after trying all.
    pub(crate) fn sweep(&self) -> io::Result<u32> {
        let guard = self.subdirectory(c".")?;
        guard.lock()?;
        let mut swept = 0_u32;
        let mut outcome = Ok(());
        let until = Instant::now().checked_add(SWEEP_MAX);
        for name in entries(self.opened.as_fd())? {
            match self.subdirectory(&name) {
                Ok(directory) if directory.try_lock().is_ok() => {
                    match remove(&self.opened, &name, until) {
                        Ok(()) => swept = swept.saturating_add(1),
                        Err(error) => outcome = Err(error),
                    }
                }
                // In use, or gone meanwhile, or no directory of ours.
                Ok(_) | Err(_) => {}
            }
        }
        outcome.map(|()| swept)
    }
}

/// A run's directory, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    parent: &'a Parent,
    name: CString,
    // Holds the lock. None while it is being made.
    opened: Option<File>,
}

impl Scratch<'_> {
    /// Its path, for the tool's `HOME` and `TMPDIR`.
    pub(crate) fn path(&self) -> PathBuf {
        let name = self.name.to_string_lossy();
        self.parent.path.join(name.as_ref())
    }

    /// The directory itself.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.opened {
            Some(opened) => opened.as_fd(),
            None => self.parent.opened.as_fd(),
        }
    }
}

impl Scratch<'_> {
    /// Removes it, by `until` if that is given. `TimedOut` when there was more
    /// to remove than that; it can be called again.
    ///
    /// # Errors
    ///
    /// The first entry that could not be removed.
    pub(crate) fn remove(&self, until: Option<Instant>) -> io::Result<()> {
        match remove(&self.parent.opened, &self.name, until) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // For a run that never started: nothing is in it. A session removes the
        // directory of a run that did, and logs what it can't.
        self.remove(None).unwrap_or_default();
    }
}

/// Removes a directory and all below it. What is deeper than one level is moved
/// up first, so no depth of nesting costs stack or descriptors; names are read
/// in batches, so no number of them costs memory.
fn remove(parent: &OwnedFd, name: &CStr, until: Option<Instant>) -> io::Result<()> {
    let in_time = || match until {
        Some(until) if Instant::now() >= until => Err(io::Error::from(io::ErrorKind::TimedOut)),
        Some(_) | None => Ok(()),
    };
    let top = open_for_removal(parent, name)?;
    let mut moves = 0_u32;
    loop {
        let rows = entries(top.as_fd())?;
        if rows.is_empty() {
            break;
        }
        for entry in rows {
            in_time()?;
            match unlinkat(&top, entry.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) => continue,
                Err(Errno::EISDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
            match unlinkat(&top, entry.as_c_str(), UnlinkatFlags::RemoveDir) {
                Ok(()) => continue,
                Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            let inner = open_for_removal(&top, &entry)?;
            empty(&inner, &top, &mut moves, &in_time)?;
            unlinkat(&top, entry.as_c_str(), UnlinkatFlags::RemoveDir)?;
        }
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir)?;
    Ok(())
}

/// Moves all that is in a directory up to `top`.
fn empty(
    inner: &OwnedFd,
    top: &OwnedFd,
    moves: &mut u32,
    in_time: &impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let rows = entries(inner.as_fd())?;
        if rows.is_empty() {
            return Ok(());
        }
        for below in rows {
            in_time()?;
            move_up(inner, &below, top, moves)?;
        }
    }
}

/// Opens a directory, whatever mode the tool gave it. All processes that could
/// put something else in its place are dead.
fn open_for_removal(parent: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::EACCES) => {
            fchmodat(parent, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            Ok(openat(parent, name, flags, Mode::empty())?)
        }
        opened => Ok(opened?),
    }
}

/// Moves an entry to a name that is free, or that holds nothing.
fn move_up(from: &OwnedFd, name: &CStr, to: &OwnedFd, moves: &mut u32) -> io::Result<()> {
    while *moves < MOVES_MAX {
        *moves = moves.saturating_add(1);
        let free = format!(".moved-{moves}");
        match renameat(from, name, to, free.as_str()) {
            Ok(()) => return Ok(()),
            // The tool has something of that name.
            Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::EISDIR | Errno::ENOTDIR) => {}
            // Moving a directory changes its `..`, which it must allow. Nothing
            // else is refused so, and a symbolic link is none.
            Err(Errno::EACCES) => {
                fchmodat(from, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink)?;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno::E2BIG.into())
}

/// Names of what is in a directory, [`BATCH_MAX`] of them at the most.
fn entries(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut opened = Dir::openat(directory, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in opened.iter() {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
        if names.len() >= BATCH_MAX {
            break;
        }
    }
    Ok(names)
}
