//! The target of a profile: what it may be, and the form it takes.
//!
//! As `schema`: reads what stands there, records what can't be read.
//!
//! Invariants: a form that is read holds the target exactly once; two pieces
//! without a literal between them can be told apart when they are read back.

use super::flags::flag_id;
use super::read::{At, Table};
use crate::profile::{Flag, Pattern, Piece, TargetKind, TargetPlace, TargetRule};
use crate::value::ValueType;

/// Reads `[target]`.
pub(super) fn target(root: &Table<'_>, flags: &[Flag]) -> Option<TargetRule> {
    let table = root.required_table("target")?;
    let mut rule = TargetRule {
        kinds: Vec::new(),
        ipv6: table.boolean("ipv6"),
        addresses_max: 1,
        place: place(&table),
        separator: table.boolean("separator"),
        form: form(&table, "form", flags),
        named_form: form(&table, "named_form", flags),
        ipv4_flag: table.text("ipv4_flag").map(|text| text.value),
        ipv6_flag: table.text("ipv6_flag").map(|text| text.value),
        exclude: None,
    };
    if rule.form.is_empty() {
        rule.form.push(Pattern {
            pieces: vec![Piece::Target],
        });
    }
    for text in table.texts("kinds") {
        match text.value.as_str() {
            "address" => rule.kinds.push(TargetKind::Address),
            "network" => rule.kinds.push(TargetKind::Network),
            "name" => rule.kinds.push(TargetKind::Name),
            other => {
                let what = format!("no kind of target: {other}");
                table.mistake(text.at, "kinds", what, "write address, network or name");
            }
        }
    }
    check(&table, &rule, flags);
    if rule.takes(TargetKind::Network) {
        let max = table.required_integer("addresses_max", 1..65_537);
        rule.addresses_max = max.and_then(|max| u32::try_from(max).ok()).unwrap_or(1);
    }
    if let Some(text) = table.text("exclude_flag") {
        rule.exclude = flag_id(&table, "exclude_flag", &text, flags);
    }
    table.finish();
    Some(rule)
}

fn place(table: &Table<'_>) -> TargetPlace {
    match table.text("place") {
        None => TargetPlace::Last,
        Some(text) => match text.value.as_str() {
            "last" => TargetPlace::Last,
            "first" => TargetPlace::First,
            other => {
                let what = format!("no place of a target: {other}");
                table.mistake(text.at, "place", what, "write last or first");
                TargetPlace::Last
            }
        },
    }
}

fn form(table: &Table<'_>, key: &'static str, flags: &[Flag]) -> Vec<Pattern> {
    let texts = table.texts(key);
    texts
        .iter()
        .filter_map(|text| pattern(table, key, text, flags))
        .collect()
}

/// Reads one element: literal text with `{target}`, `{host}`, `{name}` or
/// `{--flag}` in it.
fn pattern(
    table: &Table<'_>,
    key: &'static str,
    text: &At<String>,
    flags: &[Flag],
) -> Option<Pattern> {
    let mut pieces = Vec::new();
    let mut rest = text.value.as_str();
    while !rest.is_empty() {
        let (literal, after) = rest.split_once('{').unwrap_or((rest, ""));
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        if literal.len() == rest.len() {
            break;
        }
        let Some((name, after)) = after.split_once('}') else {
            table.mistake(text.at, key, "a brace is left open", "close it");
            return None;
        };
        pieces.push(match name {
            "target" => Piece::Target,
            "host" => Piece::Host,
            "name" => Piece::Name,
            flag => {
                let flag = At {
                    value: flag.to_owned(),
                    at: text.at,
                };
                Piece::Part(flag_id(table, key, &flag, flags)?)
            }
        });
        rest = after;
    }
    let plain = text.value.bytes().all(|byte| byte.is_ascii_graphic());
    if pieces.is_empty() || !plain {
        let remedy = "write one argument per text, in printable ASCII without spaces";
        table.mistake(text.at, key, "not a plain argument", remedy);
        return None;
    }
    Some(Pattern { pieces })
}

fn check(table: &Table<'_>, rule: &TargetRule, flags: &[Flag]) {
    if !rule.takes(TargetKind::Address) {
        let remedy = "every tool takes address: names are pinned to one";
        table.mistake(table.at(), "kinds", "address is missing", remedy);
    }
    let count = |form: &[Pattern], wanted: &[Piece]| {
        let pieces = form.iter().flat_map(|pattern| &pattern.pieces);
        pieces.filter(|piece| wanted.contains(piece)).count()
    };
    let mistake = |key, what: &str, remedy| table.mistake(table.at(), key, what, remedy);
    if count(&rule.form, &[Piece::Target, Piece::Host]) != 1
        || count(&rule.form, &[Piece::Name]) != 0
    {
        mistake(
            "form",
            "the target does not stand there exactly once",
            "write {target} or {host} once, and no {name}",
        );
    }
    if !rule.named_form.is_empty()
        && (count(&rule.named_form, &[Piece::Target, Piece::Host]) != 1
            || count(&rule.named_form, &[Piece::Name]) == 0)
    {
        mistake(
            "named_form",
            "the address does not stand there exactly once, or the name not at all",
            "write {target} or {host} once, and {name}",
        );
    }
    if rule.named_form.len() == rule.form.len() {
        mistake(
            "named_form",
            "as many elements as form, so that the two can't be told apart",
            "add an element",
        );
    }
    for pattern in rule.form.iter().chain(&rule.named_form) {
        if !can_be_read_back(pattern, flags) {
            mistake(
                "form",
                "two pieces that can't be told apart",
                "put a literal between them; only a url-path or url-query follows directly",
            );
        }
    }
}

/// Whether each piece that is no literal is followed by one, or by a part that
/// begins with a character of its own.
fn can_be_read_back(pattern: &Pattern, flags: &[Flag]) -> bool {
    pattern
        .pieces
        .iter()
        .zip(pattern.pieces.iter().skip(1))
        .all(|(piece, next)| match (piece, next) {
            (Piece::Literal(_), _) | (_, Piece::Literal(_)) => true,
            (_, Piece::Part(id)) => flags.get(id.0).is_some_and(|flag| {
                matches!(
                    flag.value,
                    ValueType::UrlPath { .. } | ValueType::UrlQuery { .. }
                )
            }),
            (_, Piece::Target | Piece::Host | Piece::Name) => false,
        })
}
