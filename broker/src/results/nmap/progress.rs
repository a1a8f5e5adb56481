//! Progress of a scan in percent, from nmap's own task progress.
//!
//! nmap counts each task from nought again: a ping scan of everything, then for one group of hosts
//! after the other a port scan, service scan, scripts. Here the tasks are weighed by what the
//! arguments ask for, and groups by the hosts they are likely to hold. It estimates; it never claims
//! the end, which is the run's to tell.
//!
//! Invariants: each progress handed out is greater than the one before and lies below 100.

use crate::results::neutralise::line;
use crate::results::xml::Tag;
use crate::results::{Expect, Progress};
use std::time::Duration;

/// The phases of a scan, in nmap's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Discovery,
    Names,
    Ports,
    Udp,
    Service,
    System,
    Trace,
    Scripts,
}

/// Phases that are done once for each group of hosts, with what they weigh when they apply.
const GROUP_PHASES: &[(Phase, f64)] = &[
    (Phase::Names, 2.0),
    (Phase::Ports, 40.0),
    (Phase::Udp, 60.0),
    (Phase::Service, 25.0),
    (Phase::System, 8.0),
    (Phase::Trace, 4.0),
    (Phase::Scripts, 20.0),
];

/// Hosts that nmap scans together, unless told otherwise.
const GROUP_HOSTS: f64 = 64.0;

/// Step below which a growth is not worth telling, in percent.
const STEP: f64 = 0.1;

/// The greatest percentage that is told while the scan runs.
const CEILING: f64 = 99.0;

/// Turns nmap's task elements into progress.
#[derive(Debug)]
pub(super) struct Tracker {
    plan: Plan,
    phase: Phase,
    /// How much of the current phase is done, from 0 to 1.
    done: f64,
    /// Groups of hosts that are finished.
    groups: i32,
    hosts_finished: f64,
    hosts_finished_before: f64,
    hosts_hinted: f64,
    told: f64,
    news: Option<Progress>,
}

/// What the arguments ask for.
#[derive(Debug)]
struct Plan {
    /// Addresses to be scanned, if known.
    addresses: Option<f64>,
    /// Whether every address is scanned without asking first.
    assumed_up: bool,
    /// Hosts of one group at most.
    group_hosts: f64,
    /// Weight of the discovery, which comes once.
    discovery: f64,
    /// The phases of each group.
    phases: Vec<(Phase, f64)>,
}

impl Plan {
    fn new(expect: &Expect) -> Self {
        let has = |flag: &str| expect.argv.iter().any(|arg| arg == flag);
        let begins = |flag: &str| expect.argv.iter().any(|arg| arg.starts_with(flag));
        let value = |flag: &str| {
            let at = expect.argv.iter().position(|arg| arg == flag)?;
            expect.argv.get(at.checked_add(1)?)?.parse::<f64>().ok()
        };
        let assumed_up = has("-Pn");
        let discovery_only = has("-sn");
        let scripts = has("-sC") || begins("--script") || has("-A") || has("-sV");
        let applies = |phase: Phase| match phase {
            Phase::Discovery => false,
            Phase::Names => !has("-n"),
            // A scan without a scan type is a scan of TCP ports.
            Phase::Ports => !discovery_only && (!has("-sU") || begins("-sS") || has("-sT")),
            Phase::Udp => has("-sU"),
            Phase::Service => has("-sV") || has("-A"),
            Phase::System => has("-O") || has("-A"),
            Phase::Trace => has("--traceroute") || has("-A"),
            Phase::Scripts => scripts,
        };
        let addresses = expect.addresses.and_then(|count| u32::try_from(count).ok());
        let addresses = addresses.map(f64::from);
        let discovery = match addresses {
            _ if assumed_up => 0.0,
            // Addresses that nobody has are waited for one by one.
            Some(count) if count > 16.0 => 60.0,
            Some(_) | None => 10.0,
        };
        Self {
            addresses,
            assumed_up,
            group_hosts: value("--max-hostgroup")
                .unwrap_or(GROUP_HOSTS)
                .clamp(1.0, GROUP_HOSTS),
            discovery,
            phases: GROUP_PHASES
                .iter()
                .copied()
                .filter(|(phase, _)| applies(*phase))
                .collect(),
        }
    }

    fn group_weight(&self) -> f64 {
        self.phases.iter().map(|(_, weight)| weight).sum()
    }
}

impl Tracker {
    pub(super) fn new(expect: &Expect) -> Self {
        Self {
            plan: Plan::new(expect),
            phase: Phase::Discovery,
            done: 0.0,
            groups: 0,
            hosts_finished: 0.0,
            hosts_finished_before: 0.0,
            hosts_hinted: 0.0,
            told: 0.0,
            news: None,
        }
    }

    /// What is new since the last time it was asked for.
    pub(super) fn take(&mut self) -> Option<Progress> {
        self.news.take()
    }

    /// A host came up in discovery.
    pub(super) fn host_hinted(&mut self) {
        self.hosts_hinted += 1.0;
    }

    /// A host was printed; nmap does so for a whole group at once.
    pub(super) fn host_finished(&mut self, scanned: bool) {
        if scanned {
            self.hosts_finished += 1.0;
        }
    }

    /// A `taskbegin`, `taskprogress` or `taskend` element.
    pub(super) fn task(&mut self, tag: &Tag<'_>) {
        let Some(task) = tag.get("task") else { return };
        let Some(phase) = self.phase_of(&task) else {
            return;
        };
        if phase < self.phase || (self.hosts_finished > self.hosts_finished_before) {
            self.groups = self.groups.saturating_add(1);
            self.hosts_finished_before = self.hosts_finished;
            self.done = 0.0;
        } else if phase > self.phase {
            self.done = 0.0;
        }
        self.phase = phase;
        let percent = match tag.name {
            "taskprogress" => tag.number::<f64>("percent").filter(|p| p.is_finite()),
            "taskend" => Some(100.0),
            _ => None,
        };
        // Scripts run in levels, each from nought again.
        self.done = self
            .done
            .max((percent.unwrap_or(0.0) / 100.0).clamp(0.0, 1.0));
        self.tell(&task, tag.number("remaining"));
    }

    fn phase_of(&self, task: &str) -> Option<Phase> {
        match task {
            // Scripts that run before the scan have no hosts yet.
            "NSE" | "Script Scan" if self.before_ports() => None,
            "NSE" | "Script Scan" => Some(Phase::Scripts),
            "UDP Scan" => Some(Phase::Udp),
            "Service scan" => Some(Phase::Service),
            "Traceroute" => Some(Phase::Trace),
            _ if task.ends_with("Ping Scan") => Some(Phase::Discovery),
            _ if task.contains("DNS resolution") => Some(Phase::Names),
            _ if task.starts_with("OS detection") => Some(Phase::System),
            _ if task.ends_with("Scan") || task.ends_with("scan") => Some(Phase::Ports),
            _ => None,
        }
    }

    fn before_ports(&self) -> bool {
        let scans = self
            .plan
            .phases
            .iter()
            .any(|(p, _)| matches!(p, Phase::Ports | Phase::Udp));
        scans && self.phase < Phase::Ports
    }

    fn tell(&mut self, task: &str, remaining_s: Option<u64>) {
        let percent = self.percent().min(CEILING);
        if percent >= self.told + STEP {
            self.told = percent;
            self.news = Some(Progress {
                percent,
                task: Some(line(task, 80)),
                remaining: remaining_s.map(Duration::from_secs),
            });
        }
    }

    fn percent(&self) -> f64 {
        let group_weight = self.plan.group_weight();
        let all = self.plan.discovery + group_weight;
        let sum = if self.phase == Phase::Discovery && self.groups == 0 {
            self.plan.discovery * self.done
        } else {
            self.plan.discovery + group_weight * self.groups_done()
        };
        if all > 0.0 {
            (sum / all * 1000.0).round() / 10.0
        } else {
            self.done * 100.0
        }
    }

    /// How much of all groups is done, from 0 to 1.
    fn groups_done(&self) -> f64 {
        let hosts = match self.plan.addresses.filter(|_| self.plan.assumed_up) {
            Some(addresses) => addresses,
            None => self.hosts_hinted,
        };
        let group = self.group_done();
        if hosts >= 1.0 {
            let in_group = self
                .plan
                .group_hosts
                .min((hosts - self.hosts_finished).max(0.0));
            ((self.hosts_finished + group * in_group) / hosts).clamp(0.0, 1.0)
        } else {
            // Nobody knows how many groups there will be: the first is likely to be the last.
            1.0 - 0.1_f64.powi(self.groups) * (1.0 - 0.9 * group)
        }
    }

    /// How much of the current group is done, from 0 to 1.
    fn group_done(&self) -> f64 {
        let weight: f64 = self.plan.group_weight();
        let before = self
            .plan
            .phases
            .iter()
            .filter(|(phase, _)| *phase < self.phase);
        let before: f64 = before.map(|(_, weight)| weight).sum();
        let current = self
            .plan
            .phases
            .iter()
            .find(|(phase, _)| *phase == self.phase);
        let current = current.map_or(0.0, |(_, weight)| weight * self.done);
        if weight > 0.0 {
            ((before + current) / weight).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::results::Expect;
    use crate::results::nmap::NmapParser;
    use std::time::Duration;

    fn parser(argv: &str, addresses: u64) -> NmapParser {
        let argv = argv.split(' ').map(str::to_owned).collect();
        NmapParser::new(&Expect {
            argv,
            addresses: Some(addresses),
            ..Expect::default()
        })
    }

    #[test]
    fn progress_grows_through_phases_and_groups() {
        let task = |task: &str, percent: &str| {
            format!("<taskprogress task='{task}' percent='{percent}'/>")
        };
        let host = "<host><status state='up'/><address addr='10.0.0.1'/></host>";
        let group = |count: usize| host.repeat(count);
        let cases: &[(&str, &[String], &[f64], &str)] = &[
            (
                "nmap -n -sV",
                &[
                    task("Ping Scan", "50"),
                    task("Connect Scan", "0"),
                    task("Connect Scan", "50"),
                    task("Connect Scan", "10"),
                    task("Service scan", "50"),
                    task("NSE", "100"),
                ],
                // Discovery weighs 60, ports 40, services 25, scripts 20, and one group is 90 % of all.
                &[20.7, 41.4, 53.8, 74.0, 94.1],
                "the phases of one group; a fall is not told",
            ),
            (
                "nmap -n -Pn",
                &[
                    task("Connect Scan", "100"),
                    group(64),
                    task("Connect Scan", "50"),
                    group(192),
                ],
                &[25.0, 37.5],
                "groups of an assumed network",
            ),
            (
                "nmap -n -sn",
                &[
                    task("Ping Scan", "30"),
                    task("Ping Scan", "NaN"),
                    task("Ping Scan", "1e9"),
                ],
                &[30.0, 99.0],
                "discovery only; nonsense is bounded",
            ),
            (
                "nmap -n -Pn --script safe",
                &[task("NSE", "90"), task("Connect Scan", "50")],
                &[8.3],
                "scripts before the scan are no progress",
            ),
            (
                "nmap -n -Pn",
                &[task("Weird", "50"), task("", "1")],
                &[],
                "unknown tasks",
            ),
        ];
        for (argv, pieces, expected, why) in cases {
            let mut parser = parser(argv, 256);
            parser.push(b"<nmaprun>");
            let told: Vec<f64> = pieces
                .iter()
                .filter_map(|piece| parser.push(piece.as_bytes()))
                .map(|progress| progress.percent)
                .collect();
            assert_eq!(told, *expected, "{why}");
        }
    }

    #[test]
    fn progress_names_the_task_and_what_it_still_needs() {
        let mut parser = parser("nmap -n -Pn", 1);
        let piece = "<taskprogress task='Connect &#x1b;Scan' percent='40' remaining='12'/>";
        let progress = parser.push(format!("<nmaprun>{piece}").as_bytes()).unwrap();
        assert_eq!(progress.task.as_deref(), Some("Connect \\x1bScan"));
        assert_eq!(progress.remaining, Some(Duration::from_secs(12)));
    }
}
