//! `mantlet token`: makes, lists and revokes the tokens of the HTTP service.
//!
//! What it is not: a client of the service. It changes the file, which the
//! service reads again by itself.
//!
//! Invariants: a token's text is printed once, alone on standard output, and
//! written nowhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use sandbox_profiles::ProfileSet;
use serde_json::json;

use super::start::{self, Logs, with_cause};
use super::{Exit, JsonFlag, complain, print};
use crate::access::{Grant, Role, Token, TokenFile, TokenFileError};
use crate::config::Settings;
use crate::config::service::StorePlace;
use crate::results::neutralise;

const CREATE_EXAMPLES: &str = "\
Examples:
  mantlet token create grafana --role read
  TOKEN=$(mantlet token create ci --role execute --tool nmap --expires 30d)";

/// Longest name shown, in characters.
const NAME_SHOWN_CHARS_MAX: usize = 64;

/// Arguments of `mantlet token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it; it is shown this once
    Create(CreateArgs),
    /// List the tokens, without their secrets
    List(JsonFlag),
    /// Take a token back; it is refused from now on
    Revoke(RevokeArgs),
}

/// Arguments of `mantlet token create`.
#[derive(Debug, Args)]
#[command(after_help = CREATE_EXAMPLES)]
struct CreateArgs {
    /// What it is for, as lists show it
    name: String,
    /// What it may do; each role includes those before it
    #[arg(long, value_enum)]
    role: RoleName,
    /// Hold it to this tool; may be given more than once [default: all tools]
    #[arg(long = "tool", value_name = "TOOL")]
    tools: Vec<String>,
    /// When its time is over: from now (2w, 30d, 12h, 45m, 90s) or a time (2027-01-31T00:00:00Z) [default: never]
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    expires: Option<Timestamp>,
}

/// Arguments of `mantlet token revoke`.
#[derive(Debug, Args)]
struct RevokeArgs {
    /// Its id, as `mantlet token list` shows it
    id: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Read,
    Execute,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Read => Self::Read,
            RoleName::Execute => Self::Execute,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// The state directory, where the configuration keeps anything in it. To be
/// called before root is given up.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub(super) fn state(settings: &Settings) -> Result<Option<PathBuf>, Exit> {
    let needed =
        settings.service.tokens_file.is_none() || settings.store.place == StorePlace::State;
    needed.then(start::state_directory).transpose()
}

/// The file of tokens: the configured one, else that of the state directory.
///
/// # Errors
///
/// The exit to end with; the reason has been printed.
pub(super) fn file(settings: &Settings, state: Option<&Path>) -> Result<TokenFile, Exit> {
    let configured = settings.service.tokens_file.clone();
    let path = configured.or_else(|| Some(state?.join("tokens.toml")));
    path.map(TokenFile::at).ok_or_else(|| {
        complain("there is no place for tokens; set access.tokens_file");
        Exit::Usage
    })
}

/// Runs the command.
pub fn command(config: Option<&Path>, args: TokenArgs) -> Exit {
    match run(config, args) {
        Ok(()) => Exit::Done,
        Err(exit) => exit,
    }
}

fn run(config: Option<&Path>, args: TokenArgs) -> Result<(), Exit> {
    let (ready, state) = start::ready_after(config, Logs::Person, |settings| {
        if settings.service.tokens_file.is_some() {
            return Ok(None);
        }
        start::state_directory().map(Some)
    })?;
    let file = file(&ready.settings, state.as_deref())?;
    let failed = |error: TokenFileError| {
        complain(&with_cause(&error));
        match error {
            TokenFileError::Token(_) => Exit::Usage,
            TokenFileError::Io { .. }
            | TokenFileError::Exposed(_)
            | TokenFileError::Foreign { .. }
            | TokenFileError::Malformed { .. }
            | TokenFileError::Full
            | TokenFileError::NoSuch(_) => Exit::Failed,
        }
    };
    match args.command {
        TokenCommand::Create(args) => {
            let tools = known(&args.tools, &ready.profiles)?;
            let role = args.role.into();
            let made = file.create(&args.name, Grant { role, tools }, args.expires);
            let (token, text) = made.map_err(failed)?;
            complain(&format!(
                "made token {} in {}; it is shown this once, and `mantlet token revoke {}` takes it back",
                token.id,
                file.path().display(),
                token.id
            ));
            print(&format!("{text}\n"));
        }
        TokenCommand::List(flag) => list(&file.read().map_err(failed)?, flag.json),
        TokenCommand::Revoke(args) => {
            let token = file.revoke(&args.id).map_err(failed)?;
            let name = neutralise::line(&token.name, NAME_SHOWN_CHARS_MAX);
            complain(&format!("revoked token {} ({name})", token.id));
        }
    }
    Ok(())
}

/// The tools by the names of their profiles; a grant for a name that no profile
/// has would be one for nothing.
fn known(named: &[String], profiles: &ProfileSet) -> Result<Vec<String>, Exit> {
    let mut tools = Vec::new();
    for name in named {
        let Some(profile) = profiles.get(name) else {
            let shown = neutralise::line(name, NAME_SHOWN_CHARS_MAX);
            let remedy = match profiles.nearest(name) {
                Some(near) => format!("did you mean {near}?"),
                None => "`mantlet tools` lists the tools".to_owned(),
            };
            complain(&format!("there is no tool {shown:?}; {remedy}"));
            return Err(Exit::Usage);
        };
        if !tools.contains(&profile.name) {
            tools.push(profile.name.clone());
        }
    }
    Ok(tools)
}

fn list(tokens: &[Token], as_json: bool) {
    let now = Timestamp::now();
    let is_over = |token: &Token| token.expires.is_some_and(|expires| expires <= now);
    if as_json {
        let all: Vec<_> = tokens
            .iter()
            .map(|token| {
                json!({ "id": token.id, "name": token.name, "role": token.grant.role,
                    "tools": token.grant.tools, "created": token.created,
                    "expires": token.expires, "expired": is_over(token) })
            })
            .collect();
        return print(&format!("{:#}\n", json!(all)));
    }
    let mut text = format!(
        "{:<9} {:<8} {:<22} {:<20} TOOLS\n",
        "ID", "ROLE", "EXPIRES", "NAME"
    );
    for token in tokens {
        let expires = token
            .expires
            .map_or_else(|| "never".to_owned(), |expires| format!("{expires:.0}"));
        let expires = if is_over(token) {
            "expired".to_owned()
        } else {
            expires
        };
        let tools = if token.grant.tools.is_empty() {
            "all".to_owned()
        } else {
            token.grant.tools.join(", ")
        };
        let name = neutralise::line(&token.name, NAME_SHOWN_CHARS_MAX);
        let role = token.grant.role.as_str();
        text.push_str(&format!(
            "{:<9} {role:<8} {expires:<22} {name:<20} {tools}\n",
            token.id
        ));
    }
    print(&text);
}

/// A time to come: `2w`, `30d`, `12h`, `45m`, `90s`, or RFC 3339.
fn expiry(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now();
    let wrong = || {
        "give a number of weeks, days, hours, minutes or seconds such as 2w, 30d, 12h, 45m or 90s, or a time such as 2027-01-31T00:00:00Z".to_owned()
    };
    let unit = text
        .char_indices()
        .last()
        .map(|(at, unit)| (text.get(..at), unit));
    let span = match unit {
        Some((Some(digits), unit @ ('w' | 'd' | 'h' | 'm' | 's'))) => {
            let count: u64 = digits.parse().map_err(|_| wrong())?;
            let seconds = match unit {
                'w' => 604_800,
                'd' => 86_400,
                'h' => 3600,
                'm' => 60,
                _ => 1,
            };
            Some(Duration::from_secs(count.saturating_mul(seconds)))
        }
        Some(_) | None => None,
    };
    let expires = match span {
        Some(span) => SignedDuration::try_from(span)
            .ok()
            .and_then(|span| now.checked_add(span).ok())
            .ok_or_else(wrong)?,
        None => text.parse().map_err(|_| wrong())?,
    };
    if expires <= now {
        return Err("that is over already".to_owned());
    }
    Ok(expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_times_to_come() {
        let hours = |text: &str| {
            let from_now = expiry(text).unwrap().duration_since(Timestamp::now());
            from_now.as_secs().saturating_add(30) / 3600
        };
        assert_eq!(hours("30d"), 720);
        assert_eq!(hours("12h"), 12);
        assert_eq!(hours("120m"), 2);
        assert!(expiry("2999-01-31T00:00:00Z").is_ok());
        for text in [
            "",
            "d",
            "30",
            "-1d",
            "0d",
            "1.5h",
            "30D",
            "999999999999d",
            "99999999999999999999d",
            "2001-01-31T00:00:00Z",
            "tomorrow",
            "30\u{fc}",
        ] {
            assert!(expiry(text).is_err(), "{text}");
        }
    }
}
