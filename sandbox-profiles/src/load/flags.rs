//! The flags of a profile, their value types, and references to them.
//!
//! As `schema`: reads what stands there, records what can't be read.
//!
//! Invariants: a flag that can't be read whole is left out and reported.

use super::ports;
use super::read::{At, Places, Table};
use crate::limits::FLAGS_MAX;
use crate::nearest::nearest;
use crate::profile::{
    Capability, Flag, FlagId, Form, Meant, Need, Repeat, Requirement, Substitute,
};
use crate::value::{DurationStyle, NameRule, ValueType};

/// All flags; what they include is resolved once all of them are known.
pub(super) fn flags(root: &Table<'_>, places: &mut Places) -> Vec<Flag> {
    let rows = root.tables("flags");
    if rows.len() > FLAGS_MAX {
        root.mistake(root.at(), "flags", "too many flags", "list fewer");
    }
    let mut flags = Vec::with_capacity(rows.len());
    let mut included = Vec::new();
    for table in rows {
        let at = table.at();
        let texts = table.texts("includes");
        if let Some(flag) = flag(&table) {
            flags.push(flag);
            places.flags.push(at);
            included.push(texts);
        }
        skip_parameter_keys(&table);
        table.finish();
    }
    let ids: Vec<Vec<FlagId>> = included
        .into_iter()
        .map(|texts| flag_ids(root, "flags.includes", &texts, &flags))
        .collect();
    for (flag, ids) in flags.iter_mut().zip(ids) {
        flag.includes = ids;
    }
    flags
}

fn flag(table: &Table<'_>) -> Option<Flag> {
    let spelling = table.required_text("flag");
    let summary = table.required_text("summary");
    let value = value_type(table);
    let attached = table.text("attached");
    let form = match (&value, attached.as_ref().map(|text| text.value.as_str())) {
        (Some(ValueType::Switch), None) => Form::Switch,
        (Some(ValueType::Count { .. }), None) => Form::Counted,
        (_, Some("required")) => Form::Attached,
        (_, Some("optional")) => Form::AttachedOptional,
        (_, Some("equals")) => Form::Equals,
        (_, Some(other)) => {
            let at = attached.as_ref().map_or(table.at(), |text| text.at);
            let what = format!("no way to attach a value: {other}");
            table.mistake(at, "attached", what, "write required, optional or equals");
            return None;
        }
        (_, None) => Form::Separate,
    };
    let takes_items = matches!(
        value,
        Some(ValueType::Headers { .. } | ValueType::UrlQuery { .. })
    );
    let repeat = match (table.text("repeat"), form) {
        (None, Form::Switch | Form::Counted) => Repeat::Same,
        (None, _) if takes_items => Repeat::Collect,
        (None, _) => Repeat::Refuse,
        (Some(text), _) => match text.value.as_str() {
            "same" => Repeat::Same,
            "last" => Repeat::Last,
            "refuse" => Repeat::Refuse,
            other => {
                let what = format!("no way to take a repetition: {other}");
                table.mistake(text.at, "repeat", what, "write same, last or refuse");
                return None;
            }
        },
    };
    let rule = table
        .text("rule")
        .map_or_else(|| "ARG3".to_owned(), |text| text.value);
    let needs = needs(table);
    let meaning = ports::meaning(table, value.as_ref());
    let (means, brings) = (table.plain_texts("means"), table.plain_texts("brings"));
    Some(Flag {
        spelling: spelling?.value,
        aliases: table.plain_texts("aliases"),
        summary: summary?.value,
        form,
        value: value?,
        meaning,
        absent: table.integer("absent", 0..u64::MAX),
        repeat,
        needs,
        intrusive: table.boolean("intrusive"),
        ipv4_only: table.text("ipv4_only").map(|text| text.value),
        instead: table.plain_texts("instead"),
        includes: Vec::new(),
        shorthand: !means.is_empty(),
        brings: if means.is_empty() { brings } else { means },
        rule,
        bare: table.boolean("bare"),
        meant: meant(table),
    })
}

fn meant(table: &Table<'_>) -> Vec<Meant> {
    let mut all = Vec::new();
    for row in table.tables("meant") {
        let value = row.required_text("value");
        let begins = row.boolean("begins");
        let write = row.plain_texts("write");
        row.finish();
        if let Some(value) = value {
            all.push(Meant {
                value: value.value,
                begins,
                write,
            });
        }
    }
    all
}

/// What a flag needs, or, at the root of the file, every run.
pub(super) fn needs(table: &Table<'_>) -> Vec<Need> {
    let Some(text) = table.text("needs") else {
        return Vec::new();
    };
    let reason = table.required_text("needs_reason");
    let or = substitute(table);
    let instead = table.plain_texts("without");
    match (capability(table, "needs", &text), or, reason) {
        (Some(capability), Some(or), Some(reason)) => {
            vec![Need {
                what: Requirement { capability, or },
                reason: reason.value,
                instead,
            }]
        }
        (_, _, _) => Vec::new(),
    }
}

fn substitute(table: &Table<'_>) -> Option<Substitute> {
    let Some(text) = table.text("needs_or") else {
        return Some(Substitute::Nothing);
    };
    if text.value == "icmp-socket" {
        return Some(Substitute::IcmpSocket);
    }
    let what = format!("nothing that does as well as a capability: {}", text.value);
    table.mistake(text.at, "needs_or", what, "write icmp-socket");
    None
}

const TYPES: [&str; 18] = [
    "switch",
    "count",
    "integer",
    "duration",
    "seconds",
    "ports",
    "word",
    "names",
    "decoys",
    "networks",
    "mac",
    "text",
    "headers",
    "url-path",
    "url-query",
    "byte-range",
    "dns-name",
    "address",
];

fn value_type(table: &Table<'_>) -> Option<ValueType> {
    let kind = table.text("type");
    match kind.as_ref().map_or("switch", |text| text.value.as_str()) {
        "switch" => Some(ValueType::Switch),
        "count" => {
            let max = table.required_integer("max", 1..10)?;
            Some(ValueType::Count {
                max: u8::try_from(max).ok()?,
            })
        }
        "integer" => integer_type(table),
        "duration" => duration_type(table, DurationStyle::Suffixed),
        "seconds" => duration_type(table, DurationStyle::Seconds),
        "ports" => ports_type(table),
        "word" => Some(ValueType::Word {
            words: table.plain_texts("words"),
            intrusive: table.plain_texts("intrusive_words"),
            any_case: table.boolean("any_case"),
        }),
        "names" => Some(ValueType::Names(NameRule {
            categories: table.plain_texts("categories"),
            without: table.plain_texts("categories_without"),
            without_unless_intrusive: table.plain_texts("categories_without_unless_intrusive"),
            ..NameRule::new(
                table.plain_texts("safe"),
                table.plain_texts("intrusive_names"),
                items_max(table, 32),
            )
        })),
        "decoys" => Some(ValueType::Decoys {
            items_max: items_max(table, 16),
        }),
        "networks" => Some(ValueType::Networks {
            items_max: items_max(table, 64),
        }),
        "mac" => Some(ValueType::Mac),
        "text" => Some(ValueType::Text {
            bytes_max: bytes_max(table, 100),
        }),
        "headers" => Some(ValueType::Headers {
            names: table.plain_texts("names"),
            items_max: items_max(table, 8),
        }),
        "url-path" => Some(ValueType::UrlPath {
            bytes_max: bytes_max(table, 1024),
        }),
        "url-query" => Some(ValueType::UrlQuery {
            items_max: items_max(table, 16),
        }),
        "byte-range" => Some(ValueType::ByteRange),
        "dns-name" => Some(ValueType::DnsName),
        "address" => Some(ValueType::Address),
        other => {
            let at = kind.as_ref().map_or(table.at(), |text| text.at);
            let remedy = match nearest(other, TYPES) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known types: {}", TYPES.join(", ")),
            };
            table.mistake(at, "type", format!("no type of value: {other}"), &remedy);
            None
        }
    }
}

fn items_max(table: &Table<'_>, default: u32) -> u32 {
    let read = table.integer("items_max", 1..257);
    read.and_then(|max| u32::try_from(max).ok())
        .unwrap_or(default)
}

fn bytes_max(table: &Table<'_>, default: u32) -> u32 {
    let read = table.integer("bytes_max", 1..2049);
    read.and_then(|max| u32::try_from(max).ok())
        .unwrap_or(default)
}

fn ports_type(table: &Table<'_>) -> Option<ValueType> {
    let ports_max = table.integer("ports_max", 1..65_536).unwrap_or(65_535);
    Some(ValueType::Ports {
        items_max: items_max(table, 100),
        ports_max: u32::try_from(ports_max).ok()?,
        all: table.text("all").map(|text| text.value),
        excluded: table.boolean("excluded"),
    })
}

fn integer_type(table: &Table<'_>) -> Option<ValueType> {
    let min = table.required_integer("min", 0..u64::MAX);
    let max = table.required_integer("max", 0..u64::MAX);
    let step = table.integer("step", 1..u64::MAX).unwrap_or(1);
    let intrusive_above = table.integer("intrusive_above", 0..u64::MAX);
    Some(ValueType::Integer {
        min: min?,
        max: max?,
        step,
        intrusive_above,
    })
}

fn duration_type(table: &Table<'_>, style: DurationStyle) -> Option<ValueType> {
    let min_ms = table.required_integer("min_ms", 0..u64::MAX);
    let max_ms = table.required_integer("max_ms", 0..u64::MAX);
    Some(ValueType::Duration {
        min_ms: min_ms?,
        max_ms: max_ms?,
        style,
    })
}

/// Marks the keys that [`super::calls::flag_parameters`] reads as known.
fn skip_parameter_keys(table: &Table<'_>) {
    for key in ["parameter", "description", "example"] {
        table.has(key);
    }
}

/// The flag that a text names.
pub(super) fn flag_id(
    table: &Table<'_>,
    key: &str,
    text: &At<String>,
    flags: &[Flag],
) -> Option<FlagId> {
    let found = flags.iter().position(|flag| flag.is_spelled(&text.value));
    if found.is_none() {
        let spellings = flags.iter().flat_map(Flag::spellings);
        let remedy = match nearest(&text.value, spellings) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "list the flag under [[flags]]".to_owned(),
        };
        table.mistake(
            text.at,
            key,
            format!("no listed flag: {}", text.value),
            &remedy,
        );
    }
    found.map(FlagId)
}

/// The flags that texts name.
pub(super) fn flag_ids(
    table: &Table<'_>,
    key: &str,
    texts: &[At<String>],
    flags: &[Flag],
) -> Vec<FlagId> {
    texts
        .iter()
        .filter_map(|text| flag_id(table, key, text, flags))
        .collect()
}

pub(super) fn capabilities(root: &Table<'_>) -> Vec<Capability> {
    let mut capabilities: Vec<Capability> = root
        .texts("capabilities")
        .into_iter()
        .filter_map(|text| capability(root, "capabilities", &text))
        .collect();
    capabilities.sort_unstable();
    capabilities.dedup();
    capabilities
}

fn capability(table: &Table<'_>, key: &str, text: &At<String>) -> Option<Capability> {
    let found = Capability::from_name(&text.value);
    if found.is_none() {
        let what = format!("no capability that a run can be granted: {}", text.value);
        table.mistake(text.at, key, what, "write CAP_NET_RAW");
    }
    found
}
