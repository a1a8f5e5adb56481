//! Reading nmap's XML: from tags to a report, one host at a time.
//!
//! A walk over the element types of `nmap.dtd` (7.93 and 7.95) with an explicit path. Elements in
//! places where nmap never puts them are passed over, so that text from the network can't be taken
//! for structure. It renders nothing.
//!
//! Invariants: a host enters the report only when its end tag came, or at the end of a cut output,
//! marked partial; strings are neutralised on the way in; what is over a bound is counted.

use super::host::{Draft, attribute, extra_reason, hop, os_guess, read_service, script};
use super::ledger::{Ledger, Reported};
use super::progress::Tracker;
use super::report::{Extra, Port, Report, Scan};
use crate::results::limits::{DEPTH_MAX, HOSTS_MAX, LIST_MAX, STRING_CHARS_MAX};
use crate::results::neutralise::line;
use crate::results::xml::{Fault, Tag, Token};

/// The elements that have a meaning here, by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Run,
    RunStats,
    /// `prescript` or `postscript`.
    RunScripts,
    Hint,
    Host,
    HostNames,
    HostScripts,
    Ports,
    Extra,
    Port,
    Service,
    ServiceCpe,
    Os,
    OsMatch,
    OsClass,
    OsCpe,
    Trace,
    /// Anything else, children included.
    Other,
}

/// Builds a report from tokens.
#[derive(Debug)]
pub(super) struct Reader {
    ledger: Ledger,
    path: Vec<(Element, String)>,
    /// Elements open beyond the depth that is followed.
    too_deep: u64,
    /// Whether the root element was closed.
    closed: bool,
    host: Option<Draft>,
    port: Option<Port>,
    text: String,
}

impl Reader {
    /// A reader that knows whether every address was taken for up without asking (`-Pn`).
    pub(super) fn new(assumed_up: bool) -> Self {
        Self {
            ledger: Ledger::new(assumed_up),
            path: Vec::new(),
            too_deep: 0,
            closed: false,
            host: None,
            port: None,
            text: String::new(),
        }
    }

    /// Takes one token.
    pub(super) fn token(&mut self, token: Token<'_>, progress: &mut Tracker) {
        match token {
            Token::Open(tag) => self.open(&tag, progress),
            Token::Close(name) => self.close_named(name, progress),
            Token::Text(text) => self.characters(text),
            Token::Malformed(Fault::Unfinished) => {}
            Token::Malformed(fault) => self.ledger.fault(fault.as_str()),
        }
    }

    /// The report, with the hosts that were read so far.
    pub(super) fn finish(mut self) -> Report {
        self.close_port();
        if let Some(mut draft) = self.host.take() {
            draft.host.partial = true;
            // Silence so far is no silence yet, so half a host has to have answered.
            if !draft.host.ports.is_empty() && !draft.is_silent() {
                self.ledger.host(draft);
            }
        }
        self.ledger.finish(self.closed)
    }

    fn close_port(&mut self) {
        if let (Some(draft), Some(port)) = (&mut self.host, self.port.take()) {
            self.ledger.port(draft, port);
        }
    }

    fn parent(&self) -> Option<Element> {
        self.path.last().map(|(element, _)| *element)
    }

    fn open(&mut self, tag: &Tag<'_>, progress: &mut Tracker) {
        if self.path.len() >= DEPTH_MAX {
            self.ledger
                .fault("elements are nested deeper than nmap nests them");
            if !tag.empty {
                self.too_deep = self.too_deep.saturating_add(1);
            }
            return;
        }
        let element = match self.parent() {
            None => self.in_document(tag),
            Some(Element::Run) => self.in_run(tag, progress),
            Some(Element::RunStats) => self.in_run_stats(tag),
            Some(Element::RunScripts | Element::HostScripts) => self.in_scripts(tag),
            Some(Element::Hint) => self.in_hint(tag),
            Some(Element::Host) => self.in_host(tag),
            Some(Element::HostNames | Element::Trace) => self.in_host_list(tag),
            Some(Element::Ports) => self.in_ports(tag),
            Some(Element::Extra) => self.in_extra(tag),
            Some(Element::Port) => self.in_port(tag),
            Some(Element::Service | Element::OsClass) => self.cpe(tag),
            Some(Element::Os | Element::OsMatch) => self.in_os(tag),
            Some(Element::ServiceCpe | Element::OsCpe | Element::Other) => Element::Other,
        };
        self.text.clear();
        self.path.push((element, tag.name.to_owned()));
        if tag.empty {
            self.close(progress);
        }
    }

    fn close_named(&mut self, name: &str, progress: &mut Tracker) {
        if self.too_deep > 0 {
            self.too_deep = self.too_deep.saturating_sub(1);
            return;
        }
        if self.path.last().is_some_and(|(_, open)| open == name) {
            return self.close(progress);
        }
        self.ledger
            .fault("an end tag does not match the element that is open");
        // Close as far as the name reaches; a name that is not open closes nothing.
        if self.path.iter().any(|(_, open)| open == name) {
            while self.path.last().is_some_and(|(_, open)| open != name) {
                self.close(progress);
            }
            self.close(progress);
        }
    }

    fn close(&mut self, progress: &mut Tracker) {
        let Some((element, _)) = self.path.pop() else {
            return;
        };
        match element {
            Element::Run => self.closed = true,
            Element::Port => self.close_port(),
            Element::Host => {
                if let Some(draft) = self.host.take() {
                    progress.host_finished(draft.host.state != "down");
                    self.ledger.host(draft);
                }
            }
            Element::ServiceCpe => self.add_cpe(|reader| Some(&mut reader.port.as_mut()?.cpe)),
            Element::OsCpe => {
                self.add_cpe(|reader| {
                    Some(&mut reader.host.as_mut()?.host.os_guess.last_mut()?.cpe)
                });
            }
            Element::RunStats
            | Element::RunScripts
            | Element::Hint
            | Element::HostNames
            | Element::HostScripts
            | Element::Ports
            | Element::Extra
            | Element::Service
            | Element::Os
            | Element::OsMatch
            | Element::OsClass
            | Element::Trace
            | Element::Other => {}
        }
    }

    fn add_cpe(&mut self, list: fn(&mut Self) -> Option<&mut Vec<String>>) {
        let cpe = line(self.text.trim(), STRING_CHARS_MAX);
        if let Some(list) = list(self).filter(|list| !cpe.is_empty() && list.len() < LIST_MAX) {
            list.push(cpe);
        }
    }

    fn characters(&mut self, text: &str) {
        let parent = self.parent();
        if parent.is_none() && !text.trim().is_empty() {
            self.ledger.fault("there is text outside the document");
        }
        let is_cpe = matches!(parent, Some(Element::ServiceCpe | Element::OsCpe));
        if is_cpe && self.text.len() < STRING_CHARS_MAX {
            self.text.push_str(text);
        }
    }

    fn in_document(&mut self, tag: &Tag<'_>) -> Element {
        if tag.name != "nmaprun" || self.closed {
            self.ledger.fault("the document is not one run of nmap");
            return Element::Other;
        }
        self.ledger.report.scanner = attribute(tag, "scanner").unwrap_or_default();
        self.ledger.report.version = attribute(tag, "version").unwrap_or_default();
        let start = tag
            .number("start")
            .and_then(|at| jiff::Timestamp::from_second(at).ok());
        self.ledger.report.start = start.map(|at| at.to_string());
        Element::Run
    }

    fn in_run(&mut self, tag: &Tag<'_>, progress: &mut Tracker) -> Element {
        match tag.name {
            "scaninfo" if self.ledger.report.scans.len() < LIST_MAX => {
                self.ledger.report.scans.push(Scan {
                    kind: attribute(tag, "type").unwrap_or_default(),
                    protocol: attribute(tag, "protocol").unwrap_or_default(),
                    ports: tag.number("numservices").unwrap_or_default(),
                });
                Element::Other
            }
            "taskbegin" | "taskprogress" | "taskend" => {
                progress.task(tag);
                Element::Other
            }
            "host" => {
                self.host = Some(Draft::open(tag));
                Element::Host
            }
            "hosthint" => {
                progress.host_hinted();
                Element::Hint
            }
            "prescript" | "postscript" => Element::RunScripts,
            "runstats" => Element::RunStats,
            _ => Element::Other,
        }
    }

    fn in_run_stats(&mut self, tag: &Tag<'_>) -> Element {
        match tag.name {
            "finished" => {
                self.ledger.report.elapsed = tag.number("elapsed").filter(|s: &f64| s.is_finite());
                self.ledger.report.exit = attribute(tag, "exit");
                self.ledger.report.summary = attribute(tag, "summary");
                self.ledger
                    .report
                    .warnings
                    .extend(attribute(tag, "errormsg"));
            }
            "hosts" => {
                let number = |name| tag.number::<u64>(name).unwrap_or_default();
                let (up, down, total) = (number("up"), number("down"), number("total"));
                self.ledger.reported = Some(Reported { up, down, total });
            }
            _ => {}
        }
        Element::Other
    }

    fn in_hint(&mut self, tag: &Tag<'_>) -> Element {
        if tag.name == "address" && tag.get("addrtype").as_deref() != Some("mac") {
            let hinted =
                attribute(tag, "addr").filter(|_| self.ledger.report.unfinished.len() < HOSTS_MAX);
            self.ledger.report.unfinished.extend(hinted);
        }
        Element::Other
    }

    fn in_host(&mut self, tag: &Tag<'_>) -> Element {
        let Some(draft) = &mut self.host else {
            return Element::Other;
        };
        match tag.name {
            "hostnames" => return Element::HostNames,
            "ports" => return Element::Ports,
            "os" => return Element::Os,
            "hostscript" => return Element::HostScripts,
            "trace" => return Element::Trace,
            _ => draft.detail(tag),
        }
        Element::Other
    }

    fn in_host_list(&mut self, tag: &Tag<'_>) -> Element {
        let Some(draft) = &mut self.host else {
            return Element::Other;
        };
        match tag.name {
            "hostname" => draft.hostname(tag),
            "hop" if draft.host.trace.len() < LIST_MAX => draft.host.trace.extend(hop(tag)),
            _ => {}
        }
        Element::Other
    }

    fn in_ports(&mut self, tag: &Tag<'_>) -> Element {
        match tag.name {
            "port" => {
                // A port without a number cannot be named, so it is not one.
                self.port = tag.number("portid").map(|number| Port {
                    number,
                    protocol: attribute(tag, "protocol").unwrap_or_default(),
                    ..Port::default()
                });
                Element::Port
            }
            "extraports" => {
                let count = tag.number("count").unwrap_or_default();
                let state = attribute(tag, "state").unwrap_or_default();
                if let Some(draft) = &mut self.host {
                    draft.extra(Extra {
                        state,
                        count,
                        reason: String::new(),
                    });
                }
                Element::Extra
            }
            _ => Element::Other,
        }
    }

    fn in_extra(&mut self, tag: &Tag<'_>) -> Element {
        if let (Some(draft), "extrareasons") = (&mut self.host, tag.name) {
            extra_reason(draft, tag);
        }
        Element::Other
    }

    fn in_port(&mut self, tag: &Tag<'_>) -> Element {
        match tag.name {
            "state" => {
                if let (Some(port), Some(draft)) = (&mut self.port, &mut self.host) {
                    port.state = attribute(tag, "state").unwrap_or_default();
                    port.reason = attribute(tag, "reason").unwrap_or_default();
                    draft.evidence(&port.state, &port.reason);
                }
                Element::Other
            }
            "service" => {
                if let Some(port) = &mut self.port {
                    read_service(port, tag);
                }
                Element::Service
            }
            _ => self.in_scripts(tag),
        }
    }

    fn in_scripts(&mut self, tag: &Tag<'_>) -> Element {
        if tag.name == "script" {
            let parent = self.parent();
            let place = if parent == Some(Element::Port) {
                self.port.as_mut().map(|port| &mut port.scripts)
            } else if parent == Some(Element::HostScripts) {
                self.host.as_mut().map(|draft| &mut draft.host.scripts)
            } else {
                None
            };
            self.ledger.script(place, script(tag));
        }
        Element::Other
    }

    fn in_os(&mut self, tag: &Tag<'_>) -> Element {
        match tag.name {
            "osmatch" => {
                let kept = self.host.as_mut().is_some_and(|draft| os_guess(draft, tag));
                if kept {
                    Element::OsMatch
                } else {
                    Element::Other
                }
            }
            "osclass" => Element::OsClass,
            _ => Element::Other,
        }
    }

    fn cpe(&mut self, tag: &Tag<'_>) -> Element {
        match (self.parent(), tag.name) {
            (Some(Element::Service), "cpe") => Element::ServiceCpe,
            (Some(Element::OsClass), "cpe") => Element::OsCpe,
            _ => Element::Other,
        }
    }
}
