//! `mantlet check`: is the configuration right, and what does it come to.
//!
//! What it is: every key with its value and who set it, the profiles, and the scope
//! of both sides, with their differences ([`super::sides`]).
//! What it is not: a look at the host; that is `mantlet doctor`.
//!
//! Invariants: it ends with 0 only if nothing is wrong and both sides agree.

use std::path::Path;

use clap::Args;
use protocol::event::Inventory;
use serde_json::json;

use super::sides::Sides;
use super::start::{self, Logs, Ready, runtime};
use super::{Exit, complain, print, serve};
use crate::config::example::example;
use crate::config::{Settings, effective};
use crate::pipeline::effective::tools;
use crate::pipeline::reading;

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
        Err(Exit::Usage) if args.json => {
            let errors = unusable(config);
            print(&format!("{:#}\n", json!({ "config_errors": errors })));
            Exit::Usage
        }
        Ok(exit) | Err(exit) => exit,
    }
}

/// What keeps the configuration from being used at all, for programs; people have
/// been told.
fn unusable(config: Option<&Path>) -> Vec<String> {
    match reading::settings(config) {
        Err(faults) => faults.lines().collect(),
        Ok(settings) => reading::profiles(&settings).misnamed,
    }
}

fn check(config: Option<&Path>, args: &CheckArgs) -> Result<Exit, Exit> {
    let faults = |settings: &Settings| Ok(serve::faults(settings));
    let (ready, service_faults) = start::ready_after(config, Logs::Person, faults)?;
    let file = ready.settings.file.as_ref();
    let file = file.map(|file| file.display().to_string());
    let rows = effective::rows(&ready.settings);
    let tools = tools(&ready.settings, &ready.profiles, &|_| false);
    let values = effective::object(&ready.settings);
    let warnings = ready.warnings.clone();
    let (profiles, scope) = (ready.profiles.clone(), ready.settings.scope.clone());
    let errors = ready.profile_errors.clone();
    let answer = ask(ready)?;
    let sides = Sides::new(&scope, &profiles, answer.inventory.as_ref().ok());
    let names: Vec<_> = profiles.iter().map(|profile| &profile.name).collect();
    if args.json {
        let executor = json!({ "mode": answer.mode, "same_profiles": answer.same_profiles,
            "same_scope": answer.same_scope, "error": answer.inventory.as_ref().err() });
        let all = json!({ "file": file, "values": values, "tools": tools, "profiles": names,
            "profile_errors": errors, "service_errors": service_faults, "warnings": warnings, "executor": executor, "sides": sides.json() });
        print(&format!("{all:#}\n"));
    } else {
        let file = file.as_deref().unwrap_or("none; built-in values");
        let mut text = format!("file      {file}\n");
        for (path, row) in rows {
            let (value, source) = (row.value, row.source);
            text.push_str(&format!("{path:<30} {value}  ({source})\n"));
        }
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        text.push_str(&format!("profiles  {}\n", names.join(", ")));
        text.push_str(&format!("executor  {}\n", verdict(&answer)));
        text.push_str(&sides.text());
        print(&text);
        for error in errors.iter().chain(&service_faults).chain(&warnings) {
            complain(error);
        }
    }
    Ok(
        if errors.is_empty() && service_faults.is_empty() && answer.agrees() {
            Exit::Done
        } else {
            Exit::Failed
        },
    )
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
