//! `mantlet check`: is the configuration right, and what does it come to.
//!
//! What it is: every key with its value and who set it, the profiles, the scope,
//! and whether the executor enforces the same.
//! What it is not: a look at the host; that is `mantlet doctor`.
//!
//! Invariants: it ends with 0 only if nothing is wrong and both sides agree.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::start::{Logs, Ready, ready, runtime};
use super::{Exit, complain, print};
use crate::config::keys::{KEYS, Kind, Preset};

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

/// What the executor enforces, beside what the broker does.
struct Sides {
    profiles: bool,
    scope: bool,
    error: Option<String>,
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
    let (layers, file) = (ready.settings.layers.clone(), ready.settings.file.clone());
    let values: Vec<_> = layers
        .iter()
        .map(|(key, set, source)| (key.path, set.to_string(), source.to_string()))
        .collect();
    let names: Vec<_> = ready
        .profiles
        .iter()
        .map(|profile| profile.name.clone())
        .collect();
    let errors = ready.profile_errors.clone();
    let sides = compare(ready)?;
    let agreed = sides.profiles && sides.scope && sides.error.is_none();
    let file = file.map(|file| file.display().to_string());
    if args.json {
        let values: serde_json::Map<_, _> = values
            .into_iter()
            .map(|(path, value, source)| {
                (path.to_owned(), json!({"value": value, "source": source}))
            })
            .collect();
        let executor = json!({ "same_profiles": sides.profiles, "same_scope": sides.scope, "error": sides.error });
        let all = json!({ "file": file, "values": Value::Object(values), "profiles": names,
            "profile_errors": errors, "executor": executor });
        print(&format!("{all:#}\n"));
    } else {
        let mut text = format!(
            "file      {}\n",
            file.as_deref().unwrap_or("none; built-in values")
        );
        for (path, value, source) in values {
            text.push_str(&format!("{path:<30} {value}  ({source})\n"));
        }
        text.push_str(&format!("profiles  {}\n", names.join(", ")));
        text.push_str(&format!("executor  {}\n", verdict(&sides)));
        print(&text);
        for error in &errors {
            complain(error);
        }
    }
    Ok(if errors.is_empty() && agreed {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn verdict(sides: &Sides) -> String {
    match (&sides.error, sides.profiles, sides.scope) {
        (Some(error), _, _) => error.clone(),
        (None, true, true) => "enforces the same profiles and scope".into(),
        (None, false, true) => "enforces other profiles than the broker; its own decide".into(),
        (None, true, false) => "enforces another scope than the broker; its own decides".into(),
        (None, false, false) => "enforces other profiles and another scope; its own decide".into(),
    }
}

fn compare(ready: Ready) -> Result<Sides, Exit> {
    let runtime = runtime()?;
    let (profiles, scope) = (ready.profiles.digest(), ready.settings.scope.digest());
    let sides = runtime.block_on(async {
        let engine = ready.engine()?;
        let sides = match engine.executor().open().await {
            Ok(connection) => Sides {
                profiles: connection.welcome().profiles_digest == profiles,
                scope: connection.welcome().scope_digest == scope,
                error: None,
            },
            Err(error) => Sides {
                profiles: false,
                scope: false,
                error: Some(error.message),
            },
        };
        engine.stop().await;
        Ok(sides)
    });
    runtime.shutdown_background();
    sides
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
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    #[test]
    fn the_printed_example_is_a_configuration_that_changes_nothing() {
        let mut layers = Layers::built_in();
        layers
            .lay_file(Path::new("example.toml"), &example())
            .unwrap();
        let built_in = Layers::built_in();
        for ((key, value, _), (_, expected, _)) in layers.iter().zip(built_in.iter()) {
            assert_eq!(value, expected, "{}", key.path);
        }
    }
}
