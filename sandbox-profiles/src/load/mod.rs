//! Reading profiles: from files, or from those built into the binary.
//!
//! The one place of the crate that touches files. A profile that has any mistake
//! is not loaded; every mistake is reported with its place and its remedy, and
//! what to do about a set that is incomplete is the caller's decision (the
//! executor refuses to start).
//!
//! Invariants: a loaded profile has passed its own examples; no two profiles of a
//! set share a name or an alias; a set's digest does not depend on the order of
//! loading.

mod check;
mod schema;

mod calls;
mod confine;
mod lasts;
mod target;

mod flags;
mod ports;

mod files;
mod read;

pub use files::OwnerRule;

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::nearest::nearest;
use crate::profile::Profile;
use crate::scope::{Scope, ScopeError};
use read::{Document, Table};

/// The profiles that are part of the binary.
const BUILT_IN: &[(&str, &str)] = &[
    ("tools/curl.toml", include_str!("../../tools/curl.toml")),
    ("tools/dig.toml", include_str!("../../tools/dig.toml")),
    ("tools/nmap.toml", include_str!("../../tools/nmap.toml")),
    ("tools/ping.toml", include_str!("../../tools/ping.toml")),
    (
        "tools/traceroute.toml",
        include_str!("../../tools/traceroute.toml"),
    ),
];

/// A mistake in a profile, or in the way it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct LoadError {
    /// The file or directory.
    pub file: String,
    /// The line, from 1 on; nothing where the whole file is meant.
    pub line: Option<usize>,
    /// The dotted path of the key; empty where there is none.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}:", self.key)?;
        }
        write!(f, " {}; {}", self.what, self.remedy)
    }
}

impl LoadError {
    /// A mistake that concerns a whole file.
    pub(crate) fn of_file(file: impl Into<String>, what: impl Into<String>, remedy: &str) -> Self {
        Self {
            file: file.into(),
            line: None,
            key: String::new(),
            what: what.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// What [`load`] found.
#[derive(Debug)]
#[must_use]
pub struct Loaded {
    /// The profiles without mistakes.
    pub profiles: ProfileSet,
    /// Every mistake of the others.
    pub errors: Vec<LoadError>,
}

/// Profiles by name.
#[derive(Debug, Clone, Default)]
pub struct ProfileSet {
    /// Sorted by name.
    profiles: Vec<Profile>,
}

impl ProfileSet {
    /// The profile of that name or alias.
    pub fn get(&self, name_or_alias: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| {
            profile.name == name_or_alias
                || profile.aliases.iter().any(|alias| alias == name_or_alias)
        })
    }

    /// All profiles, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.profiles.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty()
    }

    /// The name nearest to a mistyped one.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let names = self.profiles.iter().map(|profile| profile.name.as_str());
        nearest(name, names).or_else(|| {
            let aliases = self.profiles.iter().flat_map(|profile| &profile.aliases);
            let alias = nearest(name, aliases.map(String::as_str))?;
            self.get(alias).map(|profile| profile.name.as_str())
        })
    }

    /// Whether every tool that the scope has a table for is one of these.
    ///
    /// # Errors
    ///
    /// The first table without a tool: a rule that would never hold.
    pub fn check_scope(&self, scope: &Scope) -> Result<(), ScopeError> {
        let is_ours = |tool: &str| self.profiles.iter().any(|profile| profile.name == tool);
        let Some(tool) = scope.tools().find(|tool| !is_ours(tool)) else {
            return Ok(());
        };
        let remedy = match (self.get(tool), self.nearest(tool)) {
            (Some(profile), _) => format!("write {}, its profile's name", profile.name),
            (None, Some(near)) => format!("did you mean {near}?"),
            (None, None) => {
                let names: Vec<&str> = self.profiles.iter().map(|p| p.name.as_str()).collect();
                format!("known tools: {}", names.join(", "))
            }
        };
        Err(ScopeError::UnknownTool {
            tool: tool.to_owned(),
            remedy,
        })
    }

    /// SHA-256 over all profiles and the version of this crate, whose named sets
    /// are part of what a profile means.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"mantlet profiles 1\n");
        hash.update(env!("CARGO_PKG_VERSION"));
        for profile in &self.profiles {
            hash.update(format!("\n{} ", profile.name));
            hash.update(profile.digest);
        }
        hash.finalize().into()
    }

    /// Adds a profile, or says with which other one it collides.
    fn add(&mut self, profile: Profile, replaces: bool) -> Result<(), LoadError> {
        for name in std::iter::once(&profile.name).chain(&profile.aliases) {
            let taken = self
                .get(name)
                .filter(|other| !(replaces && other.name == profile.name));
            if let Some(other) = taken {
                return Err(LoadError::of_file(
                    profile.source.clone(),
                    format!("the name {name} is taken by {}", other.source),
                    "choose another name, or set replaces = true to take the place of the \
                     profile of the same name",
                ));
            }
        }
        self.profiles.retain(|other| other.name != profile.name);
        self.profiles.push(profile);
        self.profiles
            .sort_by(|left, right| left.name.cmp(&right.name));
        Ok(())
    }
}

/// The profiles that are part of the binary.
///
/// # Errors
///
/// Every mistake in them; none in a binary that passed its tests.
pub fn built_in() -> Result<ProfileSet, Vec<LoadError>> {
    let mut loaded = Loaded {
        profiles: ProfileSet::default(),
        errors: Vec::new(),
    };
    take_built_in(&mut loaded);
    if loaded.errors.is_empty() {
        Ok(loaded.profiles)
    } else {
        Err(loaded.errors)
    }
}

/// Reads one profile from its text, as [`load`] does with a file; for tests and
/// for checking a profile before it is installed.
///
/// # Errors
///
/// Every mistake in it, sorted by line.
pub fn parse(file: &str, text: &str) -> Result<Profile, Vec<LoadError>> {
    match parse_enabled(file, text)? {
        Some((profile, _)) => Ok(profile),
        None => Err(vec![LoadError::of_file(
            file,
            "the profile is disabled",
            "set enabled = true",
        )]),
    }
}

/// The profiles in effect on a host whose configuration names these directories.
///
/// A directory that does not exist holds no profile, which is no mistake: the
/// administrator's own is optional. Where the first one is missing, as it is
/// when nothing was installed, the built-in profiles stand in for it. Both
/// processes call this, so that they mean the same by the same configuration.
pub fn installed(dirs: &[PathBuf], owner: OwnerRule) -> Loaded {
    let mut loaded = Loaded {
        profiles: ProfileSet::default(),
        errors: Vec::new(),
    };
    if !dirs.first().is_some_and(|first| first.exists()) {
        take_built_in(&mut loaded);
    }
    for dir in dirs.iter().filter(|dir| dir.exists()) {
        take_dir(&mut loaded, dir, owner);
    }
    loaded
}

/// Reads all profiles of the directories, later ones after earlier ones.
///
/// Files whose name does not end in `.toml`, or begins with `_` or `.`, and
/// profiles with `enabled = false` are skipped. A second profile of the same name
/// is a mistake, unless it says `replaces = true`.
pub fn load(dirs: &[PathBuf], owner: OwnerRule) -> Loaded {
    let mut loaded = Loaded {
        profiles: ProfileSet::default(),
        errors: Vec::new(),
    };
    for dir in dirs {
        take_dir(&mut loaded, dir, owner);
    }
    loaded
}

fn take_dir(loaded: &mut Loaded, dir: &Path, owner: OwnerRule) {
    match files::list(dir, owner) {
        Err(error) => loaded.errors.push(error),
        Ok(paths) => {
            for path in paths {
                match files::read(&path, owner) {
                    Err(error) => loaded.errors.push(error),
                    Ok(text) => take(loaded, &path.to_string_lossy(), &text),
                }
            }
        }
    }
}

fn take_built_in(loaded: &mut Loaded) {
    for (file, text) in BUILT_IN {
        take(loaded, file, text);
    }
}

/// Parses one text into the set, or into the list of mistakes.
fn take(loaded: &mut Loaded, file: &str, text: &str) {
    match parse_enabled(file, text) {
        Err(errors) => loaded.errors.extend(errors),
        Ok(None) => {}
        Ok(Some((profile, replaces))) => {
            if let Err(error) = loaded.profiles.add(profile, replaces) {
                loaded.errors.push(error);
            }
        }
    }
}

/// A profile and whether it replaces another one; nothing if it is disabled.
fn parse_enabled(file: &str, text: &str) -> Result<Option<(Profile, bool)>, Vec<LoadError>> {
    let document = Document::new(file, text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            document.mistake(
                at,
                "",
                format!("not TOML: {}", error.message()),
                "correct the syntax",
            );
            return Err(document.into_mistakes());
        }
    };
    let parsed = schema::read(Table::root(&document, table.get_ref()), file, text);
    if let (Some(parsed), false) = (&parsed, document.has_mistakes()) {
        check::check(&document, parsed);
    }
    if document.has_mistakes() {
        return Err(document.into_mistakes());
    }
    Ok(parsed.filter(|parsed| parsed.enabled).map(|mut parsed| {
        calls::complete(&mut parsed.profile);
        (parsed.profile, parsed.replaces)
    }))
}
