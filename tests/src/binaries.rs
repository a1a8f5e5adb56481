//! Where the two programs under test are.
//!
//! What it is not: a build. `make` builds first; a missing binary is an error
//! that says how to get it.
//!
//! Invariants: the paths given can be executed by any account of this machine,
//! since most tests run them as another one.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result, bail};

/// The programs under test.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The broker, `mantlet`.
    pub mantlet: PathBuf,
    /// The executor, `mantlet-executor`.
    pub executor: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
}

impl Binaries {
    /// Finds the binaries of the build that this test belongs to.
    ///
    /// # Errors
    ///
    /// When one is missing, with the command that builds it.
    pub fn find() -> Result<Self> {
        let this = std::env::current_exe().context("the path of this test")?;
        // TARGET/PROFILE/deps/TEST
        let profile = this.ancestors().nth(2).context("the profile directory")?;
        let target = profile.parent().context("the target directory")?;
        let place = if open_to_all(profile)? {
            profile.to_owned()
        } else {
            copied(profile)?
        };
        let found = Self {
            mantlet: place.join("mantlet"),
            executor: place.join("mantlet-executor"),
            target: target.to_owned(),
        };
        for path in [&found.mantlet, &found.executor] {
            if !path.is_file() {
                bail!(
                    "{} is missing; run `cargo build --workspace --bins`",
                    path.display()
                );
            }
        }
        Ok(found)
    }

    /// An example of the broker, which only this account needs to execute.
    ///
    /// # Errors
    ///
    /// When it is missing, with the command that builds it.
    pub fn example(name: &str) -> Result<PathBuf> {
        let this = std::env::current_exe().context("the path of this test")?;
        let profile = this.ancestors().nth(2).context("the profile directory")?;
        let path = profile.join("examples").join(name);
        if !path.is_file() {
            bail!(
                "{} is missing; run `cargo build --package mantlet --example {name}`",
                path.display()
            );
        }
        Ok(path)
    }
}

/// Whether every directory down to `path` lets every account through.
fn open_to_all(path: &Path) -> Result<bool> {
    for dir in path.ancestors() {
        if fs::metadata(dir)
            .with_context(|| dir.display().to_string())?
            .mode()
            & 0o001
            == 0
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Copies the binaries to a directory that every account can reach, once per
/// build.
fn copied(profile: &Path) -> Result<PathBuf> {
    let mut stamp = String::new();
    for name in ["mantlet", "mantlet-executor"] {
        let path = profile.join(name);
        let meta = fs::metadata(&path).with_context(|| {
            format!(
                "{} is missing; run `cargo build --workspace --bins`",
                path.display()
            )
        })?;
        write!(stamp, "-{}-{}", meta.ino(), meta.mtime_nsec())?;
    }
    let place = std::env::temp_dir().join(format!("mantlet-binaries{stamp}"));
    if place.is_dir() {
        return Ok(place);
    }
    // Made aside and renamed, since other tests may be doing the same.
    let aside = place.with_extension(process::id().to_string());
    fs::create_dir(&aside)?;
    fs::set_permissions(&aside, Permissions::from_mode(0o755))?;
    for name in ["mantlet", "mantlet-executor"] {
        fs::copy(profile.join(name), aside.join(name))?;
    }
    if fs::rename(&aside, &place).is_err() {
        fs::remove_dir_all(&aside)?;
    }
    Ok(place)
}
