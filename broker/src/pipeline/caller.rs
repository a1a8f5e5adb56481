//! Who makes a call, as limits and records know them, and what they may do.
//!
//! What it is not: authentication. A surface makes a caller of what it has
//! established; on this machine that is the user whom the process belongs to.
//!
//! Invariants: the same person on the same surface is the same caller, whatever
//! they may do at the moment.

use std::fmt;
use std::hash::{Hash, Hasher};

use nix::unistd::Uid;

use crate::access::{Grant, Principal, Role};

/// Where a call comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Surface {
    /// MCP over standard input and output.
    Stdio,
    /// The command line.
    Terminal,
    /// A signal to this process.
    Signal,
    /// HTTP: REST, and MCP over it.
    Http,
}

impl Surface {
    /// Its name in logs and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Terminal => "terminal",
            Self::Signal => "signal",
            Self::Http => "http",
        }
    }
}

/// One caller. Displayed as `stdio:uid=1000` or `http:token=1f2e3d4c`.
#[derive(Debug, Clone)]
pub struct Caller {
    surface: Surface,
    name: String,
    grant: Grant,
}

impl Caller {
    /// The user whom this process belongs to, who may do everything.
    pub fn local(surface: Surface) -> Self {
        let grant = Grant {
            role: Role::Admin,
            tools: Vec::new(),
        };
        let name = format!("uid={}", Uid::current());
        Self {
            surface,
            name,
            grant,
        }
    }

    /// Whoever showed a valid token over HTTP.
    pub fn by_token(principal: &Principal) -> Self {
        Self {
            surface: Surface::Http,
            name: format!("token={}", principal.id),
            grant: principal.grant.clone(),
        }
    }

    /// Whoever showed a certificate that one of the configured authorities
    /// signed; `fingerprint` is the beginning of its SHA-256.
    pub fn by_certificate(fingerprint: &str, role: Role) -> Self {
        let grant = Grant {
            role,
            tools: Vec::new(),
        };
        Self {
            surface: Surface::Http,
            name: format!("cert={fingerprint}"),
            grant,
        }
    }

    /// The id of the token that they showed, if they showed one.
    pub fn token_id(&self) -> Option<&str> {
        self.name.strip_prefix("token=")
    }

    /// Where they call.
    pub fn surface(&self) -> Surface {
        self.surface
    }

    /// What they may do.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    fn identity(&self) -> (Surface, &str) {
        (self.surface, &self.name)
    }
}

// NOTE: by identity alone, or a token that is granted more would get a second
// rate limit.
impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Caller {}

impl Hash for Caller {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.surface.as_str(), self.name)
    }
}
