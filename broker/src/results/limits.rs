//! Bounds of what is kept from a tool's output.
//!
//! The output is written by whoever answers the scan, so every string, list and document kept
//! from it has a greatest size here. What is over a bound is counted and named, never kept.
//!
//! Invariants: a parser's memory depends on these constants only, not on what the tool prints.

/// Longest piece of markup (a tag with its attributes) that is kept while it is read, in bytes.
pub const MARKUP_BYTES_MAX: usize = 64 * 1024;

/// Longest run of character data that is kept while it is read, in bytes.
pub const CHARDATA_BYTES_MAX: usize = 4 * 1024;

/// Attributes read of one tag; nmap's richest has eighteen.
pub const ATTRIBUTES_MAX: usize = 64;

/// Deepest nesting that is followed; nmap's own is eight.
pub const DEPTH_MAX: usize = 32;

/// Longest ordinary string in a structured result (a name, a product, a version), in characters.
pub const STRING_CHARS_MAX: usize = 512;

/// Longest output of one script in a structured result, in characters.
pub const SCRIPT_CHARS_MAX: usize = 8 * 1024;

/// Hosts kept of one run. A scope admits at most 1,024 addresses unless it is widened.
pub const HOSTS_MAX: usize = 4096;

/// Ports kept of one host. A host that shows more as open is answering for every port.
pub const PORTS_PER_HOST_MAX: usize = 2048;

/// Scripts kept of one port, of one host, or of the run.
pub const SCRIPTS_MAX: usize = 64;

/// Entries kept of each short list (CPE names, host names, hops, reasons, warnings).
pub const LIST_MAX: usize = 64;

/// Guesses at the operating system kept of one host, best first.
pub const OS_GUESSES_MAX: usize = 8;

/// Hosts that gave no answer which are shown with their port counts; the rest are counted.
pub const NO_ANSWER_SHOWN_MAX: usize = 16;

/// What a whole structured result may weigh, in bytes of memory as a JSON value.
pub const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Weight of one host, port or script in the reckoning above, on top of its strings.
pub const ITEM_BYTES: usize = 768;

/// Greatest summary, in characters: about 2,000 tokens.
pub const SUMMARY_CHARS_MAX: usize = 8 * 1000;

/// Greatest readable rendering unless the run's own cap is lower, in bytes.
pub const READABLE_BYTES_MAX: usize = 1024 * 1024;

/// Lines of standard error kept as warnings.
pub const STDERR_LINES_MAX: usize = 32;

/// Longest line of text that a line parser looks at, in bytes.
pub const LINE_BYTES_MAX: usize = 4 * 1024;

/// Replies to a ping that are kept.
pub const REPLIES_MAX: usize = 1000;

/// Longest line of JSON about a transfer, in bytes. A chain of certificates, which TLS bounds to
/// 100 KiB, comes in it about five times as long.
pub const WRITE_OUT_BYTES_MAX: usize = 1024 * 1024;

/// Header fields kept of one response. curl itself takes at most 300 KiB of them.
pub const HEADERS_MAX: usize = 256;

/// Longest value of a header field in a structured result, in characters.
pub const HEADER_CHARS_MAX: usize = 1024;

/// Certificates kept of one chain; an honest one has two to four.
pub const CERTIFICATES_MAX: usize = 8;

/// Names kept of one certificate.
pub const CERTIFICATE_NAMES_MAX: usize = 16;

/// Bytes kept of a response's body, from which its text is made.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest text of a body in a structured result, in characters.
pub const BODY_CHARS_MAX: usize = 16 * 1024;

/// Longest data of one DNS record in a structured result, in characters: a signature or key fits.
pub const RECORD_CHARS_MAX: usize = 2 * 1024;

/// Longest line of dig's that is looked at, in bytes.
pub const DIG_LINE_BYTES_MAX: usize = 16 * 1024;

/// DNS records kept of one look-up; only a zone transfer has more than a few.
pub const RECORDS_MAX: usize = 4096;

/// Hops of a path that are kept: as many as there can be.
pub const HOPS_MAX: usize = 255;

/// Packets for one hop that are kept; traceroute's own bound is ten.
pub const PROBES_PER_HOP_MAX: usize = 16;

// One host full of ports must leave room for others, or a single tarpit hides a whole lab.
const _: () = assert!(PORTS_PER_HOST_MAX * ITEM_BYTES * 4 < RESULT_BYTES_MAX);
// All records of a transfer together stay within a result's weight.
const _: () = assert!(RECORDS_MAX * (RECORD_CHARS_MAX + ITEM_BYTES) < RESULT_BYTES_MAX);
// A record is read from one line.
const _: () = assert!(RECORD_CHARS_MAX < DIG_LINE_BYTES_MAX);
// A script's output is read from one tag, so it has to fit there.
const _: () = assert!(SCRIPT_CHARS_MAX < MARKUP_BYTES_MAX);
