//! Recordings of dig: `NAME.yaml` is its standard output.
//!
//! The names at 10.66.0.66 are those of a responder that attacks; `dig-cut` is a recording of which
//! the end was cut off.

use super::{CUT, Case, ENDED, RunEnd};

const fn case(name: &'static str, argv: &'static str, end: RunEnd, why: &'static str) -> Case {
    super::case(name, argv, 1, end, why)
}

const LAB: &str = "dig @10.66.0.53 -r +yaml -p 53 -t A -q web.lab.internal";
const EVIL: &str = "dig @10.66.0.66 -r +yaml -p 53 -q x.lab.internal";

pub(super) const CASES: &[Case] = &[
    case("dig-a.yaml", LAB, ENDED, "an address"),
    case("dig-mx.yaml", LAB, ENDED, "with additional records"),
    case("dig-nx.yaml", LAB, ENDED, "no such name"),
    case("dig-refused.yaml", LAB, ENDED, "refused"),
    case("dig-ptr.yaml", LAB, ENDED, "reverse"),
    case("dig-soa.yaml", LAB, ENDED, "with DO and NSID"),
    case(
        "dig-many.yaml",
        LAB,
        ENDED,
        "over TCP, since UDP was too short",
    ),
    case("dig-tcp.yaml", LAB, ENDED, "over TCP"),
    case(
        "dig-odd.yaml",
        LAB,
        ENDED,
        "TXT with all kinds of characters",
    ),
    case("dig-svc.yaml", LAB, ENDED, "a new type"),
    case(
        "dig-six.yaml",
        "dig @fd00:66::10 -q web.lab.internal",
        ENDED,
        "IPv6",
    ),
    case("dig-axfr.yaml", LAB, ENDED, "a zone"),
    case("dig-axfrno.yaml", LAB, ENDED, "a zone that is not given"),
    case("dig-axfrcut.yaml", EVIL, ENDED, "a zone that breaks off"),
    case("dig-cut.yaml", LAB, CUT, "cut inside a record"),
    case(
        "dig-none.yaml",
        "dig @10.66.0.20 -p 5353 -q a.lab.internal",
        ENDED,
        "nobody answers",
    ),
    case("dig-tc.yaml", EVIL, ENDED, "truncated, then TCP"),
    case("dig-tcnotcp.yaml", EVIL, ENDED, "truncated, and no TCP"),
    case("dig-junk.yaml", EVIL, ENDED, "an answer that is none"),
    case("dig-owners.yaml", EVIL, ENDED, "owners that forge"),
    case("dig-txts.yaml", EVIL, ENDED, "texts that forge"),
    case("dig-cnames.yaml", EVIL, ENDED, "aliases that forge"),
    case("dig-long.yaml", EVIL, ENDED, "the longest names"),
    case("dig-ede.yaml", EVIL, ENDED, "options that forge"),
    case("dig-ede2.yaml", EVIL, ENDED, "options that forge, twice"),
    case("dig-classes.yaml", EVIL, ENDED, "unknown classes and types"),
    case("dig-records.yaml", EVIL, ENDED, "odd types"),
    case("dig-svcb.yaml", EVIL, ENDED, "odd parameters"),
    case("dig-soahostile.yaml", EVIL, ENDED, "an odd authority"),
    case("dig-sig.yaml", EVIL, ENDED, "signatures and keys"),
    case("dig-badvers.yaml", EVIL, ENDED, "an extended status"),
];
