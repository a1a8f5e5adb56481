//! Splitting a stream of XML into tags and text, as bytes arrive and in bounded memory.
//!
//! A push front end to quick-xml's own scanners: it keeps one piece of markup at a time, and of an
//! endless piece only its beginning, so a banner of any size costs [`MARKUP_BYTES_MAX`]. It knows no
//! schema, checks no nesting, and never expands anything: a document type is skipped whole, and only
//! the five predefined entities and character numbers are decoded, once.
//!
//! Invariants: total (any bytes give tokens, never a panic); memory does not depend on the input;
//! splitting the input differently gives the same tags.

mod tag;

#[cfg(test)]
mod tests;

pub use tag::Tag;

use super::limits::{CHARDATA_BYTES_MAX, MARKUP_BYTES_MAX};
use super::neutralise::decode;
use quick_xml::parser::{CommentParser, ElementParser, Parser as _, PiParser};
use tag::{sink_tag, unescape};

/// One piece of a document.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A start tag or an empty element.
    Open(Tag<'a>),
    /// An end tag's name.
    Close(&'a str),
    /// Character data, decoded. A long run may come in several tokens, or lose its end.
    Text(&'a str),
    /// Something no well-formed document of a tool holds, which was skipped.
    Malformed(Fault),
}

/// Why a piece was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A tag without a name, or with attributes that cannot be read to their end.
    Tag,
    /// `<!` that begins neither comment, character data nor document type.
    Declaration,
    /// A document type that brings declarations of its own; they are ignored.
    Doctype,
    /// The document ends inside a piece of markup.
    Unfinished,
}

impl Fault {
    /// The fault in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "a tag could not be read",
            Self::Declaration => "an unknown declaration was skipped",
            Self::Doctype => "declarations in the document type were ignored",
            Self::Unfinished => "the document ends inside a piece of markup",
        }
    }
}

/// The splitter: push bytes, receive tokens.
#[derive(Debug, Default)]
pub struct Splitter {
    state: State,
    /// The beginning of the piece being read.
    piece: Vec<u8>,
    /// Whether the piece outgrew its bound.
    cut: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// After `<`, until the kind of markup is known.
    Opened,
    Tag(ElementParser),
    Instruction(PiParser),
    Comment(CommentParser),
    /// The number of `]` just seen, up to two.
    CharData(u8),
    Doctype(Doctype),
}

#[derive(Debug, Default)]
struct Doctype {
    quote: Option<u8>,
    subset: bool,
    inside: bool,
}

const COMMENT: &[u8] = b"!--";
const CHAR_DATA: &[u8] = b"![CDATA[";
const DOCTYPE: &[u8] = b"!DOCTYPE";

impl Splitter {
    /// Takes the next bytes and hands on each piece that they complete.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Token<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match self.state {
                State::Text => self.in_text(rest, sink),
                State::Opened => self.in_opened(rest, sink),
                State::Tag(_) => self.in_tag(rest, sink),
                State::Instruction(_) | State::Comment(_) => self.in_skipped(rest),
                State::CharData(_) => self.in_char_data(rest, sink),
                State::Doctype(_) => self.in_doctype(rest, sink),
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Ends the document: hands on what text is left.
    pub fn finish(&mut self, sink: &mut impl FnMut(Token<'_>)) {
        match self.state {
            State::Text => self.flush_text(sink),
            State::Opened
            | State::Tag(_)
            | State::Instruction(_)
            | State::Comment(_)
            | State::CharData(_)
            | State::Doctype(_) => sink(Token::Malformed(Fault::Unfinished)),
        }
    }

    fn in_text(&mut self, rest: &[u8], sink: &mut impl FnMut(Token<'_>)) -> usize {
        let end = rest.iter().position(|byte| *byte == b'<');
        let (text, used) = match end {
            Some(at) => (rest.get(..at).unwrap_or_default(), at.saturating_add(1)),
            None => (rest, rest.len()),
        };
        self.keep(text, CHARDATA_BYTES_MAX);
        if end.is_some() {
            self.flush_text(sink);
            self.state = State::Opened;
        }
        used
    }

    fn flush_text(&mut self, sink: &mut impl FnMut(Token<'_>)) {
        if !self.piece.is_empty() {
            sink(Token::Text(&unescape(&decode(&self.piece))));
        }
        self.clear();
    }

    /// One byte at a time: a kind is known after nine bytes at most.
    fn in_opened(&mut self, rest: &[u8], sink: &mut impl FnMut(Token<'_>)) -> usize {
        let Some(byte) = rest.first() else { return 0 };
        match (self.piece.first(), byte) {
            (None, b'?') => self.state = State::Instruction(PiParser::default()),
            (None, b'!') => self.piece.push(b'!'),
            (None, _) => {
                // The byte belongs to the tag, and may even end it.
                self.state = State::Tag(ElementParser::default());
                return 0;
            }
            (Some(_), byte) => self.declaration(*byte, sink),
        }
        1
    }

    fn declaration(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) {
        self.piece.push(byte);
        let piece = self.piece.as_slice();
        if piece == COMMENT {
            self.enter(State::Comment(CommentParser::default()));
        } else if piece == CHAR_DATA {
            self.enter(State::CharData(0));
        } else if piece == DOCTYPE {
            self.enter(State::Doctype(Doctype::default()));
        } else if ![COMMENT, CHAR_DATA, DOCTYPE]
            .iter()
            .any(|kind| kind.starts_with(piece))
        {
            sink(Token::Malformed(Fault::Declaration));
            self.enter(State::Text);
        }
    }

    fn in_tag(&mut self, rest: &[u8], sink: &mut impl FnMut(Token<'_>)) -> usize {
        let State::Tag(mut scanner) = self.state else {
            return rest.len();
        };
        let end = scanner.feed(rest);
        let inside = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.keep(inside, MARKUP_BYTES_MAX);
        let Some(end) = end else {
            self.state = State::Tag(scanner);
            return rest.len();
        };
        let empty = match inside.last() {
            Some(last) => *last == b'/',
            None => self.piece.last() == Some(&b'/'),
        };
        sink_tag(&decode(&self.piece), empty, self.cut, sink);
        self.enter(State::Text);
        end.saturating_add(1)
    }

    fn in_skipped(&mut self, rest: &[u8]) -> usize {
        let end = match &mut self.state {
            State::Instruction(scanner) => scanner.feed(rest).map(|at| at.saturating_add(1)),
            State::Comment(scanner) => scanner.feed(rest),
            State::Text
            | State::Opened
            | State::Tag(_)
            | State::CharData(_)
            | State::Doctype(_) => None,
        };
        if end.is_some() {
            self.enter(State::Text);
        }
        end.unwrap_or(rest.len())
    }

    fn in_char_data(&mut self, rest: &[u8], sink: &mut impl FnMut(Token<'_>)) -> usize {
        let State::CharData(mut brackets) = self.state else {
            return rest.len();
        };
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b']' => brackets = brackets.saturating_add(1).min(2),
                b'>' if brackets == 2 => {
                    self.keep(rest.get(..at).unwrap_or_default(), CHARDATA_BYTES_MAX);
                    let text = decode(&self.piece);
                    sink(Token::Text(text.strip_suffix("]]").unwrap_or(&text)));
                    self.enter(State::Text);
                    return at.saturating_add(1);
                }
                _ => brackets = 0,
            }
        }
        self.keep(rest, CHARDATA_BYTES_MAX);
        self.state = State::CharData(brackets);
        rest.len()
    }

    fn in_doctype(&mut self, rest: &[u8], sink: &mut impl FnMut(Token<'_>)) -> usize {
        let State::Doctype(doctype) = &mut self.state else {
            return rest.len();
        };
        for (at, byte) in rest.iter().enumerate() {
            match (doctype.quote, byte) {
                (Some(quote), byte) if *byte == quote => doctype.quote = None,
                (None, b'"' | b'\'') => doctype.quote = Some(*byte),
                (None, b'[') => (doctype.subset, doctype.inside) = (true, true),
                (None, b']') => doctype.inside = false,
                (None, b'>') if !doctype.inside => {
                    if doctype.subset {
                        sink(Token::Malformed(Fault::Doctype));
                    }
                    self.enter(State::Text);
                    return at.saturating_add(1);
                }
                (Some(_) | None, _) => {}
            }
        }
        rest.len()
    }

    fn enter(&mut self, state: State) {
        self.clear();
        self.state = state;
    }

    fn clear(&mut self) {
        self.piece.clear();
        self.cut = false;
    }

    fn keep(&mut self, bytes: &[u8], bytes_max: usize) {
        let room = bytes_max.saturating_sub(self.piece.len());
        self.cut |= bytes.len() > room;
        self.piece
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}
