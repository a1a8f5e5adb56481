//! The example configuration file, made from the table of keys.
//!
//! What it is: every key with its meaning, range and default, commented out.
//! What it is not: in use; a file may be as short as one key.
//!
//! Invariants: it changes nothing as it is, and can be used with any of its lines
//! uncommented (tested); `docs/config.example.toml` is this text (tested).

use super::effective::toml;
use super::keys::{KEYS, Key, Kind};

/// What the file begins with.
const HEAD: &str = "\
# Mantlet's configuration: every key with its meaning and its default.
# To set a key, take the # before it away; a table's line, such as [server], stays.
# Read from the file named by --config or MCP_CONFIG_FILE, else from
# ~/.config/mantlet/config.toml, else from /etc/mantlet/config.toml. An environment
# variable stands above the file. A key marked (reload) is taken anew by a reload
# (SIGHUP to `mantlet serve`); the others take effect at the next start.
# `mantlet check` says what is wrong with a file, and what is in effect.
";

/// How a tool gets a scope of its own.
const OWN_SCOPE: &str = "
# A tool can have a scope of its own: any key of [security] given here holds for it in
# place of the general one; the denied lists add to the general ones. (reload)
#[security.tools.nmap]
#allowed_networks = [\"10.66.0.0/24\"]
#allowed_ports = [\"22\", \"80\", \"443\", \"8000-8100\"]
#allow_intrusive = false
";

/// The file.
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    let mut table = "";
    for key in KEYS {
        let (name, entry) = key.path.split_once('.').unwrap_or(("", key.path));
        if name == table {
            text.push('\n');
        } else {
            text.push_str(&format!("\n[{name}]\n"));
            table = name;
        }
        for line in key.meaning.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        let remarks = remarks(key);
        if !remarks.is_empty() {
            text.push_str(&format!("# ({remarks})\n"));
        }
        text.push_str(&format!("#{entry} = {}\n", toml(key.preset)));
    }
    text.push_str(OWN_SCOPE);
    text
}

fn remarks(key: &Key) -> String {
    let accepts = match key.kind {
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Choice(words) => words.join(", "),
        Kind::Flag | Kind::Text | Kind::List => String::new(),
    };
    let variable = key.variable.map(|name| format!("environment: {name}"));
    let reload = key.reloads().then(|| "reload".to_owned());
    let remarks = [Some(accepts), variable, reload].into_iter().flatten();
    let remarks: Vec<_> = remarks.filter(|remark| !remark.is_empty()).collect();
    remarks.join("; ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Layers, Settings};
    use super::*;

    /// The example with every key uncommented: those lines have no space after the #.
    fn uncommented() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
            Some(_) | None => line.to_owned(),
        };
        let lines: Vec<String> = example().lines().map(line).collect();
        lines.join("\n")
    }

    fn load(text: &str) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("example.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(Some(Path::new(&path)), |_| None).unwrap()
    }

    #[test]
    fn as_it_is_it_sets_nothing() {
        let settings = load(&example());
        for (key, _, source) in settings.layers.iter() {
            assert_eq!(source.to_string(), "built-in", "{}", key.path);
        }
    }

    #[test]
    fn with_every_line_uncommented_it_sets_every_key_to_its_default() {
        let settings = load(&uncommented());
        let built_in = Layers::built_in();
        for ((key, value, source), (_, expected, _)) in settings.layers.iter().zip(built_in.iter())
        {
            assert_eq!(value, expected, "{}", key.path);
            assert!(source.to_string().starts_with("file"), "{}", key.path);
        }
        assert_eq!(settings.layers.tool_scopes()["nmap"].len(), 3);
    }

    #[test]
    fn the_file_among_the_documents_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.example.toml");
        let file = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            file == example(),
            "make it anew: mantlet check --keys > docs/config.example.toml"
        );
    }
}
