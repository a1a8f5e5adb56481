//! The reference's cases: each gives the verdict that its author expects.
//!
//! What matters of them, which is calls and verdicts, is kept beside this file.
//! Where the reference itself is present, the two must agree.
//!
//! Invariants: the copy is only read; it changes with the reference.

use std::path::Path;

use sandbox_profiles::vet::vet_argv;
use serde_json::{Value, json};

use crate::bench::{intrusive, nmap, scope, tool};

const CASES: &str = include_str!("reference.jsonl");
const REFERENCE: &str = "../../shared/reference/cases/nmap.jsonl";

fn cases() -> Vec<Value> {
    CASES
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn reference_cases_give_the_expected_verdict() {
    let cases = cases();
    assert!(cases.len() > 500, "the copy is whole");
    let mut wrong = Vec::new();
    for case in cases {
        let allowed = case["allow_intrusive"].as_bool().unwrap();
        let scope = if allowed { intrusive() } else { scope() };
        let target = case["target"].as_str().unwrap();
        let args = case["extra_args"].as_str().unwrap();
        let accept = case["verdict"] == "accept";
        match nmap(&scope, target, args) {
            Ok(run) if accept => {
                if run.unresolved().is_none() {
                    let again = vet_argv(tool("nmap"), &scope, run.argv()).unwrap();
                    assert_eq!(again.argv(), run.argv(), "{}", case["id"]);
                }
            }
            Err(_) if !accept => {}
            Ok(run) => wrong.push(format!("{}: accepted {:?}", case["id"], run.argv())),
            Err(refusal) => wrong.push(format!("{}: {refusal}", case["id"])),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} verdicts differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Nothing to compare with is no failure: the copy is what this project holds to.
#[test]
fn the_copy_says_what_the_reference_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(REFERENCE);
    let Ok(text) = std::fs::read_to_string(&path) else {
        return;
    };
    let reference: Vec<Value> = text
        .lines()
        .map(|line| {
            let case: Value = serde_json::from_str(line).unwrap();
            json!({
                "id": case["id"],
                "target": case["target"],
                "extra_args": case["extra_args"],
                "allow_intrusive": case["allow_intrusive"],
                "verdict": case["expected"]["verdict"],
            })
        })
        .collect();
    assert!(
        cases() == reference,
        "reference.jsonl is not what the reference has"
    );
}
