//! `mantlet tools`: what may be run, and how it is asked for.
//!
//! What it is: the profiles, as a person or a program reads them.
//! What it is not: a check of the host; that is `mantlet doctor`.

use std::fmt::Write as _;
use std::path::Path;

use sandbox_profiles::Profile;
use serde_json::json;

use super::start::{Logs, ready};
use super::{Exit, JsonFlag, complain, print};
use crate::pipeline::admit::offered;
use crate::tool_facts;

/// Runs the command.
pub fn command(config: Option<&Path>, flag: &JsonFlag) -> Exit {
    let ready = match ready(config, Logs::Person) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let offered: Vec<_> = ready
        .profiles
        .iter()
        .filter(|profile| offered(&ready.settings, profile))
        .collect();
    if flag.json {
        let tools: Vec<_> = offered
            .iter()
            .map(|profile| tool_facts::of(profile))
            .collect();
        print(&format!(
            "{:#}\n",
            json!({ "tools": tools, "errors": ready.profile_errors })
        ));
    } else {
        for profile in offered {
            print(&tool_text(profile));
        }
        for error in &ready.profile_errors {
            complain(error);
        }
    }
    if ready.profile_errors.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn tool_text(profile: &Profile) -> String {
    let mut text = format!("{} - {}\n", profile.name, profile.title);
    let written = (|| {
        if !profile.executable.exists() {
            let (path, package) = (profile.executable.display(), &profile.package);
            writeln!(
                text,
                "  not installed: {path} is missing; apt-get install {package}"
            )?;
        }
        for need in &profile.needs {
            writeln!(text, "  needs {}: {}", need.what, need.reason)?;
        }
        for template in &profile.templates {
            let args = template.args.join(" ");
            writeln!(
                text,
                "  --template {:<12} {} ({args})",
                template.name, template.title
            )?;
        }
        for flag in &profile.flags {
            let mut marks = String::new();
            if flag.intrusive {
                marks.push_str(" [intrusive]");
            }
            for need in &flag.needs {
                write!(marks, " [{}]", need.what)?;
            }
            writeln!(text, "  {:<20} {}{marks}", flag.spelling, flag.summary)?;
        }
        writeln!(text)
    })();
    debug_assert!(written.is_ok(), "a String takes all that is written to it");
    text
}
