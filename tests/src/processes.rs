//! What runs, as `/proc` has it.
//!
//! What it is not: the product's own word. Tests use it to prove that nothing
//! was started, or that nothing was left.
//!
//! Invariants: a process that ends while it is looked at counts as gone.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// One process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its user id.
    pub uid: u32,
    /// State letter; `Z` is a zombie.
    pub state: char,
    /// The program it runs, or empty for a zombie.
    pub program: PathBuf,
    /// Its arguments.
    pub argv: Vec<String>,
    /// Its network namespace.
    pub net_inode: u64,
}

/// All processes that can be read.
///
/// # Errors
///
/// When `/proc` can't be listed.
pub fn all() -> Result<Vec<Process>> {
    let entries = fs::read_dir("/proc").context("/proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(read).collect())
}

/// The living processes that run one of `programs` in a network namespace.
///
/// # Errors
///
/// As [`all`].
pub fn running(programs: &[&Path], net_inode: u64) -> Result<Vec<Process>> {
    let mut found = all()?;
    found.retain(|process| {
        process.net_inode == net_inode
            && process.state != 'Z'
            && programs.contains(&process.program.as_path())
    });
    Ok(found)
}

/// The descendants of a process, zombies included.
///
/// # Errors
///
/// As [`all`].
pub fn descendants(pid: u32) -> Result<Vec<Process>> {
    let all = all()?;
    let mut family = BTreeSet::from([pid]);
    // Each round adds a generation; there are no more of them than processes.
    for _ in 0..all.len() {
        let before = family.len();
        let children = all
            .iter()
            .filter(|process| family.contains(&process.parent));
        let children: Vec<u32> = children.map(|process| process.pid).collect();
        family.extend(children);
        if family.len() == before {
            break;
        }
    }
    family.remove(&pid);
    Ok(all
        .into_iter()
        .filter(|process| family.contains(&process.pid))
        .collect())
}

/// Resident memory of a process, in KiB.
///
/// # Errors
///
/// When it is gone.
pub fn resident_kib(pid: u32) -> Result<u64> {
    status_number(pid, "VmRSS:")
}

/// A number from `/proc/PID/status`, such as `VmHWM:` in KiB.
///
/// # Errors
///
/// When the process is gone or has no such line.
pub fn status_number(pid: u32, key: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let line = line.with_context(|| format!("{key} of {pid}"))?;
    let number = line.split_whitespace().next().context("a number")?;
    Ok(number.parse()?)
}

fn read(pid: u32) -> Option<Process> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(dir.join("stat")).ok()?;
    // The name may hold anything but ends at the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let cmdline = fs::read(dir.join("cmdline")).unwrap_or_default();
    let words = cmdline.split(|byte| *byte == 0);
    let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
    Some(Process {
        pid,
        parent,
        state,
        uid: fs::metadata(&dir).ok()?.uid(),
        program: fs::read_link(dir.join("exe")).unwrap_or_default(),
        argv: words.filter(|word| !word.is_empty()).collect(),
        net_inode: fs::metadata(dir.join("ns/net")).map_or(0, |meta| meta.ino()),
    })
}
