//! The file of tokens: read by the service, changed by `mantlet token`.
//!
//! What it is not: a secret. Who reads it learns names and digests; still it is
//! kept to its owner, since who may write it may let anybody in.
//!
//! Invariants: changed as a whole, by a new file that takes the old one's
//! place, under a lock, so that a reader sees the one or the other and two
//! writers lose nothing; a file that others own, or may write, is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::first_token;
use super::token::{Grant, Token, TokenError};
use crate::identity;

/// Most tokens of one file.
pub const TOKENS_MAX: usize = 1000;
/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Only the owner may read and write.
const MODE: u32 = 0o600;
/// Write permission of anybody but the owner.
const OTHERS_WRITE: u32 = 0o022;

/// Why the tokens can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// A step on the file failed.
    #[error("{}: can't be {step}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could let themselves in.
    #[error("{}: others may write it; `chmod 600` it", .0.display())]
    Exposed(PathBuf),
    /// Somebody else could let themselves in.
    #[error(
        "{}: owned by uid {owner}, who may change it; `chown` it to root or to the service's account",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It is no list of tokens.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// There is no room for another one.
    #[error("there are {TOKENS_MAX} tokens already; revoke some first")]
    Full,
    /// No token has that id.
    #[error("there is no token {0}; `mantlet token list` lists them")]
    NoSuch(String),
    /// The new one can't be made.
    #[error(transparent)]
    Token(#[from] TokenError),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    #[serde(default)]
    token: Vec<Token>,
}

/// The file at a path; it need not be there yet.
#[derive(Debug, Clone)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The file at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All tokens; none where there is no file.
    ///
    /// # Errors
    ///
    /// Where it can't be read or understood, or others may write it or own it.
    pub fn read(&self) -> Result<Vec<Token>, TokenFileError> {
        let mut options = OpenOptions::new();
        let opened = options
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_CLOEXEC.bits())
            .open(&self.0);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => self.step("opened", opened)?,
        };
        let facts = self.step("looked at", file.metadata())?;
        if facts.mode() & OTHERS_WRITE != 0 {
            return Err(TokenFileError::Exposed(self.0.clone()));
        }
        let (path, owner) = (self.0.clone(), facts.uid());
        if !may_own(owner) {
            return Err(TokenFileError::Foreign { path, owner });
        }
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        self.step("read", read)?;
        let contents: Contents = toml::from_str(&text).map_err(|error| {
            let path = self.0.clone();
            let what = error.message().to_owned();
            TokenFileError::Malformed { path, what }
        })?;
        Ok(contents.token)
    }

    /// Makes a token; gives its text, which is kept nowhere.
    ///
    /// # Errors
    ///
    /// Where it can't be made or kept.
    pub fn create(
        &self,
        name: &str,
        grant: Grant,
        expires: Option<Timestamp>,
    ) -> Result<(Token, String), TokenFileError> {
        self.change(|tokens| {
            if tokens.len() >= TOKENS_MAX {
                return Err(TokenFileError::Full);
            }
            let (token, text) = Token::new(name, grant, Timestamp::now(), expires)?;
            tokens.push(token.clone());
            Ok((token, text))
        })
    }

    /// Adds the token that `make` gives where there is none at all; says whether it did.
    ///
    /// # Errors
    ///
    /// Where it can't be made or kept.
    pub fn add_first(
        &self,
        make: impl FnOnce() -> Result<Token, TokenFileError>,
    ) -> Result<bool, TokenFileError> {
        self.change(|tokens| {
            if !tokens.is_empty() {
                return Ok(false);
            }
            tokens.push(make()?);
            Ok(true)
        })
    }

    /// Whether a client could be let in by one of the tokens now that somebody
    /// made on purpose: the one of the first start is none of those.
    ///
    /// # Errors
    ///
    /// As [`TokenFile::read`].
    pub fn usable(&self) -> Result<bool, TokenFileError> {
        let (tokens, now) = (self.read()?, Timestamp::now());
        let lasts = |token: &Token| token.expires.is_none_or(|expires| expires > now);
        let on_purpose = |token: &Token| token.name != first_token::NAME;
        Ok(tokens.iter().any(|token| lasts(token) && on_purpose(token)))
    }

    /// Takes a token back, by its id; gives what it was.
    ///
    /// # Errors
    ///
    /// Where no token has that id, or the file can't be changed.
    pub fn revoke(&self, id: &str) -> Result<Token, TokenFileError> {
        self.change(|tokens| {
            let at = tokens.iter().position(|token| token.id == id);
            let at = at.ok_or_else(|| TokenFileError::NoSuch(id.to_owned()))?;
            Ok(tokens.remove(at))
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenFileError>,
    ) -> Result<T, TokenFileError> {
        let _lock = self.lock()?;
        let mut contents = Contents {
            token: self.read()?,
        };
        let done = change(&mut contents.token)?;
        let text = toml::to_string(&contents).map_err(|error| {
            let path = self.0.clone();
            let what = error.to_string();
            TokenFileError::Malformed { path, what }
        })?;
        self.replace(&text)?;
        Ok(done)
    }

    /// Held until the file returned is closed. A file of its own, since the
    /// tokens' own is replaced.
    fn lock(&self) -> Result<File, TokenFileError> {
        let mut path = self.0.clone().into_os_string();
        path.push(".lock");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(path);
        let file = self.step("locked", opened)?;
        self.step("locked", file.lock())?;
        Ok(file)
    }

    fn replace(&self, text: &str) -> Result<(), TokenFileError> {
        let mut next = self.0.clone().into_os_string();
        next.push(".new");
        let next = PathBuf::from(next);
        let written = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(MODE);
            options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
            let mut file = options.open(&next)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&next, &self.0)?;
            let dir = self.0.parent().filter(|dir| !dir.as_os_str().is_empty());
            File::open(dir.unwrap_or_else(|| Path::new(".")))?.sync_all()
        };
        self.step("written", written())
    }

    fn step<T>(&self, step: &'static str, done: io::Result<T>) -> Result<T, TokenFileError> {
        done.map_err(|source| TokenFileError::Io {
            path: self.0.clone(),
            step,
            source,
        })
    }
}

/// Root, this process's user, and before root is given up the account that will be
/// its user.
fn may_own(owner: u32) -> bool {
    let own = nix::unistd::geteuid();
    let will_be_ours = || identity::account().is_ok_and(|(_, user)| user.uid.as_raw() == owner);
    owner == 0 || owner == own.as_raw() || (own.is_root() && will_be_ours())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::super::token::Role;
    use super::*;

    fn any() -> Grant {
        let tools = Vec::new();
        let role = Role::Read;
        Grant { role, tools }
    }

    #[test]
    fn what_is_created_is_listed_until_it_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.toml"));
        assert!(file.read().unwrap().is_empty(), "no file yet");
        let (token, text) = file.create("grafana", any(), None).unwrap();
        assert_eq!(file.read().unwrap(), vec![token.clone()]);
        let kept = fs::read_to_string(file.path()).unwrap();
        let secret = text.rsplit('_').next().unwrap();
        assert!(!kept.contains(secret), "the secret is not kept");
        let mode = fs::metadata(file.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        file.revoke(&token.id).unwrap();
        assert!(file.read().unwrap().is_empty());
        let again = file.revoke(&token.id);
        assert!(matches!(again, Err(TokenFileError::NoSuch(_))));
    }

    #[test]
    fn two_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.toml"));
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                thread::spawn(move || {
                    for _ in 0..5 {
                        file.create("one of many", any(), None).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(file.read().unwrap().len(), 40);
    }

    #[test]
    fn a_file_that_others_may_write_or_that_is_no_list_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.toml"));
        file.create("ci", any(), None).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(file.read(), Err(TokenFileError::Exposed(_))));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["[[token]]\nid = 1\n", "nonsense", "[[tokens]]\n"] {
            fs::write(file.path(), text).unwrap();
            let read = file.read();
            assert!(
                matches!(read, Err(TokenFileError::Malformed { .. })),
                "{text}"
            );
        }
    }
}
