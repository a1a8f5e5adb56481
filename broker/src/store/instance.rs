//! Which brokers that share a store are alive.
//!
//! What it is: a locked file per broker; the kernel unlocks it however its
//! process ends.
//! What it is not: a lock on the store; the database has its own.
//!
//! Invariants: a file under its final name is locked by its broker for life, so
//! one that can be locked, or is not there, is a dead broker's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::private_dir;

/// Longest wait for another broker that is just opening the store.
const OPENING_WAIT: Duration = Duration::from_secs(15);

/// This broker's sign of life.
#[derive(Debug)]
pub(super) struct Instance {
    id: String,
    path: PathBuf,
    lock: Mutex<Option<File>>,
}

impl Instance {
    /// Makes the file below `dir` and locks it.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    pub(super) fn claim(dir: &Path) -> io::Result<Self> {
        let id = uuid::Uuid::now_v7().to_string();
        let path = file_of(dir, &id);
        // Locked before it has the name that others look for.
        let new = path.with_extension("new");
        let lock = private_dir::create(&new)?;
        lock.try_lock()?;
        fs::rename(&new, &path)?;
        let lock = Mutex::new(Some(lock));
        Ok(Self { id, path, lock })
    }

    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Ends it: from now on its runs are those of a dead broker.
    pub(super) fn release(&self) {
        let lock = self
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if lock.is_some()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, file = %self.path.display(), "not removed");
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.release();
    }
}

/// Whether the broker of this name lives. A dead one's file is removed.
pub(super) fn is_alive(dir: &Path, id: &str) -> bool {
    let path = file_of(dir, id);
    match File::open(&path) {
        // Who can't be looked at is not called dead.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(file) => match file.try_lock() {
            Ok(()) => {
                drop(fs::remove_file(&path));
                false
            }
            Err(_) => true,
        },
    }
}

/// Removes what killed brokers left of themselves, those that left no run under
/// way as well. Only while [`opening`] is held: no broker is being made then.
pub(super) fn remove_dead(dir: &Path, own: &str) {
    // What can't be read now is looked at again by the next broker.
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let Some((id, kind)) = name
            .strip_prefix("broker-")
            .and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        match kind {
            "lock" if id != own => drop(is_alive(dir, id)),
            "new" => drop(fs::remove_file(entry.path())),
            _ => {}
        }
    }
}

/// The right to open, make or change the store, held while the file is.
///
/// # Errors
///
/// Where another broker has it for too long, or the file can't be made.
pub(super) fn opening(dir: &Path) -> io::Result<File> {
    let path = dir.join("opening.lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600).open(path)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => return Err(error),
            Err(fs::TryLockError::WouldBlock) if began.elapsed() > OPENING_WAIT => {
                let why = "another mantlet has been opening the store for too long";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
            }
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn file_of(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("broker-{id}.lock"))
}
