//! `mantlet doctor`: what works on this machine, what doesn't, and why.
//!
//! What it is: findings, each with what to do; asked of the executor itself,
//! since only it knows what it holds and what it found.
//! What it is not: a repair.
//!
//! Invariants: it ends with 0 only if nothing is broken; a warning is something
//! that works less far than it could.

use std::path::Path;

use protocol::event::Inventory;
use serde_json::json;

use super::start::{Logs, Ready, ready, runtime};
use super::{Exit, JsonFlag, print};
use crate::executor::Inspected;
use crate::identity;

/// How a finding bears on the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    Limited,
    Broken,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Limited => "limited",
            Self::Broken => "broken",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    level: Level,
    what: String,
    remedy: String,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self {
            level: Level::Good,
            what: what.into(),
            remedy: String::new(),
        }
    }

    fn limited(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Limited,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    fn broken(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Broken,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Runs the command.
pub fn command(config: Option<&Path>, flag: &JsonFlag) -> Exit {
    match examine(config) {
        Ok(findings) => report(&findings, flag.json),
        Err(exit) => exit,
    }
}

fn report(findings: &[Finding], as_json: bool) -> Exit {
    if as_json {
        let rows: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({ "level": finding.level.as_str(), "what": finding.what, "remedy": finding.remedy })
            })
            .collect();
        print(&format!("{:#}\n", json!({ "findings": rows })));
    } else {
        for finding in findings {
            print(&format!("{:<8} {}\n", finding.level.as_str(), finding.what));
            if !finding.remedy.is_empty() {
                print(&format!("         -> {}\n", finding.remedy));
            }
        }
    }
    let broken = findings
        .iter()
        .any(|finding| finding.level == Level::Broken);
    if broken { Exit::Failed } else { Exit::Done }
}

fn examine(config: Option<&Path>) -> Result<Vec<Finding>, Exit> {
    let ready = ready(config, Logs::Person)?;
    let mut findings = vec![match &ready.settings.file {
        Some(file) => Finding::good(format!("configuration read from {}", file.display())),
        None => Finding::good("no configuration file; built-in values are in effect"),
    }];
    for error in &ready.profile_errors {
        findings.push(Finding::broken(
            error.clone(),
            "correct the profile, then run `mantlet check`",
        ));
    }
    findings.push(privileges());
    let runtime = runtime()?;
    runtime.block_on(ask(ready, &mut findings))?;
    runtime.shutdown_background();
    Ok(findings)
}

fn privileges() -> Finding {
    match identity::capabilities_held() {
        Ok(held) if held.is_empty() => Finding::good("the broker holds no capability"),
        Ok(held) => Finding::broken(
            format!("the broker holds {}", held.join(", ")),
            "start it as an ordinary user",
        ),
        Err(error) => Finding::broken(error, "is /proc mounted?"),
    }
}

async fn ask(ready: Ready, findings: &mut Vec<Finding>) -> Result<(), Exit> {
    let (profiles, scope) = (ready.profiles.digest(), ready.settings.scope.digest());
    let engine = ready.engine()?;
    let executor = engine.executor();
    match executor.inspect().await {
        Ok(Inspected { welcome, inventory }) => {
            let same = welcome.profiles_digest == profiles && welcome.scope_digest == scope;
            findings.push(Finding::good(format!(
                "{} executor {} answers at {}",
                executor.mode(),
                welcome.version,
                executor.socket().display()
            )));
            findings.push(if same {
                Finding::good("broker and executor have the same profiles and scope")
            } else {
                let what = "broker and executor differ in profiles or scope; the executor's decide";
                let remedy = "`mantlet check` shows each difference; make the files agree and \
                     restart the executor";
                Finding::limited(what, remedy)
            });
            tell(&inventory, engine.policy().profiles(), findings);
        }
        Err(error) => findings.push(Finding::broken(error.message, error.recovery_suggestion)),
    }
    engine.stop().await;
    Ok(())
}

fn tell(
    inventory: &Inventory,
    profiles: &sandbox_profiles::ProfileSet,
    findings: &mut Vec<Finding>,
) {
    findings.push(Finding::good(format!(
        "kernel {}, Landlock ABI {}, tools run as uid {}",
        inventory.kernel, inventory.landlock_abi, inventory.uid
    )));
    findings.push(Finding::limited(
        format!(
            "egress mode {}: addresses are confined by vetting argv, not by the kernel",
            inventory.egress
        ),
        "run the executor where only the lab can be reached, or add a firewall rule for its user",
    ));
    let raw = inventory
        .capabilities
        .iter()
        .any(|name| name == "CAP_NET_RAW");
    findings.push(if raw {
        Finding::good("CAP_NET_RAW is held: SYN, UDP and OS scans and traceroute's TCP method work")
    } else {
        let what = "CAP_NET_RAW is not held: SYN, UDP and OS scans and traceroute's TCP method are \
                    refused; connect scans and traceroute's UDP method work";
        Finding::limited(
            what,
            "install the system executor and set executor.mode = \"system\"",
        )
    });
    findings.push(if inventory.icmp_sockets {
        Finding::good("ICMP datagram sockets are open to the executor: ping works without CAP_NET_RAW")
    } else if raw {
        Finding::good("ICMP datagram sockets are closed; CAP_NET_RAW stands in for them")
    } else {
        Finding::limited(
            "ICMP datagram sockets are closed to the executor: ping is refused",
            "sysctl -w net.ipv4.ping_group_range='0 2147483647', or run the system executor with CAP_NET_RAW",
        )
    });
    for tool in &inventory.tools {
        let package = profiles
            .get(&tool.name)
            .map_or("", |profile| profile.package.as_str());
        findings.push(if tool.problem.is_empty() {
            Finding::good(format!("{} {} ({})", tool.name, tool.version, tool.path))
        } else {
            // A tool that has said its version is there; what it lacks is said with its problem.
            let remedy = if tool.version.is_empty() {
                format!("apt-get install {package}, then restart the executor")
            } else {
                "then restart the executor".to_owned()
            };
            Finding::limited(format!("{} can't run: {}", tool.name, tool.problem), remedy)
        });
    }
}
