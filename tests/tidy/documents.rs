//! Documents in step with what they describe.
//!
//! What it is not: a judge of prose.

use anyhow::{Context as _, Result, ensure};
use harness::Binaries;
use harness::running::run;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::sources::{read, root, sources};

/// SHA-256 over the files of `protocol/src`, sorted by path, each as its path,
/// a line feed, its text without trailing white space on any line, and a line
/// feed.
fn protocol_digest() -> Result<String> {
    let mut hasher = Sha256::new();
    for source in sources(&["rs"])? {
        if source.path.starts_with("protocol/src/") {
            hasher.update(format!("{}\n", source.path));
            for line in source.text.lines() {
                hasher.update(format!("{}\n", line.trim_end()));
            }
            hasher.update("\n");
        }
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

#[test]
fn protocol_md_describes_the_protocol_as_it_is() -> Result<()> {
    let digest = protocol_digest()?;
    let document = read("docs/PROTOCOL.md")?;
    ensure!(
        document.contains(&digest),
        "protocol/src has changed. Bring docs/PROTOCOL.md in step, then put this hash in it: {digest}"
    );
    Ok(())
}

#[test]
fn each_make_command_in_the_documents_exists() -> Result<()> {
    let makefile = read("Makefile")?;
    for path in [
        "README.md",
        "docs/ARCHITECTURE.md",
        "docs/TESTING.md",
        "CHANGELOG.md",
    ] {
        let document = read(path)?;
        for piece in document.split("`make ").skip(1) {
            let command = piece.split(['`', ' ']).next().unwrap_or_default();
            let exists = makefile
                .lines()
                .any(|line| line.starts_with(&format!("{command}:")));
            ensure!(
                exists,
                "{path} names `make {command}`, which the Makefile lacks"
            );
        }
    }
    for command in ["demo", "test"] {
        ensure!(
            read("README.md")?.contains(&format!("make {command}")),
            "README: make {command}"
        );
    }
    Ok(())
}

/// The keys that the loader of profiles asks its tables for.
fn profile_keys() -> Result<BTreeSet<String>> {
    const READERS: [&str; 9] = [
        "text(",
        "texts(",
        "boolean(",
        "integer(",
        "table(",
        "tables(",
        "text_map(",
        "path_map(",
        "seconds(",
    ];
    let mut keys = BTreeSet::new();
    for source in sources(&["rs"])? {
        if !source.path.starts_with("sandbox-profiles/src/load/") {
            continue;
        }
        for reader in READERS {
            for after in source.text.split(reader).skip(1) {
                let after = after.split([')', ';']).next().unwrap_or_default();
                let key = after.split('"').nth(1).unwrap_or_default();
                let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
                if !key.is_empty() && key.chars().all(plain) {
                    keys.insert(key.to_owned());
                }
            }
        }
    }
    ensure!(keys.len() > 80, "{keys:?}");
    Ok(keys)
}

#[test]
fn profiles_md_names_every_key_and_type_of_a_profile() -> Result<()> {
    let document = read("docs/PROFILES.md")?;
    let mut missing = Vec::new();
    for key in profile_keys()? {
        let stands = document
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .any(|word| word == key);
        if !stands {
            missing.push(key);
        }
    }
    let flags = read("sandbox-profiles/src/load/flags.rs")?;
    let types = flags.split_once("const TYPES").context("the types")?.1;
    let types = types.split_once('=').context("the types")?.1;
    let types = types.split_once(']').context("the types")?.0;
    for kind in types.split('"').skip(1).step_by(2) {
        let is_described = ["switch"].contains(&kind) || document.contains(&format!("`{kind}`"));
        if !is_described {
            missing.push(format!("type {kind}"));
        }
    }
    ensure!(missing.is_empty(), "docs/PROFILES.md lacks {missing:?}");
    Ok(())
}

#[test]
fn relative_links_in_documents_lead_somewhere() -> Result<()> {
    let root = root()?;
    let mut todo = vec![root.join("docs")];
    let mut documents = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|kind| kind == "md") {
                documents.push(path);
            }
        }
    }
    for path in documents {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for piece in text.split("](").skip(1) {
            let link = piece.split([')', '#']).next().unwrap_or_default();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            let base = path.parent().context("a directory")?;
            ensure!(base.join(link).exists(), "{}: {link}", path.display());
        }
    }
    Ok(())
}

fn help(program: &Path, args: &[&str]) -> Result<String> {
    let ended = run(Command::new(program).args(args), Duration::from_secs(10))?;
    Ok(ended.expect_code(0)?.stdout)
}

#[test]
fn the_readme_names_every_command_of_mantlet() -> Result<()> {
    let binaries = Binaries::find()?;
    let text = help(&binaries.mantlet, &["--help"])?;
    let commands = text
        .split("Commands:")
        .nth(1)
        .context("a list of commands")?;
    let commands = commands.split("\n\n").next().unwrap_or_default();
    let readme = read("README.md")?;
    for line in commands.lines().filter(|line| line.starts_with("  ")) {
        let Some(command) = line
            .split_whitespace()
            .next()
            .filter(|word| *word != "help")
        else {
            continue;
        };
        ensure!(
            readme.contains(&format!("mantlet {command}")),
            "README: mantlet {command}"
        );
        help(&binaries.mantlet, &[command, "--help"])?;
    }
    Ok(())
}

#[test]
fn the_executor_explains_itself() -> Result<()> {
    let binaries = Binaries::find()?;
    let text = help(&binaries.executor, &["--help"])?;
    for word in [
        "serve",
        "check",
        "explain",
        "selftest",
        "--without",
        "--config",
        "/etc/mantlet/executor.toml",
    ] {
        ensure!(text.contains(word), "{word} is missing: {text}");
    }
    let version = help(&binaries.executor, &["--version"])?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    Ok(())
}

#[test]
fn the_manifest_of_each_member_takes_the_workspaces_lints() -> Result<()> {
    for member in crate::sources::MEMBERS {
        let text = read(&format!("{member}/Cargo.toml"))?;
        let manifest: toml::Table = text.parse()?;
        let inherits = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        ensure!(
            inherits == Some(&toml::Value::Boolean(true)),
            "{member}/Cargo.toml"
        );
    }
    Ok(())
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split("Commands:").nth(1).unwrap_or_default();
    let listed = listed.split("\n\n").next().unwrap_or_default();
    let words = listed
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    words
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect()
}

/// The long options that a help text names.
fn options(help: &str) -> impl Iterator<Item = &str> {
    let words = help.split(|c: char| c.is_whitespace() || "[],=<>`':;.)".contains(c));
    words.filter(|word| word.len() > 2 && word.starts_with("--"))
}

#[test]
fn the_man_pages_name_every_command_and_option() -> Result<()> {
    let binaries = Binaries::find()?;
    let page = |name: &str| Ok::<_, anyhow::Error>(read(name)?.replace('\\', ""));
    let (broker, executor) = (
        page("docs/man/mantlet.1")?,
        page("docs/man/mantlet-executor.8")?,
    );
    let top = help(&binaries.mantlet, &["--help"])?;
    let mut texts = vec![(top.clone(), &broker, "mantlet.1")];
    for command in commands(&top) {
        ensure!(broker.contains(&command), "mantlet.1: {command}");
        texts.push((
            help(&binaries.mantlet, &[&command, "--help"])?,
            &broker,
            "mantlet.1",
        ));
    }
    texts.push((
        help(&binaries.executor, &["--help"])?,
        &executor,
        "mantlet-executor.8",
    ));
    for (text, page, name) in &texts {
        // What stands in an example belongs to a tool.
        let text = text.split("Examples:").next().unwrap_or_default();
        for option in options(text) {
            ensure!(page.contains(option), "{name} lacks {option}");
        }
    }
    Ok(())
}

#[test]
fn the_threats_name_files_and_tests_that_exist() -> Result<()> {
    let text = read("docs/THREATS.md")?;
    let rust = sources(&["rs"])?;
    let is_named = |name: &str| {
        rust.iter()
            .any(|file| file.text.contains(&format!("fn {name}(")))
    };
    let words = text.split('`').skip(1).step_by(2);
    let (mut files, mut tests) = (0, 0);
    for word in words {
        if Path::new(word).extension().is_some_and(|kind| kind == "rs") {
            ensure!(root()?.join(word).is_file(), "{word}");
            files += 1;
        } else if word.matches('_').count() > 2 {
            ensure!(is_named(word), "there is no test {word}");
            tests += 1;
        }
    }
    ensure!(files > 20 && tests > 30, "{files} files, {tests} tests");
    Ok(())
}
