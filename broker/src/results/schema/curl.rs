//! The schema of curl's structured result.
//!
//! Invariants: as of the room: what [`crate::results::curl::report`] serialises to, and no more.

use super::{count, flag, list, number, object, string, strings};
use serde_json::{Value, json};

/// The schema.
pub(super) fn schema() -> Value {
    object(
        "What one HTTP request found. Headers, body and certificates are the server's own words.",
        [
            ("url", string("The URL asked for.")),
            ("method", string("GET, HEAD, OPTIONS.")),
            (
                "?address",
                string("The address connected to, or last tried."),
            ),
            ("?port", port("The port there.")),
            (
                "?local_address",
                string("The address the request came from."),
            ),
            ("?http_version", string("1.0, 1.1 or 2.")),
            (
                "?status",
                count("The status code; absent when there was no response."),
            ),
            ("?reason", string("The server's words for it.")),
            (
                "?interim",
                list(
                    "Status codes of interim responses.",
                    count("A status code."),
                ),
            ),
            (
                "headers",
                list("The response's header fields, in order.", header()),
            ),
            (
                "?headers_omitted",
                count("Header fields that are not in this result."),
            ),
            (
                "?redirect_url",
                string("Where the response redirects to. It was not followed."),
            ),
            ("?body", body()),
            ("?sizes", sizes()),
            ("?times_ms", times()),
            ("?phases_ms", phases()),
            ("?tls", tls()),
            (
                "?certificates",
                list("The server's certificates, its own first.", certificate()),
            ),
            (
                "?certificates_omitted",
                count("Certificates that are not in this result."),
            ),
            ("?error", failure()),
            ("?warnings", strings("What a reader has to know besides.")),
            (
                "?interim_omitted",
                count("Codes that are not in this result."),
            ),
            (
                "?warnings_omitted",
                count("Warnings that are not in this result."),
            ),
            (
                "truncated",
                flag("Whether curl was stopped before it could tell about the transfer."),
            ),
        ],
    )
}

fn port(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": 65535, "description": description })
}

fn header() -> Value {
    object(
        "One header field.",
        [
            ("name", string("Its name, as the server wrote it.")),
            ("value", string("Its value.")),
        ],
    )
}

fn body() -> Value {
    object(
        "The body.",
        [
            (
                "bytes",
                count(
                    "Bytes of it that came, its content encoding undone where that was asked for.",
                ),
            ),
            ("complete", flag("Whether that is all of it.")),
            ("?content_type", string("What the server says it is.")),
            (
                "?text",
                string("Its beginning; absent when it is not text."),
            ),
            ("text_cut", flag("Whether the text is only a beginning.")),
        ],
    )
}

fn sizes() -> Value {
    object(
        "Sizes on the wire.",
        [
            ("request_bytes", count("The request.")),
            ("headers_bytes", count("The heads of all responses.")),
            ("body_bytes", count("The body as transferred.")),
        ],
    )
}

fn times() -> Value {
    object(
        "Milliseconds from the start until each step was done; absent for what did not happen.",
        [
            ("?connect", number("The connection stood.")),
            ("?tls", number("The TLS handshake was done.")),
            ("?first_byte", number("The response began.")),
            ("total", number("The end.")),
        ],
    )
}

fn phases() -> Value {
    object(
        "Milliseconds that each step took; absent for what did not happen.",
        [
            (
                "name_lookup",
                number("Looking up the name, which is pinned."),
            ),
            ("?connect", number("Connecting.")),
            ("?tls", number("The TLS handshake.")),
            (
                "?wait",
                number("From the request to the response's first byte."),
            ),
            ("?transfer", number("From the first byte to the end.")),
        ],
    )
}

fn tls() -> Value {
    object(
        "The TLS session, for https.",
        [
            (
                "?version",
                string("TLSv1.3, …; absent when the handshake was not done."),
            ),
            ("?cipher", string("The cipher suite.")),
            ("?alpn", string("The protocol chosen inside TLS, as h2.")),
            (
                "?trusted",
                flag("Whether the chain leads to a trusted authority and is in date."),
            ),
            (
                "?name_matches",
                flag("Whether the certificate is for the host; absent when not checked."),
            ),
            ("?verify_code", count("OpenSSL's code for what is wrong.")),
            ("?verify_reason", string("That in words.")),
        ],
    )
}

fn certificate() -> Value {
    object(
        "One certificate.",
        [
            ("subject", string("Whom it names.")),
            ("issuer", string("Who signed it.")),
            (
                "valid_from",
                string("First moment of its validity (RFC 3339, UTC)."),
            ),
            ("valid_until", string("Last moment of its validity.")),
            ("?names", strings("Names and addresses it is for.")),
            (
                "?names_omitted",
                count("Names that are not in this result."),
            ),
            ("serial", string("Its serial number, in hexadecimal.")),
            ("?key", string("The kind of its key, as RSA 2048.")),
        ],
    )
}

fn failure() -> Value {
    object(
        "Why there is no whole response.",
        [
            ("code", count("curl's exit code.")),
            (
                "kind",
                string("no_connection, too_slow, tls_failed, not_trusted, cut_short, …"),
            ),
            ("meaning", string("What it means.")),
            ("message", string("curl's own words.")),
        ],
    )
}
