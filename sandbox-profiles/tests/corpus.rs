//! The reference corpus: every case gives the verdict that its author expects.
//!
//! The corpus lies outside this repository and is read where it is present; the
//! rules behind it are also held by the tables in `verdicts.rs`.

#![expect(clippy::print_stdout, reason = "a check that cannot run says so")]

use std::path::Path;

use sandbox_profiles::load;
use sandbox_profiles::scope::{Scope, ScopeConfig};
use sandbox_profiles::vet::{Arguments, Call, vet, vet_argv};

const CORPUS: &str = "../../shared/reference/cases/nmap.jsonl";

#[test]
fn reference_cases_give_the_expected_verdict() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CORPUS);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIP the reference corpus is not present");
        return;
    };
    let tools = load::built_in().unwrap();
    let nmap = tools.get("nmap").unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        count += 1;
        let config = ScopeConfig {
            allow_intrusive: case["allow_intrusive"].as_bool().unwrap(),
            ..ScopeConfig::default()
        };
        let scope = Scope::new(&config).unwrap();
        let call = Call {
            target: case["target"].as_str().unwrap().to_owned(),
            arguments: Arguments::Text(case["extra_args"].as_str().unwrap().to_owned()),
            ..Call::default()
        };
        let accept = case["expected"]["verdict"] == "accept";
        match vet(nmap, &scope, &call) {
            Ok(run) if accept => {
                if run.unresolved().is_none() {
                    assert_eq!(
                        vet_argv(nmap, &scope, run.argv()).unwrap().argv(),
                        run.argv()
                    );
                }
            }
            Err(_) if !accept => {}
            Ok(run) => wrong.push(format!("{}: accepted {:?}", case["id"], run.argv())),
            Err(refusal) => wrong.push(format!("{}: {refusal}", case["id"])),
        }
    }
    assert!(count > 500, "the corpus is whole");
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
