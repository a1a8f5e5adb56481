//! Who makes a call, as limits and records know them.
//!
//! What it is not: authentication. A surface makes a caller of what it has
//! established; on this machine that is the user whom the process belongs to.
//!
//! Invariants: the same person on the same surface is the same caller.

use std::fmt;

use nix::unistd::Uid;

/// Where a call comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Surface {
    /// MCP over standard input and output.
    Stdio,
    /// The command line.
    Terminal,
    /// A signal to this process.
    Signal,
}

impl Surface {
    /// Its name in logs and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Terminal => "terminal",
            Self::Signal => "signal",
        }
    }
}

/// One caller. Displayed as `stdio:uid=1000`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller {
    surface: Surface,
    name: String,
}

impl Caller {
    /// The user whom this process belongs to.
    pub fn local(surface: Surface) -> Self {
        let name = format!("uid={}", Uid::current());
        Self { surface, name }
    }

    /// Where they call.
    pub fn surface(&self) -> Surface {
        self.surface
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.surface.as_str(), self.name)
    }
}
