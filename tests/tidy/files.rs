//! Size, opening and wording of files.
//!
//! What it is not: formatting; rustfmt has that.

use anyhow::{Result, ensure};

use crate::sources::{Source, code_lines, read, sources, without_tests};

/// Longest file, in lines.
const LINES_MAX: usize = 500;
/// Longer than other files, so that an auditor of `unsafe` has one place to read.
const UNSAFE_FILE: &str = "executor/src/sys.rs";
/// Longest function, in lines, its signature and closing brace included. Tests
/// are exempt: most of their lines are rows of a table.
const FUNCTION_LINES_MAX: usize = 70;

fn complain(faults: &[String], rule: &str) -> Result<()> {
    ensure!(faults.is_empty(), "{rule}:\n{}", faults.join("\n"));
    Ok(())
}

fn offenders(rust: &[Source], is_fault: impl Fn(&Source) -> bool) -> Vec<String> {
    rust.iter()
        .filter(|source| is_fault(source))
        .map(|source| source.path.clone())
        .collect()
}

#[test]
fn no_file_is_longer_than_500_lines() -> Result<()> {
    let rust = sources(&["rs", "py", "c", "sh"])?;
    let long = offenders(&rust, |source| {
        source.path != UNSAFE_FILE && source.text.lines().count() > LINES_MAX
    });
    complain(&long, "longer than 500 lines")
}

#[test]
fn no_function_is_longer_than_70_lines() -> Result<()> {
    let mut long = Vec::new();
    for source in sources(&["rs"])? {
        for (name, lines) in functions(without_tests(&source.text)) {
            if lines > FUNCTION_LINES_MAX {
                long.push(format!("{}: {name} has {lines} lines", source.path));
            }
        }
    }
    complain(&long, "functions longer than 70 lines")
}

/// Name and length of each function, as rustfmt lays them out: the closing
/// brace stands under the first letter of the signature.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let indent = line.len().saturating_sub(body.len());
        let words: Vec<&str> = body.split_whitespace().collect();
        let Some(at) = words.iter().position(|word| *word == "fn") else {
            continue;
        };
        let is_signature = words.iter().take(at).all(|word| {
            ["pub", "const", "async", "unsafe", "extern", "\"C\""].contains(word)
                || word.starts_with("pub(")
        });
        let before = start.checked_sub(1).and_then(|before| lines.get(before));
        if !is_signature || before.is_some_and(|line| line.trim() == "#[test]") {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let rest = lines.iter().skip(start);
        if let Some(length) = rest.clone().position(|line| *line == closing) {
            let name = words.get(at.saturating_add(1)).copied().unwrap_or_default();
            found.push((
                name.split(['(', '<']).next().unwrap_or_default().to_owned(),
                length.saturating_add(1),
            ));
        }
    }
    found
}

#[test]
fn every_rust_file_opens_with_what_it_is() -> Result<()> {
    let bare = offenders(&sources(&["rs"])?, |source| {
        let first = source.text.lines().next().unwrap_or_default();
        !first.starts_with("//! ") || first.len() < 20
    });
    complain(&bare, "no `//!` on the first line")
}

#[test]
fn unsafe_code_is_in_one_file() -> Result<()> {
    let rust = sources(&["rs"])?;
    // Put together here, so that this file doesn't hold them.
    let marks = ["{", "fn", "impl"].map(|word| format!("unsafe {word}"));
    let outside = offenders(&rust, |source| {
        source.path != UNSAFE_FILE
            && source.path.contains("/src/")
            && code_lines(&source.text)
                .any(|line| marks.iter().any(|mark| line.contains(mark.as_str())))
    });
    complain(&outside, "unsafe outside its one file")?;
    let lenient = offenders(&rust, |source| {
        source.path.ends_with("src/lib.rs")
            && source.path != "executor/src/lib.rs"
            && !source.text.contains("#![forbid(unsafe_code)]")
    });
    complain(&lenient, "a library that doesn't forbid unsafe code")
}

#[test]
fn nothing_is_left_for_later() -> Result<()> {
    // Put together here, so that this file doesn't hold them.
    let marks = ["TO DO", "FIX ME", "XX X"].map(|mark| mark.replace(' ', ""));
    let found = offenders(&sources(&["rs", "py", "c", "sh", "toml"])?, |source| {
        marks.iter().any(|mark| source.text.contains(mark.as_str()))
    });
    complain(&found, "a mark of unfinished work")
}

#[test]
fn no_module_is_a_drawer_for_odds_and_ends() -> Result<()> {
    let drawers = ["utils", "util", "common", "helpers", "misc"];
    let found = offenders(&sources(&["rs"])?, |source| {
        drawers.iter().any(|name| {
            source.path.ends_with(&format!("/{name}.rs"))
                || source.path.contains(&format!("/{name}/"))
        })
    });
    complain(&found, "a module named after nothing")
}

#[test]
fn binaries_are_a_few_lines_over_a_library() -> Result<()> {
    for path in ["broker/src/main.rs", "executor/src/main.rs"] {
        let lines = read(path)?.lines().count();
        ensure!(lines <= 20, "{path} has {lines} lines");
    }
    Ok(())
}

#[test]
fn tests_are_named_by_what_they_claim() -> Result<()> {
    let mut found = Vec::new();
    for source in sources(&["rs"])? {
        for (name, _) in functions(&source.text) {
            if name.starts_with("test_") {
                found.push(format!("{}: {name}", source.path));
            }
        }
    }
    complain(&found, "a test named test_…")
}

#[test]
fn the_broker_starts_its_executor_and_nothing_else() -> Result<()> {
    let starting = ["Command::new", "std::process::Command", "tokio::process"];
    let found = offenders(&sources(&["rs"])?, |source| {
        source.path.starts_with("broker/src/")
            && !["broker/src/embedded.rs"].contains(&source.path.as_str())
            && code_lines(&source.text).any(|line| starting.iter().any(|call| line.contains(call)))
    });
    complain(&found, "the broker starts a process outside embedded.rs")
}

/// Where the self-test tries what a sandbox must stop, in a process of its own.
const ATTEMPTS: &str = "executor/src/selftest/attempts.rs";

#[test]
fn the_executor_reads_no_environment_and_has_no_threads_or_names() -> Result<()> {
    let barred = [
        "env::var",
        "env::vars",
        "env::args_os().env",
        "thread::spawn",
        "thread::Builder",
        "thread::scope",
        "tokio",
        "ToSocketAddrs",
        "lookup_host",
        "getaddrinfo",
        "TcpStream",
        "UdpSocket",
        "TcpListener",
        "async fn",
        ".await",
    ];
    let mut found = Vec::new();
    for source in sources(&["rs"])? {
        if !source.path.starts_with("executor/src/") {
            continue;
        }
        for line in code_lines(&source.text) {
            let made_to_fail = source.path == ATTEMPTS && line.contains("Tcp");
            let barred = barred.iter().find(|word| line.contains(*word));
            if let Some(word) = barred.filter(|_| !made_to_fail) {
                found.push(format!("{}: {word}: {}", source.path, line.trim()));
            }
        }
    }
    complain(&found, "the executor does what it must not")
}
