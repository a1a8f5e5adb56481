//! Tests of the reader with made-up answers: hostile names and texts in the form that dig gives
//! them, lines in the wrong place, and bounds.
//!
//! The golden tests hold recordings of the real dig and of a server that attacks it.

use super::*;
use crate::results::limits::RECORDS_MAX;
use proptest::prelude::*;
use serde_json::Value;

const HEAD: &str = "- type: MESSAGE\n  message:\n    type: AUTH_RESPONSE\n    response_port: 53\n    \
    response_message_data:\n      opcode: QUERY\n      status: NOERROR\n      flags: qr\n      \
    ANSWER_SECTION:\n";

fn parse(stdout: &[u8], stderr: &[u8]) -> Parsed {
    let argv = [
        "dig",
        "@10.0.0.53",
        "-r",
        "-p",
        "53",
        "-t",
        "TXT",
        "-q",
        "a.lab",
    ];
    let mut parser = DigParser::new(&Expect {
        argv: argv.map(str::to_owned).to_vec(),
        ..Expect::default()
    });
    parser.push(stdout);
    parser.push_stderr(stderr);
    parser.finish(RunEnd::default())
}

fn structured(stdout: &str) -> Value {
    parse(stdout.as_bytes(), b"").structured
}

/// Bytes as dig writes them in a name, or between the quotes of a text.
fn presented(bytes: &[u8], in_name: bool) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.push_str(&format!("\\{}", char::from(*byte))),
            b'.' | b';' | b'(' | b')' | b'@' | b'$' if in_name => {
                text.push_str(&format!("\\{}", char::from(*byte)));
            }
            b'!'..=b'~' => text.push(char::from(*byte)),
            b' ' if !in_name => text.push(' '),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text
}

#[test]
fn lines_count_only_where_dig_prints_them() {
    let good = "        - 'a.lab. 60 IN TXT \"x\"'\n";
    let cases = [
        (format!("{HEAD}{good}"), 1, 0, "in its section"),
        (
            format!("{HEAD}        - 'a.lab. 60 IN TXT'\n"),
            1,
            0,
            "without data",
        ),
        (
            format!("{HEAD}      - 'a.lab. 60 IN TXT \"x\"'\n"),
            0,
            1,
            "too far left",
        ),
        (good.to_owned(), 0, 1, "outside"),
        (
            format!("- type: DIG_ERROR\n  message: |\n{good}"),
            0,
            1,
            "in an error",
        ),
        (
            format!("{HEAD}        - 'a.lab. 60 IN A 1.2.3.4' x'\n"),
            0,
            1,
            "a quote alone",
        ),
        (
            format!("{HEAD}        - 'a.lab. many IN A 1.2.3.4'\n"),
            0,
            1,
            "no time to live",
        ),
        (format!("{HEAD}        - 'a.lab. 60'\n"), 0, 1, "too short"),
        (
            format!("{HEAD}{good}      status: REFUSED\n"),
            1,
            1,
            "a field behind the sections",
        ),
        (
            format!("{HEAD}{good}          NSID: 61 (\"a\")\n"),
            1,
            1,
            "an option in a section",
        ),
        (
            format!("{HEAD}{good}{good}      {good}"),
            2,
            1,
            "indented too far",
        ),
    ];
    for (stdout, answers, unread, why) in cases {
        let told = structured(&stdout);
        assert_eq!(
            told["answers"].as_array().unwrap().len(),
            answers,
            "{why}: {told}"
        );
        let warnings = told["warnings"].as_array().map_or(0, Vec::len);
        assert_eq!(warnings, unread, "{why}: {told}");
        assert_ne!(told["status"], "REFUSED", "{why}");
    }
}

#[test]
fn no_answer_is_told_from_none_yet() {
    type Case<'a> = (&'a [u8], &'a [u8], usize, bool, &'a str);
    let cases: &[Case<'_>] = &[
        (b"", b"", 1, false, "dig swallows what it can't read"),
        (b"", b"dig: couldn't get address\n", 0, false, "it said why"),
        (
            b"- type: DIG_ERROR\n  message: |\n    no\n",
            b"",
            1,
            false,
            "its own verdict",
        ),
        (b"- type: MESS", b"", 0, true, "stopped"),
    ];
    for (stdout, stderr, errors, truncated, why) in cases {
        let told = parse(stdout, stderr).structured;
        assert_eq!(
            told["errors"].as_array().map_or(0, Vec::len),
            *errors,
            "{why}"
        );
        assert_eq!(told["truncated"], *truncated, "{why}");
        assert_eq!(told["server"]["address"], "10.0.0.53", "{why}");
        assert_eq!(told["query"]["name"], "a.lab", "{why}: as it was asked");
    }
}

#[test]
fn stays_small_whatever_comes() {
    let mut parser = DigParser::new(&Expect::default());
    parser.push(HEAD.as_bytes());
    let long = "t".repeat(60_000);
    for _ in 0..RECORDS_MAX + 3 {
        parser.push(b"        - 'a. 1 IN TXT \"x\"'\n");
    }
    parser.push(format!("        - 'a. 1 IN TXT \"{long}\"'\n").as_bytes());
    parser.push(&vec![b'x'; 100_000]);
    assert!(parser.current.len() <= DIG_LINE_BYTES_MAX);
    let parsed = parser.finish(RunEnd::default());
    assert_eq!(parsed.structured["records_omitted"], 4);
    assert!(
        parsed.summary.contains("more records"),
        "{}",
        parsed.summary
    );
    let one = structured(&format!("{HEAD}        - 'a. 1 IN TXT \"{long}\"'\n"));
    let data = one["answers"][0]["data"].as_str().unwrap();
    assert!(data.ends_with('…') && data.len() < 3000, "cut, and says so");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Names and texts of any bytes, as dig writes them: as many records, and each as it was.
    #[test]
    fn hostile_names_and_texts_forge_nothing(records in proptest::collection::vec((
        proptest::collection::vec(any::<u8>(), 1..63),
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..255),
            "(\n        - ''?|'|\"|\\\\|: |#|---|- type: MESSAGE|[ -~]){0,30}".prop_map(String::into_bytes),
        ],
    ), 0..12)) {
        let mut stdout = HEAD.to_owned();
        for (label, text) in &records {
            let whole = format!("{}.lab. 60 IN TXT \"{}\"", presented(label, true), presented(text, false));
            stdout.push_str(&format!("        - '{}'\n", whole.replace('\'', "''")));
        }
        let told = structured(&stdout);
        let answers = told["answers"].as_array().unwrap();
        prop_assert_eq!(answers.len(), records.len());
        for (answer, (label, text)) in answers.iter().zip(&records) {
            prop_assert_eq!(answer["name"].as_str().unwrap(), format!("{}.lab.", presented(label, true)));
            prop_assert_eq!(answer["data"].as_str().unwrap(), format!("\"{}\"", presented(text, false)));
            prop_assert_eq!(&answer["ttl"], 60);
        }
        prop_assert_eq!(&told["messages"], 1);
        prop_assert!(told["warnings"].is_null());
    }

    #[test]
    fn total_on_lines_of_any_kind(lines in proptest::collection::vec(
        "( {0,14}(- type: MESSAGE|message:|response_message_data:|ANSWER_SECTION:|EDNS:|EDE:|OPT_PSEUDOSECTION:|\
          INFO-CODE: 1|EXTRA-TEXT: \"|- '|'|flags: qr|; x|query_time: !!timestamp 2|[ -~]{0,20}))", 0..40)) {
        let parsed = parse(lines.join("\n").as_bytes(), b"");
        let faults = crate::results::golden::faults(&parsed.structured, crate::results::Format::DigYaml);
        prop_assert_eq!(faults, Vec::<String>::new());
    }
}
