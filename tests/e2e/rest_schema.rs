//! The API held against its own description, by schemathesis.
//!
//! What it is not: written by hand; schemathesis makes the requests from
//! `/openapi.json`.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::Lab;
use harness::http_service::Prepared;
use harness::identity::Identity;
use harness::python_client::installed;
use harness::running::run;

/// Longest run of schemathesis.
const BOUND: Duration = Duration::from_mins(4);

#[test]
fn the_service_answers_as_its_description_says() -> Result<()> {
    let Some(schemathesis) = installed("schemathesis", "bin/schemathesis")? else {
        return Ok(());
    };
    // A network without any other host: what is generated goes nowhere.
    let Some(lab) = Lab::start(&[])? else {
        return Ok(());
    };
    let service = Prepared::inside(&lab)?.start("")?;
    let admin = format!("Authorization: Bearer {}", service.admin()?);
    let mut command = lab.client().command(Identity::Root, schemathesis);
    command
        .arg("run")
        .arg(format!("{}/openapi.json", service.url));
    command.args(["--header", &admin, "--no-color", "--warnings", "off"]);
    // It never ends, by design; `observe` reads it.
    command.args(["--exclude-path", "/events"]);
    // A call may fit its schema and still break a rule: that is what vetting is for.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    command.args([
        "--max-examples",
        "15",
        "--max-time",
        "90",
        "--continue-on-failure",
    ]);
    command.args(["--generation-database", "none", "--request-timeout", "20"]);
    command.current_dir(service.place.dir());
    let ended = run(&mut command, BOUND)?;
    ensure!(ended.code == 0, "{}\n{}", ended.stdout, ended.stderr);
    ensure!(ended.stdout.contains("passed"), "{}", ended.stdout);
    // It was not ended by a handler that broke.
    ensure!(!service.log().contains("panicked"), "{}", service.log());
    service.curl(None, &[], "/livez")?.expect(200)?;
    Ok(())
}
