//! The audit log's file: opened alone, continued, appended to.
//!
//! What it is not: a check of the whole file; that is [`super::verify`]. Opening
//! looks at the end only.
//!
//! Invariants: the file is locked as long as it is open; after a write that
//! failed it is as long as before or nothing more is written; what was in it is
//! never changed, but for a last line that a crash cut short.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::OFlag;
use serde::Serialize;

use super::chain::{self, Head, Key, LINE_BYTES_MAX};
use super::{AuditError, Entry, Kind};

/// Most bytes of a cut line that its record repeats.
const CUT_SHOWN_MAX: usize = 4096;

/// A record as it is written, without its hash.
#[derive(Serialize)]
struct Record<'a> {
    seq: u64,
    time: Timestamp,
    #[serde(flatten)]
    entry: &'a Entry,
    policy: &'a str,
    previous: &'a str,
}

/// The open file.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    key: Option<Key>,
    policy: String,
    head: Head,
    /// The file's length up to the last whole record.
    length: u64,
    /// Whether something may stand behind that.
    dirty: bool,
    /// Records that could not be written since the last that could.
    lost: u64,
}

impl Writer {
    /// Opens the file, or makes it with mode 0600, and continues its chain.
    ///
    /// # Errors
    ///
    /// Where it can't be opened, is in use, or doesn't end as a log of this key.
    pub fn open(path: &Path, key: Option<Key>, policy: String) -> Result<Self, AuditError> {
        let failed = |error: io::Error| AuditError::open(path, error);
        // Without O_NONBLOCK a pipe under that name would hold the start up.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(failed)?;
        let facts = file.metadata().map_err(failed)?;
        if !facts.is_file() {
            return Err(AuditError::unfit(path, "not a regular file"));
        }
        if facts.mode() & 0o022 != 0 {
            let why = "group or others may write to it; chmod 600 it";
            return Err(AuditError::unfit(path, why));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let path = path.to_owned();
                return Err(AuditError::InUse { path });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        sync_parent(path).map_err(failed)?;
        let mut writer = Self {
            file,
            path: path.to_owned(),
            key,
            policy,
            head: Head::none(),
            length: 0,
            dirty: false,
            lost: 0,
        };
        writer.continue_chain()?;
        Ok(writer)
    }

    /// Appends a record and has it on disk.
    ///
    /// # Errors
    ///
    /// Where that failed; the file has been or will be cut back to what it was.
    pub fn append(&mut self, entry: &Entry) -> Result<(), AuditError> {
        let written = self.append_all(entry);
        // An intent or a change that isn't on disk leads to nothing that could be missing.
        if written.is_err() && !matches!(entry.kind, Kind::Intent | Kind::Changed) {
            self.lost = self.lost.saturating_add(1);
        }
        written
    }

    /// The digest for records that don't have their own.
    pub fn set_policy(&mut self, policy: String) {
        self.policy = policy;
    }

    /// Puts another file in the place of this one.
    #[cfg(test)]
    pub(super) fn swap(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Whether a record could be added: the file is as it was left, and the last
    /// record that was to be written could be.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub fn check(&mut self) -> Result<(), AuditError> {
        self.is_as_left()?;
        if self.lost > 0 {
            let lost = self.lost;
            let why = format!("the last {lost} records could not be written; is the disk full?");
            return Err(AuditError::unfit(&self.path, why));
        }
        Ok(())
    }

    fn is_as_left(&mut self) -> Result<(), AuditError> {
        self.cut_back()?;
        let facts = self.file.metadata().map_err(|error| self.failed(error))?;
        if facts.len() != self.length {
            let why = "something else has changed it; nothing is added until mantlet is restarted";
            return Err(AuditError::unfit(&self.path, why));
        }
        Ok(())
    }

    fn append_all(&mut self, entry: &Entry) -> Result<(), AuditError> {
        self.is_as_left()?;
        if self.lost > 0 {
            let lost = Some(self.lost);
            self.write(&Entry {
                lost,
                ..Entry::of(Kind::Lost)
            })?;
            self.lost = 0;
        }
        self.write(entry)
    }

    fn write(&mut self, entry: &Entry) -> Result<(), AuditError> {
        let record = Record {
            seq: self.head.seq.saturating_add(1),
            time: Timestamp::now(),
            entry,
            policy: entry.policy.as_deref().unwrap_or(&self.policy),
            previous: &self.head.hash,
        };
        let seq = record.seq;
        let body = serde_json::to_string(&record).map_err(|error| self.failed(error.into()))?;
        let (mut line, hash) = chain::seal(body, self.key.as_ref());
        if line.len() > LINE_BYTES_MAX {
            return Err(AuditError::unfit(&self.path, "the record is too long"));
        }
        line.push('\n');
        self.dirty = true;
        let written = self.file.write_all(line.as_bytes());
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // If this fails too, the next record tries it again.
            drop(self.cut_back());
            return Err(self.failed(error));
        }
        self.dirty = false;
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(bytes);
        self.head = Head { seq, hash };
        Ok(())
    }

    /// Takes out what a failed write left.
    fn cut_back(&mut self) -> Result<(), AuditError> {
        if self.dirty {
            let cut = self.file.set_len(self.length);
            cut.map_err(|error| self.failed(error))?;
            self.dirty = false;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> AuditError {
        let path = self.path.clone();
        AuditError::Write { path, source }
    }

    /// Finds the last record; takes out what a crash left behind it.
    fn continue_chain(&mut self) -> Result<(), AuditError> {
        let path = self.path.clone();
        let failed = |error| AuditError::open(&path, error);
        let total = self.file.metadata().map_err(failed)?.len();
        // The last whole line, and behind it at most one that was cut.
        let room = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let from = total.saturating_sub(room.saturating_mul(2).saturating_add(2));
        self.file.seek(SeekFrom::Start(from)).map_err(failed)?;
        let mut end = Vec::new();
        (&self.file)
            .take(total.saturating_sub(from))
            .read_to_end(&mut end)
            .map_err(failed)?;
        let whole = end.iter().rposition(|byte| *byte == b'\n');
        let (lines, tail) = match whole {
            Some(at) => (
                end.get(..at),
                end.get(at.saturating_add(1)..).unwrap_or_default(),
            ),
            None => (None, end.as_slice()),
        };
        if let Some(lines) = lines {
            let last = lines.rsplit(|byte| *byte == b'\n').next();
            let link = chain::examine(last.unwrap_or_default(), self.key.as_ref());
            let link = link.map_err(|(what, _)| self.not_continued("last record", &what))?;
            self.head = Head {
                seq: link.seq,
                hash: link.hash,
            };
        }
        let cut = u64::try_from(tail.len()).unwrap_or(u64::MAX);
        self.length = total.saturating_sub(cut);
        if tail.is_empty() {
            return Ok(());
        }
        self.recover(tail)
    }

    /// Deals with a last line that has no newline.
    fn recover(&mut self, tail: &[u8]) -> Result<(), AuditError> {
        let mut entry = Entry::of(Kind::Recovered);
        if let Ok(link) = chain::examine(tail, self.key.as_ref()) {
            // Whole but for its newline: nothing is lost, and nothing taken out.
            if let Some(what) = chain::misfit(&self.head, &link) {
                return Err(self.not_continued("last line", &what));
            }
            let ended = self.file.write_all(b"\n");
            ended.map_err(|error| self.failed(error))?;
            let bytes = u64::try_from(tail.len()).unwrap_or(u64::MAX);
            self.length = self.length.saturating_add(bytes).saturating_add(1);
            self.head = Head {
                seq: link.seq,
                hash: link.hash,
            };
            entry.cut_bytes = Some(0);
            return self.append(&entry);
        }
        if serde_json::from_slice::<serde_json::Value>(tail).is_ok() {
            let what = "it is whole, but no record of this log";
            return Err(self.not_continued("last line", what));
        }
        if !self.was_begun(tail) {
            let what = "it has no newline, and is not the beginning of a record";
            return Err(self.not_continued("last line", what));
        }
        let shown = tail.get(..tail.len().min(CUT_SHOWN_MAX));
        let shown = String::from_utf8_lossy(shown.unwrap_or_default());
        entry.cut_text = Some(shown.into_owned());
        entry.cut_bytes = u64::try_from(tail.len()).ok();
        self.dirty = true;
        self.append(&entry)
    }

    /// Whether it is how the next record begins, or zeros where a crash kept
    /// the file's new length but not its data.
    fn was_begun(&self, tail: &[u8]) -> bool {
        let text = tail
            .iter()
            .rposition(|byte| *byte != 0)
            .and_then(|last| tail.get(..=last))
            .unwrap_or_default();
        let begin = format!("{{\"seq\":{},\"time\":\"", self.head.seq.saturating_add(1));
        let both = text.len().min(begin.len());
        tail.len() <= LINE_BYTES_MAX && text.get(..both) == begin.as_bytes().get(..both)
    }

    fn not_continued(&self, part: &str, what: &str) -> AuditError {
        let why = format!(
            "not continued, because of its {part}: {what}; see `mantlet audit verify`, keep the file, and name another in audit.file"
        );
        AuditError::unfit(&self.path, why)
    }
}

/// Has the name of a new file on disk.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = File::open(parent.unwrap_or(Path::new(".")));
    match dir {
        Ok(dir) => dir.sync_all(),
        // A directory that we may write to but not read: its own user's choice.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}
