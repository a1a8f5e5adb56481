//! Giving up root, for good.
//!
//! What it is: for an executor that is started as uid 0, in a container or in
//! tests: it becomes the configured user before it serves anyone.
//! What it is not: an identity per run. Tools run under the executor's uid.
//!
//! Invariants: groups go first, then the group, then the user; afterwards the
//! kernel was asked who we are, and was asked in vain to make us root again.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid};

use super::caps::{self, CapabilitySet};

const PASSWD: &str = "/etc/passwd";

/// Why root was not given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The password database can't be read.
    #[error("{PASSWD} can't be read")]
    Passwd(#[source] io::Error),
    /// It has no such account.
    #[error("there is no user {0:?} in {PASSWD}; name one in `user`, or create it")]
    NoSuchUser(String),
    /// The account is root's.
    #[error("user {0:?} has uid or gid 0; name an ordinary one in `user`")]
    StillRoot(String),
    /// The kernel refused a step.
    #[error("root could not be given up ({step})")]
    Step {
        /// Which one.
        step: &'static str,
        /// Why.
        #[source]
        source: Errno,
    },
    /// It is not for good.
    #[error("root was given up and could be had again")]
    NotPermanent,
}

/// A row of the password database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// User id.
    pub(crate) uid: Uid,
    /// Primary group.
    pub(crate) gid: Gid,
}

impl Account {
    /// Looks up a name in `/etc/passwd` itself: name services may ask the
    /// network, and the executor doesn't.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or has no such name, or the name is root's.
    pub(crate) fn named(name: &str) -> Result<Self, IdentityError> {
        let text = fs::read_to_string(PASSWD).map_err(IdentityError::Passwd)?;
        let account = find(&text, |row| row.name == name)
            .ok_or_else(|| IdentityError::NoSuchUser(name.to_owned()))?;
        if account.uid.is_root() || account.gid.as_raw() == 0 {
            return Err(IdentityError::StillRoot(name.to_owned()));
        }
        Ok(account)
    }

    /// Whether `/etc/passwd` has a name for a uid.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub(crate) fn exists(uid: Uid) -> Result<bool, IdentityError> {
        let text = fs::read_to_string(PASSWD).map_err(IdentityError::Passwd)?;
        Ok(find(&text, |row| row.uid == uid.as_raw()).is_some())
    }
}

struct Row<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

fn find(passwd: &str, wanted: impl Fn(&Row<'_>) -> bool) -> Option<Account> {
    let row = passwd.lines().filter_map(parse).find(|row| wanted(row))?;
    Some(Account {
        uid: Uid::from_raw(row.uid),
        gid: Gid::from_raw(row.gid),
    })
}

fn parse(line: &str) -> Option<Row<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Row { name, uid, gid })
}

/// Becomes `account`, without any capability, for good.
///
/// # Errors
///
/// Names the step that failed; the caller must then end.
pub(crate) fn give_up_root(account: Account) -> Result<(), IdentityError> {
    let Account { uid, gid } = account;
    let failed = |step| move |source| IdentityError::Step { step, source };
    setgroups(&[]).map_err(failed("setgroups"))?;
    setresgid(gid, gid, gid).map_err(failed("setresgid"))?;
    // Still root, so the bounding set can be emptied.
    caps::narrow_bounding_set().map_err(failed("bounding set"))?;
    setresuid(uid, uid, uid).map_err(failed("setresuid"))?;
    // The kernel clears the sets only when uid 0 is left; we ask in any case.
    caps::hand_over(CapabilitySet::EMPTY).map_err(failed("capabilities"))?;
    let users = getresuid().map_err(failed("getresuid"))?;
    let groups = getresgid().map_err(failed("getresgid"))?;
    let is_whole = [users.real, users.effective, users.saved]
        .iter()
        .all(|each| *each == uid)
        && [groups.real, groups.effective, groups.saved]
            .iter()
            .all(|each| *each == gid)
        && getgroups().map_err(failed("getgroups"))?.is_empty();
    let unchanged = Uid::from_raw(u32::MAX);
    let is_root_again = setresuid(unchanged, Uid::from_raw(0), unchanged).is_ok()
        || setresgid(
            Gid::from_raw(u32::MAX),
            Gid::from_raw(0),
            Gid::from_raw(u32::MAX),
        )
        .is_ok();
    if is_whole && !is_root_again {
        Ok(())
    } else {
        Err(IdentityError::NotPermanent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_password_database_and_nothing_else() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                      # a comment\n\
                      :x:7:7::/:\n\
                      broken:x:one:1::/:\n\
                      nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n";
        let cases = [
            ("nobody", Some((65534, 65533)), "an ordinary row"),
            (
                "root",
                Some((0, 0)),
                "root is found, and refused by its number",
            ),
            ("broken", None, "a uid that is no number"),
            ("", None, "an empty name is no name"),
            ("nobod", None, "no prefix matches"),
        ];
        for (name, expected, why) in cases {
            let found = find(passwd, |row| row.name == name);
            let found = found.map(|account| (account.uid.as_raw(), account.gid.as_raw()));
            assert_eq!(found, expected, "{why}");
        }
    }
}
