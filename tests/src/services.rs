//! The lab's services: real servers with generated configurations.
//!
//! What it is not: a stand-in. nginx, OpenSSH and dnsmasq answer.
//!
//! Invariants: each server runs in the foreground as one process that dies with
//! the test, and keeps its files in the lab's own directory or in its host's
//! own mount namespace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::identity::Identity;
use crate::namespace::Namespace;
use crate::running::{Running, run};

/// Starts nginx on the given TCP ports.
///
/// # Errors
///
/// When its files can't be written or it can't be started.
pub fn http(host: &Namespace, dir: &Path, ports: &[u16]) -> Result<Running> {
    let dir = dir.join(format!("nginx-{}", host.pid()));
    fs::create_dir(&dir)?;
    let home = dir.display();
    let listen: Vec<String> = ports.iter().map(|port| format!("listen {port};")).collect();
    let temps: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {home}/{kind};"))
        .collect();
    let text = format!(
        "daemon off; master_process off; pid {home}/pid; error_log stderr;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; {}\n\
         server {{ {} location / {{ return 200 \"a lab page\\n\"; }} }} }}\n",
        temps.join(" "),
        listen.join(" ")
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = host.command(Identity::Root, "nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(&file);
    Running::start(command.args(["-e", "stderr"]))
}

/// Starts an OpenSSH server on port 22 that lets nobody in.
///
/// # Errors
///
/// When its host key can't be made or it can't be started.
pub fn ssh(host: &Namespace, dir: &Path) -> Result<Running> {
    let key = dir.join(format!("ssh-{}", host.pid()));
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key);
    run(&mut keygen, Duration::from_secs(10))?.expect_code(0)?;
    let file = key.with_extension("conf");
    let text = format!(
        "Port 22\nHostKey {}\nPidFile none\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPubkeyAuthentication no\n",
        key.display()
    );
    fs::write(&file, text)?;
    // The server insists on this directory; elsewhere its unit makes it.
    host.script("mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd")?;
    let mut command = host.command(Identity::Root, "/usr/sbin/sshd");
    Running::start(command.args(["-D", "-e", "-f"]).arg(&file))
}

/// Starts dnsmasq as the authority for `lab.internal`, with `records` of name
/// and address.
///
/// # Errors
///
/// When its file can't be written or it can't be started.
pub fn dns(host: &Namespace, dir: &Path, records: &[(&str, &str)]) -> Result<Running> {
    let line = |(name, addr): &(&str, &str)| format!("{addr} {name}.lab.internal\n");
    let file = dir.join("lab-hosts");
    fs::write(&file, records.iter().map(line).collect::<String>())?;
    let mut command = host.command(Identity::Root, "dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
    ]);
    command.args(["--no-hosts", "--user=root", "--group=root", "--pid-file="]);
    command.args(["--local=/lab.internal/", "--log-facility=-"]);
    Running::start(command.arg("--addn-hosts").arg(&file))
}
