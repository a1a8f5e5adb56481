//! What curl's exit codes and OpenSSL's verification codes mean, in words.
//!
//! The codes that a request to a vetted URL can end with; any other keeps its number.
//!
//! Invariants: a kind is a lower-case word for programs; a meaning has no full stop.

/// The kind of an exit code, for programs, and what it means, for people.
pub(super) fn exit(code: i64) -> (&'static str, &'static str) {
    match code {
        1 => ("not_http", "the answer is not HTTP"),
        3 => ("bad_url", "curl did not understand the URL"),
        6 => ("not_resolved", "the name has no address"),
        7 => (
            "no_connection",
            "no connection: refused, or no way to the host",
        ),
        8 => ("bad_response", "the response breaks the rules of HTTP"),
        16 => ("http2_broken", "the HTTP/2 connection is faulty"),
        18 => ("cut_short", "the body ended before its announced length"),
        23 => ("not_written", "curl could not write what it received"),
        27 => (
            "over_memory",
            "more than curl keeps: a header line too long, or memory",
        ),
        28 => ("too_slow", "no whole answer within the time given"),
        35 => ("tls_failed", "the TLS handshake failed"),
        47 => ("redirected", "a redirect, which is not followed"),
        52 => (
            "no_response",
            "the server closed the connection without an answer",
        ),
        55 => (
            "send_failed",
            "the connection broke while the request was sent",
        ),
        56 => (
            "receive_failed",
            "the connection broke while the response came, or its headers are too large",
        ),
        60 => (
            "not_trusted",
            "the server's certificate is not valid for this request",
        ),
        61 => (
            "bad_encoding",
            "the body's content encoding is faulty or unknown",
        ),
        63 => (
            "too_large",
            "the body is announced larger than asked for, and was not fetched",
        ),
        77 => (
            "no_authorities",
            "the list of trusted certificates can't be read",
        ),
        92 => ("http2_stream_broken", "the HTTP/2 stream is faulty"),
        _ => ("other", "curl failed"),
    }
}

/// Why OpenSSL does not trust a chain, by its code.
pub(super) fn verification(code: i64) -> &'static str {
    match code {
        9 => "a certificate is not valid yet",
        10 => "a certificate has expired",
        18 => "the certificate is signed by itself",
        19 => "the chain ends in a certificate that signs itself and is not trusted",
        2 | 20 | 21 => "the signer is not known",
        7 => "a signature is wrong",
        23 => "a certificate was revoked",
        24 | 79 => "a signer is no authority",
        26 => "a certificate is for another purpose",
        62 | 64 => "the certificate is for another name or address",
        66 | 67 => "a key is too weak",
        68 => "a signature's hash is too weak",
        _ => "it can't be trusted",
    }
}
