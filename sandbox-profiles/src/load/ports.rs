//! What a profile says of ports: the flags that are ports, and the ports that a
//! tool touches by itself.
//!
//! As `schema`: reads what stands there, records what can't be read.
//!
//! Invariants: ports that can't be read are reported, never taken for none.

use super::flags::flag_ids;
use super::read::Table;
use crate::profile::{Flag, ImpliedPorts, Meaning};
use crate::scope::PortSet;
use crate::value::ValueType;

/// The rows of `[[implied_ports]]`.
pub(super) fn implied(root: &Table<'_>, flags: &[Flag]) -> Vec<ImpliedPorts> {
    let mut rows = Vec::new();
    for table in root.tables("implied_ports") {
        let ids = |key: &'static str| flag_ids(&table, key, &table.texts(key), flags);
        let (when, unless) = (ids("when"), ids("unless"));
        let ports = ports(&table);
        let (bare, excludable) = (table.boolean("bare"), table.boolean("excludable"));
        let except = table.plain_texts("except");
        let instead = table.plain_texts("instead");
        let reason = table.required_text("reason");
        if when.is_empty() && (bare || !except.is_empty()) {
            let remedy = "name the flag in `when`";
            table.mistake(table.at(), "when", "no flag for bare or except", remedy);
        }
        table.finish();
        if let (Some(ports), Some(reason)) = (ports, reason) {
            rows.push(ImpliedPorts {
                ports,
                when,
                unless,
                bare,
                except,
                excludable,
                instead,
                reason: reason.value,
            });
        }
    }
    rows
}

fn ports(table: &Table<'_>) -> Option<PortSet> {
    let texts = table.texts("ports");
    let remedy = "write ports and ranges, like \"80\" or \"30000-44780\"";
    match PortSet::parse(texts.iter().map(|text| text.value.as_str())) {
        Ok(set) if set.is_empty() => {
            table.mistake(table.at(), "ports", "no ports", remedy);
            None
        }
        Ok(set) => Some(set),
        Err(item) => {
            let at = texts.iter().find(|text| text.value == item);
            let at = at.map_or(table.at(), |text| text.at);
            table.mistake(at, "ports", format!("no port: {item}"), remedy);
            None
        }
    }
}

/// What the number of a flag means.
pub(super) fn meaning(table: &Table<'_>, value: Option<&ValueType>) -> Meaning {
    let said = table.boolean("port");
    let fits = match value {
        Some(ValueType::Integer { min, max, .. }) => *min >= 1 && u16::try_from(*max).is_ok(),
        Some(_) | None => false,
    };
    if said && !fits {
        let remedy = "set it for integers from 1 to 65535";
        table.mistake(table.at(), "port", "the value is no port", remedy);
    }
    if said && fits {
        Meaning::Port
    } else {
        Meaning::Plain
    }
}
