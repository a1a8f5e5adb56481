//! The command line, read by hand: two commands and one option.
//!
//! What it is not: configuration; all of that is in one file.
//!
//! Invariants: anything not understood is an error, and names what would be.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::DEFAULT_PATH;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Runs vetted network diagnostic tools in a sandbox, on behalf of the Mantlet broker.

Usage:
  mantlet-executor serve [--config FILE]   serve on the listening Unix socket that is descriptor 3
  mantlet-executor check [--config FILE]   start up as `serve` does, say what it found, and end
  mantlet-executor --help
  mantlet-executor --version

Options:
  --config FILE   the configuration [default: /etc/mantlet/executor.toml]

Exit status: 0 after a drain on SIGTERM or SIGINT, or a check without problems;
1 when it can't serve; 2 when the command line is not understood.
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
    /// Say what the commands are.
    Help,
    /// Say which release this is.
    Version,
}

/// A command line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    /// Nothing at all.
    #[error("a command is needed: serve or check")]
    NoCommand,
    /// A word that is no command or option.
    #[error(
        "{0:?} is not understood; the commands are serve and check, the option is --config FILE"
    )]
    Unknown(String),
    /// No value, or an empty one.
    #[error("--config needs a file")]
    NoValue,
    /// Twice.
    #[error("--config is given twice")]
    Twice,
}

impl Command {
    /// Reads the arguments, the program's own name left out.
    ///
    /// # Errors
    ///
    /// The first word that is not understood.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let command = arguments.next().ok_or(UsageError::NoCommand)?;
        let unknown = |word: &OsString| UsageError::Unknown(word.to_string_lossy().into_owned());
        let is_serve = match command.to_str() {
            Some("serve") => true,
            Some("check") => false,
            Some("--help" | "-h" | "help") => return Ok(Self::Help),
            Some("--version" | "-V") => return Ok(Self::Version),
            Some(_) | None => return Err(unknown(&command)),
        };
        let mut config: Option<PathBuf> = None;
        while let Some(word) = arguments.next() {
            let text = word.to_str().ok_or_else(|| unknown(&word))?;
            let value = match text.split_once('=') {
                _ if text == "--config" => arguments.next(),
                Some(("--config", value)) => Some(value.into()),
                _ if text == "--help" || text == "-h" => return Ok(Self::Help),
                Some(_) | None => return Err(unknown(&word)),
            };
            let value = value
                .filter(|value| !value.is_empty())
                .ok_or(UsageError::NoValue)?;
            if config.replace(value.into()).is_some() {
                return Err(UsageError::Twice);
            }
        }
        let config = config.unwrap_or_else(|| DEFAULT_PATH.into());
        Ok(if is_serve {
            Self::Serve { config }
        } else {
            Self::Check { config }
        })
    }
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
    fn understands_two_commands() {
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
    fn refuses_what_it_does_not_understand() {
        let unknown = |word: &str| UsageError::Unknown(word.to_owned());
        let cases: [(&[&str], UsageError, &str); 7] = [
            (&[], UsageError::NoCommand, "nothing"),
            (&["run"], unknown("run"), "the broker's command"),
            (&["serve", "-c", "/a"], unknown("-c"), "no short form"),
            (&["serve", "/a"], unknown("/a"), "no positional"),
            (&["serve", "--config"], UsageError::NoValue, "no value"),
            (&["serve", "--config="], UsageError::NoValue, "empty"),
            (
                &["serve", "--config=/a", "--config=/b"],
                UsageError::Twice,
                "which?",
            ),
        ];
        for (words, expected, why) in cases {
            assert_eq!(parse(words), Err(expected), "{why}");
        }
    }
}
