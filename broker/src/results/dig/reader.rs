//! Reading what dig 9.18 prints with `+yaml`, line by line.
//!
//! It is not quite YAML: dig writes an extended error's text between quotes that it does not
//! escape, one key twice, and `; Transfer failed.` between documents. A YAML reader would refuse
//! the whole for what a server put into one option. What dig does keep to is a fixed indentation
//! for each kind of line, and one line for each text of a server's, in which it escapes line ends.
//! So a line counts only where dig prints its kind, and nothing in it can begin another.
//!
//! Invariants: total; a line in the wrong place changes nothing and is counted; at most
//! [`RECORDS_MAX`] records are kept.

use super::report::{DigReport, Edns, ExtendedError, Query, Record};
use crate::results::limits::{LIST_MAX, RECORD_CHARS_MAX, RECORDS_MAX, STRING_CHARS_MAX};
use crate::results::neutralise::line;
use jiff::Timestamp;

/// What the next lines are about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Between documents.
    #[default]
    Outside,
    /// A message's circumstances.
    Message,
    /// Its header.
    Header,
    Question,
    Answer,
    Authority,
    Additional,
    /// The pseudo section, before its one entry.
    Pseudo,
    Edns,
    ExtendedError,
    /// What dig says instead of a message.
    Error,
}

/// Builds a report from lines.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) report: DigReport,
    /// What the arguments ask, for when no question comes back.
    pub(super) asked: Option<Query>,
    place: Place,
    asked_at: Option<Timestamp>,
    records: usize,
    /// Lines that were in the wrong place, or not of their kind's form.
    pub(super) unread: u64,
}

impl Reader {
    /// Takes one line, without its end. `cut` says that the line was longer.
    pub(super) fn line(&mut self, text: &str, cut: bool) {
        let inner = text.trim_start_matches(' ');
        if inner.is_empty() {
            return;
        }
        let indent = text.len().saturating_sub(inner.len());
        let taken = match (indent, self.place) {
            (0, _) => self.document(inner),
            (2, Place::Message | Place::Error) => inner == "message:" || inner == "message: |",
            (4, Place::Message) => self.circumstance(inner),
            (4, Place::Error) => self.error(inner),
            (6, Place::Message | Place::Outside | Place::Error) => false,
            (6, _) => self.header(inner),
            (8, Place::Pseudo) if inner == "EDNS:" => {
                self.place = Place::Edns;
                true
            }
            (8, Place::Question) => self.question(inner),
            (8, Place::Answer | Place::Authority | Place::Additional) => self.record(inner, cut),
            (10, Place::Edns | Place::ExtendedError) => self.option(inner),
            (12, Place::ExtendedError) => self.extended_error(inner),
            _ => false,
        };
        if !taken {
            self.unread = self.unread.saturating_add(1);
        }
    }

    /// The beginning of a document, or a note between two.
    fn document(&mut self, inner: &str) -> bool {
        self.place = match inner {
            "- type: MESSAGE" => Place::Message,
            "- type: DIG_ERROR" => Place::Error,
            _ => Place::Outside,
        };
        if self.place == Place::Message {
            self.report.messages = self.report.messages.saturating_add(1);
        }
        let note = inner
            .strip_prefix(';')
            .map(|note| note.trim_matches([';', ' ']));
        note.is_some_and(|note| self.error(note)) || self.place != Place::Outside
    }

    fn error(&mut self, words: &str) -> bool {
        if self.report.errors.len() < LIST_MAX {
            self.report.errors.push(line(words, STRING_CHARS_MAX));
        }
        true
    }

    fn circumstance(&mut self, inner: &str) -> bool {
        if inner == "response_message_data:" {
            self.place = Place::Header;
            return true;
        }
        let Some((key, value)) = inner.split_once(": ") else {
            return false;
        };
        let report = &mut self.report;
        match key {
            "query_time" => {
                let first = self.asked_at.or_else(|| time(value));
                self.asked_at = first;
            }
            "response_time" => {
                let took = time(value).zip(self.asked_at);
                let took = took.map(|(answered, asked)| {
                    let (answered, asked) = (answered.as_millisecond(), asked.as_millisecond());
                    answered.saturating_sub(asked)
                });
                // A clock that was set back tells nothing.
                report.time_ms = took.filter(|took| *took >= 0);
            }
            "message_size" => {
                let bytes = value.trim_end_matches('b').parse().unwrap_or(0_u64);
                report.size_bytes = report.size_bytes.saturating_add(bytes);
            }
            "socket_protocol" => report.server.protocol = Some(line(value, 16)),
            "response_address" => report.server.address = line(value.trim_matches('"'), 64),
            "response_port" => report.server.port = value.parse().unwrap_or(report.server.port),
            _ => {}
        }
        true
    }

    /// A field of the header, or the beginning of a section.
    fn header(&mut self, inner: &str) -> bool {
        let section = match inner {
            "QUESTION_SECTION:" => Some(Place::Question),
            "ANSWER_SECTION:" => Some(Place::Answer),
            "AUTHORITY_SECTION:" => Some(Place::Authority),
            "ADDITIONAL_SECTION:" => Some(Place::Additional),
            "OPT_PSEUDOSECTION:" => Some(Place::Pseudo),
            _ => None,
        };
        if let Some(section) = section {
            self.place = section;
            return true;
        }
        // The fields stand before the sections.
        if self.place != Place::Header {
            return false;
        }
        let Some((key, value)) = inner.split_once(':') else {
            return false;
        };
        let value = value.trim();
        match key {
            "status" => self.report.status = Some(line(value, 32)),
            "flags" => self.report.flags = words(value),
            _ => {}
        }
        true
    }

    fn question(&mut self, inner: &str) -> bool {
        let Some(text) = quoted(inner, false) else {
            return false;
        };
        let mut parts = text.splitn(3, ' ');
        let (Some(name), Some(class), Some(kind)) = (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        if self.report.query.is_none() {
            self.report.query = Some(Query {
                name: line(name, RECORD_CHARS_MAX),
                class: line(class, 32),
                kind: line(kind, 32),
            });
        }
        true
    }

    fn record(&mut self, inner: &str, cut: bool) -> bool {
        let Some(record) = quoted(inner, cut).as_deref().and_then(record) else {
            return false;
        };
        if self.records >= RECORDS_MAX {
            self.report.records_omitted = self.report.records_omitted.saturating_add(1);
            return true;
        }
        self.records = self.records.saturating_add(1);
        match self.place {
            Place::Answer => self.report.answers.push(record),
            Place::Authority => self.report.authority.push(record),
            Place::Additional => self.report.additional.push(record),
            Place::Outside
            | Place::Message
            | Place::Header
            | Place::Question
            | Place::Pseudo
            | Place::Edns
            | Place::ExtendedError
            | Place::Error => return false,
        }
        true
    }

    fn option(&mut self, inner: &str) -> bool {
        self.place = Place::Edns;
        let Some((key, value)) = inner.split_once(':') else {
            return false;
        };
        let value = value.trim();
        let edns = self.report.edns.get_or_insert_with(Edns::default);
        match key {
            "version" => edns.version = value.parse().unwrap_or(0),
            "flags" => edns.dnssec_ok = value.split(' ').any(|flag| flag == "do"),
            "udp" => edns.udp_bytes = value.parse().unwrap_or(0),
            "NSID" => edns.nsid = Some(line(in_brackets(value), STRING_CHARS_MAX)),
            "COOKIE" => {
                let verdict = value.rsplit_once(" (").map(|(_, word)| word);
                edns.cookie = verdict.map(|word| line(word.trim_end_matches(')'), 16));
            }
            "EDE" => {
                self.place = Place::ExtendedError;
                if edns.extended_errors.len() < LIST_MAX {
                    edns.extended_errors.push(ExtendedError::default());
                }
            }
            _ if edns.options.len() < LIST_MAX => edns.options.push(line(inner, STRING_CHARS_MAX)),
            _ => {}
        }
        true
    }

    fn extended_error(&mut self, inner: &str) -> bool {
        let edns = self.report.edns.as_mut();
        let last = edns.and_then(|edns| edns.extended_errors.last_mut());
        let (Some(last), Some((key, value))) = (last, inner.split_once(": ")) else {
            return false;
        };
        match key {
            "INFO-CODE" => last.code = line(value, 128),
            "EXTRA-TEXT" => {
                let text = value.strip_prefix('"').unwrap_or(value);
                let text = text.strip_suffix('"').unwrap_or(text);
                last.text = Some(line(text, STRING_CHARS_MAX));
            }
            _ => return false,
        }
        true
    }
}

fn time(value: &str) -> Option<Timestamp> {
    value.strip_prefix("!!timestamp ")?.parse().ok()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split_whitespace().take(16);
    words.map(|word| line(word, 16)).collect()
}

/// The text of `- '…'`, in which a quote is written twice. A line that was cut has no last quote.
fn quoted(inner: &str, cut: bool) -> Option<String> {
    let inner = inner.strip_prefix("- '")?;
    let body = match inner.strip_suffix('\'') {
        Some(body) if !cut => body,
        Some(_) | None if cut => inner,
        Some(_) | None => return None,
    };
    let plain = body.replace("''", "'");
    // A quote that stands alone would have ended the text.
    let doubled = body.matches("''").count().saturating_mul(2);
    (cut || body.matches('\'').count() == doubled).then_some(plain)
}

/// `NAME TTL CLASS TYPE DATA`; a name has no space, since dig writes `\032` for it.
fn record(text: &str) -> Option<Record> {
    let mut parts = text.splitn(5, ' ');
    let name = parts.next()?;
    let ttl = parts.next()?.parse().ok()?;
    let (class, kind) = (parts.next()?, parts.next()?);
    Some(Record {
        name: line(name, RECORD_CHARS_MAX),
        ttl,
        class: line(class, 32),
        kind: line(kind, 32),
        data: line(parts.next().unwrap_or_default(), RECORD_CHARS_MAX),
    })
}

/// The text in `6c 61 62 ("lab")`.
fn in_brackets(value: &str) -> &str {
    let text = value.split_once(" (\"").map(|(_, text)| text);
    text.and_then(|text| text.strip_suffix("\")"))
        .unwrap_or(value)
}
