//! The nearest known word to a mistyped one.
//!
//! Used for hints only; no decision depends on it.
//!
//! Invariants: work is bounded, since words longer than `WORD_BYTES_MAX` have
//! no neighbour.

/// Longest word that is compared, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// The candidate closest to `word`, if one is close enough to be meant.
///
/// Close enough is a third of the word's length, at least one edit; letter case,
/// leading hyphens and the difference between `-` and `_` cost nothing. The first of equally
/// close candidates wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.trim_start_matches('-');
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let length = word.chars().count();
    let allowed = length.div_euclid(3).max(1);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let body = candidate.trim_start_matches('-');
        let body_length = body.chars().count();
        // Each letter too many or too few is an edit: counting them is for the
        // others only, or a list of long words would take its time.
        if body.len() > WORD_BYTES_MAX || length.abs_diff(body_length) > allowed {
            continue;
        }
        let distance = edits(word, body);
        // A word that shares no letter was not meant.
        let shares = distance < length.max(body_length);
        if shares && distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from
/// one word to the other.
fn edits(left: &str, right: &str) -> usize {
    let fold = |ch: char| {
        if ch == '_' {
            '-'
        } else {
            ch.to_ascii_lowercase()
        }
    };
    let right: Vec<char> = right.chars().map(fold).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (index, ch) in left.chars().map(fold).enumerate() {
        let mut next = vec![index.saturating_add(1)];
        for (at, other) in right.iter().enumerate() {
            let cost = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX);
            let after = at.saturating_add(1);
            let replace = cost(&row, at).saturating_add(usize::from(*other != ch));
            let insert = cost(&next, at).saturating_add(1);
            let delete = cost(&row, after).saturating_add(1);
            let back = at.checked_sub(1);
            let swapped = last == Some(*other) && back.and_then(|at| right.get(at)) == Some(&ch);
            let swap = back
                .filter(|_| swapped)
                .map_or(usize::MAX, |at| cost(&before, at));
            next.push(replace.min(insert).min(delete).min(swap.saturating_add(1)));
        }
        last = Some(ch);
        before = std::mem::replace(&mut row, next);
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
            ("-P", Some("-p"), "case only"),
            ("-x", None, "another letter is another flag"),
            ("", None, "nothing at all"),
        ];
        for (word, expected, why) in cases {
            assert_eq!(nearest(word, flags), expected, "{why}");
        }
    }

    #[test]
    fn counts_edits() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("nmae", "name"), 1, "neighbours swapped");
        assert_eq!(edits("ab", "ba"), 1, "neighbours swapped");
        assert_eq!(edits("same", "same"), 0);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
    }
}
