//! Imports point one way: `mod` lines stand in reading order, and a module uses
//! only those that stand before it, or only those that stand after it.
//!
//! What it is not: a check between crates; cargo keeps those from cycles.
//!
//! Invariants: the direction is one per crate; a module and its children count
//! as one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::sources::{Source, code_lines, read, sources};

/// The top-level modules of a crate, in the order of their `mod` lines.
fn modules(lib: &str) -> Vec<String> {
    let names = code_lines(lib).filter_map(|line| {
        let line = line
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub ");
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    names.map(str::to_owned).collect()
}

/// The top-level module that a file belongs to.
fn module_of(path: &str, crate_dir: &str) -> Option<String> {
    let inner = path.strip_prefix(&format!("{crate_dir}/src/"))?;
    let first = inner.split('/').next()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

/// The top-level modules that a file names by `crate::`.
fn uses(source: &Source, names: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let text = code_lines(&source.text).collect::<Vec<_>>().join(
        "
",
    );
    for piece in text.split("crate::").skip(1) {
        let grouped = piece
            .strip_prefix('{')
            .and_then(|rest| rest.split('}').next());
        let heads: Vec<&str> = match grouped {
            Some(group) => group.split(',').map(str::trim).collect(),
            None => vec![piece],
        };
        for head in heads {
            let end = head.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let word = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
            if names.iter().any(|name| name == word) {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

/// Which modules each module uses.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// Whether `to` can be reached from `from`.
fn reaches(edges: &Edges, from: &str, to: &str) -> bool {
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(module) = todo.pop() {
        for next in edges.get(module).into_iter().flatten() {
            if next == to {
                return true;
            }
            if reached.insert(next) {
                todo.push(next);
            }
        }
    }
    false
}

/// Uses that are part of a cycle, with the file of each.
fn cycles(crate_dir: &str) -> Result<Vec<String>> {
    let names = modules(&read(&format!("{crate_dir}/src/lib.rs"))?);
    let mut edges = Edges::new();
    let mut rows = Vec::new();
    for source in sources(&["rs"])? {
        let Some(from) = module_of(&source.path, crate_dir) else {
            continue;
        };
        if !names.contains(&from) {
            continue;
        }
        for to in uses(&source, &names) {
            if to != from {
                edges.entry(from.clone()).or_default().insert(to.clone());
                rows.push((from.clone(), to, source.path.clone()));
            }
        }
    }
    let circular = rows
        .into_iter()
        .filter(|(from, to, _)| reaches(&edges, to, from));
    Ok(circular
        .map(|(from, to, path)| format!("{from} uses {to} ({path})"))
        .collect())
}

/// Uses that point against the order of the `mod` lines. Both orders are in use
/// by good code (foundations first, or the story first), so the crate's own
/// majority decides which one it keeps.
fn against_order(crate_dir: &str) -> Result<Vec<String>> {
    let names = modules(&read(&format!("{crate_dir}/src/lib.rs"))?);
    let place = |name: &String| names.iter().position(|other| other == name);
    let (mut back, mut forth) = (BTreeSet::new(), BTreeSet::new());
    for source in sources(&["rs"])? {
        let Some(from) = module_of(&source.path, crate_dir) else {
            continue;
        };
        for to in uses(&source, &names) {
            let row = format!("{crate_dir}: {from} uses {to} ({})", source.path);
            match (place(&from), place(&to)) {
                (Some(a), Some(b)) if a < b => drop(forth.insert(row)),
                (Some(a), Some(b)) if a > b => drop(back.insert(row)),
                (Some(_) | None, _) => {}
            }
        }
    }
    let fewer = if back.len() < forth.len() {
        back
    } else {
        forth
    };
    Ok(fewer.into_iter().collect())
}

const CRATES: [&str; 5] = [
    "protocol",
    "sandbox-profiles",
    "broker",
    "executor",
    "tests",
];

#[test]
fn no_module_uses_itself_around_a_corner() -> Result<()> {
    let mut found = Vec::new();
    for name in CRATES {
        found.extend(cycles(name)?);
    }
    ensure!(
        found.is_empty(),
        "modules that depend on each other:\n{}",
        found.join("\n")
    );
    Ok(())
}

#[test]
fn imports_follow_the_order_of_the_mod_lines() -> Result<()> {
    let mut found = Vec::new();
    for name in CRATES {
        found.extend(against_order(name)?);
    }
    ensure!(
        found.is_empty(),
        "uses against the crate's order:\n{}",
        found.join("\n")
    );
    Ok(())
}

#[test]
fn the_protocol_opens_no_socket_or_file() -> Result<()> {
    let barred = ["std::net", "std::os::unix::net", "std::fs", "tokio"];
    for source in sources(&["rs"])? {
        if source.path.starts_with("protocol/src/") {
            for word in barred {
                let used = code_lines(&source.text).any(|line| line.contains(word));
                ensure!(!used, "{} uses {word}", source.path);
            }
        }
    }
    Ok(())
}
