//! A filter's rules in words, for those who read what a run may do.
//!
//! What it is: made from the rules that the filter is compiled from, and from the
//! lists that its argument checks compare with.
//! What it is not: a rule.
//!
//! Invariants: every call that the filter gives a verdict of its own has a row.

use std::fmt::LowerHex;

use sandbox_profiles::sandbox::Sandbox;
use sandbox_profiles::syscalls;

use super::{
    Check, FCNTL_REFUSED, FilterError, IOCTL_REFUSED, PRCTL_ALLOWED, Rule, SOCKOPT_REFUSED,
    SOCKOPT_REFUSED_RAW, Verdict, X32, numbers, rules, threads_only,
};

/// Each call that has a verdict of its own with that verdict, and last what all
/// others get.
///
/// # Errors
///
/// As [`super::Filter::new`].
pub(crate) fn verdicts(
    sandbox: &Sandbox,
    is_raw: bool,
) -> Result<Vec<(String, String)>, FilterError> {
    let row = |(number, rule): (u32, Rule)| {
        let call = match i32::try_from(number) {
            Ok(number) if number.cast_unsigned() < X32 => numbers::name(number),
            Ok(_) | Err(_) => "x32 and negative numbers".to_owned(),
        };
        let verdict = match rule {
            Rule::Verdict(verdict) => verdict_in_words(verdict),
            Rule::Checked(check) => check_in_words(check, sandbox, is_raw),
        };
        (call, verdict)
    };
    let mut rows: Vec<_> = rules(sandbox)?.into_iter().map(row).collect();
    rows.push(("any other".to_owned(), verdict_in_words(Verdict::Announce)));
    Ok(rows)
}

/// Whether a profile lists a call whose arguments are not checked.
pub(crate) fn allows(sandbox: &Sandbox, call: &str) -> bool {
    let number = numbers::number(call);
    let rule = number.and_then(|number| rules(sandbox).ok()?.remove(&number));
    rule == Some(Rule::Verdict(Verdict::Allow))
}

/// Why a call that no profile lists has a verdict.
pub(crate) fn reason(call: &str) -> Option<&'static str> {
    let contained = syscalls::contained().find(|(name, ..)| *name == call);
    match call {
        "execveat" => Some("the start of the tool itself"),
        _ => contained.map(|(_, _, reason)| reason),
    }
}

fn verdict_in_words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Allow => "allowed".to_owned(),
        Verdict::Errno(number) => nix::errno::Errno::from_raw(number.into()).to_string(),
        Verdict::Announce => "named, and kills the tool".to_owned(),
        Verdict::Kill => "kills the tool".to_owned(),
    }
}

fn check_in_words(check: Check, sandbox: &Sandbox, is_raw: bool) -> String {
    let but = |what: &str, list: String| format!("allowed, but not {what} {list}");
    match check {
        Check::Socket => "allowed for the sockets above; else EAFNOSUPPORT".to_owned(),
        Check::SocketPair => "allowed for Unix sockets".to_owned(),
        Check::Send(_) => "allowed without MSG_FASTOPEN".to_owned(),
        Check::Clone if threads_only(sandbox) => "allowed for threads".to_owned(),
        Check::Clone => "allowed without new namespaces".to_owned(),
        Check::Ioctl => but("requests", numbers_of(IOCTL_REFUSED)),
        Check::Fcntl => but("commands", numbers_of(FCNTL_REFUSED)),
        Check::Prctl => format!("allowed for options {}", numbers_of(PRCTL_ALLOWED)),
        Check::SetSockOpt => {
            let raw = SOCKOPT_REFUSED_RAW.iter().filter(|_| is_raw);
            let refused = SOCKOPT_REFUSED.iter().chain(raw);
            let pairs: Vec<_> = refused
                .map(|(level, name)| format!("{level}/{name}"))
                .collect();
            but("level/option", pairs.join(" ")) + " (EPERM)"
        }
        Check::Protection => "allowed, but not writable and executable at once (EACCES)".to_owned(),
        Check::PrLimit => "allowed to read its own limits; else EPERM".to_owned(),
        Check::Kill => "allowed for single processes, not for groups".to_owned(),
        Check::ExecveAt => {
            "allowed for one descriptor and argument array of the executor's".to_owned()
        }
    }
}

fn numbers_of(list: &[impl LowerHex]) -> String {
    let numbers: Vec<_> = list.iter().map(|number| format!("{number:#x}")).collect();
    numbers.join(" ")
}
