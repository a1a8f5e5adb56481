//! Templates: what they stand for, and what a call changes about them.

use sandbox_profiles::vet::{self, Call};
use sandbox_profiles::{Refusal, VettedRun};

use crate::bench::{call, flags, scope, tool};

fn with(template: &str, args: &str) -> Result<VettedRun, Refusal> {
    let call = Call {
        template: Some(template.to_owned()),
        ..call("10.0.0.1", args)
    };
    vet::vet(tool("nmap"), &scope(), &call)
}

#[test]
fn stand_for_their_arguments() {
    let cases = [
        ("quick", "-Pn --top-ports 100 -T4 --max-parallelism 10"),
        (
            "standard",
            "-Pn --top-ports 1000 -sV -T4 --max-parallelism 10",
        ),
        (
            "thorough",
            "-Pn -p- -sV --script (default)@ -T4 --max-parallelism 10",
        ),
        ("discovery", "-sn -T4 --max-parallelism 10"),
        (
            "version",
            "-Pn --top-ports 1000 -sV --version-intensity 5 -T4 --max-parallelism 10",
        ),
        (
            "script",
            "-Pn --top-ports 1000 --script (default)@ -T4 --max-parallelism 10",
        ),
    ];
    for (template, expected) in cases {
        let run = with(template, "").unwrap();
        assert_eq!(flags(&run), expected, "{template}");
        let narrowed = expected.contains("--script");
        assert_eq!(run.notes().len(), usize::from(narrowed), "{template}");
    }
    assert_eq!(tool("nmap").templates.len(), cases.len());
}

#[test]
fn give_way_to_what_a_call_says_itself() {
    let cases = [
        // template, arguments, expected, notes, why
        (
            "quick",
            "-p 22",
            "-Pn -p 22 -T4 --max-parallelism 10",
            1,
            "other ports",
        ),
        (
            "quick",
            "--top-ports 5",
            "-Pn --top-ports 5 -T4 --max-parallelism 10",
            1,
            "fewer ports",
        ),
        (
            "quick",
            "--top-ports 100",
            "-Pn --top-ports 100 -T4 --max-parallelism 10",
            0,
            "the same",
        ),
        (
            "quick",
            "-PS",
            "-PS --top-ports 100 -T4 --max-parallelism 10",
            1,
            "discovery",
        ),
        (
            "thorough",
            "-T2",
            "-Pn -p- -sV --script (default)@ -T2 --max-parallelism 10",
            1,
            "slower",
        ),
        (
            "discovery",
            "-PE",
            "-sn -PE -T4 --max-parallelism 10",
            0,
            "more",
        ),
        (
            "quick",
            "-sU",
            "-sU -Pn --top-ports 100 -T4 --max-parallelism 10",
            0,
            "the same ports by UDP",
        ),
        (
            "thorough",
            "-F",
            "-Pn -F -sV --script (default)@ -T4 --max-parallelism 10",
            1,
            "another selection of ports",
        ),
    ];
    for (template, args, expected, notes, why) in cases {
        let run = with(template, args).unwrap();
        assert_eq!(flags(&run), expected, "{template} {args}: {why}");
        assert_eq!(
            run.notes().len(),
            notes + usize::from(expected.contains("--script")),
            "{template} {args}: {:?}",
            run.notes()
        );
    }
}

#[test]
fn are_not_turned_into_another_scan() {
    let cases = [
        // template, arguments, offending, nearest, why
        ("discovery", "-p 80", "-p", None, "ports after all"),
        ("discovery", "-sT -v", "-sT", Some("-v"), "a scan after all"),
        ("discovery", "-Pn", "-Pn", None, "no discovery after all"),
        ("discovery", "-sV -O", "-sV", None, "services after all"),
        ("discovery", "-F -T2", "-F", Some("-T2"), "ports after all"),
        ("quick", "-sn", "-sn", None, "no ports"),
        ("standard", "-sn -PE", "-sn", Some("-PE"), "no services"),
        ("version", "-sn", "-sn", None, "no versions"),
        ("script", "-sn", "-sn", None, "no ports"),
    ];
    for (template, args, offending, nearest, why) in cases {
        let refusal = with(template, args).unwrap_err();
        let shown = format!("{template} {args}: {why}: {refusal}");
        assert_eq!(
            (&*refusal.rule, &*refusal.offending),
            ("NM1", offending),
            "{shown}"
        );
        assert!(refusal.message.contains(template), "{shown}");
        let got = refusal.nearest.map(|list| list.join(" "));
        assert_eq!(got.as_deref(), nearest, "{shown}");
    }
}

#[test]
fn do_not_hide_a_conflict_of_the_call() {
    assert!(with("quick", "-sS -sT").is_err());
    assert!(with("quick", "-p 1 --top-ports 5").is_err());
}

#[test]
fn unknown_ones_are_refused_with_the_nearest() {
    let refusal = with("quik", "").unwrap_err();
    assert!(refusal.remedy.contains("quick"), "{refusal}");
    assert!(with("Quick", "").is_err(), "case counts");
    assert!(with("", "").is_err());
}

/// Found by the generated properties: what the call says alone, and the template
/// alone, is in order.
#[test]
fn fit_together_with_the_call_or_are_refused() {
    let traceroute = |args: &str| {
        let call = Call {
            template: Some("quick".to_owned()),
            ..call("10.0.0.7", args)
        };
        vet::vet(tool("traceroute"), &scope(), &call)
    };
    assert!(traceroute("-f 15").is_ok(), "the template ends at hop 15");
    let refusal = traceroute("-f 16").unwrap_err();
    assert_eq!(&*refusal.rule, "ARG3", "{refusal}");
    assert_eq!(&*refusal.offending, "-f -m");
    assert!(traceroute("-f 16 -m 20").is_ok(), "the call's own bound");
}
