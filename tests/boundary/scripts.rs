//! What the installed nmap's script categories bring along.
//!
//! What it is not: a test of vetting; it holds the profile's list of what
//! categories leave out against the scripts of this release.
//!
//! Invariants: none of the scripts runs.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sandbox_profiles::load;
use sandbox_profiles::value::{NameRule, ValueType};

const SCRIPTS: &str = "/usr/share/nmap/scripts";

/// Name and categories of each installed script.
fn installed() -> Result<Vec<(String, Vec<String>)>> {
    let database = fs::read_to_string(Path::new(SCRIPTS).join("script.db"))?;
    let scripts: Vec<_> = database
        .lines()
        .filter_map(|line| {
            let mut words = line.split('"').skip(1).step_by(2).map(ToOwned::to_owned);
            let name = words.next()?.strip_suffix(".nse")?.to_owned();
            Some((name, words.collect()))
        })
        .collect();
    ensure!(scripts.len() > 500, "{} scripts", scripts.len());
    Ok(scripts)
}

fn is_left_out(rule: &NameRule, name: &str, categories: &[String]) -> bool {
    rule.without
        .iter()
        .any(|part| match part.strip_suffix('*') {
            Some(begins) => name.starts_with(begins),
            None => part == name || categories.contains(part),
        })
}

#[test]
fn no_category_brings_a_script_that_follows_redirects_anywhere() -> Result<()> {
    let tools = load::built_in().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let nmap = tools.get("nmap").context("nmap")?;
    let rule = nmap.flags.iter().find_map(|flag| {
        let ValueType::Names(rule) = &flag.value else {
            return None;
        };
        Some(rule)
    });
    let rule = rule.context("a flag that takes names")?;
    let mut brought: usize = 0;
    for (name, categories) in installed()? {
        // What is not intrusive is brought whatever the policy.
        let is_safe =
            |category: &String| rule.categories.contains(category) && rule.safe.contains(category);
        if !categories.iter().any(is_safe) || is_left_out(rule, &name, &categories) {
            continue;
        }
        brought = brought.saturating_add(1);
        let text = fs::read(Path::new(SCRIPTS).join(format!("{name}.nse")))?;
        let text = String::from_utf8_lossy(&text).replace(' ', "");
        ensure!(
            !text.contains("redirect_ok=function"),
            "{name} follows redirects to any host; list it in categories_without"
        );
    }
    ensure!(brought > 200, "{brought} scripts");
    Ok(())
}
