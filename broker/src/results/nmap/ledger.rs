//! What is kept of a scan, what is only counted, and what the counts add up to.
//!
//! Every host, port and script passes here on its way into the report and is weighed, so that one
//! talkative host, or all of them together, can't make the result grow without end. It reads no XML.
//!
//! Invariants: the report's weight stays below [`RESULT_BYTES_MAX`]; what is refused is counted in
//! `omitted`; `up + down + no_answer` equals nmap's own count, where it gives one.

use super::host::Draft;
use super::report::{Port, Report, Script, Totals};
use crate::results::limits::{
    HOSTS_MAX, NO_ANSWER_SHOWN_MAX, PORTS_PER_HOST_MAX, RESULT_BYTES_MAX, SCRIPTS_MAX,
};

/// The report in the making.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) report: Report,
    /// Whether every address was taken for up without asking (`-Pn`).
    assumed_up: bool,
    bytes_left: usize,
    up: u64,
    down: u64,
    silent: u64,
    /// nmap's own numbers, at the end of its output.
    pub(super) reported: Option<Reported>,
}

/// How many hosts nmap says there were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported {
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) total: u64,
}

impl Ledger {
    pub(super) fn new(assumed_up: bool) -> Self {
        Self {
            report: Report::default(),
            assumed_up,
            bytes_left: RESULT_BYTES_MAX,
            up: 0,
            down: 0,
            silent: 0,
            reported: None,
        }
    }

    /// Notes the first thing that is wrong with the document.
    pub(super) fn fault(&mut self, what: &str) {
        let error = &mut self.report.parse_error;
        error.get_or_insert_with(|| what.to_owned());
    }

    /// A port that was read to its end, or as far as the output goes.
    pub(super) fn port(&mut self, draft: &mut Draft, port: Port) {
        if port.state.is_empty() {
            return;
        }
        draft.count(&port);
        let room = draft.host.ports.len() < PORTS_PER_HOST_MAX;
        if room && self.charge(port.weight()) {
            draft.host.ports.push(port);
        } else {
            count(&mut self.report.omitted.ports);
        }
    }

    /// A script of a port or a host; without a place it is one of the run's.
    pub(super) fn script(&mut self, place: Option<&mut Vec<Script>>, script: Script) {
        let fits = self.charge(script.weight());
        let list = match place {
            Some(list) => list,
            None => &mut self.report.scripts,
        };
        if fits && list.len() < SCRIPTS_MAX {
            list.push(script);
        } else {
            count(&mut self.report.omitted.scripts);
        }
    }

    /// Files a host: among those that answered, those that did not, or those down.
    pub(super) fn host(&mut self, draft: Draft) {
        if draft.host.address.is_empty() {
            return self.fault("a host has no address");
        }
        if !draft.host.partial {
            let unfinished = &mut self.report.unfinished;
            unfinished.retain(|address| *address != draft.host.address);
        }
        if draft.host.timed_out {
            count(&mut self.report.statistics.hosts_timed_out);
        }
        if draft.host.state == "down" {
            count(&mut self.down);
        } else if draft.is_silent() {
            count(&mut self.silent);
            self.bytes_left = self.bytes_left.saturating_add(draft.ports_weight());
            if self.report.no_answer.len() < NO_ANSWER_SHOWN_MAX {
                let silent = draft.into_silent();
                self.report.no_answer.push(silent);
            }
        } else {
            count(&mut self.up);
            draft.add_to(&mut self.report.statistics);
            let room = self.report.hosts.len() < HOSTS_MAX;
            if room && self.charge(draft.host.weight()) {
                self.report.hosts.push(draft.host);
            } else {
                count(&mut self.report.omitted.hosts);
            }
        }
    }

    /// The report with its totals. `complete` says whether nmap finished its output.
    pub(super) fn finish(mut self, complete: bool) -> Report {
        self.report.truncated = !complete;
        if complete {
            // With `--open`, nmap says nothing of hosts that have nothing open.
            self.report.unfinished.clear();
        }
        let spoken_for = self
            .up
            .saturating_add(self.down)
            .saturating_add(self.silent);
        let reported = self.reported.unwrap_or(Reported {
            up: self.up.saturating_add(self.silent),
            down: self.down,
            total: spoken_for,
        });
        // Of hosts that `--open` left out nothing is known but that `-Pn` called them up.
        let no_answer = if self.assumed_up {
            reported.up.saturating_sub(self.up)
        } else {
            self.silent
        };
        let up = reported.up.saturating_sub(no_answer);
        self.report.statistics.hosts_reported_up = reported.up;
        self.report.totals = Totals {
            up,
            down: reported.down,
            no_answer,
            total: reported.total,
        };
        self.report
    }

    /// Takes `bytes` of what the whole result may weigh, if they are left.
    fn charge(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(self.bytes_left);
        left.is_some()
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
