//! What the executor reads from `/proc`: who its children are, and how many
//! processes its user has.
//!
//! What it is not: trusted input. Names of processes are their own to choose,
//! so a `stat` line is read from its last `)`.
//!
//! Invariants: both functions return numbers only; a process that goes away
//! while it is looked at is left out.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use nix::unistd::{Pid, getgid, getpid, getuid};

/// Bytes of a `status` that are read: what is wanted stands in the first half of
/// the some 1,500 that it has.
const STATUS_BYTES_MAX: usize = 4096;

/// A process whose parent is the asking one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child {
    /// Its id.
    pub(crate) pid: Pid,
    /// Its process group.
    pub(crate) group: Pid,
}

/// All children of this process, dead ones that nobody has waited for included.
pub(crate) fn children() -> Vec<Child> {
    let me = getpid();
    processes()
        .filter_map(|name| fs::read_to_string(format!("/proc/{name}/stat")).ok())
        .filter_map(|stat| parse(&stat))
        .filter_map(|(child, parent)| (parent == me).then_some(child))
        .collect()
}

/// Processes and threads of this process's user, as the kernel counts them for
/// its limit.
///
/// The owner of `/proc/PID` is the effective user and group, also of a process
/// that can't be dumped (`task_dump_owner`, fs/proc/base.c). Asking for it costs a
/// tenth of reading `status`, which is read only where one of the two is ours: a
/// set-user-ID program has our group still, a set-group-ID one our user.
pub(crate) fn tasks_of_this_user() -> u64 {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let may_be_ours = |name: &String| {
        let owner = fs::metadata(format!("/proc/{name}"));
        owner.is_ok_and(|owner| owner.uid() == uid || owner.gid() == gid)
    };
    processes()
        .filter(may_be_ours)
        .filter_map(|name| status(&name))
        .filter_map(|status| threads_of(&status, uid))
        .fold(0, u64::saturating_add)
}

/// A process's `status`, in one read: the kernel writes it anew for each file,
/// and [`fs::read_to_string`] would ask for it in pieces, not knowing its length.
fn status(name: &str) -> Option<String> {
    let mut text = vec![0; STATUS_BYTES_MAX];
    let mut file = fs::File::open(format!("/proc/{name}/status")).ok()?;
    let length = file.read(&mut text).ok()?;
    text.truncate(length);
    String::from_utf8(text).ok()
}

/// The threads of a process, if its real user is `uid`.
fn threads_of(status: &str, uid: u32) -> Option<u64> {
    let field = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().next()
    };
    let owner: u32 = field("Uid:")?.parse().ok()?;
    if owner == uid {
        field("Threads:")?.parse().ok()
    } else {
        None
    }
}

fn processes() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

fn parse(stat: &str) -> Option<(Child, Pid)> {
    let (before, after) = stat.rsplit_once(')')?;
    let pid = before.split_once(' ')?.0.parse().ok()?;
    let mut fields = after.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let child = Child {
        pid: Pid::from_raw(pid),
        group: Pid::from_raw(group),
    };
    Some((child, Pid::from_raw(parent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_stat_line_whatever_the_process_calls_itself() {
        let cases = [
            ("7 (nmap) S 5 7 7 0", Some((7, 7, 5)), "plain"),
            (
                "7 (a) S 1 1 1) R 5 6 7",
                Some((7, 6, 5)),
                "a name with a false end",
            ),
            ("7 (a b) Z 5 7", Some((7, 7, 5)), "a name with a space"),
            ("7 (a", None, "cut"),
            ("", None, "empty"),
        ];
        for (stat, expected, why) in cases {
            let found = parse(stat)
                .map(|(child, parent)| (child.pid.as_raw(), child.group.as_raw(), parent.as_raw()));
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn counts_the_threads_of_one_user() {
        let status = "Name:\tx\nUid:\t7\t0\t0\t0\nGid:\t9\t9\t9\t9\nThreads:\t3\n";
        let cases = [
            (status, 7, Some(3), "its real user"),
            (status, 0, None, "not its effective one"),
            ("Uid:\t7\n", 7, None, "cut"),
            ("", 7, None, "empty"),
        ];
        for (status, uid, expected, why) in cases {
            assert_eq!(threads_of(status, uid), expected, "{why}");
        }
    }
}
