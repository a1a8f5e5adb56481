//! The tokens as the service uses them: read again as soon as their file changed.
//!
//! What it is not: a cache with an age. Each check looks at the file, which
//! costs one system call, so a token that was revoked is refused at once.
//!
//! Invariants: while the file can't be read or understood, nobody is let in.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;

use super::{Denied, Principal, Token, TokenFile};

/// What tells one state of a file from another: its inode, its size, and when
/// contents and inode were changed, in nanoseconds. `None` where there is none.
type Stamp = Option<[i128; 4]>;

/// The tokens of a file that may change.
#[derive(Debug)]
pub struct LiveTokens {
    file: TokenFile,
    read: Mutex<Option<(Stamp, Tokens)>>,
}

/// `None` where the file can't be used.
type Tokens = Option<Arc<[Token]>>;

impl LiveTokens {
    /// The tokens of this file.
    pub fn of(file: TokenFile) -> Self {
        let read = Mutex::new(None);
        Self { file, read }
    }

    /// Checks a token.
    ///
    /// # Errors
    ///
    /// Why it is not let in.
    pub fn check(&self, shown: &str) -> Result<Principal, Denied> {
        let tokens = self.tokens().ok_or(Denied::Unavailable)?;
        super::check(&tokens, shown, SystemTime::now())
    }

    /// Whether a token that was shown before is still good: neither taken back
    /// nor run out, in a file that can be used.
    pub fn stands(&self, id: &str) -> bool {
        let now = Timestamp::now();
        self.tokens().is_some_and(|tokens| {
            let token = tokens.iter().find(|token| token.id == id);
            token.is_some_and(|token| token.expires.is_none_or(|expires| expires > now))
        })
    }

    fn tokens(&self) -> Tokens {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the file is read: a change in between is seen by the next check.
        let stamp = stamp(&self.file);
        if let (Some((known, tokens)), Ok(stamp)) = (&*read, &stamp)
            && known == stamp
        {
            return tokens.clone();
        }
        let tokens = match self.file.read() {
            Ok(tokens) => Some(Arc::from(tokens)),
            Err(error) => {
                tracing::error!(%error, "the tokens can't be used; nobody is let in");
                None
            }
        };
        *read = stamp.ok().map(|stamp| (stamp, tokens.clone()));
        tokens
    }
}

fn stamp(file: &TokenFile) -> io::Result<Stamp> {
    let facts = match fs::metadata(file.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        facts => facts?,
    };
    let nanoseconds = |seconds: i64, rest: i64| {
        i128::from(seconds)
            .saturating_mul(1_000_000_000)
            .saturating_add(i128::from(rest))
    };
    Ok(Some([
        i128::from(facts.ino()),
        i128::from(facts.size()),
        nanoseconds(facts.mtime(), facts.mtime_nsec()),
        nanoseconds(facts.ctime(), facts.ctime_nsec()),
    ]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::{Grant, Role};
    use super::*;

    fn grant() -> Grant {
        let (role, tools) = (Role::Execute, Vec::new());
        Grant { role, tools }
    }

    #[test]
    fn a_change_of_the_file_counts_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.toml"));
        let live = LiveTokens::of(file.clone());
        assert_eq!(live.check("nonsense"), Err(Denied::Unknown), "no file yet");
        let (token, text) = file.create("ci", grant(), None).unwrap();
        assert_eq!(live.check(&text).unwrap().id, token.id);
        let (other, _) = file.create("other", grant(), None).unwrap();
        file.revoke(&token.id).unwrap();
        assert_eq!(live.check(&text), Err(Denied::Unknown), "revoked");
        assert!(!live.stands(&token.id), "revoked");
        assert!(live.stands(&other.id));
        file.revoke(&other.id).unwrap();

        let (_, text) = file.create("ci", grant(), None).unwrap();
        assert!(live.check(&text).is_ok());
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(live.check(&text), Err(Denied::Unavailable), "exposed");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(live.check(&text).is_ok(), "and mended");
        fs::remove_file(file.path()).unwrap();
        assert_eq!(live.check(&text), Err(Denied::Unknown), "removed");
    }
}
