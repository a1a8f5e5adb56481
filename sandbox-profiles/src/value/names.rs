//! Lists of names that a profile knows, some of them only for intrusive policies.
//!
//! A name is accepted because the profile lists it, or because it fits a
//! listed pattern `prefix*`. Whatever a tool could read as a path, an
//! expression or a pattern of the caller's own is no name. A name that stands for
//! a category of the tool's own is handed to the tool as the expression that
//! leaves out what the profile says, and read back from exactly that.
//!
//! Invariants: an accepted name is a listed entry, or lower case letters,
//! digits and inner hyphens after a listed prefix; lists are sorted and unique.

use super::{RefusalKind, ValueError};

/// Most unlisted names of one list that are compared with the listed ones: who
/// meant a listed one mistyped one, not all of them.
const NAMES_COMPARED_MAX: usize = 3;

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
    /// Which of the names are categories of the tool.
    pub categories: Vec<String>,
    /// Categories, names and patterns that a category is never to draw in.
    pub without: Vec<String>,
    /// Further ones that it draws in under an intrusive policy only.
    pub without_unless_intrusive: Vec<String>,
}

impl NameRule {
    pub(crate) const fn new(safe: Vec<String>, intrusive: Vec<String>, items_max: u32) -> Self {
        Self {
            safe,
            intrusive,
            items_max,
            categories: Vec::new(),
            without: Vec::new(),
            without_unless_intrusive: Vec::new(),
        }
    }

    /// The text that the tool gets for these names.
    pub(super) fn rendered(&self, names: &[String], intrusive: bool) -> String {
        let texts: Vec<String> = names
            .iter()
            .map(|name| {
                self.expression(name, intrusive)
                    .unwrap_or_else(|| name.clone())
            })
            .collect();
        texts.join(",")
    }

    /// The expression for a category; nothing for any other name.
    fn expression(&self, name: &str, intrusive: bool) -> Option<String> {
        if !self.categories.iter().any(|category| category == name) {
            return None;
        }
        let parts: Vec<String> = self
            .left_out(intrusive)
            .map(|part| format!("({part})"))
            .collect();
        // One group: a chain of `and` takes nmap twice as long to read with each link.
        Some(match parts.as_slice() {
            [] => format!("({name})"),
            parts => format!("({name})and(not({}))", parts.join("or")),
        })
    }

    fn left_out(&self, intrusive: bool) -> impl Iterator<Item = &str> {
        let further = self.without_unless_intrusive.iter();
        let further = further.filter(move |_| !intrusive);
        self.without.iter().chain(further).map(String::as_str)
    }

    /// The category whose expression the text is.
    fn category_of(&self, text: &str, intrusive: bool) -> Option<&str> {
        let mut categories = self.categories.iter().map(String::as_str);
        categories.find(|name| self.expression(name, intrusive).as_deref() == Some(text))
    }

    /// What the result should say about the categories among the names.
    pub(crate) fn note(&self, names: &[String], intrusive: bool) -> Option<String> {
        let is_category = |name: &&String| self.categories.contains(name);
        let categories: Vec<&str> = names
            .iter()
            .filter(is_category)
            .map(String::as_str)
            .collect();
        let left_out: Vec<&str> = self.left_out(intrusive).collect();
        (!categories.is_empty() && !left_out.is_empty()).then(|| {
            format!(
                "{} means the tool's scripts of that category without those that are {}",
                categories.join(", "),
                left_out.join(", ")
            )
        })
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
            let item = self.category_of(item, intrusive).unwrap_or(item);
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
            let mut compared = unknown.iter().take(NAMES_COMPARED_MAX);
            match compared.find_map(|name| self.nearest(name)) {
                Some(meant) => remedies.push(format!(
                    "did you mean {meant}? unlisted names, \
                     patterns, paths and expressions are never accepted"
                )),
                None => remedies.push(format!(
                    "use listed names only, like {}; patterns, paths and expressions are never \
                     accepted",
                    self.like(unknown).join(", ")
                )),
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

    /// A few listed names to choose from: those of the same family as the first
    /// unknown one (`http-`), else the first ones.
    fn like(&self, unknown: &[&str]) -> Vec<&str> {
        const SHOWN_MAX: usize = 5;
        let head = |name: &str| name.split_once('-').map(|(head, _)| head.to_owned());
        let family = unknown.iter().find_map(|name| head(name));
        let names = self.safe.iter().map(String::as_str);
        let related = names.clone().filter(|name| head(name) == family);
        let related: Vec<&str> = related.take(SHOWN_MAX).collect();
        if related.is_empty() {
            names.take(SHOWN_MAX).collect()
        } else {
            related
        }
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
    fn renders_categories_as_the_expression_that_it_reads_back() {
        let mut rule = rule();
        rule.categories = vec!["safe".to_owned(), "vuln".to_owned()];
        rule.without = vec!["external".to_owned()];
        rule.without_unless_intrusive = vec!["dos".to_owned()];
        let names = |text: &str, intrusive| rule.parse(text, intrusive).ok();
        let plain = "http-title,(safe)and(not((external)or(dos)))";
        let wide = "http-title,(safe)and(not((external)))";
        let read = names("safe,http-title", false).unwrap();
        assert_eq!(rule.rendered(&read, false), plain);
        assert_eq!(rule.rendered(&read, true), wide);
        assert_eq!(names(plain, false).as_ref(), Some(&read), "fixpoint");
        assert_eq!(names(wide, true).as_ref(), Some(&read), "fixpoint");
        let cases = [
            (wide, false, "what another policy renders"),
            (plain, true, "what another policy renders"),
            ("(safe)", false, "an expression"),
            ("(safe)and(not((dos)or(external)))", false, "another order"),
            ("(vuln)and(not((external)or(dos)))", false, "intrusive"),
            (
                "(http-title)and(not((external)or(dos)))",
                false,
                "no category",
            ),
        ];
        for (text, intrusive, why) in cases {
            assert_eq!(names(text, intrusive), None, "{why}");
        }
        assert!(rule.note(&read, false).unwrap().starts_with("safe means"));
        assert_eq!(rule.note(&["http-title".to_owned()], false), None);
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
