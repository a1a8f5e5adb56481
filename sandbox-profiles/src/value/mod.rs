//! Typed flag values: what a value may be, and what it is.
//!
//! Text goes in, a typed value comes out, and rendering it gives the one
//! canonical text. No value is passed on as the caller wrote it.
//!
//! Invariants: a rendered value is never empty, never begins with `-`, and
//! holds printable ASCII without white space only; parsing a rendered value
//! under the same scope gives the same value.

mod dns;
mod duration;
mod hosts;
mod http;
mod mac;
mod names;
mod number;
mod ports;

pub use duration::DurationStyle;
pub use hosts::Decoy;
pub use mac::Mac;
pub use names::NameRule;
pub use ports::PortList;

use std::net::IpAddr;

use crate::net::Network;
use crate::refusal::RefusalKind;
use crate::scope::Scope;

/// What the value of a flag may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueType {
    /// Nothing: the flag is there or not.
    Switch,
    /// Nothing, but the flag counts, up to `max`.
    Count {
        /// Greatest count.
        max: u8,
    },
    /// A whole number, both bounds included.
    Integer {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Every value is a multiple of it; 1 allows all.
        step: u64,
        /// Values above this one need an intrusive policy.
        intrusive_above: Option<u64>,
    },
    /// A span of time, both bounds included.
    Duration {
        /// Least value in milliseconds.
        min_ms: u64,
        /// Greatest value in milliseconds.
        max_ms: u64,
        /// How it is spelled.
        style: DurationStyle,
    },
    /// A list of ports and port ranges.
    Ports {
        /// Most items of the list; the scope may set a lower number.
        items_max: u32,
        /// Most ports that the list may name altogether.
        ports_max: u32,
        /// The whole argument that means all ports (`-p-`), if that is accepted.
        all: Option<String>,
        /// Whether these are ports to leave alone.
        excluded: bool,
    },
    /// One of these words.
    Word {
        /// The words.
        words: Vec<String>,
        /// Those of them that need an intrusive policy.
        intrusive: Vec<String>,
        /// Whether upper and lower case mean the same, as they do for the tool.
        any_case: bool,
    },
    /// A list of names that the profile knows.
    Names(NameRule),
    /// A list of forged senders: `ME` and addresses within the scope.
    Decoys {
        /// Most items.
        items_max: u32,
    },
    /// A list of addresses and networks within the target.
    Networks {
        /// Most items.
        items_max: u32,
    },
    /// A hardware address, or `0` for a random one.
    Mac,
    /// A word of letters, digits and `._~/()+,=-` that begins with a letter. It can be
    /// no address.
    Text {
        /// Most bytes.
        bytes_max: u32,
    },
    /// Header fields of an HTTP request, one by each occurrence of the flag.
    Headers {
        /// Names that are accepted, as they are rendered.
        names: Vec<String>,
        /// Most fields.
        items_max: u32,
    },
    /// The path of a URL, without its query.
    UrlPath {
        /// Most bytes.
        bytes_max: u32,
    },
    /// Items of a URL's query, one by each occurrence of the flag.
    UrlQuery {
        /// Most items.
        items_max: u32,
    },
    /// A range of bytes, `FIRST-LAST`.
    ByteRange,
    /// A name to ask a name server about, within the scope.
    DnsName,
    /// One address within the scope.
    Address,
}

/// What the value of a flag is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The flag is there.
    Switch,
    /// The flag is there that many times.
    Count(u8),
    /// A whole number.
    Integer(u64),
    /// A span of time.
    Duration {
        /// Milliseconds.
        ms: u64,
        /// How it is spelled.
        style: DurationStyle,
    },
    /// Ports.
    Ports(PortList),
    /// A word.
    Word(String),
    /// Names, sorted.
    Names(Vec<String>),
    /// Forged senders, in the caller's order, which the tool honours.
    Decoys(Vec<Decoy>),
    /// Networks, sorted.
    Networks(Vec<Network>),
    /// A hardware address.
    Mac(Mac),
    /// A text in its one canonical spelling.
    Text(String),
    /// Items, each of which is rendered on its own.
    Items(Vec<String>),
    /// An address.
    Address(IpAddr),
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueError {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
    /// The part of the value that is wrong; empty: all of it.
    pub(crate) part: String,
    pub(crate) remedy: String,
    /// The nearest value that is accepted, if there is one.
    pub(crate) nearest: Option<String>,
    /// The rule that is broken, where it is not the flag's own.
    pub(crate) rule: Option<&'static str>,
}

impl ValueError {
    fn new(message: impl Into<String>, part: &str, remedy: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Validation,
            message: message.into(),
            part: part.to_owned(),
            remedy: remedy.into(),
            nearest: None,
            rule: None,
        }
    }

    fn breaking(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }

    fn with_nearest(mut self, nearest: impl Into<String>) -> Self {
        self.nearest = Some(nearest.into());
        self
    }
}

impl ValueType {
    /// Reads a value. The scope sets how many ports may be listed and whether
    /// intrusive names are accepted; addresses are held against it later, when
    /// the target is known.
    pub(crate) fn parse(&self, text: &str, scope: &Scope) -> Result<Value, ValueError> {
        if text.is_empty() {
            let remedy = format!("give {}, or leave the flag out", self.described());
            return Err(ValueError::new("the value is empty", "\"\"", remedy));
        }
        match self {
            Self::Switch | Self::Count { .. } => Err(ValueError::new(
                "the flag takes no value",
                text,
                "leave the value out",
            )),
            Self::Integer { min, max, step, .. } => {
                number::parse(text, *min, *max, *step).map(Value::Integer)
            }
            Self::Duration {
                min_ms,
                max_ms,
                style,
            } => style
                .parse(text, *min_ms, *max_ms)
                .map(|ms| Value::Duration { ms, style: *style }),
            Self::Ports {
                items_max,
                ports_max,
                excluded,
                ..
            } => {
                // Leaving ports out is never what a scope bounds.
                let items_max = match excluded {
                    true => *items_max,
                    false => scope.port_ranges_max().min(*items_max),
                };
                PortList::parse(text, items_max, *ports_max).map(Value::Ports)
            }
            Self::Word {
                words, any_case, ..
            } => parse_word(text, words, *any_case).map(Value::Word),
            Self::Names(rule) => rule.parse(text, scope.allows_intrusive()).map(Value::Names),
            Self::Decoys { items_max } => hosts::parse_decoys(text, *items_max).map(Value::Decoys),
            Self::Networks { items_max } => {
                hosts::parse_networks(text, *items_max).map(Value::Networks)
            }
            Self::Mac => Mac::parse(text).map(Value::Mac),
            Self::Text { bytes_max } => parse_text(text, *bytes_max).map(Value::Text),
            Self::Headers { names, .. } => {
                http::parse_header(text, names).map(|field| Value::Items(vec![field]))
            }
            Self::UrlPath { bytes_max } => http::parse_path(text, *bytes_max).map(Value::Text),
            Self::UrlQuery { .. } => {
                http::parse_query_item(text).map(|item| Value::Items(vec![item]))
            }
            Self::ByteRange => http::parse_byte_range(text).map(Value::Text),
            Self::DnsName => dns::parse_name(text, scope).map(Value::Text),
            Self::Address => dns::parse_address(text, scope).map(Value::Address),
        }
    }

    /// Adds one more occurrence of a flag to those before it.
    pub(crate) fn collect(
        &self,
        mut items: Vec<String>,
        more: Vec<String>,
    ) -> Result<Value, ValueError> {
        for item in more {
            let is_same = |before: &String| {
                if matches!(self, Self::Headers { .. }) {
                    http::header_name(before) == http::header_name(&item)
                } else {
                    *before == item
                }
            };
            if items.iter().any(is_same) {
                return Err(ValueError::new("given twice", &item, "give it once"));
            }
            items.push(item);
        }
        if !self.has_room_for(items.len()) {
            let remedy = format!("give {}", self.described());
            return Err(ValueError::new("too many of them", "", remedy));
        }
        if matches!(self, Self::Headers { .. }) {
            // Their order means nothing: one order, one argument vector.
            items.sort_unstable();
        }
        Ok(Value::Items(items))
    }

    /// Reads the value of a part as it stands inside the target.
    pub(crate) fn parse_part(
        &self,
        text: &str,
        scope: &Scope,
    ) -> Result<Option<Value>, ValueError> {
        let Self::UrlQuery { .. } = self else {
            return self.parse(text, scope).map(Some);
        };
        let Some(items) = text.strip_prefix('?') else {
            return Ok(None);
        };
        let items: Result<Vec<String>, _> = items.split('&').map(http::parse_query_item).collect();
        self.collect(Vec::new(), items?).map(Some)
    }

    /// The text of a part as it stands inside the target.
    pub(crate) fn part_text(&self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::UrlQuery { .. }, Value::Items(items)) => Some(format!("?{}", items.join("&"))),
            (_, value) => value.text(),
        }
    }

    /// The text of a value as the tool gets it: as [`Value::text`], save for
    /// categories of names.
    pub(crate) fn tool_text(&self, value: &Value, scope: &Scope) -> Option<String> {
        match (self, value) {
            (Self::Names(rule), Value::Names(names)) => {
                Some(rule.rendered(names, scope.allows_intrusive()))
            }
            (_, _) => value.text(),
        }
    }

    /// Whether a list of so many names or items is accepted.
    pub(crate) fn has_room_for(&self, names: usize) -> bool {
        match self {
            Self::Names(rule) => u32::try_from(names).is_ok_and(|count| count <= rule.items_max),
            Self::Headers { items_max, .. } | Self::UrlQuery { items_max } => {
                u32::try_from(names).is_ok_and(|count| count <= *items_max)
            }
            Self::Switch
            | Self::Count { .. }
            | Self::Integer { .. }
            | Self::Duration { .. }
            | Self::Ports { .. }
            | Self::Word { .. }
            | Self::Decoys { .. }
            | Self::Networks { .. }
            | Self::Mac
            | Self::Text { .. }
            | Self::UrlPath { .. }
            | Self::ByteRange
            | Self::DnsName
            | Self::Address => true,
        }
    }

    /// Whether this value needs an intrusive policy, by itself.
    pub(crate) fn is_intrusive(&self, value: &Value) -> bool {
        if let (
            Self::Integer {
                intrusive_above: Some(above),
                ..
            },
            Value::Integer(number),
        ) = (self, value)
        {
            return number > above;
        }
        if let (Self::Word { intrusive, .. }, Value::Word(word)) = (self, value) {
            return intrusive.contains(word);
        }
        if let (Self::Names(rule), Value::Names(names)) = (self, value) {
            return names.iter().any(|name| rule.is_intrusive(name));
        }
        false
    }

    /// What is accepted, for messages: "a whole number from 1 to 100".
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Switch | Self::Count { .. } => "no value".to_owned(),
            Self::Integer { min, max, step, .. } => number::described(*min, *max, *step),
            Self::Duration {
                min_ms,
                max_ms,
                style,
            } => style.described(*min_ms, *max_ms),
            Self::Ports { items_max, .. } => {
                format!("ports like 80, 80-443 or 22,80,8000-8100 (at most {items_max} items)")
            }
            Self::Word { words, .. } => format!("one of {}", words.join(", ")),
            Self::Names(rule) => rule.described(),
            Self::Decoys { items_max } => format!(
                "ME and addresses within the scope, with commas between (at most {items_max})"
            ),
            Self::Networks { items_max } => format!(
                "addresses or networks within the target, with commas between (at most {items_max})"
            ),
            Self::Mac => "0 (random) or a hardware address like 02:00:5e:10:00:01".to_owned(),
            Self::Text { bytes_max } => {
                format!("up to {bytes_max} letters, digits and ._~/()+,=-, without spaces")
            }
            Self::Headers { names, items_max } => format!(
                "up to {items_max} fields NAME:value, with NAME one of {}",
                names.join(", ")
            ),
            Self::UrlPath { bytes_max } => {
                format!("the path of a URL, like /status (at most {bytes_max} bytes)")
            }
            Self::UrlQuery { items_max } => {
                format!("up to {items_max} items name=value, one each time")
            }
            Self::ByteRange => "FIRST-LAST, like 0-1023".to_owned(),
            Self::DnsName => "a name within the scope, like web.lab.internal".to_owned(),
            Self::Address => "an address within the scope, like 10.0.0.7".to_owned(),
        }
    }
}

impl Value {
    /// The canonical text; nothing for a flag without a value.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Switch | Self::Count(_) => None,
            Self::Integer(number) => Some(number.to_string()),
            Self::Duration { ms, style } => Some(style.text(*ms)),
            Self::Ports(ports) => Some(ports.to_string()),
            Self::Word(word) => Some(word.clone()),
            Self::Names(names) => Some(names.join(",")),
            Self::Decoys(decoys) => Some(joined(decoys)),
            Self::Networks(networks) => Some(hosts::networks_text(networks)),
            Self::Mac(mac) => Some(mac.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::Items(items) => Some(items.join(",")),
            Self::Address(address) => Some(address.to_string()),
        }
    }

    /// A number to compare two values of the same kind by; nothing where there is no order.
    pub(crate) fn magnitude(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Duration { ms, .. } => Some(*ms),
            Self::Switch
            | Self::Count(_)
            | Self::Ports(_)
            | Self::Word(_)
            | Self::Names(_)
            | Self::Decoys(_)
            | Self::Networks(_)
            | Self::Mac(_)
            | Self::Text(_)
            | Self::Items(_)
            | Self::Address(_) => None,
        }
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

fn parse_text(text: &str, bytes_max: u32) -> Result<String, ValueError> {
    let good = u32::try_from(text.len()).is_ok_and(|bytes| bytes <= bytes_max)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~/()+,=-".contains(&byte));
    if good {
        return Ok(text.to_owned());
    }
    let remedy =
        format!("give up to {bytes_max} letters, digits and ._~/()+,=-, the first a letter");
    Err(ValueError::new("not an accepted text", text, remedy))
}

fn parse_word(text: &str, words: &[String], any_case: bool) -> Result<String, ValueError> {
    let is_it = |word: &&String| *word == text || any_case && word.eq_ignore_ascii_case(text);
    if let Some(word) = words.iter().find(is_it) {
        return Ok(word.clone());
    }
    let error = ValueError::new(
        "not one of the accepted words",
        text,
        format!("give one of {}", words.join(", ")),
    );
    Err(match nearest_word(text, words) {
        Some(word) => error.with_nearest(word),
        None => error,
    })
}

/// The word that was probably meant: by number where both are numbers, else by spelling.
fn nearest_word<'w>(text: &str, words: &'w [String]) -> Option<&'w str> {
    let words = words.iter().map(String::as_str);
    match text.parse::<u64>() {
        Ok(number) => words
            .filter_map(|word| Some((word.parse::<u64>().ok()?.abs_diff(number), word)))
            .min()
            .map(|(_, word)| word),
        Err(_) => crate::nearest::nearest(text, words),
    }
}
