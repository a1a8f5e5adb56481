//! The command line, read by hand: three commands and their options.
//!
//! What it is not: configuration; all of that is in one file.
//!
//! Invariants: anything not understood is an error, and names what would be.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::DEFAULT_PATH;
use crate::explain::Form;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Runs vetted network diagnostic tools in a sandbox, on behalf of the Mantlet broker.

Usage:
  mantlet-executor serve [--config FILE]   serve on the listening Unix socket that is descriptor 3
  mantlet-executor check [--config FILE]   start up as `serve` does, say what it found, and end
  mantlet-executor explain TOOL [--config FILE] [--json | --bpf] [-- ARGS]
                                           say what a run of the tool may do: capabilities, paths,
                                           sockets, system calls with their reasons, limits
  mantlet-executor --help
  mantlet-executor --version

Options:
  --config FILE   the configuration [default: /etc/mantlet/executor.toml]
  --json          explain: for programs
  --bpf           explain: the system call filter, as the kernel takes it
  -- ARGS         explain: this call, target last; without, the widest sandbox of the tool

Exit status: 0 after a drain on SIGTERM or SIGINT, or a check without problems;
1 when it can't serve or the call is refused; 2 when the command line is not understood.
";

/// What `--version` says.
pub(crate) const VERSION: &str = concat!("mantlet-executor ", env!("CARGO_PKG_VERSION"), "\n");

/// Exit status for a command line that is not understood.
const USAGE: u8 = 2;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Serve.
    Serve {
        /// The configuration file.
        config: PathBuf,
    },
    /// Start up and say what was found.
    Check {
        /// The configuration file.
        config: PathBuf,
    },
    /// Say what a run may do.
    Explain {
        /// The configuration file.
        config: PathBuf,
        /// The tool's name.
        tool: String,
        /// The call's arguments, if one is meant.
        arguments: Vec<String>,
        /// How to say it.
        form: Form,
    },
    /// Say what the commands are.
    Help,
    /// Say which release this is.
    Version,
}

/// A command line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// Nothing at all.
    #[error("a command is needed: serve, check or explain")]
    NoCommand,
    /// A word that is no command or option.
    #[error("{0:?} is not understood; the commands are serve, check and explain")]
    Unknown(String),
    /// An option without a value, or with an empty one.
    #[error("--config needs a file")]
    NoValue,
    /// Twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// Nothing to explain.
    #[error("explain needs the name of a tool")]
    NoTool,
}

/// The words after a command.
#[derive(Debug, Default)]
struct Words {
    config: Option<PathBuf>,
    form: Option<Form>,
    tool: Option<String>,
    arguments: Vec<String>,
    wants_help: bool,
}

impl Command {
    /// Reads the arguments, the program's own name left out.
    ///
    /// # Errors
    ///
    /// The first word that is not understood.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let command = arguments.next().ok_or(UsageError::NoCommand)?;
        let command = text(&command)?;
        match command {
            "serve" | "check" | "explain" => {}
            "--help" | "-h" | "help" => return Ok(Self::Help),
            "--version" | "-V" => return Ok(Self::Version),
            _ => return Err(UsageError::Unknown(command.to_owned())),
        }
        let words = Words::read(arguments, command == "explain")?;
        let config = words.config.unwrap_or_else(|| DEFAULT_PATH.into());
        Ok(match command {
            _ if words.wants_help => Self::Help,
            "serve" => Self::Serve { config },
            "check" => Self::Check { config },
            _ => Self::Explain {
                config,
                tool: words.tool.ok_or(UsageError::NoTool)?,
                arguments: words.arguments,
                form: words.form.unwrap_or(Form::Text),
            },
        })
    }
}

impl Words {
    fn read(
        mut arguments: impl Iterator<Item = OsString>,
        explains: bool,
    ) -> Result<Self, UsageError> {
        let mut words = Self::default();
        while let Some(word) = arguments.next() {
            let word = text(&word)?;
            match (word, word.split_once('=')) {
                ("--config", _) => words.configure(arguments.next())?,
                (_, Some(("--config", value))) => words.configure(Some(value.into()))?,
                ("--help" | "-h", _) => words.wants_help = true,
                ("--json", _) if explains => words.write_as(Form::Json)?,
                ("--bpf", _) if explains => words.write_as(Form::Bpf)?,
                ("--", _) if explains => {
                    let rest = arguments
                        .by_ref()
                        .map(|word| text(&word).map(str::to_owned));
                    words.arguments = rest.collect::<Result<_, _>>()?;
                }
                _ if explains && words.tool.is_none() && !word.starts_with('-') => {
                    words.tool = Some(word.to_owned());
                }
                _ => return Err(UsageError::Unknown(word.to_owned())),
            }
        }
        Ok(words)
    }

    fn configure(&mut self, value: Option<OsString>) -> Result<(), UsageError> {
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or(UsageError::NoValue)?;
        match self.config.replace(value.into()) {
            Some(_) => Err(UsageError::Twice("--config")),
            None => Ok(()),
        }
    }

    fn write_as(&mut self, form: Form) -> Result<(), UsageError> {
        match self.form.replace(form) {
            Some(_) => Err(UsageError::Twice("--json or --bpf")),
            None => Ok(()),
        }
    }
}

fn text(word: &OsString) -> Result<&str, UsageError> {
    let unknown = || UsageError::Unknown(word.to_string_lossy().into_owned());
    word.to_str().ok_or_else(unknown)
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says what is wrong with the command line.
pub(crate) fn complain(error: &UsageError) -> ExitCode {
    let text = format!("mantlet-executor: {error}\nTry `mantlet-executor --help`.\n");
    // Where standard error is closed, the status has to do.
    io::stderr().write_all(text.as_bytes()).unwrap_or_default();
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Command, UsageError> {
        Command::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn understands_its_commands() {
        let serve = |config: &str| {
            Ok(Command::Serve {
                config: config.into(),
            })
        };
        let cases: [(&[&str], _, &str); 8] = [
            (&["serve"], serve(DEFAULT_PATH), "the default file"),
            (&["serve", "--config", "/a"], serve("/a"), "its own file"),
            (&["serve", "--config=/a=b"], serve("/a=b"), "attached"),
            (
                &["check"],
                Ok(Command::Check {
                    config: DEFAULT_PATH.into(),
                }),
                "check",
            ),
            (&["--help"], Ok(Command::Help), "help"),
            (
                &["serve", "--help"],
                Ok(Command::Help),
                "help after a command",
            ),
            (&["-V"], Ok(Command::Version), "version"),
            (&["help"], Ok(Command::Help), "as many type it"),
        ];
        for (words, expected, why) in cases {
            assert_eq!(parse(words), expected, "{why}");
        }
    }

    #[test]
    fn explains_a_tool_or_a_call() {
        let explain = |config: &str, arguments: &[&str], form| {
            Ok(Command::Explain {
                config: config.into(),
                tool: "ping".to_owned(),
                arguments: arguments.iter().map(ToString::to_string).collect(),
                form,
            })
        };
        let cases: [(&[&str], _, &str); 4] = [
            (
                &["explain", "ping"],
                explain(DEFAULT_PATH, &[], Form::Text),
                "a tool",
            ),
            (
                &["explain", "--config=/a", "ping", "--json"],
                explain("/a", &[], Form::Json),
                "options on both sides",
            ),
            (
                &["explain", "ping", "--bpf", "--", "--json", "10.0.0.1"],
                explain(DEFAULT_PATH, &["--json", "10.0.0.1"], Form::Bpf),
                "the tool's own words",
            ),
            (
                &["explain", "ping", "--", "-h"],
                explain(DEFAULT_PATH, &["-h"], Form::Text),
                "likewise",
            ),
        ];
        for (words, expected, why) in cases {
            assert_eq!(parse(words), expected, "{why}");
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let unknown = |word: &str| UsageError::Unknown(word.to_owned());
        let cases: [(&[&str], UsageError, &str); 12] = [
            (&["explain"], UsageError::NoTool, "what?"),
            (&["explain", "ping", "dig"], unknown("dig"), "one at a time"),
            (
                &["explain", "ping", "--json", "--bpf"],
                UsageError::Twice("--json or --bpf"),
                "which?",
            ),
            (
                &["explain", "--why", "ping"],
                unknown("--why"),
                "no such option",
            ),
            (
                &["check", "--json"],
                unknown("--json"),
                "of another command",
            ),
            (&[], UsageError::NoCommand, "nothing"),
            (&["run"], unknown("run"), "the broker's command"),
            (&["serve", "-c", "/a"], unknown("-c"), "no short form"),
            (&["serve", "/a"], unknown("/a"), "no positional"),
            (&["serve", "--config"], UsageError::NoValue, "no value"),
            (&["serve", "--config="], UsageError::NoValue, "empty"),
            (
                &["serve", "--config=/a", "--config=/b"],
                UsageError::Twice("--config"),
                "which?",
            ),
        ];
        for (words, expected, why) in cases {
            assert_eq!(parse(words), Err(expected), "{why}");
        }
    }
}
