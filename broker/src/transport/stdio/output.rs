//! Lines to a byte stream, whole and in order.
//!
//! What it is: the only writer of standard output.
//! What it is not: a queue; a sender waits until its line is out, which is how
//! a client that reads slowly slows its own requests down.
//!
//! Invariants: a line is written whole or, at the end of everything, not at
//! all: a sender that is dropped half way leaves the rest for the next one;
//! after [`Output::close`] nothing is written.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// The writing end of a connection.
#[derive(Debug)]
pub(super) struct Output<W> {
    stream: Mutex<Stream<W>>,
    closed: CancellationToken,
}

#[derive(Debug)]
struct Stream<W> {
    writer: W,
    /// What is not out yet: at most the rest of one line and one line more.
    pending: BytesMut,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    pub(super) fn new(writer: W) -> Self {
        let stream = Mutex::new(Stream {
            writer,
            pending: BytesMut::new(),
        });
        Self {
            stream,
            closed: CancellationToken::new(),
        }
    }

    /// Writes one line, and takes it as soon as it is in the buffer.
    ///
    /// Taking makes it cancel-safe: after a drop, `line` is either still there
    /// and not written, or gone and will be written by the next call.
    pub(super) async fn write(&self, line: &mut Option<Vec<u8>>) {
        let writing = async {
            let mut stream = self.stream.lock().await;
            if let Some(line) = line.take() {
                stream.pending.extend_from_slice(&line);
                stream.pending.extend_from_slice(b"\n");
            }
            stream.flush().await
        };
        let result = tokio::select! {
            biased;
            () = self.closed.cancelled() => return,
            result = writing => result,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "the client no longer reads");
            self.close();
        }
    }

    /// Ends all writing, waiting senders included.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Resolves when nothing can be written any more.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl<W: AsyncWrite + Unpin> Stream<W> {
    async fn flush(&mut self) -> std::io::Result<()> {
        while self.pending.has_remaining() {
            if self.writer.write_buf(&mut self.pending).await? == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
        }
        self.writer.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn completes_a_line_whose_sender_was_dropped() {
        let (server, mut client) = tokio::io::duplex(8);
        let output = Arc::new(Output::new(server));
        let soon = Duration::from_millis(20);
        let mut line = Some(b"a line of twenty bytes".to_vec());
        assert!(
            tokio::time::timeout(soon, output.write(&mut line))
                .await
                .is_err(),
            "8 fit"
        );
        assert_eq!(line, None, "it was taken");
        let next = {
            let output = Arc::clone(&output);
            tokio::spawn(async move {
                output.write(&mut Some(b"next".to_vec())).await;
                output.close();
            })
        };
        let mut text = vec![0; "a line of twenty bytes\nnext\n".len()];
        client.read_exact(&mut text).await.unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "a line of twenty bytes\nnext\n"
        );
        next.await.unwrap();
    }

    #[tokio::test]
    async fn writes_nothing_once_closed() {
        let (server, mut client) = tokio::io::duplex(64);
        let output = Output::new(server);
        output.close();
        output.write(&mut Some(b"late".to_vec())).await;
        drop(output);
        let mut text = Vec::new();
        client.read_to_end(&mut text).await.unwrap();
        assert!(text.is_empty());
    }

    #[tokio::test]
    async fn closes_when_the_reader_is_gone() {
        let (server, client) = tokio::io::duplex(64);
        let output = Output::new(server);
        drop(client);
        output.write(&mut Some(b"anyone?".to_vec())).await;
        output.closed().await;
    }
}
