//! The workspace's source files, for the checks beside this one.
//!
//! What it is not: a check.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Members of the workspace.
pub(crate) const MEMBERS: [&str; 5] = [
    "protocol",
    "sandbox-profiles",
    "broker",
    "executor",
    "tests",
];

/// The workspace's directory.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("the workspace")?.to_owned())
}

/// A file's text, by its path from the root.
pub(crate) fn read(path: &str) -> Result<String> {
    fs::read_to_string(root()?.join(path)).with_context(|| path.to_owned())
}

/// A source file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the root.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// All files of the members with one of the extensions, sorted by path.
pub(crate) fn sources(extensions: &[&str]) -> Result<Vec<Source>> {
    let root = root()?;
    let mut todo: Vec<PathBuf> = MEMBERS.iter().map(|member| root.join(member)).collect();
    let mut found = Vec::new();
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                // What a build left behind is nobody's source.
                if !path.ends_with("target") {
                    todo.push(path);
                }
                continue;
            }
            let extension = path
                .extension()
                .and_then(|text| text.to_str())
                .unwrap_or_default();
            if extensions.contains(&extension) {
                let text = fs::read_to_string(&path)?;
                let path = path.strip_prefix(&root)?.display().to_string();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A Rust file without its test module, which stands last.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
}

/// The lines of a Rust file that are code: no comments, no test module.
pub(crate) fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    without_tests(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}
