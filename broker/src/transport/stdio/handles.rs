//! The process's standard streams, as the event loop wants them.
//!
//! What it is: non-blocking access to pipes and sockets, which is what clients
//! start servers with, and a fallback for terminals and files.
//! What it is not: a place where anything is read or written.
//!
//! Invariants: the blocking flag of a pipe that this process was given, and
//! which others may share, is left as it is wherever the pipe can be opened
//! again; each descriptor is non-blocking before it is used.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream as BlockingStream;

use tokio::io::{AsyncRead, AsyncWrite, Interest, Ready};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::connection::PeerGone;

/// The two streams and the watch on the reader of the second.
pub(super) struct Handles {
    pub(super) input: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) output: Box<dyn AsyncWrite + Send + Unpin>,
    pub(super) peer_gone: PeerGone,
}

/// Opens standard input and output. Must be called inside a runtime.
pub(super) fn open() -> io::Result<Handles> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let (stdin_facts, stdout_facts) = (stdin.metadata()?, stdout.metadata()?);
    let same = (stdin_facts.dev(), stdin_facts.ino()) == (stdout_facts.dev(), stdout_facts.ino());

    let input: Box<dyn AsyncRead + Send + Unpin> = if stdin_facts.file_type().is_fifo() {
        Box::new(pipe_reader(stdin)?)
    } else if stdin_facts.file_type().is_socket() {
        Box::new(socket(stdin.into())?)
    } else {
        Box::new(tokio::io::stdin())
    };
    let (output, peer_gone): (Box<dyn AsyncWrite + Send + Unpin>, PeerGone) =
        if stdout_facts.file_type().is_fifo() {
            let watch = pipe_writer(stdout.try_clone()?)?;
            let output = pipe_writer(stdout)?;
            (Box::new(output), Box::pin(pipe_reader_gone(watch)))
        } else if stdout_facts.file_type().is_socket() {
            let watch = socket(stdout.try_clone()?.into())?;
            let output = socket(stdout.into())?;
            (Box::new(output), Box::pin(socket_peer_gone(watch, same)))
        } else {
            (Box::new(tokio::io::stdout()), Box::pin(pending()))
        };
    Ok(Handles {
        input,
        output,
        peer_gone,
    })
}

/// Standard input as a pipe, opened again by its name in /proc: that gives it flags of its own.
fn pipe_reader(stdin: File) -> io::Result<pipe::Receiver> {
    let again = pipe::OpenOptions::new().open_receiver("/proc/self/fd/0");
    // A process that gave up root may no longer open what root gave it.
    again.or_else(|_| pipe::Receiver::from_owned_fd(stdin.into()))
}

/// Standard output as a pipe, in the same way.
fn pipe_writer(stdout: File) -> io::Result<pipe::Sender> {
    let again = pipe::OpenOptions::new().open_sender("/proc/self/fd/1");
    again.or_else(|_| pipe::Sender::from_owned_fd(stdout.into()))
}

/// A socket can't be opened again by name; its flags are those of this end only.
fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let stream = BlockingStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// A pipe reports an error to its writer once no reader is left.
async fn pipe_reader_gone(watch: pipe::Sender) {
    if let Err(error) = watch.ready(Interest::ERROR).await {
        tracing::debug!(%error, "can't watch standard output");
        pending::<()>().await;
    }
}

/// A peer that closed its socket sends an end of input on it. Where the same
/// socket serves standard input, that end alone says nothing about its reader.
async fn socket_peer_gone(watch: UnixStream, is_input_too: bool) {
    let ready = watch.ready(Interest::READABLE).await;
    if is_input_too || !ready.is_ok_and(Ready::is_read_closed) {
        pending::<()>().await;
    }
}
