//! One token: its text, its digest, and what it grants.
//!
//! What it is not: a password. The secret is 32 random bytes, so one round of
//! SHA-256 is enough to keep it: there is nothing to guess.
//!
//! Invariants: [`Token`] holds the digest only; the text has a fixed form, so
//! that scanners for leaked secrets can find it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::hex::hex;

/// What every token's text begins with.
pub const PREFIX: &str = "mantlet_";
/// Characters of a token's public id.
pub const ID_CHARS: usize = 8;
/// Random bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Most tools that one token can be held to.
pub const TOOLS_MAX: usize = 64;

/// What a token may do; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at tools, health, metrics, events and results.
    Read,
    /// Run tools.
    Execute,
    /// Switch tools, reload, see the configuration.
    Admin,
}

impl Role {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Execute => "execute",
            Self::Admin => "admin",
        }
    }
}

/// What a token grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What it may do.
    pub role: Role,
    /// The tools that it may run, by name; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
}

impl Grant {
    /// Whether it may do what needs this role.
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }

    /// Whether it may run this tool.
    pub fn may_run(&self, tool: &str) -> bool {
        self.may(Role::Execute)
            && (self.tools.is_empty() || self.tools.iter().any(|name| name == tool))
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Names it in lists and logs; part of the text, and no secret.
    pub id: String,
    /// What it is for, as whoever made it said.
    pub name: String,
    /// What it grants.
    pub grant: Grant,
    /// When it was made.
    pub created: Timestamp,
    /// When its time is over, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// SHA-256 of the secret, in hexadecimal digits.
    pub sha256: String,
}

/// Why a token can't be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is empty, too long, or has control characters.
    #[error("a token's name has 1 to {NAME_CHARS_MAX} printable characters")]
    Name,
    /// Too many tools.
    #[error("a token can be held to at most {TOOLS_MAX} tools")]
    Tools,
    /// The kernel gives no random bytes.
    #[error("no random bytes")]
    Random(#[source] std::io::Error),
}

impl Token {
    /// A new token and its text, which is kept nowhere else.
    ///
    /// # Errors
    ///
    /// Where the name or the tools are out of bounds, or the kernel gives no random bytes.
    pub fn new(
        name: &str,
        grant: Grant,
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<(Self, String), TokenError> {
        let length = name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&length) || name.chars().any(char::is_control) {
            return Err(TokenError::Name);
        }
        if grant.tools.len() > TOOLS_MAX {
            return Err(TokenError::Tools);
        }
        let mut random = [0_u8; ID_CHARS / 2 + SECRET_BYTES];
        getrandom::fill(&mut random).map_err(|error| TokenError::Random(error.into()))?;
        let digits = hex(&random);
        let (id, secret) = digits.split_at_checked(ID_CHARS).unwrap_or(("", ""));
        let token = Self {
            id: id.to_owned(),
            name: name.to_owned(),
            grant,
            created,
            expires,
            sha256: digest(secret),
        };
        let text = format!("{PREFIX}{id}_{secret}");
        Ok((token, text))
    }

    /// Whether this is its secret.
    pub fn is_of(&self, secret: &str) -> bool {
        let shown = digest(secret);
        shown.as_bytes().ct_eq(self.sha256.as_bytes()).into()
    }
}

/// Id and secret of a token's text.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let all_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = id.len() == ID_CHARS && secret.len() == SECRET_BYTES.saturating_mul(2);
    (fits && all_hex(id) && all_hex(secret)).then_some((id, secret))
}

fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: Role, tools: &[&str]) -> Grant {
        let tools = tools.iter().map(ToString::to_string).collect();
        Grant { role, tools }
    }

    #[test]
    fn a_token_is_known_by_its_text_and_holds_only_a_digest() {
        let made = Timestamp::UNIX_EPOCH;
        let (token, text) = Token::new("ci", grant(Role::Read, &[]), made, None).unwrap();
        let (id, secret) = split(&text).unwrap();
        assert_eq!(id, token.id);
        assert!(token.is_of(secret));
        assert!(!format!("{token:?}").contains(secret));
        let (_, other) = Token::new("ci", grant(Role::Read, &[]), made, None).unwrap();
        let (_, other) = split(&other).unwrap();
        assert!(!token.is_of(other), "each has a secret of its own");
    }

    #[test]
    fn texts_of_another_form_are_no_tokens() {
        let good = format!("{PREFIX}{}_{}", "a".repeat(8), "b".repeat(64));
        assert!(split(&good).is_some());
        let cases = [
            ("", "nothing"),
            ("mantlet_", "the prefix alone"),
            (&good[1..], "cut at the front"),
            (&good[..good.len() - 1], "cut at the end"),
            (&format!("{good}0"), "too long"),
            (&good.replace('b', "x"), "no hexadecimal digits"),
            (&good.replace("_b", "-b"), "another separator"),
            (&format!(" {good}"), "a space"),
        ];
        for (text, why) in cases {
            assert!(split(text).is_none(), "{why}: {text}");
        }
    }

    #[test]
    fn grants_are_no_wider_than_role_and_tools() {
        let cases = [
            // role, tools, tool, may run, why
            (Role::Read, &[][..], "nmap", false, "reading is not running"),
            (Role::Execute, &[], "nmap", true, "any tool"),
            (Role::Execute, &["ping"], "nmap", false, "another tool"),
            (Role::Execute, &["ping"], "ping", true, "its tool"),
            (
                Role::Admin,
                &["ping"],
                "nmap",
                false,
                "held to a tool all the same",
            ),
            (Role::Read, &["ping"], "ping", false, "a tool gives no role"),
        ];
        for (role, tools, tool, expected, why) in cases {
            assert_eq!(grant(role, tools).may_run(tool), expected, "{why}");
        }
        assert!(grant(Role::Admin, &[]).may(Role::Read));
        assert!(!grant(Role::Execute, &[]).may(Role::Admin));
    }

    #[test]
    fn names_are_bounded_and_printable() {
        for name in ["", &"x".repeat(65), "a\nb", "\u{1b}[31m"] {
            let made = Token::new(name, grant(Role::Read, &[]), Timestamp::UNIX_EPOCH, None);
            assert!(matches!(made, Err(TokenError::Name)), "{name:?}");
        }
    }
}
