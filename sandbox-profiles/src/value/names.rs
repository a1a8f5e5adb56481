//! Lists of names that a profile knows, some of them only for intrusive policies.
//!
//! A name is accepted because the profile lists it, or because it fits a
//! listed pattern `prefix*`. Whatever a tool could read as a path, an
//! expression or a pattern of the caller's own is no name.
//!
//! Invariants: an accepted name is a listed entry, or lower case letters,
//! digits and inner hyphens after a listed prefix; lists are sorted and unique.

use super::{RefusalKind, ValueError};

/// Which names a list may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameRule {
    /// Names that are always accepted.
    pub safe: Vec<String>,
    /// Names and patterns (`prefix*`) that need an intrusive policy.
    pub intrusive: Vec<String>,
    /// Most names in one list.
    pub items_max: u32,
}

impl NameRule {
    pub(crate) const fn new(safe: Vec<String>, intrusive: Vec<String>, items_max: u32) -> Self {
        Self {
            safe,
            intrusive,
            items_max,
        }
    }

    pub(super) fn parse(&self, text: &str, intrusive: bool) -> Result<Vec<String>, ValueError> {
        let items: Vec<&str> = text.split(',').collect();
        if u32::try_from(items.len()).unwrap_or(u32::MAX) > self.items_max {
            return Err(ValueError::new(
                format!(
                    "{} names, at most {} are accepted",
                    items.len(),
                    self.items_max
                ),
                text,
                "name fewer, or make several calls",
            ));
        }
        let mut accepted: Vec<String> = Vec::with_capacity(items.len());
        let mut unknown: Vec<&str> = Vec::new();
        let mut forbidden: Vec<&str> = Vec::new();
        for item in items {
            if self.safe.iter().any(|name| name == item) {
                accepted.push(item.to_owned());
            } else if !self.is_intrusive(item) {
                unknown.push(item);
            } else if intrusive {
                accepted.push(item.to_owned());
            } else {
                forbidden.push(item);
            }
        }
        accepted.sort_unstable();
        accepted.dedup();
        if unknown.is_empty() && forbidden.is_empty() {
            Ok(accepted)
        } else {
            Err(self.refused(&unknown, &forbidden, &accepted))
        }
    }

    /// Names every refused item, not only the first.
    fn refused(&self, unknown: &[&str], forbidden: &[&str], accepted: &[String]) -> ValueError {
        let mut clauses = Vec::new();
        let mut remedies = Vec::new();
        if !unknown.is_empty() {
            clauses.push("not in the profile's list");
            match unknown.iter().find_map(|name| self.nearest(name)) {
                Some(meant) => remedies.push(format!(
                    "did you mean {meant}? unlisted names, \
                     patterns, paths and expressions are never accepted"
                )),
                None => remedies.push(
                    "use listed names only; patterns, paths and expressions are never accepted"
                        .to_owned(),
                ),
            }
        }
        if !forbidden.is_empty() {
            clauses.push("intrusive");
            remedies.push(
                "an administrator must set allow_intrusive for the intrusive ones".to_owned(),
            );
        }
        let all: Vec<String> = unknown
            .iter()
            .chain(forbidden)
            .map(|name| {
                if name.is_empty() {
                    "(empty name)".to_owned()
                } else {
                    (*name).to_owned()
                }
            })
            .collect();
        let mut error = ValueError::new(
            format!("refused: {}", clauses.join(" or ")),
            &all.join(", "),
            remedies.join("; "),
        );
        if unknown.is_empty() {
            error.kind = RefusalKind::Intrusive;
        }
        if accepted.is_empty() {
            error
        } else {
            error.with_nearest(accepted.join(","))
        }
    }

    /// Whether the name is listed as intrusive or fits an intrusive pattern.
    pub(super) fn is_intrusive(&self, name: &str) -> bool {
        self.intrusive
            .iter()
            .any(|entry| match entry.strip_suffix('*') {
                None => entry == name,
                Some(prefix) => entry == name || name.strip_prefix(prefix).is_some_and(is_name_end),
            })
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        crate::nearest::nearest(
            name,
            self.safe.iter().chain(&self.intrusive).map(String::as_str),
        )
    }

    pub(super) fn described(&self) -> String {
        let shown: Vec<&str> = self.safe.iter().take(8).map(String::as_str).collect();
        format!(
            "listed names with commas between, like {}",
            shown.join(", ")
        )
    }
}

/// Whether the text can end a name: lower case letters, digits and inner hyphens.
fn is_name_end(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> NameRule {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        NameRule::new(
            texts(&["safe", "http-title"]),
            texts(&["vuln", "http-vuln-*"]),
            4,
        )
    }

    #[test]
    fn accepts_listed_names_only() {
        let cases = [
            ("safe", false, Some("safe"), "listed"),
            (
                "http-title,safe,safe",
                false,
                Some("http-title,safe"),
                "named twice",
            ),
            ("vuln", false, None, "intrusive without the policy"),
            ("vuln", true, Some("vuln"), "intrusive with it"),
            (
                "http-vuln-*",
                true,
                Some("http-vuln-*"),
                "the listed pattern itself",
            ),
            (
                "http-vuln-cve2017-5638",
                true,
                Some("http-vuln-cve2017-5638"),
                "fits the pattern",
            ),
            ("http-vuln-", true, None, "the bare prefix"),
            ("http-vuln-x*", true, None, "a pattern of the caller's own"),
            (
                "http-vuln-../../tmp/x",
                true,
                None,
                "a path after the prefix",
            ),
            ("http-vuln-a or all", true, None, "an expression"),
            ("http-vuln-A", true, None, "upper case"),
            ("SAFE", false, None, "case counts"),
            ("+safe", false, None, "forced"),
            ("not safe", false, None, "expression"),
            ("http-*", false, None, "unlisted pattern"),
            ("*", true, None, "everything"),
            ("/tmp/x.nse", true, None, "path"),
            (",safe", false, None, "empty item"),
            ("safe,", false, None, "empty item"),
            ("safe,safe,safe,safe,safe", false, None, "too many"),
        ];
        for (text, intrusive, expected, why) in cases {
            let got = rule()
                .parse(text, intrusive)
                .ok()
                .map(|names| names.join(","));
            assert_eq!(got.as_deref(), expected, "{text}: {why}");
        }
    }

    #[test]
    fn names_every_refused_item() {
        let error = rule().parse("safe,vuln,evil", false).unwrap_err();
        assert_eq!(error.part, "evil, vuln");
        assert_eq!(
            error.kind,
            RefusalKind::Validation,
            "one of them is beyond any policy"
        );
        assert_eq!(error.nearest.as_deref(), Some("safe"));
        let error = rule().parse("vuln", false).unwrap_err();
        assert_eq!(error.kind, RefusalKind::Intrusive);
    }
}
