//! The command line, read by hand: commands and their options.
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
use crate::selftest::Wish;
use crate::selftest::table::Layer;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Runs vetted network diagnostic tools in a sandbox, on behalf of the Mantlet broker.

Usage:
  mantlet-executor serve [--config FILE]   serve on the listening Unix socket that is descriptor 3
  mantlet-executor check [--config FILE]   start up as `serve` does, say what it found, and end
  mantlet-executor explain TOOL [--config FILE] [--json | --bpf] [-- ARGS]
                                           say what a run of the tool may do: capabilities, paths,
                                           sockets, system calls with their reasons, limits
  mantlet-executor selftest [--config FILE] [--json] [--tool TOOL] [--without LAYER]
                                           make escape attempts inside each tool's sandbox, on this
                                           host, and say which were stopped, and by what
  mantlet-executor attempt PID NAME...     make escape attempts here and now; what selftest runs
  mantlet-executor --help
  mantlet-executor --version

Options:
  --config FILE   the configuration [default: /etc/mantlet/executor.toml]
  --json          explain, selftest: for programs
  --bpf           explain: the system call filter, as the kernel takes it
  --tool TOOL     selftest: the sandboxes of this tool only
  --without LAYER selftest: leave out landlock, seccomp or capabilities, to see that it is missed
  -- ARGS         explain: this call, target last; without, the widest sandbox of the tool

Exit status: 0 after a drain on SIGTERM or SIGINT, or a check without problems;
1 when it can't serve or the call is refused; 2 when the command line is not understood;
3 when an attempt of selftest got through, or was stopped by something else.
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
    /// Make escape attempts in each tool's sandbox.
    SelfTest {
        /// The configuration file.
        config: PathBuf,
        /// What is asked for.
        wish: Wish,
    },
    /// Make escape attempts here; what the self-test runs.
    Attempt {
        /// The executor's process id.
        executor: i32,
        /// Their names.
        names: Vec<String>,
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
    #[error("a command is needed: serve, check, explain or selftest")]
    NoCommand,
    /// A word that is no command, or no option of the command.
    #[error("{0:?} is not understood; the commands are serve, check, explain and selftest")]
    Unknown(String),
    /// An option without a value, or with an empty one.
    #[error("{0} needs a value")]
    NoValue(&'static str),
    /// Twice, or beside another one.
    #[error("{0} is given twice, or beside one that excludes it")]
    Twice(&'static str),
    /// Nothing to explain.
    #[error("explain needs the name of a tool")]
    NoTool,
    /// Nobody to signal.
    #[error("attempt needs the executor's process id, then names of attempts")]
    NoProcess,
    /// No such layer.
    #[error("{0:?} is no layer that can be left out: landlock, seccomp or capabilities")]
    NoLayer(String),
}

/// Options with a value, and those without.
const WITH_VALUE: &[&str] = &["--config", "--tool", "--without"];
const FLAGS: &[&str] = &["--json", "--bpf"];

/// The words after a command.
#[derive(Debug, Default)]
struct Words {
    /// Options as they are named, with their values.
    options: Vec<(&'static str, OsString)>,
    /// Words that are no options.
    plain: Vec<String>,
    /// Words after `--`.
    rest: Vec<String>,
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
        // Options, and how many plain words.
        let (options, plain): (&[&str], usize) = match command {
            "serve" | "check" => (&["--config"], 0),
            "explain" => (&["--config", "--json", "--bpf", "--"], 1),
            "selftest" => (&["--config", "--json", "--tool", "--without"], 0),
            "attempt" => (&[], usize::MAX),
            "--help" | "-h" | "help" => return Ok(Self::Help),
            "--version" | "-V" => return Ok(Self::Version),
            _ => return Err(UsageError::Unknown(command.to_owned())),
        };
        let mut words = Words::read(arguments, options, plain)?;
        if words.wants_help {
            return Ok(Self::Help);
        }
        let config = words.take("--config");
        let config = config.map_or_else(|| DEFAULT_PATH.into(), PathBuf::from);
        Ok(match command {
            "serve" => Self::Serve { config },
            "check" => Self::Check { config },
            "explain" => Self::Explain {
                config,
                form: words.form()?,
                tool: words.plain.pop().ok_or(UsageError::NoTool)?,
                arguments: words.rest,
            },
            "selftest" => Self::SelfTest {
                config,
                wish: words.wish()?,
            },
            _ => {
                let pid = words.plain.first().and_then(|word| word.parse().ok());
                Self::Attempt {
                    executor: pid.ok_or(UsageError::NoProcess)?,
                    names: words.plain.split_off(1),
                }
            }
        })
    }
}

impl Words {
    fn read(
        mut arguments: impl Iterator<Item = OsString>,
        options: &[&str],
        plain_max: usize,
    ) -> Result<Self, UsageError> {
        let mut words = Self::default();
        while let Some(word) = arguments.next() {
            let word = text(&word)?;
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) if WITH_VALUE.contains(&name) => (name, Some(value.into())),
                Some(_) | None => (word, None),
            };
            let known = |all: &'static [&'static str]| {
                let taken = all.iter().filter(|option| options.contains(option));
                taken.copied().find(|option| *option == name)
            };
            if let Some(option) = known(WITH_VALUE) {
                words.give(
                    option,
                    attached.or_else(|| arguments.next()).unwrap_or_default(),
                )?;
            } else if let Some(flag) = known(FLAGS) {
                words.give(flag, "yes".into())?;
            } else if name == "--" && options.contains(&"--") {
                let rest = arguments.by_ref();
                let rest = rest.map(|word| text(&word).map(str::to_owned));
                words.rest = rest.collect::<Result<_, _>>()?;
            } else if matches!(name, "--help" | "-h") {
                words.wants_help = true;
            } else if !name.starts_with('-') && words.plain.len() < plain_max {
                words.plain.push(name.to_owned());
            } else {
                return Err(UsageError::Unknown(word.to_owned()));
            }
        }
        Ok(words)
    }

    fn give(&mut self, option: &'static str, value: OsString) -> Result<(), UsageError> {
        if value.is_empty() {
            return Err(UsageError::NoValue(option));
        }
        if self.options.iter().any(|(known, _)| *known == option) {
            return Err(UsageError::Twice(option));
        }
        self.options.push((option, value));
        Ok(())
    }

    fn take(&mut self, option: &str) -> Option<OsString> {
        let at = self
            .options
            .iter()
            .position(|(known, _)| *known == option)?;
        Some(self.options.swap_remove(at).1)
    }

    fn form(&mut self) -> Result<Form, UsageError> {
        match (self.take("--json"), self.take("--bpf")) {
            (None, None) => Ok(Form::Text),
            (Some(_), None) => Ok(Form::Json),
            (None, Some(_)) => Ok(Form::Bpf),
            (Some(_), Some(_)) => Err(UsageError::Twice("--bpf")),
        }
    }

    fn wish(&mut self) -> Result<Wish, UsageError> {
        let tool = self.take("--tool");
        let layer = self.take("--without");
        let layer = layer.map(|layer| {
            let name = text(&layer)?;
            let mut layers = Layer::REMOVABLE.into_iter();
            let found = layers.find(|layer| layer.as_str() == name);
            found.ok_or_else(|| UsageError::NoLayer(name.to_owned()))
        });
        Ok(Wish {
            tool: tool
                .map(|tool| text(&tool).map(str::to_owned))
                .transpose()?,
            json: self.take("--json").is_some(),
            without: layer.transpose()?,
        })
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
                UsageError::Twice("--bpf"),
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
            (
                &["serve", "--config"],
                UsageError::NoValue("--config"),
                "no value",
            ),
            (
                &["serve", "--config="],
                UsageError::NoValue("--config"),
                "empty",
            ),
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
