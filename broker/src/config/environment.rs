//! Environment variables that look as if they were meant for us.
//!
//! What it is not: their reading; the layers do that.
//!
//! Invariants: a variable's value is never shown.

use sandbox_profiles::nearest::nearest;

use super::keys::KEYS;

/// What the names of our variables begin with, but for those that other programs share.
const PREFIX: &str = "MCP_";
/// The variable that names the file.
pub(super) const FILE: &str = "MCP_CONFIG_FILE";
/// Most names that are told.
const NAMES_MAX: usize = 16;
/// Most characters of a name that are repeated.
const NAME_CHARS_MAX: usize = 64;

/// What to say of variables that begin as ours do and are none: a mistyped one
/// would have no effect. Other programs may have some, so that is no fault.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let known = || KEYS.iter().filter_map(|key| key.variable).chain([FILE]);
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with(PREFIX) && known().all(|known| known != name))
        .collect();
    unknown.sort_unstable();
    unknown.truncate(NAMES_MAX);
    let tell = |name: String| {
        let hint = match nearest(&name, known()) {
            Some(near) => format!("did you mean {near}?"),
            None => "`mantlet check --keys` lists those that are".to_owned(),
        };
        // Whatever is no plain character comes out escaped.
        let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
        let shown = shown.escape_debug();
        format!("environment variable {shown} is none of ours and has no effect; {hint}")
    };
    unknown.into_iter().map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_variables_are_told_with_the_nearest_and_others_left_alone() {
        let cases = [
            (
                "MCP_DEFAULT_TIMEOUT",
                Some("did you mean MCP_DEFAULT_TIMEOUT_SEC?"),
                "mistyped",
            ),
            (
                "MCP_CONFIG_FILES",
                Some("did you mean MCP_CONFIG_FILE?"),
                "the file's",
            ),
            (
                "MCP_ZZZZZZZZZZZZZZZZ",
                Some("`mantlet check --keys`"),
                "like none",
            ),
            ("MCP_SERVER_PORT", None, "ours"),
            ("MCP_CONFIG_FILE", None, "ours, though no key"),
            ("PATH", None, "another's"),
            ("LOG_LEVELS", None, "a name that many use"),
        ];
        for (name, expected, why) in cases {
            let told = unknown_variables([name.to_owned()].into_iter());
            assert_eq!(told.is_empty(), expected.is_none(), "{why}: {told:?}");
            if let Some(expected) = expected {
                assert!(
                    told[0].contains(name) && told[0].contains(expected),
                    "{told:?}"
                );
            }
        }
        let many = (0..100).map(|n| format!("MCP_{n}"));
        assert_eq!(unknown_variables(many).len(), NAMES_MAX);
    }
}
