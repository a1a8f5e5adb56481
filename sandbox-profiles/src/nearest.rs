//! The nearest known word to a mistyped one.
//!
//! Used for hints only; no decision depends on it.
//!
//! Invariants: work is bounded, since words longer than [`WORD_BYTES_MAX`] have
//! no neighbour.

/// Longest word that is compared, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// The candidate closest to `word`, if one is close enough to be meant.
///
/// Close enough is a third of the word's length, at least one edit; letter case
/// and the difference between `-` and `_` cost nothing. The first of equally
/// close candidates wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let allowed = word.chars().count().div_euclid(3).max(1);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate.len() > WORD_BYTES_MAX {
            continue;
        }
        let distance = edits(word, candidate);
        // A word that shares no letter was not meant.
        let shares = distance < word.chars().count().max(candidate.chars().count());
        if shares && distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements that lead from one word to the other.
fn edits(left: &str, right: &str) -> usize {
    let fold = |ch: char| {
        if ch == '_' {
            '-'
        } else {
            ch.to_ascii_lowercase()
        }
    };
    let right: Vec<char> = right.chars().map(fold).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, ch) in left.chars().map(fold).enumerate() {
        let mut diagonal = above;
        let mut left_cost = above.saturating_add(1);
        let mut next = vec![left_cost];
        for (other, up) in right.iter().zip(row.iter().skip(1)) {
            let replace = diagonal.saturating_add(usize::from(*other != ch));
            let cost = replace
                .min(up.saturating_add(1))
                .min(left_cost.saturating_add(1));
            diagonal = *up;
            left_cost = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let flags = ["--open", "--reason", "--top-ports", "-p"];
        let cases = [
            ("--Open", Some("--open"), "case only"),
            ("--top_ports", Some("--top-ports"), "underscore"),
            ("--resaon", Some("--reason"), "two letters swapped"),
            ("--datadir", None, "nothing near"),
            ("", None, "nothing at all"),
        ];
        for (word, expected, why) in cases {
            assert_eq!(nearest(word, flags), expected, "{why}");
        }
    }

    #[test]
    fn counts_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
    }
}
