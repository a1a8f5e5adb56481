//! Trimming a structured result to a model's budget.
//!
//! What matters least goes first: scripts' outputs, then ports that are not open, then details of
//! hosts, then hosts without open ports, then hosts from the end. Of a result that is one record, a
//! body's text goes first, then its lists from their ends. The trimmed value still follows the
//! format's schema and counts what went. The whole stays with whoever called.
//!
//! Invariants: the result is no longer than the budget, unless the budget is below what the bare
//! totals need; nothing is ever added but counts.

use serde_json::{Map, Value, json};

/// Details of a host that are worth less than its ports.
const HOST_DETAILS: &[&str] = &[
    "trace",
    "hostnames",
    "extraports",
    "uptime",
    "distance",
    "vendor",
];

/// Details of a port that are worth less than its number and product.
const PORT_DETAILS: &[&str] = &[
    "cpe",
    "extra_info",
    "service_hostname",
    "os_type",
    "device_type",
    "service_method",
];

/// Lists at the top that are worth less than hosts.
const TOP_DETAILS: &[&str] = &["no_answer", "unfinished", "warnings", "scans"];

/// Characters of a body that stay while there are lists to shorten.
const BODY_GLANCE_CHARS: usize = 500;

/// What is missing, by kind: what the parser had to leave out, and what went here.
#[derive(Debug, Default, Clone, Copy)]
struct Gone {
    hosts: u64,
    ports: u64,
    scripts: u64,
}

impl Gone {
    fn before(top: &Map<String, Value>) -> Self {
        let omitted = top.get("omitted");
        let number = |key| {
            omitted
                .and_then(|o| o.get(key))
                .and_then(Value::as_u64)
                .unwrap_or(0)
        };
        Self {
            hosts: number("hosts"),
            ports: number("ports"),
            scripts: number("scripts"),
        }
    }

    fn note(self, top: &mut Map<String, Value>) {
        let Self {
            hosts,
            ports,
            scripts,
        } = self;
        top.insert(
            "omitted".to_owned(),
            json!({ "hosts": hosts, "ports": ports, "scripts": scripts }),
        );
    }
}

type Step = fn(&mut Map<String, Value>, &mut Gone);

/// The value, trimmed to at most `chars_max` characters of compact JSON.
pub fn bounded(structured: Value, chars_max: usize) -> Value {
    let mut value = structured;
    if size(&value) <= chars_max {
        return value;
    }
    let Some(top) = value.as_object_mut() else {
        return value;
    };
    if !top.contains_key("hosts") {
        shorten_body(top, chars_max);
        shorten_lists(top, chars_max);
        return value;
    }
    let mut gone = Gone::before(top);
    let steps: [Step; 4] = [
        drop_scripts,
        drop_quiet_ports,
        drop_details,
        drop_top_details,
    ];
    for step in steps {
        step(top, &mut gone);
        gone.note(top);
        if size_of(top) <= chars_max {
            return value;
        }
    }
    drop_hosts(top, &mut gone, chars_max);
    gone.note(top);
    value
}

/// Characters of the value as compact JSON.
fn size(value: &Value) -> usize {
    value.to_string().chars().count()
}

fn size_of(top: &Map<String, Value>) -> usize {
    // As `size`, for an object that is borrowed: braces, and per entry quotes, colon and comma.
    let entries = top.iter().map(|(key, value)| {
        key.chars()
            .count()
            .saturating_add(size(value))
            .saturating_add(4)
    });
    entries.fold(2, usize::saturating_add)
}

fn hosts(top: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let hosts = top
        .get_mut("hosts")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    hosts.filter_map(Value::as_object_mut)
}

fn ports(host: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let ports = host
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    ports.filter_map(Value::as_object_mut)
}

fn count(list: Option<&Value>) -> u64 {
    let length = list.and_then(Value::as_array).map_or(0, Vec::len);
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn drop_scripts(top: &mut Map<String, Value>, gone: &mut Gone) {
    let mut scripts = count(top.remove("scripts").as_ref());
    for host in hosts(top) {
        scripts = scripts.saturating_add(count(host.remove("scripts").as_ref()));
        for port in ports(host) {
            scripts = scripts.saturating_add(count(port.remove("scripts").as_ref()));
        }
    }
    gone.scripts = gone.scripts.saturating_add(scripts);
}

fn drop_quiet_ports(top: &mut Map<String, Value>, gone: &mut Gone) {
    for host in hosts(top) {
        if let Some(Value::Array(ports)) = host.get_mut("ports") {
            let before = ports.len();
            ports.retain(is_open);
            let dropped = u64::try_from(before.saturating_sub(ports.len())).unwrap_or(u64::MAX);
            gone.ports = gone.ports.saturating_add(dropped);
        }
    }
}

fn is_open(port: &Value) -> bool {
    port.get("state").and_then(Value::as_str) == Some("open")
}

fn drop_details(top: &mut Map<String, Value>, _gone: &mut Gone) {
    for host in hosts(top) {
        host.retain(|key, _| !HOST_DETAILS.contains(&key.as_str()));
        if let Some(Value::Array(guesses)) = host.get_mut("os_guess") {
            guesses.truncate(1);
        }
        for port in ports(host) {
            port.retain(|key, _| !PORT_DETAILS.contains(&key.as_str()));
        }
    }
}

fn drop_top_details(top: &mut Map<String, Value>, _gone: &mut Gone) {
    for key in TOP_DETAILS {
        if let Some(Value::Array(list)) = top.get_mut(*key) {
            list.truncate(8);
        }
    }
}

/// Drops hosts until the rest fits: those without open ports first, then from the end.
///
/// A host that alone is over the budget keeps as many of its ports as fit.
fn drop_hosts(top: &mut Map<String, Value>, gone: &mut Gone, chars_max: usize) {
    let Some(Value::Array(all)) = top.insert("hosts".to_owned(), json!([])) else {
        return;
    };
    // The counts are not final yet; room for the longest ones is set aside.
    Gone {
        hosts: u64::MAX,
        ports: u64::MAX,
        scripts: u64::MAX,
    }
    .note(top);
    let mut chars_left = chars_max.saturating_sub(size_of(top));
    let mut kept = vec![None; all.len()];
    for with_open in [true, false] {
        for (slot, host) in kept.iter_mut().zip(&all) {
            let open = host
                .get("ports")
                .and_then(Value::as_array)
                .is_some_and(|p| !p.is_empty());
            if open != with_open {
                continue;
            }
            let needed = size(host).saturating_add(1);
            if needed <= chars_left {
                chars_left = chars_left.saturating_sub(needed);
                *slot = Some(host.clone());
            } else if let Some(part) = first_ports(host, chars_left, gone) {
                chars_left = chars_left.saturating_sub(size(&part).saturating_add(1));
                *slot = Some(part);
            } else {
                gone.hosts = gone.hosts.saturating_add(1);
            }
        }
    }
    top.insert(
        "hosts".to_owned(),
        Value::Array(kept.into_iter().flatten().collect()),
    );
}

/// The host with as many of its ports as fit into the budget, if one does.
fn first_ports(host: &Value, chars_max: usize, gone: &mut Gone) -> Option<Value> {
    let mut part = host.clone();
    let Some(Value::Array(ports)) = part.get_mut("ports").map(Value::take) else {
        return None;
    };
    if ports.is_empty() {
        return None;
    }
    let before = ports.len();
    // The list's place holds `null` now, which is longer than the list's own brackets.
    let mut chars_left = chars_max.checked_sub(size(&part))?;
    let fitting = ports.into_iter().take_while(|port| {
        let left = chars_left.checked_sub(size(port).saturating_add(1));
        chars_left = left.unwrap_or(0);
        left.is_some()
    });
    let fitting: Vec<Value> = fitting.collect();
    let dropped = u64::try_from(before.saturating_sub(fitting.len())).unwrap_or(u64::MAX);
    if fitting.is_empty() {
        return None;
    }
    gone.ports = gone.ports.saturating_add(dropped);
    *part.get_mut("ports")? = Value::Array(fitting);
    Some(part)
}

/// For results with a body of text: shortens it to what fits, or to a first glance.
fn shorten_body(top: &mut Map<String, Value>, chars_max: usize) {
    let over = size_of(top).saturating_sub(chars_max);
    let Some(body) = top.get_mut("body").and_then(Value::as_object_mut) else {
        return;
    };
    let Some(Value::String(text)) = body.get("text") else {
        return;
    };
    // A character takes up to six in JSON, where it is escaped: what goes is too much, if anything.
    let whole = text.chars().count();
    let kept = whole.saturating_sub(over).max(BODY_GLANCE_CHARS).min(whole);
    if kept < whole {
        let beginning: String = text.chars().take(kept).collect();
        body.insert("text".to_owned(), json!(beginning));
        body.insert("text_cut".to_owned(), json!(true));
    }
}

/// For results that are a record with lists: halves the longest list until it fits.
fn shorten_lists(top: &mut Map<String, Value>, chars_max: usize) {
    while size_of(top) > chars_max {
        let lists = top
            .iter_mut()
            .filter_map(|(key, value)| Some((key, value.as_array_mut()?)));
        let Some((key, longest)) = lists.max_by_key(|(_, list)| list.len()) else {
            return;
        };
        let (key, before) = (format!("{key}_omitted"), longest.len());
        if before < 2 {
            return;
        }
        longest.truncate(before.div_euclid(2));
        let dropped = u64::try_from(before.saturating_sub(longest.len())).unwrap_or(u64::MAX);
        let so_far = top.get(&key).and_then(Value::as_u64).unwrap_or(0);
        top.insert(key, json!(so_far.saturating_add(dropped)));
    }
}
