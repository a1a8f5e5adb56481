//! The tools: each profile's program, opened once, with everything that its
//! confinement needs and that can be prepared before anyone asks.
//!
//! What it is: what a session finds ready. A tool with a problem is listed with
//! it, and refused.
//! What it is not: a search path. A program is the profile's absolute path,
//! held by descriptor from start-up on.
//!
//! Invariants: a program and every directory above it are root's, and nobody
//! else can write to them; a program that is replaced after start-up is refused.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use sandbox_profiles::sandbox::{RawUse, SocketKind};
use sandbox_profiles::{Capability, OwnerRule, Profile};

use crate::sandbox::caps::CapabilitySet;
use crate::sandbox::landlock::{Abi, LandlockError, Opened, Paths, Rules};
use crate::sandbox::seccomp::{Execution, Filter, FilterError};
use crate::sys::StringTable;
use crate::trust::{self, TrustError};

/// Fewest descriptors that a profile may allow: a tool's own three, and those
/// that its start needs.
const FILES_MIN: u64 = 8;

/// Why a tool can't run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// Not there, or not root's.
    #[error("the program is not usable")]
    Trust(#[from] TrustError),
    /// There, and can't be opened.
    #[error("{} can't be opened", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// Not a program.
    #[error("{} is no executable file", .0.display())]
    NotExecutable(PathBuf),
    /// Replaced since it was opened.
    #[error("{} has changed since the executor started; restart the executor", .0.display())]
    Changed(PathBuf),
    /// Too few descriptors.
    #[error("the profile allows {0} descriptors; at least 8 are needed")]
    Files(u64),
    /// The profile's system calls make no filter.
    #[error("the profile's system calls")]
    Filter(#[from] FilterError),
    /// The profile's paths make no ruleset.
    #[error("the profile's paths")]
    Landlock(#[from] LandlockError),
    /// It doesn't say its version inside its sandbox.
    #[error("{0}")]
    Version(String),
}

/// A program, by descriptor.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    opened: OwnedFd,
    // What the file was when it was checked.
    identity: (u64, u64, u64, i64, i64),
}

fn identity(metadata: &Metadata) -> (u64, u64, u64, i64, i64) {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.ctime(),
    )
}

impl Program {
    /// Checks and opens a program.
    ///
    /// # Errors
    ///
    /// When it is missing, not root's, or no executable file.
    fn open(path: &Path) -> Result<Self, ToolError> {
        let real = trust::check(path, OwnerRule::RootOnly)?;
        let failed = |source| ToolError::Open {
            path: path.to_owned(),
            source,
        };
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let opened = fs::File::from(open(&real, flags, Mode::empty()).map_err(failed)?);
        let unseen = |error: io::Error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        let found = opened.metadata().map_err(unseen)?;
        // Of the descriptor itself: what was checked by path is what was opened.
        let is_trusted = found.uid() == 0 && found.mode() & 0o022 == 0;
        if !(found.is_file() && found.mode() & 0o111 != 0 && is_trusted) {
            return Err(ToolError::NotExecutable(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            identity: identity(&found),
            opened: opened.into(),
        })
    }

    /// This very program, for the self-test. Whom it comes from is not asked:
    /// it is running already.
    ///
    /// # Errors
    ///
    /// When it can't be opened.
    pub(crate) fn of_this_process() -> Result<Self, ToolError> {
        let own = Path::new("/proc/self/exe");
        let failed = |source| ToolError::Open {
            path: own.to_owned(),
            source,
        };
        let opened = open(own, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
        let unseen = |error: io::Error| failed(Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        let opened = fs::File::from(opened);
        Ok(Self {
            path: fs::read_link(own).map_err(unseen)?,
            identity: identity(&opened.metadata().map_err(unseen)?),
            opened: opened.into(),
        })
    }

    /// For execution.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.opened.as_fd()
    }

    /// For rules: its path, to name it, and the file itself.
    pub(crate) fn as_rule(&self) -> (&Path, BorrowedFd<'_>) {
        (&self.path, self.opened.as_fd())
    }

    /// The path still leads to the file that was opened, and that is unchanged.
    ///
    /// # Errors
    ///
    /// [`ToolError::Changed`].
    pub(crate) fn check_unchanged(&self) -> Result<(), ToolError> {
        match fs::metadata(&self.path) {
            Ok(now) if identity(&now) == self.identity => Ok(()),
            Ok(_) | Err(_) => Err(ToolError::Changed(self.path.clone())),
        }
    }
}

/// A filter and rules that fit together.
#[derive(Debug)]
pub(crate) struct Confinement {
    /// System calls.
    pub(crate) filter: Filter,
    /// Files and TCP.
    pub(crate) rules: Rules,
}

/// A tool that can run.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Its program.
    pub(crate) program: Program,
    /// Its confinement without `CAP_NET_RAW`.
    pub(crate) plain: Confinement,
    /// Its confinement with it; `None` where it is never granted.
    pub(crate) raw: Option<Confinement>,
}

/// One tool.
#[derive(Debug)]
pub(crate) struct Tool {
    /// What it may do.
    pub(crate) profile: Profile,
    /// Whether it can run, and if not, why.
    pub(crate) state: Result<Ready, ToolError>,
    /// The version that it reported, or empty.
    pub(crate) version: String,
}

/// What the preparation of tools needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// The kernel's Landlock.
    pub(crate) abi: Abi,
    /// What the executor holds.
    pub(crate) held: CapabilitySet,
    /// Where a run's arguments will be.
    pub(crate) argv: &'a StringTable,
}

impl Circumstances<'_> {
    /// The execution of a program with that table.
    pub(crate) fn execution(&self, program: &Program) -> Execution {
        Execution {
            descriptor: u32::try_from(program.opened.as_raw_fd()).unwrap_or(u32::MAX),
            argv: self.argv.address(),
        }
    }
}

impl Tool {
    /// Whether there is a program at the profile's path at all.
    pub(crate) fn is_installed(&self) -> bool {
        let found = fs::metadata(&self.profile.executable);
        let missing = found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        !missing && !matches!(self.state, Err(ToolError::NotExecutable(_)))
    }

    /// Prepares a profile's tool as far as this machine allows.
    pub(crate) fn prepare(
        profile: &Profile,
        around: Circumstances<'_>,
        opened: &mut Opened,
    ) -> Self {
        Self {
            profile: profile.clone(),
            state: Ready::prepare(profile, around, opened),
            version: String::new(),
        }
    }

    /// The program's path as text.
    pub(crate) fn path(&self) -> String {
        self.profile.executable.to_string_lossy().into_owned()
    }
}

impl Ready {
    fn prepare(
        profile: &Profile,
        around: Circumstances<'_>,
        opened: &mut Opened,
    ) -> Result<Self, ToolError> {
        if profile.sandbox.limits.files < FILES_MIN {
            return Err(ToolError::Files(profile.sandbox.limits.files));
        }
        let program = Program::open(&profile.executable)?;
        let execution = around.execution(&program);
        let is_raw = match profile.sandbox.raw {
            RawUse::Never => false,
            RawUse::ByNeed => around.held.covers(CapabilitySet::of(&[Capability::NetRaw])),
        };
        let mut confine = |is_raw| confinement(profile, around.abi, execution, is_raw, opened);
        let plain = confine(false)?;
        let raw = if is_raw { Some(confine(true)?) } else { None };
        Ok(Self {
            program,
            plain,
            raw,
        })
    }

    /// The filter under which a tool is asked for its version: its own, without
    /// any socket unless the profile says that it wants some.
    ///
    /// # Errors
    ///
    /// As when the tool was prepared.
    pub(crate) fn filter_for_version(
        &self,
        profile: &Profile,
        around: Circumstances<'_>,
    ) -> Result<Filter, ToolError> {
        let sockets: Vec<&SocketKind> = profile
            .sandbox
            .sockets
            .iter()
            .filter(|_| profile.version.sockets)
            .collect();
        Ok(Filter::new(
            &profile.sandbox,
            &sockets,
            around.execution(&self.program),
        )?)
    }
}

fn confinement(
    profile: &Profile,
    abi: Abi,
    execution: Execution,
    is_raw: bool,
    opened: &mut Opened,
) -> Result<Confinement, ToolError> {
    let sandbox = &profile.sandbox;
    let (paths, sockets) = (paths(profile, is_raw), sockets(profile, is_raw));
    Ok(Confinement {
        filter: Filter::new(sandbox, &sockets, execution)?,
        rules: Rules::open(abi, &paths, &sockets, sandbox.tcp_bind, opened)?,
    })
}

/// The paths that a profile names, with `CAP_NET_RAW` or without.
pub(crate) fn paths(profile: &Profile, is_raw: bool) -> Paths<'_> {
    let sandbox = &profile.sandbox;
    let raw = sandbox.read_raw.iter().filter(|_| is_raw);
    Paths {
        read: sandbox.read.iter().chain(raw).collect(),
        write: &sandbox.write,
        execute: &sandbox.exec,
    }
}

/// The sockets that a profile names, likewise.
pub(crate) fn sockets(profile: &Profile, is_raw: bool) -> Vec<&SocketKind> {
    let sandbox = &profile.sandbox;
    let raw = sandbox.sockets_raw.iter().filter(|_| is_raw);
    sandbox.sockets.iter().chain(raw).collect()
}
