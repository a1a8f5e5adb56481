//! How a lab's client turns names into addresses: its name server, its files.
//!
//! What it is not: the machine's own resolver configuration; the files are
//! mounted in the client's namespace and gone with it.
//!
//! Invariants: name servers stand on the lab's own network.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use crate::identity::Identity;
use crate::lab::{Host, Lab};
use crate::running::{Running, run};
use crate::wait;

/// Longest wait for a name server to answer.
const READY: Duration = Duration::from_secs(10);

/// The host on which a test puts a name server of its own.
pub const SERVER: Host = Host::Bare;

/// Writes the client's resolver configuration: that server, and further lines
/// such as `search corp.example`.
///
/// # Errors
///
/// When it can't be written.
pub fn resolve_by(lab: &Lab, server: Ipv4Addr, further: &str) -> Result<()> {
    // The lab mounted this file over the client's /etc/resolv.conf.
    let text = format!("nameserver {server}\n{further}\n");
    fs::write(lab.dir().join("resolv.conf"), text)?;
    Ok(())
}

/// Gives the client a hosts file.
///
/// # Errors
///
/// When it can't be written or mounted.
pub fn hosts_file(lab: &Lab, text: &str) -> Result<()> {
    let file = lab.file("hosts", text)?;
    let mount = format!("mount --bind {} /etc/hosts", file.display());
    lab.client().script(&mount)
}

/// Starts dnsmasq on [`SERVER`] with these options, one a word, as the authority
/// for `internal` and `example`, and makes it the client's name server. It must know
/// `ready.lab.internal`.
///
/// # Errors
///
/// When it can't be started or doesn't answer in time.
pub fn zone(lab: &Lab, options: &[String]) -> Result<Running> {
    let mut command = lab.host(SERVER)?.command(Identity::Root, "dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null"]);
    command.args(["--no-resolv", "--no-hosts", "--user=root", "--group=root"]);
    command.args(["--local=/example/"]);
    command.args(["--pid-file=", "--log-facility=-", "--local=/internal/"]);
    let server = Running::start(command.args(options))?;
    resolve_by(lab, SERVER.addr(), "")?;
    wait::until_true("the name server", READY, || {
        let mut getent = lab.client().command(Identity::Root, "getent");
        let asked = run(getent.args(["ahostsv4", "ready.lab.internal"]), READY);
        asked.is_ok_and(|ended| ended.code == 0)
    })?;
    Ok(server)
}
