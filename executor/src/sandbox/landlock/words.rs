//! A profile's Landlock rules in words, for those who read what a run may do.
//!
//! What it is: made from the rights that the kernel is given.
//! What it is not: a rule.
//!
//! Invariants: what the kernel's Landlock can't hold is said to be not held.

use std::path::PathBuf;

use super::{
    ABI_SCOPES, ABI_TCP, ABI_TRUNCATE, Access, BIND_TCP, CONNECT_TCP, EXECUTE, LandlockHandled,
    MAKE_DIR, MAKE_REG, READ_DIR, READ_FILE, REMOVE_DIR, REMOVE_FILE, Rule, Rules, TRUNCATE,
    WRITE_FILE,
};

const IOCTL_DEV: u64 = 1 << 15;
const ABI_IOCTL_DEV: u32 = 5;
/// The rights that rules give, in words.
const RIGHTS: &[(u64, &str)] = &[
    (READ_FILE, "read"),
    (READ_DIR, "list"),
    (WRITE_FILE, "write"),
    (TRUNCATE, "truncate"),
    (MAKE_REG, "make-files"),
    (MAKE_DIR, "make-directories"),
    (REMOVE_FILE, "remove-files"),
    (REMOVE_DIR, "remove-directories"),
    (EXECUTE, "execute"),
];

impl Rules {
    /// The profile's paths that there are, each with its rights in words.
    pub(crate) fn allowed(&self) -> Vec<(PathBuf, String)> {
        let row = |rule: &'_ Rule| (rule.path.clone(), words(rule.rights));
        self.paths.iter().map(row).collect()
    }

    /// The rights to the tool's program, in words.
    pub(crate) fn of_the_program(&self) -> String {
        words(Access::Execute.rights(false, self.abi))
    }

    /// The rights below the run's own directory, in words.
    pub(crate) fn of_the_run_directory(&self) -> String {
        words(self.run_directory)
    }

    /// What is denied beside files, and what this kernel can't deny.
    pub(crate) fn held(&self) -> Vec<[String; 2]> {
        let LandlockHandled { fs, net, scoped } = self.handled;
        let lacks = |abi: u32| format!("not held: Landlock knows it from ABI {abi} on");
        let tcp = |right| match net & right {
            _ if self.abi.0 < ABI_TCP => lacks(ABI_TCP),
            0 => "allowed to any port".to_owned(),
            _ => "denied".to_owned(),
        };
        let denied = |is_held: bool, abi| {
            if is_held {
                "denied".to_owned()
            } else {
                lacks(abi)
            }
        };
        let rows = [
            ("any other path", "denied".to_owned()),
            (
                "truncating what may only be read",
                denied(fs & TRUNCATE != 0, ABI_TRUNCATE),
            ),
            (
                "ioctl on device files",
                denied(fs & IOCTL_DEV != 0, ABI_IOCTL_DEV),
            ),
            ("TCP bind", tcp(BIND_TCP)),
            ("TCP connect", tcp(CONNECT_TCP)),
            (
                "abstract Unix sockets outside",
                denied(scoped != 0, ABI_SCOPES),
            ),
            (
                "signals to processes outside",
                denied(scoped != 0, ABI_SCOPES),
            ),
        ];
        rows.map(|(what, how)| [what.to_owned(), how]).into()
    }
}

/// Rights in words.
fn words(rights: u64) -> String {
    let given = RIGHTS.iter().filter(|(right, _)| rights & right != 0);
    let names: Vec<_> = given.map(|(_, name)| *name).collect();
    names.join(" ")
}
