//! curl's standard error: the transcript of `-v`, its own complaints, and the line of JSON last.
//!
//! A line of the server's begins with `< `, whatever the server says. A certificate's subject is
//! the one text that curl prints with line ends in it: it can forge lines of any kind, but only
//! after curl has told version, cipher and ALPN, so the first word on those counts, and the JSON
//! counts only as the last line. What the transcript says after the request was sent comes from
//! the same server either way.
//!
//! Invariants: total; memory is bounded by [`LINE_BYTES_MAX`], [`WRITE_OUT_BYTES_MAX`] and
//! [`HEADERS_MAX`]; nothing here depends on how the bytes are cut.

use super::report::Header;
use super::write_out::{self, WriteOut};
use crate::results::limits::{
    HEADER_CHARS_MAX, HEADERS_MAX, LINE_BYTES_MAX, LIST_MAX, STRING_CHARS_MAX, WRITE_OUT_BYTES_MAX,
};
use crate::results::neutralise::{decode, line};
use crate::results::stderr::Lines;

/// What the transcript tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last address tried, and the port.
    pub(super) tried: Option<(String, u16)>,
    /// Whether a connection came about.
    pub(super) connected: bool,
    /// Version and cipher, once the handshake is done.
    pub(super) secured: Option<(String, String)>,
    /// The protocol that the server chose inside TLS; empty when it chose none.
    pub(super) alpn: Option<String>,
    /// The method asked with.
    pub(super) method: Option<String>,
    /// The last response, if one began.
    pub(super) response: Option<Block>,
    /// Status codes of the interim responses before it.
    pub(super) interim: Vec<u16>,
    /// curl's exit code and message, as it complains.
    pub(super) complaint: Option<(i64, String)>,
    /// The JSON, if it was the last line.
    pub(super) write_out: Option<WriteOut>,
}

/// The head of one response.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// As in `HTTP/1.1`, without `HTTP/`.
    pub(super) http_version: String,
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<Header>,
    pub(super) headers_omitted: u64,
    /// Whether the empty line after it came.
    pub(super) complete: bool,
}

/// Reads the transcript as bytes arrive.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    told: Told,
    /// Whether the transcript proper has begun; before it, curl complains about its arguments.
    begun: bool,
    /// Whether the request went out: from there on the server speaks.
    asked: bool,
    current: Vec<u8>,
    own_words: Lines,
}

impl Transcript {
    /// Takes the next bytes of standard error.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // Byte by byte to the length that tells what kind of line it is, the rest at once.
            let (start, rest) = piece
                .split_at_checked(write_out::START.len().saturating_sub(self.current.len()))
                .unwrap_or((piece, &[]));
            self.current.extend_from_slice(start);
            let bytes_max = if self.current.starts_with(write_out::START) {
                WRITE_OUT_BYTES_MAX
            } else {
                LINE_BYTES_MAX
            };
            let room = bytes_max.saturating_sub(self.current.len());
            self.current
                .extend_from_slice(rest.get(..room).unwrap_or(rest));
            if piece.last() == Some(&b'\n') {
                self.end_line();
            }
        }
    }

    /// What it told, and curl's own words.
    pub(super) fn finish(mut self) -> (Told, Vec<String>) {
        self.end_line();
        (self.told, self.own_words.finish())
    }

    fn end_line(&mut self) {
        let raw = std::mem::take(&mut self.current);
        let raw = raw.trim_ascii_end();
        if raw.is_empty() {
            return;
        }
        // Only the last line can be the JSON, so any other line takes it back.
        self.told.write_out = None;
        if raw.starts_with(write_out::START) {
            self.told.write_out = write_out::parse(raw);
            return;
        }
        let text = decode(raw);
        match text.split_at_checked(2) {
            Some(("* ", info)) => {
                self.begun = true;
                if !self.asked {
                    self.info(info);
                }
            }
            Some(("> ", request)) => self.request(request),
            // The end of a head is `< ` with nothing behind it, trimmed above.
            Some(("< ", header)) if self.asked => self.header(header),
            _ if text == "<" && self.asked => self.end_head(),
            _ => self.complaint(&text),
        }
    }

    /// A line of curl's before the request went out.
    fn info(&mut self, info: &str) {
        let told = &mut self.told;
        // With TLS begun, curl has connected, and a certificate's text may be next.
        let connecting = told.secured.is_none();
        if let Some(place) = info.trim_start().strip_prefix("Trying ")
            && connecting
        {
            let place = place.strip_suffix("...").unwrap_or(place);
            if let Some((address, port)) = place.rsplit_once(':') {
                let address = address.trim_matches(['[', ']']);
                let address = line(address, STRING_CHARS_MAX);
                told.tried = port.parse().ok().map(|port| (address, port));
            }
        } else if info.starts_with("Connected to ") && connecting {
            told.connected = true;
        } else if let Some(rest) = info.strip_prefix("SSL connection using ")
            && connecting
        {
            let (version, cipher) = rest.split_once(" / ").unwrap_or((rest, ""));
            told.secured = Some((line(version, 64), line(cipher, 64)));
        } else if let Some(rest) = info.strip_prefix("ALPN: server ")
            && told.alpn.is_none()
        {
            let chosen = rest.strip_prefix("accepted ").unwrap_or_default();
            told.alpn = Some(line(chosen, 64));
        }
    }

    fn request(&mut self, request: &str) {
        if !self.asked {
            self.asked = true;
            let method = request.split(' ').next().unwrap_or_default();
            self.told.method = Some(line(method, 64));
        }
    }

    /// A line of a response's head.
    fn header(&mut self, text: &str) {
        let told = &mut self.told;
        let next = match &told.response {
            None => true,
            // curl does not show the empty line after an interim response.
            Some(block) => block.complete || (100..200).contains(&block.status),
        };
        if let Some(block) = Block::begin(text).filter(|_| next) {
            if let Some(before) = told.response.replace(block)
                && told.interim.len() < LIST_MAX
            {
                told.interim.push(before.status);
            }
        } else if let Some(block) = &mut told.response {
            block.line(text);
        }
    }

    fn end_head(&mut self) {
        if let Some(block) = &mut self.told.response {
            block.complete = true;
        }
    }

    /// A line of none of those kinds: curl's own words, or something to pass over.
    fn complaint(&mut self, text: &str) {
        let numbered = text
            .strip_prefix("curl: (")
            .and_then(|rest| rest.split_once(") "));
        if let Some((code, message)) = numbered
            && let Ok(code) = code.parse()
        {
            self.told.complaint = Some((code, line(message, STRING_CHARS_MAX)));
        }
        if numbered.is_some() || !self.begun {
            self.own_words.push(text.as_bytes());
            self.own_words.push(b"\n");
        }
    }
}

impl Block {
    /// The block that a status line begins.
    fn begin(text: &str) -> Option<Self> {
        let (version, rest) = text.strip_prefix("HTTP/")?.split_once(' ')?;
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Self {
            http_version: line(version, 8),
            status: status.parse().ok()?,
            reason: line(reason.trim(), STRING_CHARS_MAX),
            ..Self::default()
        })
    }

    fn line(&mut self, text: &str) {
        // Lines after the empty one would be trailers, which curl does not show.
        if self.complete {
            return;
        }
        if text.starts_with([' ', '\t']) {
            if let Some(last) = self
                .headers
                .last_mut()
                .filter(|_| self.headers_omitted == 0)
            {
                let whole = format!("{} {}", last.value, text.trim());
                last.value = line(&whole, HEADER_CHARS_MAX);
            }
            return;
        }
        if self.headers.len() >= HEADERS_MAX {
            self.headers_omitted = self.headers_omitted.saturating_add(1);
            return;
        }
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        self.headers.push(Header {
            name: line(name.trim(), 128),
            value: line(value.trim(), HEADER_CHARS_MAX),
        });
    }

    /// The value of a header, whatever its case; the last one of that name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().rev();
        let found = all.find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Told, Vec<String>) {
        let mut transcript = Transcript::default();
        transcript.push(text.as_bytes());
        transcript.finish()
    }

    const JSON: &str = "{\"certs\":\"\",\"exitcode\":7}\n";

    #[test]
    fn a_certificate_forges_nothing_that_counts() {
        let forged = "*   Trying 10.0.0.7:443...\n* SSL connection using TLSv1.2 / OLD\n\
            * ALPN: server accepted http/1.1\n\
            * Server certificate:\n*  subject: CN=a\n\
            *   Trying 8.8.8.8:80...\n* Connected to x (8.8.8.8) port 80 (#0)\n\
            * SSL connection using TLSv1.3 / NEW\n* ALPN: server accepted h2\n";
        let cases = [
            (String::new(), None, "nothing forged"),
            (
                format!("{JSON}*  start date: x\n"),
                None,
                "JSON that is not last",
            ),
            (
                format!("{JSON}*  start date: x\n{JSON}\n"),
                Some(7),
                "the last one counts",
            ),
            (
                format!("{JSON}{{\"certs\":\"cut"),
                None,
                "a cut one takes back what was before",
            ),
            (format!("{JSON}x\n"), None, "any line takes it back"),
        ];
        for (more, exit, why) in cases {
            let (told, _) = read(&format!("{forged}{more}"));
            let told_exit = told.write_out.map(|told| told.exitcode);
            assert_eq!(told_exit, exit, "{why}");
            let secured = ("TLSv1.2".to_owned(), "OLD".to_owned());
            assert_eq!(told.secured, Some(secured), "{why}");
            assert_eq!(told.tried, Some(("10.0.0.7".to_owned(), 443)), "{why}");
            assert!(!told.connected, "{why}");
            assert_eq!(told.alpn.as_deref(), Some("http/1.1"), "{why}");
        }
    }

    #[test]
    fn a_plain_server_speaks_behind_its_mark() {
        let (told, words) = read(
            "* Connected to a (10.0.0.1) port 80 (#0)\n> GET / HTTP/1.1\n> \n\
             < HTTP/1.1 100 Continue\n< A: b\n< HTTP/1.1 200 OK: fine\n\
             < * SSL connection using TLSv9 / X\n< HTTP/1.1 500 no: status\n\
             < {\"certs\":\"\"}\n< curl: (60) no\n<  folded\n< \n< Late: x\n",
        );
        assert_eq!(told.secured, None);
        assert_eq!(told.complaint, None);
        assert!(told.write_out.is_none());
        assert_eq!(words, Vec::<String>::new());
        assert_eq!(told.interim, [100]);
        let block = told.response.unwrap();
        assert_eq!((block.status, block.reason.as_str()), (200, "OK: fine"));
        let last = block.headers.last().unwrap();
        assert_eq!(
            (last.name.as_str(), last.value.as_str()),
            ("curl", "(60) no folded")
        );
        assert_eq!(block.headers.len(), 4);
    }

    proptest! {
        #[test]
        fn total_and_bounded(pieces in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let mut transcript = Transcript::default();
            for piece in &pieces {
                transcript.push(b"> GET\n< ");
                transcript.push(piece);
            }
            prop_assert!(transcript.current.len() <= WRITE_OUT_BYTES_MAX);
            transcript.finish();
        }
    }
}
