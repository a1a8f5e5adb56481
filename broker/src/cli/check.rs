//! `mantlet check`: is the configuration right, and what does it come to.
//!
//! What it is: every key with its value and who set it, the profiles, and the scope
//! of both sides, with their differences ([`super::sides`]).
//! What it is not: a look at the host; that is `mantlet doctor`.
//!
//! Invariants: it ends with 0 only if nothing is wrong and both sides agree.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use protocol::event::Inventory;
use serde_json::{Value, json};

use super::sides::Sides;
use super::start::{Logs, Ready, ready, runtime};
use super::{Exit, complain, print};
use crate::config::keys::{KEYS, Kind, Preset};
use crate::config::{Layers, Source};

/// Arguments of `mantlet check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print every key with its meaning and default, as a file to start from
    #[arg(long)]
    keys: bool,
}

/// What came of asking the executor.
struct Answer {
    mode: &'static str,
    same_profiles: bool,
    same_scope: bool,
    /// What it told of itself, or why it didn't.
    inventory: Result<Inventory, String>,
}

impl Answer {
    const fn agrees(&self) -> bool {
        self.same_profiles && self.same_scope && self.inventory.is_ok()
    }
}

/// Runs the command.
pub fn command(config: Option<&Path>, args: &CheckArgs) -> Exit {
    if args.keys {
        print(&example());
        return Exit::Done;
    }
    match check(config, args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn check(config: Option<&Path>, args: &CheckArgs) -> Result<Exit, Exit> {
    let ready = ready(config, Logs::Person)?;
    let file = ready.settings.file.as_ref();
    let file = file.map(|file| file.display().to_string());
    let values = values(&ready.settings.layers);
    let (profiles, scope) = (ready.profiles.clone(), ready.settings.scope.clone());
    let errors = ready.profile_errors.clone();
    let answer = ask(ready)?;
    let sides = Sides::new(&scope, &profiles, answer.inventory.as_ref().ok());
    let names: Vec<_> = profiles.iter().map(|profile| &profile.name).collect();
    if args.json {
        let values: serde_json::Map<_, _> = values
            .into_iter()
            .map(|(path, value, source)| (path, json!({"value": value, "source": source})))
            .collect();
        let executor = json!({ "mode": answer.mode, "same_profiles": answer.same_profiles,
            "same_scope": answer.same_scope, "error": answer.inventory.as_ref().err() });
        let all = json!({ "file": file, "values": Value::Object(values), "profiles": names,
            "profile_errors": errors, "executor": executor, "sides": sides.json() });
        print(&format!("{all:#}\n"));
    } else {
        let file = file.as_deref().unwrap_or("none; built-in values");
        let mut text = format!("file      {file}\n");
        for (path, value, source) in values {
            text.push_str(&format!("{path:<30} {value}  ({source})\n"));
        }
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        text.push_str(&format!("profiles  {}\n", names.join(", ")));
        text.push_str(&format!("executor  {}\n", verdict(&answer)));
        text.push_str(&sides.text());
        print(&text);
        for error in &errors {
            complain(error);
        }
    }
    Ok(if errors.is_empty() && answer.agrees() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Each key with its value and who set it; the tools' own scopes last.
fn values(layers: &Layers) -> Vec<(String, String, String)> {
    let general = layers
        .iter()
        .map(|(key, set, source)| (key.path.to_owned(), set.to_string(), source.to_string()));
    let own = layers.tool_scopes().iter().flat_map(|(tool, values)| {
        values.iter().map(move |(path, set)| {
            let name = path.strip_prefix("security.").unwrap_or(path);
            let path = format!("security.tools.{tool}.{name}");
            (path, set.to_string(), Source::File.to_string())
        })
    });
    general.chain(own).collect()
}

fn verdict(answer: &Answer) -> String {
    let mode = answer.mode;
    match (&answer.inventory, answer.same_profiles, answer.same_scope) {
        (Err(error), _, _) if mode == "embedded" => format!(
            "embedded, does not answer: {error}; it is started from this configuration, so its scope would be the one below"
        ),
        (Err(error), _, _) => {
            format!("{mode}, does not answer: {error}; below is the broker's side")
        }
        (Ok(_), true, true) => format!("{mode}, enforces the same profiles and scope"),
        (Ok(_), false, true) => {
            format!("{mode}, enforces other profiles than the broker; its own decide")
        }
        (Ok(_), true, false) => {
            format!("{mode}, enforces another scope than the broker; its own decides")
        }
        (Ok(_), false, false) => {
            format!("{mode}, enforces other profiles and another scope; its own decide")
        }
    }
}

fn ask(ready: Ready) -> Result<Answer, Exit> {
    let runtime = runtime()?;
    let (profiles, scope) = (ready.profiles.digest(), ready.settings.scope.digest());
    let answer = runtime.block_on(async {
        let engine = ready.engine()?;
        let executor = engine.executor();
        let mut answer = Answer {
            mode: executor.mode(),
            same_profiles: false,
            same_scope: false,
            inventory: Err(String::new()),
        };
        answer.inventory = match executor.inspect().await {
            Ok(inspected) => {
                answer.same_profiles = inspected.welcome.profiles_digest == profiles;
                answer.same_scope = inspected.welcome.scope_digest == scope;
                Ok(inspected.inventory)
            }
            Err(error) => Err(error.message),
        };
        engine.stop().await;
        Ok(answer)
    });
    runtime.shutdown_background();
    answer
}

/// A configuration file with every key, its meaning and its default.
pub fn example() -> String {
    let mut text =
        String::from("# Mantlet's configuration. Every key is shown with its default.\n");
    let mut table = "";
    for key in KEYS {
        let (name, entry) = key.path.split_once('.').unwrap_or(("", key.path));
        if name != table {
            text.push_str(&format!("\n[{name}]\n"));
            table = name;
        }
        for line in key.meaning.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        let accepts = match key.kind {
            Kind::Integer { min, max } => format!("{min} to {max}"),
            Kind::Choice(words) => words.join(", "),
            Kind::Flag | Kind::Text | Kind::List => String::new(),
        };
        let variable = key.variable.map(|name| format!("environment: {name}"));
        let remarks: Vec<_> = [Some(accepts), variable].into_iter().flatten().collect();
        let remarks = remarks.iter().filter(|remark| !remark.is_empty()).cloned();
        let remarks = remarks.collect::<Vec<_>>().join("; ");
        if !remarks.is_empty() {
            text.push_str(&format!("# ({remarks})\n"));
        }
        let value = match key.preset {
            Preset::Flag(flag) => flag.to_string(),
            Preset::Integer(number) => number.to_string(),
            Preset::Text(text) => format!("{text:?}"),
            Preset::List(items) => format!("{items:?}"),
        };
        let written = writeln!(text, "{entry} = {value}");
        debug_assert!(written.is_ok(), "a String takes all that is written to it");
    }
    text.push_str(OWN_SCOPE);
    text
}

/// How a tool gets a scope of its own.
const OWN_SCOPE: &str = "
# A tool can have a scope of its own: any key of [security] given here holds for it in
# place of the general one; the denied lists add to the general ones.
# [security.tools.nmap]
# allowed_networks = [\"10.66.0.0/24\"]
# allowed_ports = [\"22\", \"80\", \"443\", \"8000-8100\"]
# allow_intrusive = false
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_example_is_a_configuration_that_changes_nothing() {
        let mut layers = Layers::built_in();
        layers
            .lay_file(Path::new("example.toml"), &example())
            .unwrap();
        let own: Vec<&str> = OWN_SCOPE
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.contains('=') || line.starts_with('['))
            .collect();
        let own = own.join("\n");
        let read = Layers::built_in().lay_file(Path::new("own.toml"), &own);
        assert!(read.is_ok(), "{read:?}");
        let built_in = Layers::built_in();
        for ((key, value, _), (_, expected, _)) in layers.iter().zip(built_in.iter()) {
            assert_eq!(value, expected, "{}", key.path);
        }
    }
}
