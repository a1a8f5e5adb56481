//! The command line: what `mantlet` can be told, and how it ends.
//!
//! What it is: arguments, exit codes, and the start-up that the commands share.
//! What it is not: a second pipeline; every command goes through the one.
//!
//! Invariants: privileges are given up before a command does anything; standard
//! output carries a command's result and nothing else.

pub mod start;
pub mod serve;
pub mod token;
pub mod run;
pub mod vet;
pub mod tools;
pub mod check;
mod sides;
pub mod doctor;
pub mod audit;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::outcome::ErrorType;
use crate::pipeline::reading;

/// How a command ends, as documented in `mantlet run --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The tool failed, or something is wrong.
    Failed,
    /// The command line can't be understood.
    Usage,
    /// The call was refused.
    Refused,
    /// The executor or its sandbox can't be used.
    Unavailable,
    /// The run's time was up.
    TimedOut,
    /// The run was cancelled.
    Cancelled,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unavailable => 4,
            Self::TimedOut => 124,
            Self::Cancelled => 130,
        }
    }
}

impl From<ErrorType> for Exit {
    fn from(error: ErrorType) -> Self {
        match error {
            ErrorType::Timeout => Self::TimedOut,
            ErrorType::Cancelled => Self::Cancelled,
            ErrorType::NotFound
            | ErrorType::ValidationError
            | ErrorType::PermissionDenied
            | ErrorType::ToolDisabled
            | ErrorType::RateLimited => Self::Refused,
            ErrorType::ResourceExhausted
            | ErrorType::CircuitBreakerOpen
            | ErrorType::ExecutorUnavailable
            | ErrorType::SandboxUnavailable => Self::Unavailable,
            ErrorType::ExecutionError | ErrorType::Unknown => Self::Failed,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  mantlet run nmap 192.168.1.0/24 --template discovery
  mantlet run nmap 192.168.1.10 -- -sV -p 22,80
  mantlet vet nmap 192.168.1.10 --extra-args '-sS -p 80'
  mantlet doctor

An MCP client such as Claude Desktop starts `mantlet stdio`.";

const CONFIG_HELP: &str = "Configuration file [default: $MCP_CONFIG_FILE, else \
    ~/.config/mantlet/config.toml, else /etc/mantlet/config.toml]";

/// Runs network diagnostic tools on lab networks, confined, for people and AI assistants
#[derive(Debug, Parser)]
#[command(name = "mantlet", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[arg(long, global = true, value_name = "FILE", help = CONFIG_HELP)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the Model Context Protocol on standard input and output
    Stdio,
    /// Serve HTTP: REST, and the Model Context Protocol at /mcp
    #[command(after_help = serve::ABOUT)]
    Serve,
    /// Make, list and revoke the tokens of those who may use the HTTP service
    Token(token::TokenArgs),
    /// Run a tool and show what it found
    Run(run::RunArgs),
    /// Say whether a call would be allowed, and what would run; runs nothing
    Vet(vet::VetArgs),
    /// List the tools and what each may do
    Tools(JsonFlag),
    /// Check configuration and profiles, and show what is in effect
    Check(check::CheckArgs),
    /// Find out what works on this machine, what does not, and why
    Doctor(JsonFlag),
    /// Check the audit log
    Audit(audit::AuditArgs),
}

/// Whether to print for programs.
#[derive(Debug, Args)]
pub struct JsonFlag {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The call that `run` and `vet` share.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// Start from one of the tool's templates; `mantlet tools` lists them
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// Arguments of the tool
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// The program: parses, starts, runs one command.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; anything else is a usage error.
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            return match error.print() {
                Ok(()) => exit.code().into(),
                Err(_) => Exit::Failed.code().into(),
            };
        }
    };
    let config = cli.config.as_deref();
    let command = cli.command.map_or_else(|| configured(config), Ok);
    let exit = command.map_or_else(|exit| exit, |command| carry_out(config, command));
    let exit = if exit == Exit::Done && LOST.load(Ordering::Relaxed) {
        Exit::Failed
    } else {
        exit
    };
    exit.code().into()
}

/// What to do where the command line doesn't say: what is configured to be served.
fn configured(config: Option<&Path>) -> Result<Command, Exit> {
    let settings = reading::settings(config).map_err(|faults| {
        faults.lines().for_each(|fault| complain(&fault));
        Exit::Usage
    })?;
    match settings.transport.as_deref() {
        Some("stdio") => Ok(Command::Stdio),
        Some("http") => Ok(Command::Serve),
        Some(_) | None => {
            let help = Cli::command().render_help();
            complain(&format!(
                "a command is missing, and server.transport (MCP_SERVER_TRANSPORT) is not set\n\n{help}"
            ));
            Err(Exit::Usage)
        }
    }
}

fn carry_out(config: Option<&Path>, command: Command) -> Exit {
    match command {
        Command::Stdio => start::stdio(config),
        Command::Serve => serve::command(config),
        Command::Token(args) => token::command(config, args),
        Command::Run(args) => run::command(config, args),
        Command::Vet(args) => vet::command(config, args),
        Command::Tools(flag) => tools::command(config, &flag),
        Command::Check(args) => check::command(config, &args),
        Command::Doctor(flag) => doctor::command(config, &flag),
        Command::Audit(args) => audit::command(config, &args),
    }
}

/// Whether a result could not be printed.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints to standard output. A reader that went away is no failure of ours;
/// anything else makes the command fail.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            if !LOST.swap(true, Ordering::Relaxed) {
                complain(&format!("the result can't be written: {error}"));
            }
        }
    }
}

/// Prints a line to standard error.
pub(crate) fn complain(text: &str) {
    let mut out = std::io::stderr().lock();
    drop(writeln!(out, "mantlet: {text}"));
}
