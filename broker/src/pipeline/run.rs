//! The run itself: from a vetted argv to what the tool did.
//!
//! What it is: one connection to the executor, its events, and the parser that
//! reads the tool's output while it comes.
//! What it is not: the sandbox or the clock; the executor keeps both. The
//! broker's own bound only catches an executor that has stopped answering.
//!
//! Invariants: memory is bounded by the stream bounds asked for; partial output
//! is kept whatever ended the run; once started, a run yields facts.

use std::time::Duration;

use protocol::event::{Event, Exit, Finished, Receipt, Stream, StreamCount};
use protocol::request::Run;
use sandbox_profiles::Profile;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::breaker::Word;
use super::{Observer, RunEvent, cancelled};
use crate::config::Settings;
use crate::executor::Executor;
use crate::executor_client::Connection;
use crate::hex::hex;
use crate::outcome::{CallError, ErrorType, RunFacts};
use crate::results::{Expect, Format, Parser, Progress, RunEnd, neutralise};

/// How much longer than the run's timeout its end is waited for: the executor's
/// own steps from SIGTERM to SIGKILL to the last byte.
const END_WAIT: Duration = Duration::from_secs(15);
/// How long the end of a cancelled run is waited for.
const CANCEL_WAIT: Duration = Duration::from_secs(5);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// Names the run.
    pub run_id: String,
    /// The tool's profile.
    pub profile: &'a Profile,
    /// The vetted argv.
    pub argv: Vec<String>,
    /// How many addresses it is aimed at, if that is known.
    pub addresses: Option<u64>,
    /// Time until the executor ends it.
    pub timeout: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// What it did, as far as it got.
    pub facts: RunFacts,
    /// Why it failed, if it did.
    pub result: Result<(), CallError>,
    /// What that says of the tool, for its breaker.
    pub word: Word,
}

/// Runs the job to its end.
pub async fn run(
    settings: &Settings,
    executor: &Executor,
    job: Job<'_>,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Ended {
    let mut record = Record::new(settings, &job);
    let request = request(settings, &job, &record);
    let followed = follow(executor, &job, request, &mut record, observer, cancel).await;
    let (finished, failed) = match followed {
        Ok(finished) => (Some(finished), None),
        Err(error) => (None, Some(error)),
    };
    let asked = cancel.is_cancelled();
    let word = match (&finished, &failed) {
        (Some(finished), _) => word(finished),
        (None, Some(error)) => word_of_failure(error),
        (None, None) => Word::Nothing,
    };
    let failed = failed.map(|error| installable(job.profile, error));
    let error = failed.or_else(|| {
        let end = finished.as_ref()?;
        let error = failure(job.profile, end, asked)?;
        Some(cut_short(settings, job.profile, end, error))
    });
    // What never started has nothing to show.
    let facts = if record.receipt.is_some() {
        record.facts(finished)
    } else {
        RunFacts::default()
    };
    Ended {
        facts,
        result: error.map_or(Ok(()), Err),
        word,
    }
}

/// What the executor is asked for. Limits are sent where they were set: the
/// executor takes the lesser of each and its own profile's.
fn request(settings: &Settings, job: &Job<'_>, record: &Record) -> Run {
    Run {
        run_id: job.run_id.clone(),
        tool: job.profile.name.clone(),
        argv: job.argv.clone(),
        timeout_ms: u32::try_from(job.timeout.as_millis()).unwrap_or(u32::MAX),
        stdout_max: record.stdout_max,
        stderr_max: record.stderr_max,
        memory_max: settings.memory_bytes_max,
        files_max: settings.files_max,
    }
}

async fn follow(
    executor: &Executor,
    job: &Job<'_>,
    request: Run,
    record: &mut Record,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Finished, CallError> {
    let mut connection = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(cancelled()),
        connection = executor.open() => connection?,
    };
    if let Err(error) = connection.start(request).await {
        return Err(executor.worded(&error).await);
    }
    let mut give_up = Instant::now().checked_add(job.timeout.saturating_add(END_WAIT));
    let mut asked_to_end = false;
    loop {
        let until = give_up.unwrap_or_else(Instant::now);
        let event = tokio::select! {
            biased;
            () = cancel.cancelled(), if !asked_to_end => {
                asked_to_end = true;
                give_up = Instant::now().checked_add(CANCEL_WAIT);
                end(&mut connection).await;
                continue;
            }
            event = timeout_at(until, connection.next()) => event,
        };
        match event {
            Ok(Ok(Event::Finished(finished))) => return Ok(finished),
            Ok(Ok(event)) => record.take(event, job, observer),
            Ok(Err(_)) | Err(_) if asked_to_end => return Err(cancelled()),
            Ok(Err(error)) => return Err(executor.worded(&error).await),
            Err(_) => {
                let what = "the executor did not report the end of the run";
                let remedy = "the run was given up; run `mantlet doctor`";
                return Err(CallError::new(ErrorType::ExecutorUnavailable, what, remedy));
            }
        }
    }
}

async fn end(connection: &mut Connection) {
    if let Err(error) = connection.cancel().await {
        tracing::debug!(%error, "cancel not sent; closing the connection does the same");
    }
}

/// What is known of a run so far.
struct Record {
    stdout_max: u32,
    stderr_max: u32,
    stderr_shown_max: u32,
    parser: Parser,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    receipt: Option<Receipt>,
}

impl Record {
    fn new(settings: &Settings, job: &Job<'_>) -> Self {
        let run = &job.profile.run;
        let readable_max = settings.stdout_bytes_max;
        // A machine form is longer than the readable one made from it, so the
        // profile bounds it, not the length of the readable text.
        let stdout_max = match job.profile.output.artefact {
            Some(_) => run.stdout_bytes_max,
            None => run.stdout_bytes_max.min(readable_max),
        };
        let format = format_of(job.profile);
        // The same goes for a format whose facts stand in standard error.
        let stderr_max = if format.reads_stderr() {
            run.stderr_bytes_max
        } else {
            run.stderr_bytes_max.min(settings.stderr_bytes_max)
        };
        let expect = Expect {
            argv: job.argv.clone(),
            addresses: job.addresses,
            readable_bytes_max: usize::try_from(readable_max).unwrap_or(usize::MAX),
        };
        Self {
            stdout_max,
            stderr_max,
            stderr_shown_max: settings.stderr_bytes_max,
            parser: Parser::new(format, &expect),
            stdout: Vec::new(),
            stderr: Vec::new(),
            receipt: None,
        }
    }

    fn take(&mut self, event: Event, job: &Job<'_>, observer: &dyn Observer) {
        match event {
            Event::Started(started) => {
                tracing::info!(pid = started.pid, argv = ?job.argv, "tool started");
                self.receipt = Some(started.receipt);
                observer.observe(RunEvent::Started {
                    run_id: job.run_id.clone(),
                    pid: started.pid,
                });
            }
            Event::Output(output) => {
                let (kept, max) = match output.stream {
                    Stream::Stdout => (&mut self.stdout, self.stdout_max),
                    Stream::Stderr => (&mut self.stderr, self.stderr_max),
                };
                // The executor keeps this bound; it is kept here too, since
                // nothing that it says is needed to stay within memory.
                let room = usize::try_from(max).unwrap_or(0).saturating_sub(kept.len());
                let bytes = output
                    .bytes
                    .get(..room.min(output.bytes.len()))
                    .unwrap_or_default();
                kept.extend_from_slice(bytes);
                match output.stream {
                    Stream::Stderr => self.parser.push_stderr(bytes),
                    Stream::Stdout => {
                        if let Some(progress) = self.parser.push(bytes) {
                            observer.observe(progress_event(progress));
                        }
                    }
                }
            }
            Event::Welcome(_) | Event::Refused(_) | Event::Finished(_) | Event::Inventory(_) => {
                tracing::warn!("the executor sent an event out of turn; it is ignored");
            }
        }
    }

    fn facts(self, finished: Option<Finished>) -> RunFacts {
        let cut = |count: StreamCount| count.bytes_seen > count.bytes_kept;
        let end = RunEnd {
            timed_out: finished.as_ref().is_some_and(|end| end.timed_out),
            // A run whose end was never reported was given up.
            cancelled: finished.as_ref().is_none_or(|end| end.cancelled),
            truncated: finished.as_ref().is_some_and(|end| cut(end.stdout)),
        };
        let parsed = self.parser.finish(end);
        let shown_max = self.stderr_max.min(self.stderr_shown_max);
        let shown_max = usize::try_from(shown_max).unwrap_or(usize::MAX);
        let own_words = parsed.stderr.as_ref().map(String::as_bytes);
        let (stderr, stderr_cut) = neutralise::output(own_words.unwrap_or(&self.stderr), shown_max);
        let mut facts = RunFacts {
            stdout: parsed.readable,
            stderr,
            truncated_stderr: stderr_cut,
            structured: parsed.structured,
            summary: parsed.summary,
            sandbox: self.receipt.as_ref().map_or(Value::Null, receipt_json),
            raw_stdout: self.stdout,
            ..RunFacts::default()
        };
        let Some(finished) = finished else {
            return facts;
        };
        facts.returncode = Some(returncode(&finished));
        facts.timed_out = finished.timed_out;
        facts.truncated_stdout = cut(finished.stdout);
        facts.truncated_stderr |= cut(finished.stderr);
        let counters = json!({
            "stdout_bytes_seen": finished.stdout.bytes_seen,
            "stderr_bytes_seen": finished.stderr.bytes_seen,
            "cpu_ms": finished.cpu_ms,
            "max_rss_bytes": finished.max_rss_bytes,
            "wall_ms": finished.wall_ms,
        });
        facts.counters = counters.as_object().cloned().unwrap_or_default();
        facts
    }
}

/// The parser that a profile names; the text itself where it names none of ours.
pub fn format_of(profile: &Profile) -> Format {
    Format::from_name(&profile.output.format).unwrap_or(Format::Text)
}

fn progress_event(progress: Progress) -> RunEvent {
    let mut message = progress.task.unwrap_or_default();
    if let Some(remaining) = progress.remaining {
        let seconds = remaining.as_secs();
        message = format!("{message}, about {seconds} s left of this step");
    }
    RunEvent::Progress {
        percent: progress.percent,
        message,
    }
}

/// A tool that the executor can't find is a package that the administrator can install.
fn installable(profile: &Profile, mut error: CallError) -> CallError {
    if error.error_type == ErrorType::NotFound {
        let package = &profile.package;
        error.recovery_suggestion = format!(
            "apt-get install {package}, then restart the executor; {}",
            error.recovery_suggestion
        );
    }
    error
}

/// What a run's end says of the tool. One that printed too much, or ended with
/// an error of its own, did run.
fn word(finished: &Finished) -> Word {
    if finished.cancelled {
        return Word::Nothing;
    }
    if finished.timed_out {
        return Word::Fault;
    }
    match &finished.exit {
        Exit::Code(_) => Word::Works,
        Exit::Signal(_) if finished.killed_for_output => Word::Works,
        Exit::Signal(_) | Exit::Violation { .. } => Word::Fault,
    }
}

/// What a run that was never reported to have ended says of the tool: a tool
/// that can't be started, or not be confined, fails; for an executor that is
/// away, busy or not reporting, no tool is to blame.
fn word_of_failure(error: &CallError) -> Word {
    match error.error_type {
        ErrorType::ExecutionError | ErrorType::SandboxUnavailable => Word::Fault,
        ErrorType::Timeout
        | ErrorType::NotFound
        | ErrorType::ValidationError
        | ErrorType::ResourceExhausted
        | ErrorType::CircuitBreakerOpen
        | ErrorType::PermissionDenied
        | ErrorType::RateLimited
        | ErrorType::ToolDisabled
        | ErrorType::ExecutorUnavailable
        | ErrorType::Cancelled
        | ErrorType::Unknown => Word::Nothing,
    }
}

/// 124 after a timeout (as timeout(1)), 130 after a cancel, 128 + n after signal n.
fn returncode(finished: &Finished) -> i32 {
    if finished.timed_out {
        return 124;
    }
    if finished.cancelled {
        return 130;
    }
    match &finished.exit {
        Exit::Code(code) => i32::from(*code),
        Exit::Signal(signal) => i32::from(*signal).saturating_add(128),
        // SIGSYS is signal 31 on every architecture that we support.
        Exit::Violation { .. } => 159,
    }
}

/// The failure that an end amounts to. Which codes mean that the tool did its
/// work is the profile's to say: ping's 1 is an answer, nmap's 1 is none.
fn failure(profile: &Profile, finished: &Finished, asked: bool) -> Option<CallError> {
    let name = &profile.name;
    let partial = "what it had found by then is in the result";
    if finished.cancelled && asked {
        return Some(cancelled());
    }
    if finished.cancelled {
        let what = format!("the executor ended {name} because it was ending itself");
        let remedy = format!("call again when it is back; {partial}");
        return Some(CallError::new(ErrorType::ExecutorUnavailable, what, remedy));
    }
    if finished.timed_out {
        let what = format!("{name} was ended after {} ms", finished.wall_ms);
        let remedy = format!("ask for less, or give a longer timeout_sec; {partial}");
        return Some(CallError::new(ErrorType::Timeout, what, remedy));
    }
    if finished.killed_for_output {
        let seen = finished
            .stdout
            .bytes_seen
            .saturating_add(finished.stderr.bytes_seen);
        let what = format!("{name} was ended after it had printed {seen} bytes");
        let remedy = format!("ask for less; {partial}");
        return Some(CallError::new(ErrorType::ExecutionError, what, remedy));
    }
    match &finished.exit {
        Exit::Code(code) if profile.output.success.contains(code) => None,
        Exit::Code(code) => {
            let what = format!("{name} ended with code {code}");
            let remedy = "stderr has the tool's own words";
            Some(CallError::new(ErrorType::ExecutionError, what, remedy))
        }
        Exit::Signal(signal) => {
            let what = format!("{name} was ended by signal {signal}");
            let remedy = "the log of the executor may say more; report it if it happens again";
            Some(CallError::new(ErrorType::ExecutionError, what, remedy).with("signal", *signal))
        }
        Exit::Violation { call } => {
            let what = format!(
                "{name} made the system call {call}, which its profile does not list, and was killed"
            );
            let remedy = "if the tool is to be trusted with that call, the administrator can add it to its profile";
            let error = CallError::new(ErrorType::ExecutionError, what, remedy);
            Some(error.with("sandbox_violation", call.clone()))
        }
    }
}

/// Names the limits that the configuration cut, where a tool ended by itself: one
/// that can't have what it needs ends in ways that don't say so.
fn cut_short(
    settings: &Settings,
    profile: &Profile,
    end: &Finished,
    mut error: CallError,
) -> CallError {
    let by_itself = match &end.exit {
        Exit::Code(_) | Exit::Signal(_) => {
            !end.cancelled && !end.timed_out && !end.killed_for_output
        }
        Exit::Violation { .. } => false,
    };
    let (own, name) = (profile.sandbox.limits, &profile.name);
    let memory = settings.memory_bytes_max.map(|set| set >> 20);
    let files = settings.files_max.map(u64::from);
    let (own_memory, own_files) = (own.address_space_bytes >> 20, own.files);
    for (key, unit, set, own) in [
        ("tool.max_memory_mb", "MiB", memory, own_memory),
        ("tool.max_file_descriptors", "descriptors", files, own_files),
    ] {
        if let Some(set) = set.filter(|set| by_itself && *set < own) {
            error.recovery_suggestion.push_str(&format!(
                "; {key} leaves {name} {set} of its profile's {own} {unit}, which may be too few"
            ));
        }
    }
    error
}

fn receipt_json(receipt: &Receipt) -> Value {
    let limits = receipt
        .rlimits
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(*value)));
    json!({
        "uid": receipt.uid,
        "gid": receipt.gid,
        "capabilities": receipt.capabilities,
        "landlock_abi": receipt.landlock_abi,
        "landlock_digest": hex(&receipt.landlock_digest),
        "seccomp_digest": hex(&receipt.seccomp_digest),
        "rlimits": limits.collect::<serde_json::Map<_, _>>(),
        "egress": receipt.egress,
        "tool_path": receipt.tool_path,
        "tool_version": receipt.tool_version,
        "setup_us": receipt.setup_us,
    })
}
