//! Access: who may use the service, and for what (ACC1, ACC4).
//!
//! What it is: tokens with a role, tools and an expiry, kept as digests in one
//! file, and the verdict on a token that a client shows.
//! What it is not: HTTP; a transport takes the token out of its request.
//!
//! Invariants: a token's secret is shown once, by [`TokenFile::create`], and
//! kept nowhere; secrets are compared in constant time; a file that can't be
//! read or understood lets nobody in.

pub mod token;
pub mod token_file;
pub mod live;
pub mod first_token;

pub use live::LiveTokens;
pub use token::{Grant, Role, Token, TokenError};
pub use token_file::{TokenFile, TokenFileError};

use std::time::SystemTime;

use jiff::Timestamp;

/// Why a client is not let in. It is told no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token was shown.
    #[error("a token is needed")]
    Missing,
    /// No such token, a revoked one, or none of ours.
    #[error("the token is not valid")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// The token file can't be used.
    #[error("tokens can't be checked at the moment")]
    Unavailable,
}

/// Whoever showed a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's public id, for limits, logs and records.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// What it may do.
    pub grant: Grant,
}

/// Checks a token against those of the file.
///
/// # Errors
///
/// Why it is not let in.
pub fn check(tokens: &[Token], shown: &str, now: SystemTime) -> Result<Principal, Denied> {
    let (id, secret) = token::split(shown).ok_or(Denied::Unknown)?;
    let token = tokens.iter().find(|token| token.id == id);
    let token = token.ok_or(Denied::Unknown)?;
    if !token.is_of(secret) {
        return Err(Denied::Unknown);
    }
    let now = Timestamp::try_from(now).map_err(|_| Denied::Unavailable)?;
    if token.expires.is_some_and(|expires| expires <= now) {
        return Err(Denied::Expired);
    }
    Ok(Principal {
        id: token.id.clone(),
        name: token.name.clone(),
        grant: token.grant.clone(),
    })
}
