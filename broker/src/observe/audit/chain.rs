//! What makes a line of the audit log a link of a chain.
//!
//! What it is: the hash of a record, keyed or not, where it stands in the line,
//! and what has to fit between two lines.
//! What it is not: reading or writing of files, but for the key's own.
//!
//! Invariants: the hash covers every byte of the line but its own field and the
//! newline; a key is never printed.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::AuditError;
use crate::hex::hex;

/// Longest line, newline excluded, in bytes.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// The `previous` of the first record.
pub const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Shortest key, in bytes.
const KEY_BYTES_MIN: usize = 32;
/// Longest key file, in bytes.
const KEY_BYTES_MAX: usize = 4096;
/// What stands before a line's hash.
const HASH_BEGIN: &str = ",\"hash\":\"";
/// What stands behind it.
const HASH_END: &str = "\"}";

/// A secret that makes the hashes unforgeable for those who don't have it.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The key of a file: all its bytes, 32 to 4096 of them.
    ///
    /// # Errors
    ///
    /// Where it can't be read, others may read it, or it is too short or too long.
    pub fn read(path: &Path) -> Result<Self, AuditError> {
        let file = File::open(path).map_err(|error| AuditError::open(path, error))?;
        let facts = file
            .metadata()
            .map_err(|error| AuditError::open(path, error))?;
        if !facts.is_file() {
            return Err(AuditError::unfit(path, "the key is not a regular file"));
        }
        if facts.mode() & 0o077 != 0 {
            let why = "the key is open to group or others; chmod 600 it";
            return Err(AuditError::unfit(path, why));
        }
        let mut bytes = Vec::new();
        let bound = u64::try_from(KEY_BYTES_MAX).unwrap_or(u64::MAX);
        file.take(bound.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| AuditError::open(path, error))?;
        Self::new(bytes).ok_or_else(|| {
            let why = "the key must have 32 to 4096 bytes, such as `openssl rand 32` makes";
            AuditError::unfit(path, why)
        })
    }

    /// A key of these bytes, if it is long enough and not too long.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (KEY_BYTES_MIN..=KEY_BYTES_MAX)
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }
}

/// Where a chain stands: its last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash, in hex.
    pub hash: String,
}

impl Head {
    /// Before the first record.
    pub fn none() -> Self {
        Self {
            seq: 0,
            hash: NO_HASH.to_owned(),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// What the chain needs of a record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// Its number, from 1.
    pub seq: u64,
    /// When it was written.
    pub time: String,
    /// What it is about.
    pub kind: String,
    /// The hash of the record before.
    pub previous: String,
    /// Its own hash.
    pub hash: String,
}

/// The digest of a policy made of these parts, in hex.
pub fn policy_digest(scope: &[u8; 32], profiles: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"mantlet policy 1\n");
    hash.update(scope);
    hash.update(profiles);
    hex(&hash.finalize())
}

/// The line, without newline, of a record given as a JSON object without its
/// hash, and that hash.
pub fn seal(mut body: String, key: Option<&Key>) -> (String, String) {
    let hash = digest(body.as_bytes(), key);
    // The hash goes before the closing brace.
    body.pop();
    (format!("{body}{HASH_BEGIN}{hash}{HASH_END}"), hash)
}

/// Reads a line and checks its own hash.
///
/// # Errors
///
/// What is wrong with it, and the record if it could be read nevertheless.
pub fn examine(bytes: &[u8], key: Option<&Key>) -> Result<Link, (String, Option<Link>)> {
    let link: Link = serde_json::from_slice(bytes)
        .map_err(|error| (format!("no record of an audit log: {error}"), None))?;
    // What the parser took for the hash must be what stands at the end.
    let end = format!("{HASH_BEGIN}{}{HASH_END}", link.hash);
    let Some(body) = bytes.strip_suffix(end.as_bytes()) else {
        let what = "the hash does not stand at the end of the line";
        return Err((what.to_owned(), Some(link)));
    };
    let body = [body, b"}"].concat();
    if digest(&body, key) == link.hash {
        return Ok(link);
    }
    let what = match key {
        Some(_) if digest(&body, None) == link.hash => {
            "the record was written without a key, so anybody could have written it"
        }
        Some(_) => "the hash does not fit: the record was edited, or the key is another",
        None => "the hash does not fit: the record was edited, or the log has a key (--key)",
    };
    Err((what.to_owned(), Some(link)))
}

/// What does not fit between a record and the one before.
pub fn misfit(before: &Head, link: &Link) -> Option<String> {
    let expected = before.seq.saturating_add(1);
    let seq = link.seq;
    if seq > expected {
        let missing = seq.saturating_sub(expected);
        return Some(format!(
            "{missing} records are missing before it: {expected} was expected"
        ));
    }
    if seq < expected {
        return Some(format!("out of order or repeated: {expected} was expected"));
    }
    (link.previous != before.hash)
        .then(|| "it does not follow the record before: that one was replaced".to_owned())
}

fn digest(body: &[u8], key: Option<&Key>) -> String {
    let keyed = key.and_then(|key| Hmac::<Sha256>::new_from_slice(&key.0).ok());
    match keyed {
        Some(mut keyed) => {
            keyed.update(body);
            hex(&keyed.finalize().into_bytes())
        }
        None => hex(&Sha256::digest(body)),
    }
}
