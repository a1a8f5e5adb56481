//! The token that a service without any makes for its administrator.
//!
//! What it is not: a token that anybody asked for; it opens nothing to other
//! machines (see [`TokenFile::usable`] and the transport).
//!
//! Invariants: its text is in one file of mode 0600 and nowhere else, and is
//! there before the token counts; no token is made where there is one already.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Grant, Role, Token, TokenFile, TokenFileError};
use crate::private_dir;

/// The name of the file.
pub const FILE_NAME: &str = "admin-token";
/// What the token is called in lists.
pub const NAME: &str = "first start";

/// Makes an administrator's token where `file` has no token at all, and gives
/// the path of its text, in `dir`; `None` where there was one.
///
/// # Errors
///
/// Where the token can't be made or kept, or its text can't be written.
pub fn ensure(file: &TokenFile, dir: &Path) -> Result<Option<PathBuf>, TokenFileError> {
    let path = dir.join(FILE_NAME);
    let grant = Grant {
        role: Role::Admin,
        tools: Vec::new(),
    };
    let made = file.add_first(|| {
        let (token, text) = Token::new(NAME, grant, jiff::Timestamp::now(), None)?;
        write(&path, &text).map_err(|source| TokenFileError::Io {
            path: path.clone(),
            step: "written",
            source,
        })?;
        Ok(token)
    })?;
    Ok(made.then_some(path))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let next = path.with_extension("new");
    match fs::remove_file(&next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    let mut file = private_dir::create(&next)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn is_made_once_and_kept_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(dir.path().join("tokens.toml"));
        let path = ensure(&file, dir.path()).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        let tokens = file.read().unwrap();
        let known = super::super::check(&tokens, text.trim_end(), std::time::SystemTime::now());
        assert_eq!(known.unwrap().grant.role, Role::Admin);
        assert_eq!(ensure(&file, dir.path()).unwrap(), None, "there is one");
        assert!(!file.usable().unwrap(), "nobody made it on purpose");
        let (role, tools) = (Role::Read, Vec::new());
        file.create("ci", Grant { role, tools }, None).unwrap();
        assert!(file.usable().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
