//! Frames: a big-endian `u32` length, then that many bytes of postcard.
//!
//! What it is: encoding, total decoding, and the executor's blocking reader and
//! writer. The broker frames the same bytes with tokio-util's
//! `LengthDelimitedCodec`, configured by [`crate::limits`].
//! What it is not: a choice of encoding to be made elsewhere. postcard is named
//! in this file only (docs/adr/0001-wire-encoding.md).
//!
//! Invariants: a length over [`FRAME_BYTES_MAX`] or of zero is refused before
//! anything is allocated; bytes after a message are refused.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::{Event, EventError};
use crate::limits::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use crate::request::{Request, RequestError};

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed the connection between two frames.
    #[error("connection closed")]
    Closed,
    /// The length is zero or over the bound.
    #[error("frame of {0} bytes; 1 to 131072 are accepted")]
    Length(usize),
    /// The body is not a message.
    #[error("frame body is not a message of this protocol")]
    Body(#[source] postcard::Error),
    /// The body goes on after its message.
    #[error("{0} bytes follow the message in its frame")]
    Trailing(usize),
    /// A request out of bounds.
    #[error("request out of bounds")]
    Request(#[from] RequestError),
    /// An event out of bounds.
    #[error("event out of bounds")]
    Event(#[from] EventError),
    /// The transport failed, or ended inside a frame.
    #[error("transport failed")]
    Io(#[from] io::Error),
}

/// Encodes a request with its length.
///
/// # Errors
///
/// [`FrameError::Request`] when it is out of bounds.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, FrameError> {
    request.check()?;
    encode(request)
}

/// Encodes an event with its length.
///
/// # Errors
///
/// [`FrameError::Event`] when it is out of bounds.
pub fn encode_event(event: &Event) -> Result<Vec<u8>, FrameError> {
    event.check()?;
    encode(event)
}

/// Decodes the body of a frame that holds a request.
///
/// # Errors
///
/// Whatever the bytes, the reason why they are no request within bounds.
pub fn decode_request(body: &[u8]) -> Result<Request, FrameError> {
    let request: Request = decode(body)?;
    request.check()?;
    Ok(request)
}

/// Decodes the body of a frame that holds an event.
///
/// # Errors
///
/// Whatever the bytes, the reason why they are no event within bounds.
pub fn decode_event(body: &[u8]) -> Result<Event, FrameError> {
    let event: Event = decode(body)?;
    event.check()?;
    Ok(event)
}

/// Reads one frame's body into `body`, blocking.
///
/// # Errors
///
/// [`FrameError::Closed`] at a clean end; [`FrameError::Length`] before any
/// byte of an over-long body is read.
pub fn read_body(from: &mut impl Read, body: &mut Vec<u8>) -> Result<(), FrameError> {
    let mut header = [0_u8; FRAME_HEADER_BYTES];
    match from.read(&mut header) {
        Ok(0) => return Err(FrameError::Closed),
        Ok(got) => from.read_exact(header.get_mut(got..).unwrap_or_default())?,
        Err(error) => return Err(error.into()),
    }
    let length = body_length(header)?;
    body.clear();
    body.resize(length, 0);
    from.read_exact(body)?;
    Ok(())
}

/// The body's length that a header announces.
///
/// # Errors
///
/// [`FrameError::Length`] when it is zero or over the bound.
pub fn body_length(header: [u8; FRAME_HEADER_BYTES]) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if length == 0 || length > FRAME_BYTES_MAX {
        return Err(FrameError::Length(length));
    }
    Ok(length)
}

/// Writes an event as one frame, blocking.
///
/// # Errors
///
/// As [`encode_event`], and whatever the transport says.
pub fn write_event(to: &mut impl Write, event: &Event) -> Result<(), FrameError> {
    let frame = encode_event(event)?;
    to.write_all(&frame)?;
    Ok(())
}

fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let frame = postcard::to_extend(message, vec![0_u8; FRAME_HEADER_BYTES]);
    let mut frame = frame.map_err(FrameError::Body)?;
    let length = frame.len().saturating_sub(FRAME_HEADER_BYTES);
    let header = u32::try_from(length)
        .ok()
        .filter(|_| length <= FRAME_BYTES_MAX);
    let header = header.ok_or(FrameError::Length(length))?;
    for (place, byte) in frame.iter_mut().zip(header.to_be_bytes()) {
        *place = byte;
    }
    Ok(frame)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    if body.is_empty() || body.len() > FRAME_BYTES_MAX {
        return Err(FrameError::Length(body.len()));
    }
    let (message, rest) = postcard::take_from_bytes(body).map_err(FrameError::Body)?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(FrameError::Trailing(rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Output, RefusalKind, Refused, Stream};
    use crate::limits::{FILES_MIN, MEMORY_BYTES_MIN, OUTPUT_CHUNK_BYTES};
    use crate::request::{Hello, Run};
    use proptest::prelude::*;

    fn any_limits() -> impl Strategy<Value = (Option<u64>, Option<u32>)> {
        (
            prop::option::of(MEMORY_BYTES_MIN..),
            prop::option::of(FILES_MIN..),
        )
    }

    fn any_request() -> impl Strategy<Value = Request> {
        let run = (
            "[a-zA-Z0-9-]{1,64}",
            "[a-z]{1,16}",
            prop::collection::vec("[^\0]{1,40}", 1..9),
        );
        prop_oneof![
            any::<u16>().prop_map(|protocol| Request::Hello(Hello { protocol })),
            Just(Request::Cancel),
            Just(Request::Inspect),
            (run, 1..3_600_000_u32, 0..1_000_000_u32, any_limits()).prop_map(
                |((run_id, tool, argv), time, max, (memory_max, files_max))| {
                    let (stdout_max, stderr_max) = (max, max / 2);
                    Request::Run(Run {
                        run_id,
                        tool,
                        argv,
                        timeout_ms: time,
                        stdout_max,
                        stderr_max,
                        memory_max,
                        files_max,
                    })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn a_request_survives_the_wire(request in any_request()) {
            let frame = encode_request(&request).unwrap();
            let mut body = Vec::new();
            read_body(&mut frame.as_slice(), &mut body).unwrap();
            prop_assert_eq!(decode_request(&body).unwrap(), request);
        }

        #[test]
        fn any_bytes_decode_or_fail_without_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
            drop(decode_request(&body));
            drop(decode_event(&body));
            drop(read_body(&mut body.as_slice(), &mut Vec::new()));
        }

        #[test]
        fn a_cut_or_lengthened_request_is_refused(request in any_request(), extra in 1_usize..9) {
            let frame = encode_request(&request).unwrap();
            let body = &frame[FRAME_HEADER_BYTES..];
            let cut = &body[..body.len().saturating_sub(extra)];
            prop_assert!(decode_request(cut).is_err());
            let longer = [body, &vec![0; extra]].concat();
            prop_assert!(matches!(decode_request(&longer), Err(FrameError::Trailing(n)) if n == extra));
        }

        #[test]
        fn output_survives_the_wire(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let event = Event::Output(Output { stream: Stream::Stderr, bytes });
            let frame = encode_event(&event).unwrap();
            prop_assert_eq!(decode_event(&frame[FRAME_HEADER_BYTES..]).unwrap(), event);
        }
    }

    /// Both processes of one release, however they were built, read the same bytes.
    #[test]
    fn a_run_is_laid_out_as_the_document_says() {
        let run = |memory_max, files_max| {
            Request::Run(Run {
                run_id: "a".into(),
                tool: "b".into(),
                argv: vec!["c".into()],
                timeout_ms: 1,
                stdout_max: 2,
                stderr_max: 3,
                memory_max,
                files_max,
            })
        };
        let head = [1, 1, b'a', 1, b'b', 1, 1, b'c', 1, 2, 3];
        let cases: [(Request, &[u8], &str); 3] = [
            (run(None, None), &[0, 0], "the profile's limits"),
            (
                run(Some(MEMORY_BYTES_MIN), None),
                &[1, 0x80, 0x80, 0x80, 8, 0],
                "less memory, the profile's descriptors",
            ),
            (
                run(None, Some(FILES_MIN)),
                &[0, 1, 16],
                "the profile's memory, fewer descriptors",
            ),
        ];
        for (request, tail, why) in cases {
            let frame = encode_request(&request).unwrap();
            assert_eq!(
                frame[FRAME_HEADER_BYTES..],
                [&head[..], tail].concat(),
                "{why}"
            );
        }
        assert!(
            decode_request(&head).is_err(),
            "a run of an older version, without the two"
        );
    }

    #[test]
    fn refuses_a_length_out_of_bounds_before_reading_the_body() {
        for (header, why) in [
            ([0_u8; 4], "empty"),
            ([0xff; 4], "4 GiB"),
            ([0, 2, 0, 1], "one too many"),
        ] {
            let result = read_body(&mut header.as_slice(), &mut Vec::new());
            assert!(matches!(result, Err(FrameError::Length(_))), "{why}");
        }
    }

    #[test]
    fn tells_a_clean_end_from_a_cut_frame() {
        let closed = read_body(&mut [].as_slice(), &mut Vec::new());
        assert!(matches!(closed, Err(FrameError::Closed)));
        let cut = read_body(&mut [0, 0].as_slice(), &mut Vec::new());
        assert!(matches!(cut, Err(FrameError::Io(_))));
    }

    /// A frame that decodes to more than it holds: each byte is an empty text.
    #[test]
    fn stops_reading_a_list_at_its_bound() {
        let run = |items: u8, high: u8| {
            let head = [1, 1, b'a', 1, b'a', items | 0x80, high];
            let count = usize::from(items) + 128 * usize::from(high);
            [&head[..], &vec![0; count], &[1, 0, 0, 0, 0]].concat()
        };
        let full = decode_request(&run(0, 2));
        assert!(
            matches!(full, Err(FrameError::Request(RequestError::Arg(0)))),
            "256 items are read, and then looked at: {full:?}"
        );
        for (items, high, why) in [(1, 2, "one too many"), (0, 127, "as many as fit two bytes")] {
            let result = decode_request(&run(items, high));
            assert!(
                matches!(result, Err(FrameError::Body(_))),
                "{why}: {result:?}"
            );
        }
        let inventory = [&[5, 0, 0, 0x81, 2][..], &[0; 600]].concat();
        assert!(matches!(decode_event(&inventory), Err(FrameError::Body(_))));
    }

    #[test]
    fn refuses_to_send_what_the_peer_would_refuse() {
        let chunk = Output {
            stream: Stream::Stdout,
            bytes: vec![0; OUTPUT_CHUNK_BYTES + 1],
        };
        assert!(encode_event(&Event::Output(chunk)).is_err());
        let refused = Refused {
            kind: RefusalKind::NotVetted,
            rule: "x".repeat(65),
            message: String::new(),
            offending: String::new(),
            remedy: String::new(),
        };
        assert!(encode_event(&Event::Refused(refused)).is_err());
    }

    #[test]
    fn a_full_chunk_fits_a_frame() {
        let chunk = Output {
            stream: Stream::Stdout,
            bytes: vec![7; OUTPUT_CHUNK_BYTES],
        };
        assert!(encode_event(&Event::Output(chunk)).is_ok());
    }
}
