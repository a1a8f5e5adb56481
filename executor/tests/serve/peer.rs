//! A hand-written client of the executor, and what its runs give.
//!
//! What it is not: the broker's client. It can say anything at any time.
//!
//! Invariants: an answer that doesn't fit fails the test that got it.

use std::io::Write;
use std::os::unix::net::UnixStream;

use protocol::event::{Finished, Inventory, Refused, Started, Stream, Welcome};
use protocol::{Event, Request, frame};

/// What a run gave.
#[derive(Debug)]
pub struct Ran {
    /// The first event.
    pub started: Option<Started>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The last event.
    pub end: Result<Finished, Refused>,
}

impl Ran {
    /// The end of a run that was not refused.
    pub fn finished(&self) -> &Finished {
        self.end.as_ref().unwrap()
    }

    /// The refusal of one that was.
    pub fn refused(&self) -> &Refused {
        self.end.as_ref().unwrap_err()
    }
}

/// A hand-written client.
#[derive(Debug)]
pub struct Peer {
    /// Its connection.
    pub stream: UnixStream,
}

impl Peer {
    /// Sends a request.
    pub fn send(&mut self, request: &Request) {
        self.stream
            .write_all(&frame::encode_request(request).unwrap())
            .unwrap();
    }

    /// Sends bytes.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Option<Event> {
        let mut body = Vec::new();
        match frame::read_body(&mut self.stream, &mut body) {
            Ok(()) => Some(frame::decode_event(&body).unwrap()),
            Err(protocol::FrameError::Closed) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// The welcome.
    pub fn welcome(&mut self) -> Welcome {
        match self.next() {
            Some(Event::Welcome(welcome)) => welcome,
            other => panic!("no welcome: {other:?}"),
        }
    }

    /// The start of a run.
    pub fn started(&mut self) -> Started {
        match self.next() {
            Some(Event::Started(started)) => started,
            other => panic!("not started: {other:?}"),
        }
    }

    /// A refusal, which is the last event.
    pub fn refused(&mut self) -> Refused {
        match self.next() {
            Some(Event::Refused(refused)) => {
                assert_eq!(self.next(), None, "a refusal is the last word");
                refused
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The inventory.
    pub fn inventory(&mut self) -> Inventory {
        self.send(&Request::Inspect);
        match self.next() {
            Some(Event::Inventory(inventory)) => inventory,
            other => panic!("no inventory: {other:?}"),
        }
    }

    /// Reads until output has come on standard output.
    pub fn first_output(&mut self) -> String {
        loop {
            match self.next() {
                Some(Event::Output(output)) => {
                    return String::from_utf8_lossy(&output.bytes).into_owned();
                }
                Some(Event::Started(_)) => {}
                other => panic!("no output: {other:?}"),
            }
        }
    }

    /// Reads to the end of a run.
    pub fn finish(&mut self) -> Ran {
        let mut started = None;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let end = loop {
            match self.next() {
                Some(Event::Started(event)) => started = Some(event),
                Some(Event::Output(output)) => match output.stream {
                    Stream::Stdout => stdout.extend(output.bytes),
                    Stream::Stderr => stderr.extend(output.bytes),
                },
                Some(Event::Finished(finished)) => break Ok(finished),
                Some(Event::Refused(refused)) => break Err(refused),
                other => panic!("unexpected: {other:?}"),
            }
        };
        assert_eq!(self.next(), None, "the end is the last word");
        Ran {
            started,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            end,
        }
    }
}
