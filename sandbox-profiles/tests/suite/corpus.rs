//! The reference corpus: every case gives the verdict that its author expects.
//!
//! The corpus lies outside this repository and is read where it is present; the
//! rules behind it are held by the tables of the other modules too.

#![expect(clippy::print_stdout, reason = "a check that cannot run says so")]

use std::path::Path;

use sandbox_profiles::vet::vet_argv;

use crate::bench::{intrusive, nmap, scope, tool};

const CORPUS: &str = "../../shared/reference/cases/nmap.jsonl";

#[test]
fn reference_cases_give_the_expected_verdict() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CORPUS);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIP the reference corpus is not present");
        return;
    };
    let mut wrong = Vec::new();
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let allowed = case["allow_intrusive"].as_bool().unwrap();
        let scope = if allowed { intrusive() } else { scope() };
        let target = case["target"].as_str().unwrap();
        let args = case["extra_args"].as_str().unwrap();
        let accept = case["expected"]["verdict"] == "accept";
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
    assert!(text.lines().count() > 500, "the corpus is whole");
    assert!(
        wrong.is_empty(),
        "{} verdicts differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
