//! Profiles by way of edits: most random bytes are no TOML, and most random TOML is
//! no profile.
//!
//! An input that begins with `@` edits a whole profile line by line; every other
//! one is a profile's text itself. The first line names the profile, each further
//! one is a line number and what to do there:
//!
//! ```text
//! @probe
//! 12=name = "x"     the line reads like this
//! 12+name = "x"     this line comes after it
//! 12-               the line is left out
//! 12*40             the line stands after line 40 as well
//! ```
//!
//! Invariants: any text is an input; line numbers wrap around.

/// Profiles to edit: one that uses what it can, and the small ones of the tools.
pub(crate) const PROFILES: [(&str, &str); 4] = [
    ("@probe", include_str!("../profiles/probe.toml")),
    (
        "@ping",
        include_str!("../../../sandbox-profiles/tools/ping.toml"),
    ),
    (
        "@dig",
        include_str!("../../../sandbox-profiles/tools/dig.toml"),
    ),
    (
        "@curl",
        include_str!("../../../sandbox-profiles/tools/curl.toml"),
    ),
];

/// The profile that an input describes.
pub(crate) fn profile(input: &str) -> String {
    if !input.starts_with('@') {
        return input.to_owned();
    }
    let mut edits = input.split('\n');
    let name = edits.next().unwrap_or_default();
    let named = PROFILES.iter().find(|(known, _)| *known == name);
    let text = named.or(PROFILES.first()).map_or("", |(_, text)| text);
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    for line in edits {
        edit(&mut lines, line);
    }
    lines.join("\n")
}

/// Makes one edit; a line that is none does nothing.
fn edit(lines: &mut Vec<String>, line: &str) {
    let digits = line
        .find(|ch: char| !ch.is_ascii_digit())
        .unwrap_or(line.len());
    let (number, rest) = line.split_at(digits);
    let place = |number: &str| number.parse::<usize>().ok()?.checked_rem(lines.len());
    let (Some(at), Some(what)) = (place(number), rest.chars().next()) else {
        return;
    };
    let text = rest.get(what.len_utf8()..).unwrap_or_default();
    match (what, place(text)) {
        ('=', _) => {
            if let Some(line) = lines.get_mut(at) {
                text.clone_into(line);
            }
        }
        ('+', _) => lines.insert(at.saturating_add(1), text.to_owned()),
        ('-', _) => drop(lines.remove(at)),
        ('*', Some(to)) => {
            let copied = lines.get(at).cloned().unwrap_or_default();
            lines.insert(to.saturating_add(1), copied);
        }
        (_, _) => {}
    }
}
