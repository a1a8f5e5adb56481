//! Lines from a byte stream, one at a time and of bounded length.
//!
//! What it is: the framing of MCP over stdio.
//! What it is not: a JSON parser.
//!
//! Invariants: at most one line and one read of bytes are held; what is longer
//! is reported once, skipped to its end and never handed out; dropping
//! [`Lines::next`] half way loses no byte.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room asked for before each read, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// A mark that some editors and shells put before the first character.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What [`Lines::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end; never empty.
    Whole(Bytes),
    /// A line that is longer than the bound. The rest of it will be skipped.
    TooLong,
    /// The input is over, or can't be read any more.
    End,
}

/// A reader of lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: BytesMut,
    /// The first bytes of `buffer` that hold no line end, so that none is looked at twice.
    scanned: usize,
    /// In the middle of a line that was too long.
    skipping: bool,
    ended: bool,
    line_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, line_bytes_max: usize) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            scanned: 0,
            skipping: false,
            ended: false,
            line_bytes_max,
        }
    }

    /// The next line that isn't blank. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Line {
        loop {
            if let Some(found) = self.buffered() {
                return found;
            }
            if self.ended {
                return self.rest();
            }
            self.buffer.reserve(READ_BYTES);
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "reading standard input failed");
                    self.ended = true;
                }
            }
        }
    }

    /// A line that is in the buffer already.
    fn buffered(&mut self) -> Option<Line> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(offset) = fresh.iter().position(|byte| *byte == b'\n') else {
                return self.overlong();
            };
            let line = self
                .buffer
                .split_to(self.scanned.saturating_add(offset))
                .freeze();
            drop(self.buffer.split_to(1));
            self.scanned = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > self.line_bytes_max {
                return Some(Line::TooLong);
            }
            if let Some(line) = content(&line) {
                return Some(Line::Whole(line));
            }
        }
    }

    /// Keeps a line without an end from growing.
    fn overlong(&mut self) -> Option<Line> {
        self.scanned = self.buffer.len();
        if self.buffer.len() <= self.line_bytes_max {
            return None;
        }
        self.buffer.clear();
        self.scanned = 0;
        let first = !std::mem::replace(&mut self.skipping, true);
        first.then_some(Line::TooLong)
    }

    /// What stands after the last line end: a client that sends and closes may leave it out.
    fn rest(&mut self) -> Line {
        let rest = self.buffer.split().freeze();
        self.scanned = 0;
        if std::mem::take(&mut self.skipping) {
            return Line::End;
        }
        content(&rest).map_or(Line::End, Line::Whole)
    }
}

/// The line without what stands around its text; `None` when that leaves nothing.
fn content(line: &Bytes) -> Option<Bytes> {
    let unmarked = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let text = unmarked.trim_ascii();
    (!text.is_empty()).then(|| line.slice_ref(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn all(input: &[u8], line_bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, line_bytes_max);
        let mut found = Vec::new();
        loop {
            let line = lines.next().await;
            let end = line == Line::End;
            found.push(line);
            if end {
                return found;
            }
        }
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn splits_and_bounds_lines() {
        let cases: &[(&[u8], Vec<Line>, &str)] = &[
            (b"", vec![Line::End], "nothing"),
            (
                b"a\nb\n",
                vec![whole("a"), whole("b"), Line::End],
                "two lines",
            ),
            (
                b"a\r\n\n  \nb",
                vec![whole("a"), whole("b"), Line::End],
                "blank lines, no last end",
            ),
            (
                b"\xEF\xBB\xBFa\n",
                vec![whole("a"), Line::End],
                "byte order mark",
            ),
            (
                b"12345678\n",
                vec![whole("12345678"), Line::End],
                "as long as allowed",
            ),
            (
                b"123456789\nb\n",
                vec![Line::TooLong, whole("b"), Line::End],
                "one byte more",
            ),
            (
                b"123456789",
                vec![Line::TooLong, Line::End],
                "too long and cut",
            ),
        ];
        for (input, expected, why) in cases {
            assert_eq!(&all(input, 8).await, expected, "{why}");
        }
    }

    #[tokio::test]
    async fn reports_an_endless_line_once_and_holds_none_of_it() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut lines = Lines::new(server, 4096);
        let writer = tokio::spawn(async move {
            for _ in 0..4096 {
                client.write_all(&[b'x'; 1024]).await.unwrap();
            }
            client.write_all(b"\nnext\n").await.unwrap();
        });
        assert_eq!(lines.next().await, Line::TooLong);
        assert_eq!(lines.next().await, whole("next"));
        assert!(lines.buffer.capacity() <= 8 * READ_BYTES, "4 MiB went by");
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn resumes_a_line_after_being_dropped() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut lines = Lines::new(server, 64);
        client.write_all(b"half").await.unwrap();
        let soon = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(soon, lines.next()).await.is_err(),
            "no end yet"
        );
        client.write_all(b" done\n").await.unwrap();
        assert_eq!(lines.next().await, whole("half done"));
    }
}
