//! Giving up root and capabilities before anything is served.
//!
//! What it is: the broker started as root becomes an ordinary account; started
//! with capabilities, it drops them; in either case it can gain none again.
//! What it is not: the tools' sandbox; that is the executor's.
//!
//! Invariants: after [`give_up_privileges`] the process is not uid 0, holds no
//! capability in any set, and runs under `no_new_privs`; otherwise it is an error.

use caps::CapSet;
use nix::unistd::{Uid, User, geteuid, setgroups, setresgid, setresuid};

/// Accounts that root is given up for, the first that exists.
const ACCOUNTS: [&str; 2] = ["mantlet", "nobody"];

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Started as root, and there is nobody else to be.
    #[error(
        "started as root, and neither account mantlet nor nobody exists; start it as an ordinary user"
    )]
    NoAccount,
    /// A call failed.
    #[error("can't give up privileges: {step}")]
    Step {
        /// Which.
        step: &'static str,
        /// Why.
        #[source]
        source: nix::Error,
    },
    /// A capability set could not be emptied.
    #[error("can't drop capabilities")]
    Capabilities(#[source] caps::errors::CapsError),
    /// The kernel let the process become root again.
    #[error("root could be regained after it was given up")]
    NotPermanent,
}

/// Gives up root and all capabilities for good. Returns the account's name if
/// the process was root.
///
/// # Errors
///
/// Whatever could not be given up; the caller must then stop.
pub fn give_up_privileges() -> Result<Option<&'static str>, IdentityError> {
    let account = if geteuid().is_root() {
        Some(become_account()?)
    } else {
        None
    };
    for set in [
        CapSet::Ambient,
        CapSet::Effective,
        CapSet::Inheritable,
        CapSet::Permitted,
    ] {
        caps::clear(None, set).map_err(IdentityError::Capabilities)?;
    }
    nix::sys::prctl::set_no_new_privs().map_err(fail("no_new_privs"))?;
    Ok(account)
}

/// The account that root is given up for.
///
/// # Errors
///
/// Where there is none.
pub fn account() -> Result<(&'static str, User), IdentityError> {
    let known = ACCOUNTS.iter().find_map(|name| {
        let user = User::from_name(name).ok().flatten()?;
        (!user.uid.is_root()).then_some((*name, user))
    });
    known.ok_or(IdentityError::NoAccount)
}

fn become_account() -> Result<&'static str, IdentityError> {
    let (name, user) = account()?;
    // Groups first: without root they could no longer be changed.
    setgroups(&[user.gid]).map_err(fail("setgroups"))?;
    setresgid(user.gid, user.gid, user.gid).map_err(fail("setresgid"))?;
    setresuid(user.uid, user.uid, user.uid).map_err(fail("setresuid"))?;
    let root = Uid::from_raw(0);
    if setresuid(root, root, root).is_ok() || geteuid().is_root() {
        return Err(IdentityError::NotPermanent);
    }
    Ok(name)
}

fn fail(step: &'static str) -> impl Fn(nix::Error) -> IdentityError {
    move |source| IdentityError::Step { step, source }
}

/// Names of the capabilities that this process holds in any set that counts.
///
/// # Errors
///
/// Where the kernel doesn't say.
pub fn capabilities_held() -> Result<Vec<String>, String> {
    let mut held = std::collections::BTreeSet::new();
    for set in [
        CapSet::Ambient,
        CapSet::Effective,
        CapSet::Inheritable,
        CapSet::Permitted,
    ] {
        let names =
            caps::read(None, set).map_err(|error| format!("capabilities unknown: {error}"))?;
        held.extend(names.iter().map(ToString::to_string));
    }
    Ok(held.into_iter().collect())
}
