//! What the executor depends on, checked against the record that justifies it.
//!
//! What it is not: licences and sources; `make deny` has those.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::sources::{read, root};

/// Most crates in the executor's tree, itself and the workspace's included.
const EXECUTOR_CRATES_MAX: usize = 45;

/// `cargo tree` of normal dependencies, each line a name.
fn tree(package: &str, depth: Option<u8>) -> Result<BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root()?)
        .args(["tree", "--locked", "--offline", "--package", package]);
    command.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    if let Some(depth) = depth {
        command.args(["--depth", &depth.to_string()]);
    }
    let output = command.output().context("cargo tree")?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "cargo tree: {errors}");
    let text = String::from_utf8(output.stdout)?;
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// The text of the record whose file name holds `word`.
fn record(word: &str) -> Result<String> {
    let dir = root()?.join("docs/adr");
    for entry in std::fs::read_dir(&dir).context("docs/adr")? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.contains(word) && Path::new(name).extension().is_some_and(|kind| kind == "md") {
            return read(&format!("docs/adr/{name}"));
        }
    }
    anyhow::bail!("no record about {word} in docs/adr")
}

/// The crates in the first column of a record's table.
fn listed(text: &str) -> BTreeSet<String> {
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let cells = rows.filter(|cell| *cell != "crate " && !cell.starts_with('-'));
    let names = cells.flat_map(|cell| cell.split(','));
    names
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

fn is_justified(package: &str, word: &str) -> Result<()> {
    let mut direct = tree(package, Some(1))?;
    direct.remove(package);
    direct.retain(|name| !name.starts_with("mantlet-"));
    let listed = listed(&record(word)?);
    let missing: Vec<_> = direct.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&direct).collect();
    ensure!(
        missing.is_empty(),
        "{package}: not in the record: {missing:?}"
    );
    ensure!(
        gone.is_empty(),
        "{package}: in the record and not in the tree: {gone:?}"
    );
    Ok(())
}

#[test]
fn each_direct_dependency_of_the_executor_is_justified() -> Result<()> {
    is_justified("mantlet-executor", "executor-dependencies")
}

#[test]
fn each_direct_dependency_of_the_broker_is_justified() -> Result<()> {
    is_justified("mantlet", "broker-dependencies")
}

#[test]
fn the_executors_tree_is_as_small_as_recorded() -> Result<()> {
    let whole = tree("mantlet-executor", None)?;
    ensure!(
        whole.len() <= EXECUTOR_CRATES_MAX,
        "{} crates: {whole:?}",
        whole.len()
    );
    let text = record("executor-dependencies")?;
    let count = format!("{} crates", whole.len());
    ensure!(
        text.contains(&count),
        "the record must say `{count}`: {whole:?}"
    );
    Ok(())
}

#[test]
fn the_executor_links_no_runtime_regex_or_resolver() -> Result<()> {
    let whole = tree("mantlet-executor", None)?;
    for barred in [
        "tokio",
        "async-std",
        "smol",
        "futures",
        "regex",
        "hickory-resolver",
        "clap",
        "mio",
    ] {
        ensure!(
            !whole.contains(barred),
            "{barred} is in the executor's tree"
        );
    }
    Ok(())
}
