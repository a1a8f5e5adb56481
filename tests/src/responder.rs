//! A name server that answers as a test says: differently each time, with a
//! failure, or never; and that keeps what it was asked.
//!
//! What it is: DNS over UDP on a real socket, one question a message.
//! What it is not: a name server for tests that a real one can serve.
//!
//! Invariants: its socket is in the namespace it was started for; it ends when
//! it is dropped.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::namespace::Namespace;

/// How often the server looks whether it is to end.
const TICK: Duration = Duration::from_millis(50);

/// Type of a record that holds an IPv4 address.
pub const A: u16 = 1;
/// Type of a record that holds an IPv6 address.
pub const AAAA: u16 = 28;
const CNAME: u16 = 5;

/// What the server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The whole name, lower case, without root dot.
    pub name: String,
    /// The type of record.
    pub kind: u16,
    /// How often the same was asked before.
    pub before: usize,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Those of these addresses that are of the type asked for; none is "no data".
    Addresses(Vec<IpAddr>),
    /// The name is another one's alias, which has these addresses.
    Alias(String, Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// The server failed.
    Failed,
    /// Nothing.
    Silence,
}

impl Reply {
    /// These addresses.
    ///
    /// # Panics
    ///
    /// When one isn't an address, which is a fault of the test.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test's own literals")]
    pub fn of(addresses: &[&str]) -> Self {
        let parse = |text: &&str| text.parse().expect("an address");
        Self::Addresses(addresses.iter().map(parse).collect())
    }
}

/// A running name server.
#[derive(Debug)]
pub struct Responder {
    asked: Arc<Mutex<Vec<Question>>>,
    end: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Responder {
    /// Starts one on port 53 of `addr`, inside the host's network.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub fn start(
        host: &Namespace,
        addr: Ipv4Addr,
        script: impl Fn(&Question) -> Reply + Send + 'static,
    ) -> Result<Self> {
        let socket = host.enter(|| Ok(UdpSocket::bind((addr, 53))?))?;
        socket.set_read_timeout(Some(TICK))?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let (log, ending) = (Arc::clone(&asked), Arc::clone(&end));
        let server = thread::spawn(move || {
            while !ending.load(Ordering::Relaxed) {
                serve_one(&socket, &log, &script);
            }
        });
        Ok(Self {
            asked,
            end,
            server: Some(server),
        })
    }

    /// All that was asked so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Question> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        drop(self.server.take().map(JoinHandle::join));
    }
}

fn serve_one(
    socket: &UdpSocket,
    log: &Mutex<Vec<Question>>,
    script: &(impl Fn(&Question) -> Reply + Send),
) {
    let mut buffer = [0_u8; 512];
    let (count, client) = match socket.recv_from(&mut buffer) {
        Ok(got) => got,
        Err(error) => {
            if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                thread::sleep(TICK);
            }
            return;
        }
    };
    let Some(query) = buffer.get(..count) else {
        return;
    };
    let Ok((mut question, end)) = read(query) else {
        return;
    };
    {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |old: &&Question| old.name == question.name && old.kind == question.kind;
        question.before = log.iter().filter(same).count();
        log.push(question.clone());
    }
    if let Ok(Some(answer)) = write(query, end, question.kind, &script(&question)) {
        // A client that is gone is what some tests are about.
        drop(socket.send_to(&answer, client));
    }
}

/// The question of a message, and where it ends.
fn read(query: &[u8]) -> Result<(Question, usize)> {
    let mut at = 12_usize;
    let mut labels: Vec<String> = Vec::new();
    loop {
        let length = usize::from(*query.get(at).context("a length")?);
        let start = at.saturating_add(1);
        at = start.saturating_add(length);
        if length == 0 {
            break;
        }
        let label = query.get(start..at).context("a label")?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
    let kind = query.get(at..).and_then(<[u8]>::first_chunk::<2>);
    let question = Question {
        name: labels.join("."),
        kind: u16::from_be_bytes(*kind.context("a type")?),
        before: 0,
    };
    Ok((question, at.saturating_add(4)))
}

/// The message that answers a query whose question ends at `end`.
fn write(query: &[u8], end: usize, kind: u16, reply: &Reply) -> Result<Option<Vec<u8>>> {
    let mut records = Vec::new();
    let (code, addresses, owner) = match reply {
        Reply::Silence => return Ok(None),
        Reply::Failed => (2, &Vec::new(), Vec::new()),
        Reply::NoName => (3, &Vec::new(), Vec::new()),
        // A pointer to the question's name, which stands at 12.
        Reply::Addresses(addresses) => (0, addresses, vec![0xc0, 12]),
        Reply::Alias(name, addresses) => {
            let name = encode(name)?;
            records.push(record(&[0xc0, 12], CNAME, &name)?);
            (0, addresses, name)
        }
    };
    for address in addresses {
        match (address, kind) {
            (IpAddr::V4(v4), A) => records.push(record(&owner, A, &v4.octets())?),
            (IpAddr::V6(v6), AAAA) => records.push(record(&owner, AAAA, &v6.octets())?),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => {}
        }
    }
    let mut answer = query.get(..2).context("an id")?.to_vec();
    // An answer with authority, recursion asked for and had.
    answer.extend([0x85, 0x80 | code, 0, 1]);
    answer.extend(u16::try_from(records.len())?.to_be_bytes());
    answer.extend([0, 0, 0, 0]);
    answer.extend(query.get(12..end).context("a question")?);
    answer.extend(records.concat());
    Ok(Some(answer))
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Result<Vec<u8>> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    // Class IN, and no time to live.
    record.extend([0, 1, 0, 0, 0, 0]);
    record.extend(u16::try_from(data.len())?.to_be_bytes());
    record.extend(data);
    Ok(record)
}

fn encode(name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len())?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    Ok(bytes)
}
