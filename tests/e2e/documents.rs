//! The shell examples of the documents, run as they stand there.
//!
//! What it is not: their wording; `tidy` looks at that.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::Lab;
use harness::config;
use harness::http_service::Prepared;
use harness::lab::Host;
use harness::running::run;

const BOUND: Duration = Duration::from_mins(2);
/// The documents, with how many examples each has at least.
const DOCUMENTS: [(&str, &str, usize); 2] = [
    ("README.md", include_str!("../../README.md"), 1),
    ("OPERATING.md", include_str!("../../docs/OPERATING.md"), 2),
];

/// The shell examples that talk to the service.
fn examples(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    blocks.filter(|block| block.contains("curl "))
}

#[test]
fn the_examples_that_call_the_service_work_as_written() -> Result<()> {
    let Some(lab) = Lab::start(&[Host::Web])? else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let dir = service.place.dir().to_owned();
    let file = dir.join("examples.toml");
    fs::write(&file, config::embedded(&lab.binaries().executor, ""))?;
    // The program by its name, as after an installation.
    let program = dir.join("mantlet");
    let script = format!(
        "#!/bin/sh\nSTATE_DIRECTORY={} exec {} --config {} \"$@\"\n",
        service.place.state().display(),
        lab.binaries().mantlet.display(),
        file.display()
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    for (name, text, least) in DOCUMENTS {
        let mut count = 0;
        for example in examples(text) {
            let here = example
                .replace("http://127.0.0.1:8080", &service.url)
                .replace("192.168.1.10", "10.66.0.10");
            let path = format!("PATH={}:$PATH\n", dir.display());
            let mut shell = service.place.command("sh");
            shell.args(["-euc", &(path + &here)]);
            let ended = run(&mut shell, BOUND)?;
            ensure!(ended.code == 0, "{name}: {example}\n{ended:?}");
            ensure!(!ended.stdout.contains("problem"), "{name}: {ended:?}");
            ensure!(ended.stdout.contains('{'), "{name}: {ended:?}");
            count += 1;
        }
        ensure!(count >= least, "{name} has {count} examples");
    }
    Ok(())
}
