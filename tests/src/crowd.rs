//! Many HTTP clients at once, in one thread.
//!
//! What it is: connections that each send a request and wait for its answer,
//! once or again and again, watched by one epoll. It does little more for a
//! request than one write, one read and two looks at the clock, so that it
//! measures the service and not itself.
//! What it is not: an HTTP library. It sends the bytes that it is given.
//!
//! Invariants: one request is under way on a connection at a time; every wait
//! has a bound; an answer is whole before it counts.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::http_service::{Answer, parse};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events taken at once.
const EVENTS: usize = 256;
/// Most durations that are kept.
const SAMPLES_MAX: usize = 4_000_000;
/// Longest sleep between two looks at the clock.
const LOOK: Duration = Duration::from_millis(100);

/// A whole answer, and how long it took from the request's first byte.
#[derive(Debug, Clone)]
pub struct Timed {
    /// What came.
    pub answer: Answer,
    /// When, from the request on.
    pub took: Duration,
}

/// What came of requests made again and again.
#[derive(Debug)]
pub struct Load {
    /// How long each of the first took, sorted; there may be more answers.
    pub took: Vec<Duration>,
    /// How long it all took.
    pub lasted: Duration,
    /// How many answers had which status.
    pub statuses: BTreeMap<u16, usize>,
    /// Processor time that this thread used for it.
    pub own_cpu: Duration,
}

/// One connection with a request under way.
struct Line {
    stream: TcpStream,
    got: Vec<u8>,
    began: Instant,
}

/// What a look at a connection yields.
enum Seen {
    Nothing,
    /// An answer with this status is whole.
    Whole(u16),
    /// The other end closed, or reset, before that.
    Ended,
}

impl Line {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.got.clear();
        self.began = Instant::now();
        // A request fits the socket's buffer, or the test is wrong.
        let sent = self.stream.write(request)?;
        if sent == request.len() {
            Ok(())
        } else {
            Err(io::Error::other("a request too long to be sent at once"))
        }
    }

    fn look(&mut self, chunk: &mut [u8]) -> Result<Seen> {
        loop {
            match self.stream.read(chunk) {
                Ok(0) => return Ok(Seen::Ended),
                Ok(count) => {
                    self.got.extend(chunk.iter().take(count));
                    ensure!(self.got.len() <= ANSWER_BYTES_MAX, "too long an answer");
                    if let Some(status) = whole(&self.got)? {
                        return Ok(Seen::Whole(status));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Seen::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Seen::Ended);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The status of an answer, once it is whole.
fn whole(bytes: &[u8]) -> Result<Option<u16>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = bytes.split_at(end.saturating_add(4));
    let head = str::from_utf8(head)?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    let field = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let is_whole = match field("content-length") {
        Some(length) => body.len() >= length.parse()?,
        None if field("transfer-encoding").is_some() => body.ends_with(b"0\r\n\r\n"),
        None => true,
    };
    Ok(is_whole.then_some(status))
}

/// Connections watched together.
struct Crowd {
    lines: Vec<Line>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    chunk: Vec<u8>,
}

impl Crowd {
    fn of(connections: Vec<TcpStream>) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut lines = Vec::new();
        for (number, stream) in connections.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let flags = EpollFlags::EPOLLIN;
            epoll.add(&stream, EpollEvent::new(flags, u64::try_from(number)?))?;
            lines.push(Line {
                stream,
                got: Vec::new(),
                began: Instant::now(),
            });
        }
        Ok(Self {
            lines,
            epoll,
            events: vec![EpollEvent::empty(); EVENTS],
            chunk: vec![0; 64 * 1024],
        })
    }

    /// The numbers of connections on which something came.
    fn wait(&mut self) -> Result<Vec<usize>> {
        let count = self
            .epoll
            .wait(&mut self.events, EpollTimeout::try_from(LOOK)?)?;
        let ready = self.events.iter().take(count);
        ready
            .map(|event| Ok(usize::try_from(event.data())?))
            .collect()
    }

    fn line(&mut self, number: usize) -> Result<(&mut Line, &mut [u8])> {
        let line = self.lines.get_mut(number).context("a connection")?;
        Ok((line, &mut self.chunk))
    }
}

/// Sends one request on each connection, all at once; `None` is a connection
/// that ended without an answer. The requests are used in turn.
///
/// # Errors
///
/// When some are not answered within `bound`.
pub fn at_once(
    connections: Vec<TcpStream>,
    requests: &[Vec<u8>],
    bound: Duration,
) -> Result<Vec<Option<Timed>>> {
    let mut crowd = Crowd::of(connections)?;
    let mut answers: Vec<Option<Timed>> = vec![None; crowd.lines.len()];
    let began = Instant::now();
    let mut open = crowd.lines.len();
    for (line, request) in crowd.lines.iter_mut().zip(requests.iter().cycle()) {
        // Where the service has closed already, reading says so.
        drop(line.send(request));
    }
    while open > 0 {
        if began.elapsed() > bound {
            bail!("{open} connections without an answer after {bound:?}");
        }
        for number in crowd.wait()? {
            let (line, chunk) = crowd.line(number)?;
            let seen = line.look(chunk)?;
            if let Seen::Whole(_) = seen {
                let took = line.began.elapsed();
                let answer = parse(&String::from_utf8_lossy(&line.got))?;
                let place = answers.get_mut(number).context("a place")?;
                *place = Some(Timed { answer, took });
            }
            if !matches!(seen, Seen::Nothing) {
                let stream = &crowd.lines.get(number).context("a connection")?.stream;
                crowd.epoll.delete(stream)?;
                open = open.saturating_sub(1);
            }
        }
    }
    Ok(answers)
}

/// Sends a request on each connection again as soon as it is answered. The
/// connections take the requests in turn, and keep theirs.
///
/// # Errors
///
/// When a connection ends, or nothing is answered for long.
pub fn again_and_again(
    connections: Vec<TcpStream>,
    requests: &[Vec<u8>],
    lasting: Duration,
) -> Result<Load> {
    let mut crowd = Crowd::of(connections)?;
    let of = |number: usize| {
        let number = number.checked_rem(requests.len()).unwrap_or_default();
        requests.get(number).context("a request")
    };
    let mut statuses = BTreeMap::new();
    let mut took = Vec::new();
    let cpu = own_cpu()?;
    let began = Instant::now();
    for (number, line) in crowd.lines.iter_mut().enumerate() {
        line.send(of(number)?)?;
    }
    let mut last = began;
    while began.elapsed() < lasting {
        for number in crowd.wait()? {
            let (line, chunk) = crowd.line(number)?;
            match line.look(chunk)? {
                Seen::Nothing => {}
                Seen::Whole(status) => {
                    last = Instant::now();
                    if took.len() < SAMPLES_MAX {
                        took.push(last.saturating_duration_since(line.began));
                    }
                    let count: &mut usize = statuses.entry(status).or_default();
                    *count = count.saturating_add(1);
                    line.send(of(number)?)?;
                }
                Seen::Ended => bail!("a connection was closed: {:?}", line.got),
            }
        }
        ensure!(
            last.elapsed() < Duration::from_secs(30),
            "no answer for long"
        );
    }
    let (lasted, own_cpu) = (began.elapsed(), own_cpu()?.saturating_sub(cpu));
    took.sort_unstable();
    Ok(Load {
        took,
        lasted,
        statuses,
        own_cpu,
    })
}

fn own_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let time = |value: TimeVal| -> Result<Duration> {
        let micros = u64::try_from(value.tv_usec())?;
        let seconds = Duration::from_secs(value.tv_sec().try_into()?);
        Ok(seconds.saturating_add(Duration::from_micros(micros)))
    };
    let (user, system) = (time(usage.user_time())?, time(usage.system_time())?);
    Ok(user.saturating_add(system))
}
