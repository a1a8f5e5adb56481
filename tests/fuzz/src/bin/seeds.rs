//! Writes seeds and dictionaries, and checks the corpus.
//!
//! Usage: `seeds corpus DIR [CASES]`, `seeds dictionaries DIR`, `seeds check DIR`,
//! where DIR holds (or gets) one folder a target, or the dictionaries.
//!
//! What it is not: a fuzz target, though it is linked like one: its crates are
//! instrumented as those of the targets are, which spares a second build.

use std::fs;
use std::path::Path;

use mantlet_fuzz::{dictionary, seeds, targets};

// Brings the instrumentation's run time along; never called.
libfuzzer_sys::fuzz_target!(|_bytes: &[u8]| {});

type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["corpus", dir] => corpus(Path::new(dir), ""),
        ["corpus", dir, cases] => corpus(Path::new(dir), &fs::read_to_string(cases)?),
        ["dictionaries", dir] => dictionaries(Path::new(dir)),
        ["check", dir] => check(Path::new(dir)),
        _ => Err("usage: seeds corpus DIR [CASES] | dictionaries DIR | check DIR".into()),
    }
}

fn corpus(dir: &Path, cases: &str) -> Done {
    let all = [
        ("vet", seeds::of_vet(cases)),
        ("vet_argv", seeds::of_vet_argv()),
        ("profile", seeds::of_profile()),
        ("frame", seeds::of_frame()),
    ];
    for (target, seeds) in all {
        let dir = dir.join(target);
        fs::create_dir_all(&dir)?;
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(dir.join(format!("{index:05}")), seed)?;
        }
    }
    Ok(())
}

fn dictionaries(dir: &Path) -> Done {
    fs::create_dir_all(dir)?;
    for target in ["vet", "vet_argv"] {
        fs::write(dir.join(format!("{target}.dict")), dictionary::of_calls())?;
    }
    fs::write(dir.join("profile.dict"), dictionary::of_profiles())?;
    Ok(())
}

/// Each tool must have seeds of either verdict, what edits begin with must load, and
/// no seed may break a promise.
fn check(dir: &Path) -> Done {
    seeds::whole_profiles_load()?;
    // All of them, also those that a reduced corpus can do without: they cover no
    // other code, and still say something else.
    for seed in seeds::of_vet("") {
        targets::vet(&seed);
    }
    for seed in seeds::of_vet_argv() {
        targets::vet_argv(&seed);
    }
    for (target, is_argv) in [("vet", false), ("vet_argv", true)] {
        let mut seeds = Vec::new();
        for entry in fs::read_dir(dir.join(target))? {
            seeds.push(fs::read(entry?.path())?);
        }
        for (tool, accepted, refused) in seeds::verdicts(is_argv, &seeds) {
            if accepted == 0 || refused == 0 {
                let what =
                    format!("{target}: {tool} has {accepted} accepted and {refused} refused seeds");
                return Err(format!("{what}; make new ones: make fuzz-corpus").into());
            }
        }
    }
    Ok(())
}
