//! Results: a tool's output as structure, as readable text, and as a summary that fits a model.
//!
//! A [`Parser`] is fed while the run goes on and gives progress; it ends with a [`Parsed`]. Output is
//! written by whoever answers a scan, so everything that leaves here is neutralised and bounded.
//! There is no I/O in this room, and nothing in it starts, stops or judges a run.
//!
//! Invariants: total (no input makes a parser fail or panic); memory is bounded by [`limits`];
//! progress only grows and never reaches 100; every string of a [`Parsed`] is neutralised.

pub mod bounded;
pub mod curl;
pub mod dig;
pub mod limits;
pub mod neutralise;
pub mod nmap;
pub mod ping;
pub mod schema;
pub mod stderr;
pub mod text;
pub mod traceroute;
pub mod xml;

#[cfg(test)]
mod golden;

pub use bounded::bounded;
pub use schema::schema;

use std::time::Duration;

/// How a tool's output is read, as its profile names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// nmap's XML on standard output.
    NmapXml,
    /// ping's lines.
    PingText,
    /// traceroute's lines.
    TracerouteText,
    /// curl's body on standard output, its transcript and account on standard error.
    CurlJson,
    /// dig's YAML on standard output.
    DigYaml,
    /// Any text.
    Text,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] = [
        Self::NmapXml,
        Self::PingText,
        Self::TracerouteText,
        Self::CurlJson,
        Self::DigYaml,
        Self::Text,
    ];

    /// The format of that name in a profile.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// Its name in a profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NmapXml => "nmap-xml",
            Self::PingText => "ping-text",
            Self::TracerouteText => "traceroute-text",
            Self::CurlJson => "curl-json",
            Self::DigYaml => "dig-yaml",
            Self::Text => "text",
        }
    }

    /// Whether standard error is part of what is read, so that it must not be cut to what a reader
    /// of complaints would want.
    pub fn reads_stderr(self) -> bool {
        match self {
            Self::CurlJson => true,
            Self::NmapXml | Self::PingText | Self::TracerouteText | Self::DigYaml | Self::Text => {
                false
            }
        }
    }
}

/// What is known of a run before it starts.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The arguments that run, program included.
    pub argv: Vec<String>,
    /// How many addresses the targets hold, if it is known.
    pub addresses: Option<u64>,
    /// Greatest size of the readable text, in bytes.
    pub readable_bytes_max: usize,
}

impl Default for Expect {
    fn default() -> Self {
        let readable_bytes_max = limits::READABLE_BYTES_MAX;
        Self {
            argv: Vec::new(),
            addresses: None,
            readable_bytes_max,
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Percent of the whole run, as estimated: above 0 and below 100.
    pub percent: f64,
    /// What the tool is doing, neutralised.
    pub task: Option<String>,
    /// How long this task (not the whole run) will take, as the tool guesses.
    pub remaining: Option<Duration>,
}

/// How a run ended, as far as it matters to what its output means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// Whether its timeout stopped it.
    pub timed_out: bool,
    /// Whether its client stopped it.
    pub cancelled: bool,
    /// Whether standard output was cut at its bound before it came here.
    pub truncated: bool,
}

/// A run's output, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What the parser understood, after [`schema()`]; null for a format without structure.
    pub structured: serde_json::Value,
    /// The output for a person: the tool's own text, or a rendering of a machine-readable one.
    pub readable: String,
    /// The output for a model, at most [`limits::SUMMARY_CHARS_MAX`] characters.
    pub summary: String,
    /// The tool's own words out of its standard error, neutralised, where that holds more than
    /// such words.
    pub stderr: Option<String>,
}

/// Reads the output of one run.
#[derive(Debug)]
pub enum Parser {
    /// For [`Format::NmapXml`].
    Nmap(Box<nmap::NmapParser>),
    /// For [`Format::PingText`].
    Ping(Box<ping::PingParser>),
    /// For [`Format::TracerouteText`].
    Traceroute(Box<traceroute::TracerouteParser>),
    /// For [`Format::CurlJson`].
    Curl(Box<curl::CurlParser>),
    /// For [`Format::DigYaml`].
    Dig(Box<dig::DigParser>),
    /// For [`Format::Text`].
    Text(text::TextParser),
}

impl Parser {
    /// A parser for a run that is expected to be so.
    pub fn new(format: Format, expect: &Expect) -> Self {
        match format {
            Format::NmapXml => Self::Nmap(Box::new(nmap::NmapParser::new(expect))),
            Format::PingText => Self::Ping(Box::new(ping::PingParser::new(expect))),
            Format::TracerouteText => {
                Self::Traceroute(Box::new(traceroute::TracerouteParser::new(expect)))
            }
            Format::CurlJson => Self::Curl(Box::new(curl::CurlParser::new(expect))),
            Format::DigYaml => Self::Dig(Box::new(dig::DigParser::new(expect))),
            Format::Text => Self::Text(text::TextParser::new(expect)),
        }
    }

    /// Takes the next bytes of standard output, split anyhow.
    ///
    /// Answers with the progress, if the bytes brought some: each is greater than the one before.
    pub fn push(&mut self, bytes: &[u8]) -> Option<Progress> {
        match self {
            Self::Nmap(parser) => parser.push(bytes),
            Self::Ping(parser) => parser.push(bytes),
            Self::Traceroute(parser) => parser.push(bytes),
            Self::Curl(parser) => {
                parser.push(bytes);
                None
            }
            Self::Dig(parser) => {
                parser.push(bytes);
                None
            }
            Self::Text(parser) => {
                parser.push(bytes);
                None
            }
        }
    }

    /// Takes the next bytes of standard error, whose lines become warnings of the result.
    pub fn push_stderr(&mut self, bytes: &[u8]) {
        match self {
            Self::Nmap(parser) => parser.push_stderr(bytes),
            Self::Ping(parser) => parser.push_stderr(bytes),
            Self::Traceroute(parser) => parser.push_stderr(bytes),
            Self::Curl(parser) => parser.push_stderr(bytes),
            Self::Dig(parser) => parser.push_stderr(bytes),
            Self::Text(parser) => parser.push_stderr(bytes),
        }
    }

    /// Ends the run.
    pub fn finish(self, end: RunEnd) -> Parsed {
        match self {
            Self::Nmap(parser) => parser.finish(end),
            Self::Ping(parser) => parser.finish(end),
            Self::Traceroute(parser) => parser.finish(end),
            Self::Curl(parser) => parser.finish(end),
            Self::Dig(parser) => parser.finish(end),
            Self::Text(parser) => parser.finish(end),
        }
    }
}
