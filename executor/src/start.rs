//! Start-up: from a command line to a confined process that serves.
//!
//! ```text
//! claim socket → signals → configuration → profiles → give up root →
//! capabilities → scratch → tools → tie to the broker → confine → ask versions
//! → serve
//! ```
//!
//! What it is: one order for `serve` and `check`, so that a check finds what
//! serving would find.
//! What it is not: tolerant. What can't be had as configured ends it; only a
//! tool that is missing is merely reported.
//!
//! Invariants: files are read, and root is given up, before the first
//! connection is accepted; the base filter is installed, and was probed, before
//! any tool is asked for its version.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage, getsockname,
    getsockopt, socket, sockopt,
};
use nix::sys::utsname::uname;
use nix::unistd::{Gid, Pid, Uid, getppid};
use sandbox_profiles::{LoadError, ProfileSet, ScopeError, load};

use crate::config::{Config, ConfigError, Mode};
use crate::explain::{self, Form};
use crate::launch::Pad;
use crate::listener::{Listener, Turn};
use crate::log::{Level, Log};
use crate::sandbox::base::{Base, BaseError};
use crate::sandbox::caps::{self, CapabilitySet};
use crate::sandbox::identity::{self, Account, IdentityError};
use crate::sandbox::landlock::{Abi, LandlockError, Opened};
use crate::sandbox::rlimits;
use crate::scratch::{Parent, ScratchError};
use crate::selftest::{self, SelfTestError, Wish};
use crate::sys::Disposition;
use crate::tools::{Circumstances, Tool};
use crate::{Executor, IcmpSockets, PARENT_DIED, inventory, probe, refusal, report, session, sys};

/// Why the executor doesn't serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Nothing, or something else, on descriptor 3.
    #[error(
        "descriptor 3 is not a listening Unix stream socket ({0}); systemd or the broker passes it"
    )]
    Socket(&'static str),
    /// Signals could not be set up.
    #[error("signals could not be set up")]
    Signals(#[source] Errno),
    /// Standard error or `/dev/null` can't be had.
    #[error("no descriptor could be had for {0}")]
    Descriptor(&'static str, #[source] io::Error),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Profiles with mistakes; each was logged.
    #[error("{0} mistakes in profiles")]
    Profiles(usize),
    /// No profile at all.
    #[error("there is no profile in the configured directories")]
    NoProfiles,
    /// The scope has a table for a tool that no profile describes.
    #[error("[security]")]
    Scope(#[from] ScopeError),
    /// Root was not given up.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The user that tools would run as has no name.
    #[error(
        "uid {0} is not in /etc/passwd; tools look themselves up, and fail in odd ways without a name"
    )]
    Nameless(u32),
    /// Capabilities.
    #[error("capabilities could not be given up")]
    Capabilities(#[source] Errno),
    /// Landlock.
    #[error(transparent)]
    Landlock(#[from] LandlockError),
    /// Scratch directories.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The broker.
    #[error(
        "the process that made the socket (pid {maker}) is not this one's parent (pid {parent}); in embedded mode the broker starts the executor itself"
    )]
    NotOurParent {
        /// Who made the socket.
        maker: i32,
        /// Who started us.
        parent: i32,
    },
    /// Whoever runs it would choose its configuration.
    #[error("the program is set-user-id or set-group-id; it must not be")]
    SetUserId,
    /// Resource limits.
    #[error("resource limits could not be set")]
    Limits(#[source] Errno),
    /// Self-confinement.
    #[error("the executor could not confine itself")]
    Dumpable(#[source] Errno),
    /// The base filter.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The versions could not be asked for.
    #[error("tools could not be asked for their versions")]
    Probe(#[source] io::Error),
    /// The self-test.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
    /// The loop.
    #[error("the listener failed")]
    Listener(#[source] io::Error),
}

/// Serves until it is told to end.
pub(crate) fn serve(config: &Path) -> ExitCode {
    let claimed = sys::adopt_descriptor_3();
    let Ok(log) = Log::new() else {
        return ExitCode::FAILURE;
    };
    let socket = claimed
        .map_err(|_| StartError::Socket("it is closed"))
        .and_then(|socket| check_socket(&socket).map(|maker| (UnixListener::from(socket), maker)));
    match socket.and_then(|socket| serve_on(socket, config, log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Starts up as [`serve`] does, and says what was found.
pub(crate) fn check(config: &Path) -> ExitCode {
    look(config, report::report)
}

/// Starts up as [`serve`] does, and says what a run may do.
pub(crate) fn explain(config: &Path, tool: &str, arguments: &[String], form: Form) -> ExitCode {
    look(config, |executor| {
        explain::explain(executor, tool, arguments, form)
    })
}

/// Starts up as [`serve`] does, and makes escape attempts in each tool's sandbox.
pub(crate) fn selftest(config: &Path, wish: &Wish) -> ExitCode {
    let Ok(log) = Log::new() else {
        return ExitCode::FAILURE;
    };
    let tried = signals().and_then(|_| {
        let mut pad = Pad::new().map_err(|error| StartError::Descriptor("/dev/null", error))?;
        let (mut executor, base) = settle(config, log, &pad, None)?;
        let controls = selftest::controls(&executor)?;
        confine(&mut executor, &base, &mut pad)?;
        let found = selftest::attempts(&executor, &mut pad, wish, controls)?;
        Ok(selftest::report(&executor, &found, wish))
    });
    tried.unwrap_or_else(|error| fail(&error))
}

/// Starts up, without serving.
fn look(config: &Path, say: impl FnOnce(&Executor) -> ExitCode) -> ExitCode {
    let Ok(log) = Log::new() else {
        return ExitCode::FAILURE;
    };
    let ready = signals().and_then(|_| {
        let mut pad = Pad::new().map_err(|error| StartError::Descriptor("/dev/null", error))?;
        prepare(config, log, &mut pad, None)
    });
    match ready {
        Ok(executor) => say(&executor),
        Err(error) => fail(&error),
    }
}

fn fail(error: &StartError) -> ExitCode {
    if let Ok(log) = Log::new() {
        log.event(
            Level::Error,
            "not-serving",
            &[("reason", &refusal::chain(error))],
        );
    }
    ExitCode::FAILURE
}

fn serve_on(
    (socket, maker): (UnixListener, Pid),
    config: &Path,
    log: Log,
) -> Result<(), StartError> {
    let signals = signals()?;
    let mut pad = Pad::new().map_err(|error| StartError::Descriptor("/dev/null", error))?;
    let executor = prepare(config, log, &mut pad, Some(maker))?;
    selftest::quick(&executor, &mut pad)?;
    let usable = executor
        .tools
        .iter()
        .filter(|tool| tool.state.is_ok())
        .count();
    executor.log.event(
        Level::Info,
        "serving",
        &[
            ("mode", &executor.config.mode.as_str()),
            ("uid", &executor.uid),
            ("capabilities", &executor.held),
            ("landlock_abi", &executor.abi.number()),
            ("tools", &usable),
            ("egress", &crate::EGRESS),
        ],
    );
    let mut listener = Listener::new(&executor, socket, signals).map_err(StartError::Listener)?;
    loop {
        match listener.turn().map_err(StartError::Listener)? {
            Turn::Again => {}
            Turn::Over => return Ok(()),
            Turn::Session(start) => {
                // This is the session's process: what is the listener's closes.
                drop(listener);
                session::serve(&executor, &mut pad, start);
                // The process ends: to give its memory back piece by piece would
                // only make copies of pages that it shares with the listener.
                std::mem::forget((executor, pad));
                return Ok(());
            }
        }
    }
}

/// A listening Unix stream socket, proved by the socket itself. Who made it.
fn check_socket(socket: &OwnedFd) -> Result<Pid, StartError> {
    let failed = |_| StartError::Socket("it is no socket");
    let is_stream = getsockopt(socket, sockopt::SockType).map_err(failed)? == SockType::Stream;
    let is_listening = getsockopt(socket, sockopt::AcceptConn).map_err(failed)?;
    let address: SockaddrStorage = getsockname(socket.as_raw_fd()).map_err(failed)?;
    let is_unix = address.family() == Some(AddressFamily::Unix);
    if !is_unix {
        return Err(StartError::Socket("it is of another family"));
    }
    if !is_stream {
        return Err(StartError::Socket("it is no stream socket"));
    }
    if !is_listening {
        return Err(StartError::Socket("it doesn't listen"));
    }
    // On a listening socket these are the credentials of who called listen(2).
    let maker = getsockopt(socket, sockopt::PeerCredentials).map_err(failed)?;
    Ok(Pid::from_raw(maker.pid()))
}

/// Gives all signals their default effect, whatever was inherited, ignores SIGPIPE, and blocks all:
/// they are read from a descriptor.
fn signals() -> Result<SignalFd, StartError> {
    for signal in 1..=sys::SIGNAL_MAX {
        match sys::set_disposition(signal, Disposition::Default) {
            // SIGKILL and SIGSTOP can't be anything else.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(StartError::Signals(errno)),
        }
    }
    sys::set_disposition(sys::SIGPIPE, Disposition::Ignore).map_err(StartError::Signals)?;
    SigSet::all()
        .thread_set_mask()
        .map_err(StartError::Signals)?;
    let mut mask = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        PARENT_DIED,
    ] {
        mask.add(signal);
    }
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    SignalFd::with_flags(&mask, flags).map_err(StartError::Signals)
}

/// Everything up to the first connection.
fn prepare(
    path: &Path,
    log: Log,
    pad: &mut Pad,
    maker: Option<Pid>,
) -> Result<Executor, StartError> {
    let (mut executor, base) = settle(path, log, pad, maker)?;
    confine(&mut executor, &base, pad)?;
    Ok(executor)
}

/// Everything that is read and given up, before the executor confines itself.
fn settle(
    path: &Path,
    log: Log,
    pad: &Pad,
    maker: Option<Pid>,
) -> Result<(Executor, Base), StartError> {
    let started_by = Uid::current();
    if started_by != Uid::effective() || Gid::current() != Gid::effective() {
        return Err(StartError::SetUserId);
    }
    prctl::set_dumpable(false).map_err(StartError::Dumpable)?;
    rlimits::limit_all().map_err(StartError::Limits)?;
    let config = Config::read(path, started_by.as_raw())?;
    let profiles = profiles(&config, &log)?;
    let abi = Abi::of_this_kernel()?;
    let (uid, gid) = account(&config)?;
    let scratch = Parent::open(&config.runs_dir, uid, gid)?;
    let held = settle_privileges(&config, uid, gid)?;
    // Changing identity may have made it dumpable again.
    prctl::set_dumpable(false).map_err(StartError::Dumpable)?;
    check_name(&config, uid, &log)?;
    prctl::set_child_subreaper(true).map_err(StartError::Signals)?;
    let around = Circumstances {
        abi,
        held,
        argv: &pad.argv,
    };
    let mut opened = Opened::default();
    let tools = profiles
        .iter()
        .map(|profile| Tool::prepare(profile, around, &mut opened))
        .collect();
    let base = Base::new(&profiles)?;
    let is_embedded = config.mode == Mode::Embedded;
    let executor = Executor {
        log,
        uid,
        gid,
        peer_uid: is_embedded.then_some(started_by.as_raw()),
        parent: maker
            .filter(|_| is_embedded)
            .map(tie_to_broker)
            .transpose()?,
        held,
        icmp_sockets: icmp_sockets(),
        abi,
        kernel: kernel(),
        base_digest: base.digest(),
        profiles_digest: profiles.digest(),
        scope_digest: config.scope.digest(),
        tools,
        scratch,
        config,
    };
    Ok((executor, base))
}

/// Confines the executor, and asks each tool for its version under its sandbox.
fn confine(executor: &mut Executor, base: &Base, pad: &mut Pad) -> Result<(), StartError> {
    base.install()?;
    sweep(executor);
    probe::versions(executor, pad).map_err(StartError::Probe)?;
    for tool in &executor.tools {
        let problem = inventory::problem(executor, tool);
        if !problem.is_empty() {
            executor.log.event(
                Level::Warn,
                "tool-unavailable",
                &[("tool", &tool.profile.name), ("reason", &problem)],
            );
        }
    }
    Ok(())
}

fn profiles(config: &Config, log: &Log) -> Result<ProfileSet, StartError> {
    let report = |errors: &[LoadError]| {
        for error in errors {
            log.event(Level::Error, "profile-refused", &[("reason", error)]);
        }
        StartError::Profiles(errors.len())
    };
    let loaded = load::installed(&config.profiles, config.owner);
    if !loaded.errors.is_empty() {
        return Err(report(&loaded.errors));
    }
    let set = loaded.profiles;
    if set.is_empty() {
        return Err(StartError::NoProfiles);
    }
    set.check_scope(&config.scope)?;
    Ok(set)
}

/// Who serves: the configured user when started as root, else who we are.
fn account(config: &Config) -> Result<(Uid, Gid), StartError> {
    if Uid::current().is_root() {
        let account = Account::named(&config.user)?;
        Ok((account.uid, account.gid))
    } else {
        Ok((Uid::current(), Gid::current()))
    }
}

/// Gives up root, and every capability that the mode doesn't keep. What is held
/// afterwards.
fn settle_privileges(config: &Config, uid: Uid, gid: Gid) -> Result<CapabilitySet, StartError> {
    if Uid::current().is_root() {
        identity::give_up_root(Account { uid, gid })?;
    }
    let held = match config.mode {
        Mode::Embedded => CapabilitySet::EMPTY,
        Mode::System => CapabilitySet::permitted().map_err(StartError::Capabilities)?,
    };
    caps::keep(held).map_err(StartError::Capabilities)?;
    Ok(held)
}

/// In system mode the user must have a name; in embedded mode it is the broker's
/// user, who may be known to a directory service only.
fn check_name(config: &Config, uid: Uid, log: &Log) -> Result<(), StartError> {
    if Account::exists(uid)? {
        return Ok(());
    }
    match config.mode {
        Mode::System => Err(StartError::Nameless(uid.as_raw())),
        Mode::Embedded => {
            let reason = StartError::Nameless(uid.as_raw());
            log.event(Level::Warn, "user-without-name", &[("reason", &reason)]);
            Ok(())
        }
    }
}

/// Asks to be told when the broker dies, and makes sure that it hasn't.
fn tie_to_broker(maker: Pid) -> Result<Pid, StartError> {
    prctl::set_pdeathsig(PARENT_DIED).map_err(StartError::Signals)?;
    let parent = getppid();
    if parent == maker {
        Ok(parent)
    } else {
        Err(StartError::NotOurParent {
            maker: maker.as_raw(),
            parent: parent.as_raw(),
        })
    }
}

/// The kernel's release, for reports.
fn kernel() -> String {
    let name = uname().map(|name| name.release().to_string_lossy().into_owned());
    name.unwrap_or_default()
}

/// Tries, once, what ping would try.
fn icmp_sockets() -> IcmpSockets {
    let flags = SockFlag::SOCK_CLOEXEC;
    match socket(
        AddressFamily::Inet,
        SockType::Datagram,
        flags,
        SockProtocol::Icmp,
    ) {
        Ok(_) => IcmpSockets::Open,
        Err(_) => IcmpSockets::Closed,
    }
}

/// Removes what runs of an earlier life left behind.
fn sweep(executor: &Executor) {
    match executor.scratch.sweep() {
        Ok(0) => {}
        Ok(swept) => executor
            .log
            .event(Level::Warn, "swept", &[("directories", &swept)]),
        Err(error) => executor
            .log
            .event(Level::Error, "sweep-failed", &[("reason", &error)]),
    }
}
