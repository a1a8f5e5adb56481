//! Typed flag values: what a value may be, and what it is.
//!
//! Text goes in, a typed value comes out, and rendering it gives the one
//! canonical text. No value is passed on as the caller wrote it.
//!
//! Invariants: a rendered value is never empty, never begins with `-`, and
//! holds printable ASCII without white space only; parsing a rendered value
//! under the same scope gives the same value.

mod duration;
mod hosts;
mod mac;
mod names;
mod number;
mod ports;

pub use duration::DurationStyle;
pub use hosts::Decoy;
pub use mac::Mac;
pub use names::NameRule;
pub use ports::PortList;

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
}

impl ValueError {
    fn new(message: impl Into<String>, part: &str, remedy: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Validation,
            message: message.into(),
            part: part.to_owned(),
            remedy: remedy.into(),
            nearest: None,
        }
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
            Self::Word { words } => parse_word(text, words).map(Value::Word),
            Self::Names(rule) => rule.parse(text, scope.allows_intrusive()).map(Value::Names),
            Self::Decoys { items_max } => hosts::parse_decoys(text, *items_max).map(Value::Decoys),
            Self::Networks { items_max } => {
                hosts::parse_networks(text, *items_max).map(Value::Networks)
            }
            Self::Mac => Mac::parse(text).map(Value::Mac),
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

    /// Whether a list of so many names is accepted.
    pub(crate) fn has_room_for(&self, names: usize) -> bool {
        match self {
            Self::Names(rule) => u32::try_from(names).is_ok_and(|count| count <= rule.items_max),
            Self::Switch
            | Self::Count { .. }
            | Self::Integer { .. }
            | Self::Duration { .. }
            | Self::Ports { .. }
            | Self::Word { .. }
            | Self::Decoys { .. }
            | Self::Networks { .. }
            | Self::Mac => true,
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
            Self::Word { words } => format!("one of {}", words.join(", ")),
            Self::Names(rule) => rule.described(),
            Self::Decoys { items_max } => format!(
                "ME and addresses within the scope, with commas between (at most {items_max})"
            ),
            Self::Networks { items_max } => format!(
                "addresses or networks within the target, with commas between (at most {items_max})"
            ),
            Self::Mac => "0 (random) or a hardware address like 02:00:5e:10:00:01".to_owned(),
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
            | Self::Mac(_) => None,
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

fn parse_word(text: &str, words: &[String]) -> Result<String, ValueError> {
    if words.iter().any(|word| word == text) {
        return Ok(text.to_owned());
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
