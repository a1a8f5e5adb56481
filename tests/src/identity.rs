//! As whom a program runs.
//!
//! What it is not: a privilege of the test. It words a command line for
//! `setpriv`, which does the change.
//!
//! Invariants: an [`Identity`] other than root holds no capability but those it
//! names, in any set; the program dies with the thread that started it.

use std::ffi::OsString;

/// An account that every Debian machine has, with the uid it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Name in the password database.
    pub name: &'static str,
    /// User id, and group id of the group that goes with it.
    pub uid: u32,
}

/// The account that the broker gives up root for where `mantlet` doesn't exist.
pub const NOBODY: Account = Account {
    name: "nobody",
    uid: 65534,
};

/// Accounts to lend to executors. Several, because process limits count per
/// uid and tests run side by side.
const LENT: [Account; 6] = [
    Account {
        name: "daemon",
        uid: 1,
    },
    Account {
        name: "bin",
        uid: 2,
    },
    Account {
        name: "sys",
        uid: 3,
    },
    Account { name: "lp", uid: 7 },
    Account {
        name: "mail",
        uid: 8,
    },
    Account {
        name: "news",
        uid: 9,
    },
];

/// An account that no other test uses at this moment, as far as the test runner
/// numbers its slots.
#[must_use]
pub fn lent() -> Account {
    let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok();
    let slot = slot
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or_default();
    let index = slot.checked_rem(LENT.len()).unwrap_or_default();
    LENT.get(index).copied().unwrap_or(NOBODY)
}

/// As whom, and with which capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// As the test itself: root.
    Root,
    /// An account without any capability.
    Plain(Account),
    /// An account that holds `CAP_NET_RAW` in its ambient set, and nothing else.
    NetRaw(Account),
}

impl Identity {
    /// The words to put before a command line.
    pub(crate) fn prefix(self) -> Vec<OsString> {
        let mut words = vec!["setpriv".to_owned(), "--pdeathsig=KILL".to_owned()];
        let account = match self {
            Self::Root => None,
            Self::Plain(account) => Some((account, "-all")),
            Self::NetRaw(account) => Some((account, "-all,+net_raw")),
        };
        if let Some((account, set)) = account {
            words.push(format!("--reuid={}", account.uid));
            words.push(format!("--regid={}", account.uid));
            words.push("--clear-groups".to_owned());
            for kind in ["inh-caps", "ambient-caps", "bounding-set"] {
                words.push(format!("--{kind}={set}"));
            }
        }
        words.push("--".to_owned());
        words.into_iter().map(OsString::from).collect()
    }
}
