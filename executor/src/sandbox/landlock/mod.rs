//! Landlock: which files a run can reach, whether it can use TCP, and whom it
//! can signal.
//!
//! What it is: a profile's paths, opened once at start-up, made into a ruleset
//! per run because each run has a directory of its own.
//! What it is not: egress confinement. Landlock filters TCP by port, never by
//! address, and says nothing about UDP, raw or packet sockets.
//!
//! Invariants: a hard requirement: without Landlock nothing runs. All rights
//! that the kernel's ABI knows are handled, so what no rule allows is denied;
//! TCP bind is denied to all that don't need it before they connect, and these
//! can't listen; the ABI is in every receipt, so a kernel that knows fewer
//! rights shows.

mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use sandbox_profiles::sandbox::{PathRow, SocketKind};
use sha2::{Digest, Sha256};

use crate::sys::{self, LandlockHandled};

// <linux/landlock.h>, file system rights.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_BLOCK: u64 = 1 << 11;
const TRUNCATE: u64 = 1 << 14;
/// Rights that a file, as opposed to a directory, can be given.
const OF_A_FILE: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;
/// File system rights by ABI: how many of the lowest bits the kernel knows.
const FS_BITS: &[(u32, u32)] = &[(9, 17), (5, 16), (3, 15), (2, 14), (1, 13)];

// TCP rights, from ABI 4 on. UDP rights (ABI 10) are not handled: a rule would
// have to name ports, and scans choose theirs.
const BIND_TCP: u64 = 1;
const CONNECT_TCP: u64 = 1 << 1;
const ABI_TCP: u32 = 4;
// Scopes, from ABI 6 on: abstract sockets, and signals to processes outside.
const SCOPES: u64 = 0b11;
const ABI_SCOPES: u32 = 6;
const ABI_TRUNCATE: u32 = 3;

const SOCK_STREAM: i32 = 1;

/// Why rules can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LandlockError {
    /// The kernel has none, or it is switched off.
    #[error("this kernel has no Landlock, or it is off (CONFIG_LSM or lsm=landlock)")]
    Absent(#[source] Errno),
    /// A path of a profile exists and can't be opened.
    #[error("{} can't be opened", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The kernel refused the ruleset itself.
    #[error("the Landlock ruleset could not be created")]
    Ruleset(#[source] Errno),
    /// The kernel refused a rule.
    #[error("the Landlock rule for {} was refused", path.display())]
    Rule {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// The version of Landlock that this kernel has; at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abi(u32);

impl Abi {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// [`LandlockError::Absent`].
    pub(crate) fn of_this_kernel() -> Result<Self, LandlockError> {
        match sys::landlock_abi() {
            Ok(0) => Err(LandlockError::Absent(Errno::EOPNOTSUPP)),
            Ok(abi) => Ok(Self(abi)),
            Err(errno) => Err(LandlockError::Absent(errno)),
        }
    }

    /// The number.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// All rights of this ABI, except TCP connect for those who need any port.
    fn handled(self, tcp: Tcp) -> LandlockHandled {
        let bits = FS_BITS.iter().find(|(since, _)| self.0 >= *since);
        let bits = bits.map_or(13, |(_, bits)| *bits);
        let net = match tcp {
            _ if self.0 < ABI_TCP => 0,
            Tcp::AnyPort => BIND_TCP,
            Tcp::AnyPortBound => 0,
            Tcp::None => BIND_TCP | CONNECT_TCP,
        };
        LandlockHandled {
            fs: (1_u64 << bits).saturating_sub(1),
            net,
            scoped: if self.0 < ABI_SCOPES { 0 } else { SCOPES },
        }
    }
}

/// Which TCP connections a run may make, as far as Landlock can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tcp {
    /// To any port: a scanner's are not known before.
    AnyPort,
    /// The same, from a port that the tool binds first. Without listen(2), which
    /// no profile may list beside it, that opens no door.
    AnyPortBound,
    /// None: its sockets are no TCP sockets.
    None,
}

/// What a profile allows below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Execute,
}

impl Access {
    fn rights(self, is_directory: bool, abi: Abi) -> u64 {
        let truncate = if abi.0 < ABI_TRUNCATE { 0 } else { TRUNCATE };
        let rights = match self {
            Self::Read => READ_FILE | READ_DIR,
            Self::Write => READ_FILE | READ_DIR | WRITE_FILE | truncate,
            Self::Execute => READ_FILE | EXECUTE,
        };
        if is_directory {
            rights
        } else {
            rights & OF_A_FILE
        }
    }
}

#[derive(Debug)]
struct Rule {
    path: PathBuf,
    opened: Rc<OwnedFd>,
    rights: u64,
}

/// Paths that were opened already: profiles share most of theirs, and every
/// descriptor costs every start a little.
#[derive(Debug, Default)]
pub(crate) struct Opened(BTreeMap<PathBuf, Rc<OwnedFd>>);

impl Opened {
    /// Opens a path, if it exists.
    fn path(&mut self, path: &Path) -> Result<Option<Rc<OwnedFd>>, LandlockError> {
        if let Some(known) = self.0.get(path) {
            return Ok(Some(Rc::clone(known)));
        }
        match open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(opened) => {
                let opened = Rc::new(opened);
                self.0.insert(path.to_owned(), Rc::clone(&opened));
                Ok(Some(opened))
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(source) => Err(LandlockError::Open {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// A profile's rules, opened and ready.
#[derive(Debug)]
pub(crate) struct Rules {
    abi: Abi,
    handled: LandlockHandled,
    paths: Vec<Rule>,
    run_directory: u64,
    digest: [u8; 32],
}

/// The paths of a profile, by what is allowed below them.
#[derive(Debug, Clone)]
pub(crate) struct Paths<'a> {
    /// May be read.
    pub(crate) read: Vec<&'a PathRow>,
    /// May be read and written.
    pub(crate) write: &'a [PathRow],
    /// May be read and executed.
    pub(crate) execute: &'a [PathRow],
}

impl<'a> Paths<'a> {
    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'a PathRow> {
        self.read
            .iter()
            .copied()
            .chain(self.write)
            .chain(self.execute)
    }
}

impl Rules {
    /// Opens a profile's paths. One that doesn't exist on this machine is left
    /// out: what isn't there can't be read.
    ///
    /// # Errors
    ///
    /// Names the path that exists and can't be opened.
    pub(crate) fn open(
        abi: Abi,
        paths: &Paths<'_>,
        sockets: &[&SocketKind],
        tcp_bind: bool,
        opened: &mut Opened,
    ) -> Result<Self, LandlockError> {
        let is_tcp = sockets.iter().any(|socket| socket.kind == SOCK_STREAM);
        let tcp = match (is_tcp, tcp_bind) {
            (true, true) => Tcp::AnyPortBound,
            (true, false) => Tcp::AnyPort,
            (false, _) => Tcp::None,
        };
        let read = paths.read.iter().map(|row| (&row.path, Access::Read));
        let write = paths.write.iter().map(|row| (&row.path, Access::Write));
        let execute = paths.execute.iter().map(|row| (&row.path, Access::Execute));
        let mut rules = Vec::new();
        for (path, access) in read.chain(write).chain(execute) {
            rules.extend(open_rule(abi, path, access, opened)?);
        }
        let truncate = if abi.0 < ABI_TRUNCATE { 0 } else { TRUNCATE };
        let mut ready = Self {
            abi,
            handled: abi.handled(tcp),
            paths: rules,
            run_directory: READ_FILE
                | READ_DIR
                | WRITE_FILE
                | MAKE_REG
                | MAKE_DIR
                | REMOVE_FILE
                | REMOVE_DIR
                | truncate,
            digest: [0; 32],
        };
        ready.digest = Sha256::digest(ready.text()).into();
        Ok(ready)
    }

    /// Rules that deny next to nothing, for a self-test that leaves this layer
    /// out: making block devices, which no tool may anyway.
    pub(crate) fn nothing(abi: Abi) -> Self {
        Self {
            abi,
            handled: LandlockHandled {
                fs: MAKE_BLOCK,
                net: 0,
                scoped: 0,
            },
            paths: Vec::new(),
            run_directory: 0,
            digest: [0; 32],
        }
    }

    /// The rules as text, one a line: what the digest is over.
    fn text(&self) -> String {
        let LandlockHandled { fs, net, scoped } = self.handled;
        let mut text = format!(
            "abi {} fs {fs:x} net {net:x} scoped {scoped:x}\n",
            self.abi.0
        );
        for rule in &self.paths {
            // Writing to a String can't fail.
            writeln!(text, "{:x} {}", rule.rights, rule.path.display()).unwrap_or_default();
        }
        writeln!(text, "{:x} {{program}}", READ_FILE | EXECUTE).unwrap_or_default();
        writeln!(text, "{:x} {{run directory}}", self.run_directory).unwrap_or_default();
        text
    }

    /// The kernel's ABI.
    pub(crate) fn abi(&self) -> Abi {
        self.abi
    }

    /// SHA-256 over the rules.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// A run's ruleset: the profile's rules, the tool's program by its very
    /// descriptor, and the run's own directory.
    ///
    /// # Errors
    ///
    /// When the kernel refuses any of it.
    pub(crate) fn ruleset(
        &self,
        (path, program): (&Path, BorrowedFd<'_>),
        run_directory: BorrowedFd<'_>,
    ) -> Result<OwnedFd, LandlockError> {
        let ruleset = sys::landlock_ruleset(&self.handled).map_err(LandlockError::Ruleset)?;
        let allow = |path: &Path, opened: BorrowedFd<'_>, rights: u64| {
            // What isn't handled isn't denied, and the kernel takes no rule for it.
            let rights = rights & self.handled.fs;
            if rights == 0 {
                return Ok(());
            }
            sys::landlock_allow_path(ruleset.as_fd(), opened, rights).map_err(|source| {
                LandlockError::Rule {
                    path: path.to_owned(),
                    source,
                }
            })
        };
        let execute = Access::Execute.rights(false, self.abi);
        allow(path, program, execute)?;
        for rule in &self.paths {
            allow(&rule.path, rule.opened.as_fd(), rule.rights)?;
        }
        allow(
            Path::new("the run's directory"),
            run_directory,
            self.run_directory,
        )?;
        Ok(ruleset)
    }
}

fn open_rule(
    abi: Abi,
    path: &Path,
    access: Access,
    opened: &mut Opened,
) -> Result<Option<Rule>, LandlockError> {
    let Some(opened) = opened.path(path)? else {
        return Ok(None);
    };
    let status = fstat(&opened).map_err(|source| LandlockError::Open {
        path: path.to_owned(),
        source,
    })?;
    let kind = status.st_mode & SFlag::S_IFMT.bits();
    let rights = access.rights(kind == SFlag::S_IFDIR.bits(), abi);
    Ok(Some(Rule {
        path: path.to_owned(),
        opened,
        rights,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_every_right_of_the_abi() {
        let cases = [
            // abi, fs, net (any port), net (none), scopes, why
            (1, 0x1fff, 0, 0, 0, "Linux 5.13"),
            (2, 0x3fff, 0, 0, 0, "refer"),
            (3, 0x7fff, 0, 0, 0, "truncate"),
            (4, 0x7fff, 1, 3, 0, "TCP"),
            (5, 0xffff, 1, 3, 0, "device ioctl"),
            (6, 0xffff, 1, 3, 3, "scopes"),
            (7, 0xffff, 1, 3, 3, "logging only"),
            (9, 0x1_ffff, 1, 3, 3, "Unix sockets by path"),
            (42, 0x1_ffff, 1, 3, 3, "newer than this program"),
        ];
        for (abi, fs, any, none, scoped, why) in cases {
            let handled = Abi(abi).handled(Tcp::AnyPort);
            assert_eq!(
                (handled.fs, handled.net, handled.scoped),
                (fs, any, scoped),
                "{why}"
            );
            assert_eq!(Abi(abi).handled(Tcp::None).net, none, "{why}");
            assert_eq!(Abi(abi).handled(Tcp::AnyPortBound).net, 0, "{why}");
        }
    }

    #[test]
    fn gives_files_no_rights_of_directories() {
        let cases = [
            (
                Access::Read,
                false,
                3,
                READ_FILE,
                "READ_DIR on a file is EINVAL",
            ),
            (Access::Read, true, 3, READ_FILE | READ_DIR, "a tree"),
            (
                Access::Write,
                false,
                2,
                READ_FILE | WRITE_FILE,
                "no truncate before ABI 3",
            ),
            (
                Access::Write,
                false,
                3,
                READ_FILE | WRITE_FILE | TRUNCATE,
                "/dev/null",
            ),
            (
                Access::Execute,
                false,
                3,
                READ_FILE | EXECUTE,
                "the program",
            ),
        ];
        for (access, is_directory, abi, expected, why) in cases {
            assert_eq!(access.rights(is_directory, Abi(abi)), expected, "{why}");
        }
    }
}
