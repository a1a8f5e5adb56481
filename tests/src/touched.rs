//! Which ports of a host were touched, as its own kernel saw it.
//!
//! What it is not: a trap. It takes note of each packet that asks for a port,
//! whether anything listens there or not.
//!
//! Invariants: it sees every packet that the host is sent from the moment on when
//! it was set.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::identity::Identity;
use crate::namespace::Namespace;
use crate::running::run;

/// Longest time that asking the kernel may take.
const BOUND: Duration = Duration::from_secs(10);

/// Takes note of the ports that the host is asked for, of each protocol.
///
/// # Errors
///
/// When the kernel doesn't take the rules.
pub fn watch(host: &Namespace) -> Result<()> {
    host.script(
        "nft add table inet touched
         nft 'add set inet touched ports { type inet_proto . inet_service; size 65535; flags dynamic; }'
         nft 'add chain inet touched in { type filter hook input priority -10; }'
         nft 'add rule inet touched in ct state new,untracked meta l4proto { tcp, udp, sctp } update @ports { meta l4proto . th dport }'",
    )
}

/// The ports that were asked for since then, each as `tcp 22`.
///
/// # Errors
///
/// When the host isn't watched.
pub fn ports(host: &Namespace) -> Result<BTreeSet<String>> {
    let mut command = host.command(Identity::Root, "nft");
    let ended = run(
        command.args(["list", "set", "inet", "touched", "ports"]),
        BOUND,
    )?
    .expect_code(0)?;
    let Some((_, elements)) = ended.stdout.split_once("elements = {") else {
        return Ok(BTreeSet::new());
    };
    let (elements, _) = elements.split_once('}').context("no end of elements")?;
    let port = |element: &str| element.trim().replace(" . ", " ");
    Ok(elements.split(',').map(port).collect())
}
