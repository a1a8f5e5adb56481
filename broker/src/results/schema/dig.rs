//! The schema of dig's structured result.
//!
//! Invariants: as of the room: what [`crate::results::dig::report`] serialises to, and no more.

use super::{count, flag, list, object, string, strings};
use serde_json::{Value, json};

/// The schema.
pub(super) fn schema() -> Value {
    object(
        "What a name server answered. Names and data are its own words, \\DDD for odd characters.",
        [
            ("server", server()),
            ("?query", query()),
            (
                "?status",
                string("NOERROR, NXDOMAIN, REFUSED, …; absent when nothing was answered."),
            ),
            ("flags", strings("qr, aa, tc, rd, ra, ad, cd.")),
            ("answers", records("Records that answer the question.")),
            ("authority", records("Records about who is responsible.")),
            ("additional", records("Records that come besides.")),
            (
                "?records_omitted",
                count("Records over the bounds of a result."),
            ),
            (
                "?answers_omitted",
                count("Answers that are not in this result."),
            ),
            ("?authority_omitted", count("Of those, left out here.")),
            ("?additional_omitted", count("Of those, left out here.")),
            ("messages", count("Messages received.")),
            ("?time_ms", count("From the question to the last message.")),
            ("size_bytes", count("Size of all messages.")),
            ("?edns", edns()),
            ("?errors", strings("What went wrong, in dig's words.")),
            ("?warnings", strings("What dig said on standard error.")),
            (
                "?flags_omitted",
                count("Flags that are not in this result."),
            ),
            (
                "?errors_omitted",
                count("Errors that are not in this result."),
            ),
            (
                "?warnings_omitted",
                count("Warnings that are not in this result."),
            ),
            (
                "truncated",
                flag("Whether dig was stopped, or its output cut, before it was done."),
            ),
        ],
    )
}

fn server() -> Value {
    let port = json!({ "type": "integer", "minimum": 0, "maximum": 65535 });
    object(
        "The server asked.",
        [
            ("address", string("Its address.")),
            ("port", port),
            ("?protocol", string("UDP or TCP, as the answer came.")),
        ],
    )
}

fn query() -> Value {
    object(
        "The question.",
        [
            ("name", string("The name asked about.")),
            ("class", string("IN.")),
            ("type", string("The type of records asked for.")),
        ],
    )
}

fn records(description: &str) -> Value {
    let record = object(
        "One record.",
        [
            ("name", string("Its owner.")),
            ("ttl", count("How long it may be kept, in seconds.")),
            ("class", string("IN, or another class.")),
            ("type", string("Its type.")),
            ("data", string("Its data, as in a zone file.")),
        ],
    );
    list(description, record)
}

fn edns() -> Value {
    let extended_error = object(
        "One extended error (RFC 8914).",
        [
            (
                "code",
                string("Its code, and its meaning where that is known."),
            ),
            ("?text", string("The server's own words.")),
        ],
    );
    object(
        "What the server said in EDNS.",
        [
            ("version", count("The version.")),
            (
                "dnssec_ok",
                flag("Whether it took the wish for signatures (DO)."),
            ),
            ("udp_bytes", count("Largest message it takes over UDP.")),
            ("?nsid", string("Which server it is, in its own words.")),
            (
                "?cookie",
                string("good or bad; absent when none came back."),
            ),
            ("?extended_errors", list("Extended errors.", extended_error)),
            ("?options", strings("Other options, as dig shows them.")),
        ],
    )
}
