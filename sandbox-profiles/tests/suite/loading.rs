//! Loading: files, owners, mistakes with their places.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sandbox_profiles::load::{self, OwnerRule};

const PING: &str = include_str!("../../tools/ping.toml");

/// A directory that is removed again.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mantlet-load-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn load(&self, owner: OwnerRule) -> load::Loaded {
        load::load(std::slice::from_ref(&self.0), owner)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn own_uid(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}

/// The built-in ping profile with one text replaced by another.
fn changed(from: &str, to: &str) -> String {
    assert!(PING.contains(from), "{from}");
    PING.replacen(from, to, 1)
}

const BUILT_IN: &[&str] = &["curl", "dig", "nmap", "ping", "traceroute"];

#[test]
fn built_in_profiles_load() {
    let tools = load::built_in().unwrap();
    let names: Vec<&str> = tools.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, BUILT_IN);
    assert_eq!(tools.get("NmapTool").unwrap().name, "nmap", "alias");
    assert!(tools.get("Nmap").is_none(), "case counts");
    assert_eq!(tools.nearest("nmpa"), Some("nmap"));
    assert_eq!(tools.nearest("PingTol"), Some("ping"));
    assert_eq!(tools.nearest("masscan"), None);
    for profile in tools.iter() {
        assert!(!profile.examples.accept.is_empty() && !profile.examples.refuse.is_empty());
        for row in &profile.sandbox.allow {
            assert!(!row.reason.is_empty(), "{}", row.name);
        }
    }
}

#[test]
fn mistakes_name_their_place_and_remedy() {
    let cases = [
        // replaced, by, key, in the message, why
        (
            "name = \"ping\"",
            "nmae = \"ping\"",
            "nmae",
            "did you mean name?",
            "unknown key",
        ),
        (
            "name = \"ping\"",
            "name = \"Ping\"",
            "name",
            "lower case",
            "no plain name",
        ),
        (
            "name = \"ping\"",
            "name = 7",
            "name",
            "expected a text",
            "mistyped",
        ),
        ("title = \"Ping\"\n", "", "title", "required", "missing key"),
        (
            "max = 100",
            "max = \"100\"",
            "flags[0].max",
            "whole number",
            "mistyped",
        ),
        (
            "max = 100",
            "max = 0",
            "flags.type",
            "wrong order",
            "bounds",
        ),
        (
            "type = \"integer\"",
            "type = \"intger\"",
            "flags[0].type",
            "did you mean integer?",
            "type",
        ),
        (
            "flag = \"-t\"",
            "flag = \"-c\"",
            "flags.flag",
            "listed twice",
            "spelling",
        ),
        (
            "flag = \"-t\"",
            "flag = \"t\"",
            "flags.flag",
            "not a flag",
            "no hyphen",
        ),
        (
            "parameter = \"count\"",
            "parameter = \"target\"",
            "parameter",
            "taken",
            "reserved",
        ),
        (
            "args = [\"-c\", \"4\"]",
            "args = [\"-c\", \"400\"]",
            "defaults.args",
            "out of range",
            "list",
        ),
        (
            "args = [\"-c\", \"2\"",
            "args = [\"-x\", \"2\"",
            "templates.args",
            "not a flag",
            "list",
        ),
        (
            "executable = \"/usr/bin/ping\"",
            "executable = \"ping\"",
            "executable",
            "absolute",
            "path",
        ),
        ("\"by-need\"", "\"maybe\"", "sandbox.raw", "by-need", "word"),
        (
            "path_sets = [\"base\"]",
            "path_sets = [\"bas\"]",
            "sandbox.path_sets",
            "known sets",
            "set",
        ),
        (
            "\"privdrop\"",
            "\"privileges\"",
            "sandbox.call_sets",
            "known sets",
            "set",
        ),
        (
            "\"inet/raw/icmp\"",
            "\"inet/raw/icmpp\"",
            "sandbox.sockets_raw",
            "did you mean",
            "socket",
        ),
        (
            "setitimer = ",
            "ptrace = ",
            "sandbox.calls",
            "no profile may allow",
            "forbidden call",
        ),
        (
            "setitimer = ",
            "setsid = ",
            "sandbox.errno",
            "both",
            "contained call",
        ),
        (
            "timeout_s = 120",
            "timeout_s = 0",
            "run.timeout_s",
            "out of range",
            "bounds",
        ),
        (
            "timeout_min_s = 1",
            "timeout_min_s = 600",
            "run.timeout_s",
            "outside",
            "order",
        ),
        (
            "concurrency = 8",
            "concurrency = 64",
            "run.concurrency",
            "concurrency_max",
            "order",
        ),
        (
            "-4 -c 4 -- 10.0.0.7",
            "-4 -c 5 -- 10.0.0.7",
            "examples.accept",
            "another argument",
            "example",
        ),
        (
            "args = [\"-s 1473\"]",
            "args = [\"-s 1472\"]",
            "examples.refuse",
            "is accepted",
            "example",
        ),
        (
            "rule = \"ARG6\"",
            "rule = \"ARG1\"",
            "examples.refuse",
            "another rule",
            "example",
        ),
        (
            "[\"CAP_NET_RAW\"]",
            "[\"CAP_SYS_ADMIN\"]",
            "capabilities",
            "CAP_NET_RAW",
            "capability",
        ),
        ("[[flags]]", "[[flags", "", "not TOML", "syntax"),
    ];
    for (from, to, key, expected, why) in cases {
        let errors = load::parse("x.toml", &changed(from, to)).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let found = errors.iter().zip(&texts).any(|(error, text)| {
            error.key.ends_with(key) && text.contains(expected) && text.starts_with("x.toml:")
        });
        assert!(found, "{why}: {texts:#?}");
        assert!(
            errors
                .iter()
                .all(|error| error.line.is_some() && !error.remedy.is_empty()),
            "{why}"
        );
    }
}

#[test]
fn a_mistake_is_at_its_line() {
    let errors = load::parse("x.toml", &changed("max = 100", "max = \"100\"")).unwrap_err();
    let line = PING.lines().position(|line| line == "max = 100").unwrap() + 1;
    assert_eq!(errors[0].line, Some(line));
    assert_eq!(
        errors[0].to_string(),
        format!(
            "x.toml:{line}:flags[0].max: expected a whole number, found string; write a whole number"
        )
    );
}

#[test]
fn skips_what_is_not_meant_to_load() {
    let dir = Dir::new("skip");
    dir.write("ping.toml", PING);
    dir.write("_draft.toml", "not a profile");
    dir.write(".hidden.toml", "not a profile");
    dir.write("README", "not a profile");
    dir.write(
        "off.toml",
        &changed("name = \"ping\"", "enabled = false\nname = \"off\""),
    );
    let loaded = dir.load(OwnerRule::Unchecked);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    assert_eq!(loaded.profiles.len(), 1);
}

#[test]
fn a_bad_profile_does_not_keep_the_others_from_loading() {
    let dir = Dir::new("bad");
    dir.write("a.toml", "name = ");
    dir.write("ping.toml", PING);
    let loaded = dir.load(OwnerRule::Unchecked);
    assert_eq!(loaded.profiles.len(), 1);
    assert_eq!(loaded.errors.len(), 1);
    assert_eq!(loaded.errors[0].line, Some(1));
}

#[test]
fn names_are_unique_unless_replaced() {
    let (first, second) = (Dir::new("first"), Dir::new("second"));
    first.write("ping.toml", PING);
    second.write(
        "ping.toml",
        &changed("title = \"Ping\"", "title = \"Other\""),
    );
    let dirs = [first.0.clone(), second.0.clone()];
    let loaded = load::load(&dirs, OwnerRule::Unchecked);
    let text = loaded.errors[0].to_string();
    assert!(
        text.contains("first") && text.contains("second"),
        "both files: {text}"
    );
    assert_eq!(
        loaded.profiles.get("ping").unwrap().title,
        "Ping",
        "the first one stays"
    );
    second.write(
        "ping.toml",
        &changed("title = \"Ping\"", "title = \"Other\"\nreplaces = true"),
    );
    let loaded = load::load(&dirs, OwnerRule::Unchecked);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    assert_eq!(loaded.profiles.get("ping").unwrap().title, "Other");
    second.write("ping.toml", &changed("name = \"ping\"", "name = \"pong\""));
    let loaded = load::load(&dirs, OwnerRule::Unchecked);
    assert_eq!(loaded.errors.len(), 1, "the alias is taken too");
}

#[test]
fn trusts_nobody_else_with_profiles() {
    let dir = Dir::new("owner");
    let path = dir.write("ping.toml", PING);
    let uid = own_uid(&path);
    let load = || dir.load(OwnerRule::RootOr(uid)).errors;
    assert!(load().is_empty(), "{:?}", load());
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(load()[0].to_string().contains("writable"), "{mode:o}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&dir.0, Permissions::from_mode(0o775)).unwrap();
    assert!(
        load()[0].to_string().contains("writable"),
        "a directory above"
    );
    fs::set_permissions(&dir.0, Permissions::from_mode(0o1777)).unwrap();
    assert!(load().is_empty(), "sticky: only owners rename");
    if uid != 0 {
        let errors = dir.load(OwnerRule::RootOnly).errors;
        assert!(errors[0].to_string().contains("owned by"), "{errors:?}");
        let errors = dir.load(OwnerRule::RootOr(uid.wrapping_add(1))).errors;
        assert!(errors[0].to_string().contains("owned by"), "{errors:?}");
    }
}

#[test]
fn reads_regular_files_of_bounded_size_only() {
    let dir = Dir::new("files");
    let real = dir.write("real", PING);
    symlink(&real, dir.0.join("link.toml")).unwrap();
    fs::create_dir(dir.0.join("dir.toml")).unwrap();
    dir.write("large.toml", &"#".repeat(300 * 1024));
    fs::write(dir.0.join("latin.toml"), [0xff, 0xfe]).unwrap();
    let loaded = dir.load(OwnerRule::Unchecked);
    assert!(loaded.profiles.is_empty());
    let texts: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    for expected in [
        "link.toml: not a regular",
        "dir.toml: not a regular",
        "larger",
        "UTF-8",
    ] {
        assert!(
            texts.iter().any(|text| text.contains(expected)),
            "{expected}: {texts:?}"
        );
    }
    let missing = load::load(&[dir.0.join("absent")], OwnerRule::Unchecked);
    assert_eq!(missing.errors.len(), 1);
}

#[test]
fn what_is_installed_takes_the_place_of_what_is_built_in() {
    let dir = Dir::new("installed");
    let (package, own) = (dir.0.join("package"), dir.0.join("own"));
    let names = || {
        let loaded = load::installed(&[package.clone(), own.clone()], OwnerRule::Unchecked);
        assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
        let names: Vec<String> = loaded
            .profiles
            .iter()
            .map(|tool| tool.name.clone())
            .collect();
        names
    };
    assert_eq!(names(), BUILT_IN, "nothing is installed");
    fs::create_dir(&own).unwrap();
    assert_eq!(
        names(),
        BUILT_IN,
        "an administrator's directory alone adds to it"
    );
    fs::create_dir(&package).unwrap();
    dir.write("package/ping.toml", PING);
    assert_eq!(names(), ["ping"], "what is installed is all there is");
}

#[test]
fn digests_do_not_depend_on_the_order_of_loading() {
    let (first, second) = (Dir::new("order-a"), Dir::new("order-b"));
    first.write("ping.toml", PING);
    for tool in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tools")).unwrap() {
        let path = tool.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != "ping.toml" {
            second.write(name, &fs::read_to_string(&path).unwrap());
        }
    }
    let digest = |dirs: &[PathBuf]| load::load(dirs, OwnerRule::Unchecked).profiles.digest();
    let forth = digest(&[first.0.clone(), second.0.clone()]);
    let back = digest(&[second.0.clone(), first.0.clone()]);
    assert_eq!(forth, back);
    assert_eq!(
        forth,
        load::built_in().unwrap().digest(),
        "nor on where they lie"
    );
    assert_ne!(
        forth,
        digest(std::slice::from_ref(&first.0)),
        "but on what they are"
    );
}

#[test]
fn a_tool_is_one_file_and_no_code() {
    let text = r#"
name = "probe"
title = "Probe"
description = "A tool that exists for this test."
package = "coreutils"
executable = "/usr/bin/true"
version = { args = ["--version"], prefix = "true (GNU coreutils) " }
target = { kinds = ["address"] }
run = { timeout_s = 5, timeout_min_s = 1, timeout_max_s = 9, concurrency = 1, concurrency_max = 1, queue = 0, stdout_bytes_max = 1024, stderr_bytes_max = 1024, breaker_failures = 5, breaker_recovery_s = 60 }
output = { format = "text", success = ["0"] }
flags = [{ flag = "-x", summary = "a switch" }]

[sandbox]
raw = "never"
path_sets = ["base"]
call_sets = ["base"]
limits = { cpu_s = 1, address_space_mib = 64, files = 16, processes = 4, file_size_bytes = 0 }

[examples]
target = "10.0.0.1"
accept = [{ args = "-x", argv = "-x 10.0.0.1" }]
refuse = [{ rule = "ARG3", why = "not listed", args = ["-y"] }]
"#;
    let profile = load::parse("probe.toml", text).unwrap();
    assert_eq!(profile.name, "probe");
    assert!(profile.sandbox.errno.iter().any(|row| row.name == "setsid"));
    assert!(profile.sandbox.sockets.is_empty());
}
