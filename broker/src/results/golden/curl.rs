//! Recordings of curl: `NAME.out` is its standard output, `NAME.err` its standard error.
//!
//! `curl-cut` is a recording of which standard output was cut at a bound.

use super::{CANCELLED, CUT, Case, ENDED, RunEnd};

const fn case(name: &'static str, argv: &'static str, end: RunEnd, why: &'static str) -> Case {
    super::case(name, argv, 1, end, why)
}

const WEB: &str = "curl http://10.66.0.10:80/";
const TLS: &str = "curl https://10.66.0.10:443/";
const RAW: &str = "curl http://10.66.0.10:9000/";

pub(super) const CASES: &[Case] = &[
    case("curl-ok.out", WEB, ENDED, "a page"),
    case(
        "curl-six.out",
        "curl http://[fd00:66::10]:80/",
        ENDED,
        "IPv6",
    ),
    case(
        "curl-redirect.out",
        "curl http://10.66.0.10:80/old",
        ENDED,
        "a redirect",
    ),
    case(
        "curl-head.out",
        "curl -I http://10.66.0.10:80/old",
        ENDED,
        "headers instead of a body",
    ),
    case(
        "curl-gzip.out",
        "curl --compressed http://10.66.0.10:80/data.json",
        ENDED,
        "encoded",
    ),
    case(
        "curl-binary.out",
        "curl http://10.66.0.10:80/rand.bin",
        ENDED,
        "a body that is no text",
    ),
    case(
        "curl-big.out",
        "curl http://10.66.0.10:80/big.bin",
        ENDED,
        "announced too large",
    ),
    case(
        "curl-tls.out",
        "curl https://web.lab.internal:443/",
        ENDED,
        "trusted, HTTP/2",
    ),
    case(
        "curl-insecure.out",
        "curl -k https://10.66.0.10:443/",
        ENDED,
        "not trusted, -k",
    ),
    case("curl-untrusted.out", TLS, ENDED, "not trusted"),
    case(
        "curl-name.out",
        "curl https://db.lab.internal:443/",
        ENDED,
        "another's certificate",
    ),
    case(
        "curl-namek.out",
        "curl -k https://db.lab.internal:443/",
        ENDED,
        "the same with -k",
    ),
    case(
        "curl-tls12.out",
        "curl -k https://10.66.0.10:9444/",
        ENDED,
        "an older TLS",
    ),
    case(
        "curl-plain.out",
        "curl https://10.66.0.10:80/",
        ENDED,
        "no TLS there",
    ),
    case(
        "curl-evil.out",
        "curl -k https://10.66.0.10:9443/",
        ENDED,
        "a subject with line ends",
    ),
    case(
        "curl-san.out",
        "curl -k https://10.66.0.10:9446/",
        ENDED,
        "a name with a certificate",
    ),
    case(
        "curl-hostile.out",
        RAW,
        ENDED,
        "headers and a body that forge",
    ),
    case("curl-many.out", RAW, ENDED, "very many headers"),
    case(
        "curl-interim.out",
        RAW,
        ENDED,
        "very many interim responses",
    ),
    case("curl-noreason.out", RAW, ENDED, "a status without words"),
    case("curl-badgzip.out", RAW, ENDED, "a false encoding"),
    case("curl-slow.out", RAW, ENDED, "too slow, part of a body"),
    case("curl-never.out", RAW, ENDED, "too slow, nothing"),
    case("curl-garbage.out", RAW, ENDED, "not HTTP"),
    case("curl-empty.out", RAW, ENDED, "closed at once"),
    case("curl-short.out", RAW, ENDED, "a body cut short"),
    case(
        "curl-refused.out",
        "curl http://10.66.0.10:81/",
        ENDED,
        "refused",
    ),
    case(
        "curl-unreachable.out",
        "curl http://10.66.9.9:80/",
        ENDED,
        "no way there",
    ),
    case(
        "curl-usage.out",
        WEB,
        ENDED,
        "an option that curl does not know",
    ),
    case("curl-cut.out", RAW, CUT, "a body over the bound"),
    case(
        "curl-killed.out",
        RAW,
        CANCELLED,
        "SIGTERM in the middle of a body",
    ),
];
