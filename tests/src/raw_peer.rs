//! A hand-written peer on the executor's socket: well-spoken or hostile.
//!
//! What it is not: the broker's client. It sends what it is told, in or out of
//! turn, and whole frames, halves or garbage.
//!
//! Invariants: every read has a bound.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use protocol::event::{Finished, Refused, Started, Stream, Welcome};
use protocol::limits::FRAME_HEADER_BYTES;
use protocol::request::{Hello, Run};
use protocol::{Event, FrameError, Request, frame};

/// Longest wait for one event.
const EVENT: Duration = Duration::from_secs(30);

/// One connection to an executor.
#[derive(Debug)]
pub struct RawPeer {
    stream: UnixStream,
}

/// All that came back for a run.
#[derive(Debug)]
pub struct RunRecord {
    /// Who ran, confined to what.
    pub started: Started,
    /// Bytes that arrived from standard output.
    pub stdout: Vec<u8>,
    /// Bytes that arrived from standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub finished: Finished,
}

impl RunRecord {
    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// The answer to a run.
#[derive(Debug)]
pub enum Answer {
    /// It ran.
    Ran(Box<RunRecord>),
    /// It was refused.
    Refused(Refused),
    /// The connection ended without a word.
    Closed,
}

impl Answer {
    /// The record.
    ///
    /// # Errors
    ///
    /// When the run was refused or the connection ended.
    pub fn ran(self) -> Result<RunRecord> {
        match self {
            Self::Ran(record) => Ok(*record),
            Self::Refused(refused) => bail!("refused: {refused:?}"),
            Self::Closed => bail!("the connection was closed"),
        }
    }

    /// The refusal.
    ///
    /// # Errors
    ///
    /// When it ran, or the connection ended without a word.
    pub fn refused(self) -> Result<Refused> {
        match self {
            Self::Ran(record) => bail!("it ran: {record:?}"),
            Self::Refused(refused) => Ok(refused),
            Self::Closed => bail!("the connection was closed without a reason"),
        }
    }
}

impl RawPeer {
    /// Connects and says nothing.
    ///
    /// # Errors
    ///
    /// When nothing listens there.
    pub fn silent(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(EVENT))?;
        stream.set_write_timeout(Some(EVENT))?;
        Ok(Self { stream })
    }

    /// Connects and says hello.
    ///
    /// # Errors
    ///
    /// When nothing listens there, or the answer is no welcome.
    pub fn greeted(socket: &Path) -> Result<(Self, Welcome)> {
        let mut peer = Self::silent(socket)?;
        let protocol = protocol::VERSION;
        peer.send(&Request::Hello(Hello { protocol }))?;
        match peer.event()? {
            Some(Event::Welcome(welcome)) => Ok((peer, welcome)),
            other => bail!("no welcome but {other:?}"),
        }
    }

    /// Sends a request within bounds.
    ///
    /// # Errors
    ///
    /// When it can't be sent.
    pub fn send(&mut self, request: &Request) -> Result<()> {
        self.send_bytes(&frame::encode_request(request)?)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the other side has gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends `body` under a correct length.
    ///
    /// # Errors
    ///
    /// When the other side has gone.
    pub fn send_body(&mut self, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len())?;
        self.send_bytes(&[&length.to_be_bytes(), body].concat())
    }

    /// The next event; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// When none comes in time, or what comes is no event.
    pub fn event(&mut self) -> Result<Option<Event>> {
        let mut body = Vec::new();
        match frame::read_body(&mut self.stream, &mut body) {
            Ok(()) => Ok(Some(frame::decode_event(&body)?)),
            Err(FrameError::Closed) => Ok(None),
            Err(FrameError::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a run and reads to its end.
    ///
    /// # Errors
    ///
    /// When the conversation breaks the contract.
    pub fn run(&mut self, run: Run) -> Result<Answer> {
        self.send(&Request::Run(run))?;
        self.to_the_end(None)
    }

    /// Reads a run to its end. At most `bound` in all, if given.
    ///
    /// # Errors
    ///
    /// When the conversation breaks the contract or takes longer.
    pub fn to_the_end(&mut self, bound: Option<Duration>) -> Result<Answer> {
        let begun = Instant::now();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut started = None;
        loop {
            ensure!(
                bound.is_none_or(|bound| begun.elapsed() < bound),
                "no end in {bound:?}"
            );
            match self.event()? {
                None => return Ok(Answer::Closed),
                Some(Event::Refused(refused)) => return Ok(Answer::Refused(refused)),
                Some(Event::Started(event)) => started = Some(event),
                Some(Event::Output(output)) => match output.stream {
                    Stream::Stdout => stdout.extend(output.bytes),
                    Stream::Stderr => stderr.extend(output.bytes),
                },
                Some(Event::Finished(finished)) => {
                    let started = started.context("finished but never started")?;
                    let record = RunRecord {
                        started,
                        stdout,
                        stderr,
                        finished,
                    };
                    return Ok(Answer::Ran(Box::new(record)));
                }
                Some(other @ (Event::Welcome(_) | Event::Inventory(_))) => {
                    bail!("out of turn: {other:?}")
                }
            }
        }
    }

    /// Reads a run that has been seen to start to its end. At most `bound` in all.
    ///
    /// # Errors
    ///
    /// When it ends otherwise, or takes longer.
    pub fn finished(&mut self, bound: Duration) -> Result<Finished> {
        let begun = Instant::now();
        loop {
            ensure!(begun.elapsed() < bound, "no end in {bound:?}");
            match self.event()? {
                Some(Event::Finished(finished)) => return Ok(finished),
                Some(Event::Output(_)) => {}
                other => bail!("not finished but {other:?}"),
            }
        }
    }

    /// Says that no more will be sent; answers are still read.
    ///
    /// # Errors
    ///
    /// When the other side has gone.
    pub fn end_of_words(&self) -> Result<()> {
        Ok(self.stream.shutdown(std::net::Shutdown::Write)?)
    }

    /// Waits for the word that the tool runs.
    ///
    /// # Errors
    ///
    /// When anything else comes first.
    pub fn started(&mut self) -> Result<Started> {
        match self.event()? {
            Some(Event::Started(started)) => Ok(started),
            other => bail!("not started but {other:?}"),
        }
    }

    /// Reads and drops whatever comes until the connection ends; gives the
    /// number of bytes.
    ///
    /// # Errors
    ///
    /// When it doesn't end in time.
    pub fn drain(&mut self) -> Result<usize> {
        let mut chunk = vec![0_u8; 64 * 1024];
        let mut total = 0_usize;
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(total),
                Ok(count) => total = total.saturating_add(count),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return Ok(total);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A frame's header alone, announcing `length` bytes.
#[must_use]
pub fn header(length: u32) -> [u8; FRAME_HEADER_BYTES] {
    length.to_be_bytes()
}

/// A run of `tool` with generous bounds.
#[must_use]
pub fn run_of(tool: &str, argv: &[&str]) -> Run {
    // A run id may be used once only.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    Run {
        run_id: format!("t-{}-{run}", std::process::id()),
        tool: tool.to_owned(),
        argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
        timeout_ms: 60_000,
        stdout_max: 1024 * 1024,
        stderr_max: 256 * 1024,
        memory_max: None,
        files_max: None,
    }
}
