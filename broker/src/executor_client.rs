//! The client side of the executor's socket: one connection, one run.
//!
//! What it is: connecting, the opening exchange, and the stream of a run's
//! events, as async calls.
//! What it is not: trust in the tool. Output is passed on as raw bytes.
//!
//! Invariants: every wait has a bound; dropping a connection cancels its run,
//! since the executor takes a closed connection for a cancel; memory is bounded
//! by one frame per connection.

use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, UnixAddr, connect};
use protocol::event::{Event, Inventory, Refused, Welcome};
use protocol::limits::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use protocol::request::{Hello, Request, Run};
use protocol::{FrameError, frame};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Longest wait for the executor to accept and greet. It covers an embedded
/// executor's start, which checks and probes each tool.
const GREETING_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for an answer that needs no tool to run.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// Why the executor can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or the socket may not be used.
    #[error("can't connect to the executor at {socket}")]
    Connect {
        /// The socket's path.
        socket: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It didn't answer in time.
    #[error("the executor did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It closed the connection in the middle.
    #[error("the executor closed the connection")]
    Gone,
    /// It sent what is no event of this protocol.
    #[error("the executor sent a malformed answer")]
    Malformed(#[source] FrameError),
    /// It speaks another version.
    #[error(
        "the executor speaks protocol {theirs}, the broker {ours}; install both from one release"
    )]
    Version {
        /// The executor's.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// It sent an event that has no place here.
    #[error("the executor answered out of turn")]
    OutOfTurn,
    /// It said no.
    #[error("the executor refused: {}", .0.message)]
    Refused(Box<Refused>),
    /// The connection failed.
    #[error("the connection to the executor failed")]
    Io(#[source] io::Error),
}

/// A greeted connection.
#[derive(Debug)]
pub struct Connection {
    frames: Framed<UnixStream, LengthDelimitedCodec>,
    welcome: Welcome,
}

impl Connection {
    /// Connects and greets.
    ///
    /// # Errors
    ///
    /// Whatever keeps the executor from being used, within [`GREETING_WAIT`].
    pub async fn open(socket: &Path) -> Result<Self, ClientError> {
        let opening = async {
            let (stream, greeted) = greet(socket)?;
            let codec = LengthDelimitedCodec::builder()
                .length_field_length(FRAME_HEADER_BYTES)
                .max_frame_length(FRAME_BYTES_MAX)
                .new_codec();
            let mut frames = Framed::new(stream, codec);
            // A refusal may arrive before the hello is sent: it is worth more
            // than the error of sending.
            match receive(&mut frames).await {
                Ok(event) => Ok((frames, event)),
                Err(error) => Err(greeted.err().map_or(error, ClientError::Io)),
            }
        };
        let opened = timeout(GREETING_WAIT, opening).await;
        let (frames, event) = opened.map_err(|_| ClientError::Silent(GREETING_WAIT))??;
        match event {
            Event::Welcome(welcome) if welcome.protocol == protocol::VERSION => {
                Ok(Self { frames, welcome })
            }
            Event::Welcome(welcome) => Err(ClientError::Version {
                theirs: welcome.protocol,
                ours: protocol::VERSION,
            }),
            Event::Refused(refused) => Err(ClientError::Refused(Box::new(refused))),
            Event::Started(_) | Event::Output(_) | Event::Finished(_) | Event::Inventory(_) => {
                Err(ClientError::OutOfTurn)
            }
        }
    }

    /// What the executor said of itself.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Asks what the executor is and can do.
    ///
    /// # Errors
    ///
    /// Where it doesn't answer so within [`ANSWER_WAIT`].
    pub async fn inspect(mut self) -> Result<Inventory, ClientError> {
        send(&mut self.frames, &Request::Inspect).await?;
        let answer = timeout(ANSWER_WAIT, receive(&mut self.frames)).await;
        match answer.map_err(|_| ClientError::Silent(ANSWER_WAIT))?? {
            Event::Inventory(inventory) => Ok(inventory),
            Event::Refused(refused) => Err(ClientError::Refused(Box::new(refused))),
            Event::Welcome(_) | Event::Started(_) | Event::Output(_) | Event::Finished(_) => {
                Err(ClientError::OutOfTurn)
            }
        }
    }

    /// Asks for a run. Its events follow by [`Connection::next`].
    ///
    /// # Errors
    ///
    /// Where the request can't be encoded or sent.
    pub async fn start(&mut self, run: Run) -> Result<(), ClientError> {
        let Err(error) = send(&mut self.frames, &Request::Run(run)).await else {
            return Ok(());
        };
        // An executor that has just said no may have closed already; its reason
        // is worth more than the broken pipe.
        match timeout(ANSWER_WAIT, receive(&mut self.frames)).await {
            Ok(Ok(Event::Refused(refused))) => Err(ClientError::Refused(Box::new(refused))),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(error),
        }
    }

    /// Asks for the run's end; [`Event::Finished`] still follows.
    ///
    /// # Errors
    ///
    /// Where the connection has failed.
    pub async fn cancel(&mut self) -> Result<(), ClientError> {
        send(&mut self.frames, &Request::Cancel).await
    }

    /// The next event. Cancel-safe: an event is never lost between two calls.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] for a refusal, and where the connection has failed.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        match receive(&mut self.frames).await? {
            Event::Refused(refused) => Err(ClientError::Refused(Box::new(refused))),
            event @ (Event::Welcome(_)
            | Event::Started(_)
            | Event::Output(_)
            | Event::Finished(_)
            | Event::Inventory(_)) => Ok(event),
        }
    }
}

/// A connection on which the hello is sent already, or could not be. The executor
/// waits for it briefly only, so that nothing else may come between: in a busy
/// runtime a task that yields may not be back for long.
fn greet(socket: &Path) -> Result<(UnixStream, io::Result<()>), ClientError> {
    let hello = Request::Hello(Hello {
        protocol: protocol::VERSION,
    });
    let hello = frame::encode_request(&hello).map_err(ClientError::Malformed)?;
    let connected = || -> io::Result<(UnixStream, io::Result<()>)> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket_fd = nix::sys::socket::socket(
            AddressFamily::Unix,
            SockType::Stream,
            flags,
            None::<SockProtocol>,
        )?;
        // Local: at once, or not at all.
        connect(socket_fd.as_raw_fd(), &UnixAddr::new(socket)?)?;
        let mut stream = std::os::unix::net::UnixStream::from(socket_fd);
        let greeted = stream.write_all(&hello);
        Ok((UnixStream::from_std(stream)?, greeted))
    };
    connected().map_err(|source| ClientError::Connect {
        socket: socket.display().to_string(),
        source,
    })
}

async fn send(
    frames: &mut Framed<UnixStream, LengthDelimitedCodec>,
    request: &Request,
) -> Result<(), ClientError> {
    let encoded = frame::encode_request(request).map_err(ClientError::Malformed)?;
    // The codec writes the length itself.
    let body = bytes::Bytes::from(encoded).slice(FRAME_HEADER_BYTES..);
    frames.send(body).await.map_err(ClientError::Io)
}

async fn receive(
    frames: &mut Framed<UnixStream, LengthDelimitedCodec>,
) -> Result<Event, ClientError> {
    match frames.next().await {
        Some(Ok(body)) => frame::decode_event(&body).map_err(ClientError::Malformed),
        Some(Err(error)) => Err(ClientError::Io(error)),
        None => Err(ClientError::Gone),
    }
}
