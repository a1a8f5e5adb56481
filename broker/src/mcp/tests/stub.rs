//! A stand-in for the pipeline.

use super::*;

/// A pipeline whose calls end as their targets say.
#[derive(Debug)]
pub(super) struct Stub {
    pub(super) cancelled: Arc<AtomicBool>,
    pub(super) runs: Runs,
    pub(super) inline: Duration,
}

impl RunTool for Stub {
    fn start(&self, call: Call, caller: &Caller, observer: Arc<dyn Observer>) -> Running {
        assert!(call.target != "panic", "asked to");
        let info = Runs::info(caller, &call.tool, &call.target, "ours");
        let mut outcome = outcome(&call);
        outcome.run_id.clone_from(&info.run_id);
        let cancelled = Arc::clone(&self.cancelled);
        self.runs
            .start(info, observer, |live, observer| async move {
                if let Some(fault) = call.fault {
                    outcome.error = Some(fault.about(&call.tool, &call.target));
                    return outcome;
                }
                end_of(
                    &call.target,
                    &live,
                    observer.as_ref(),
                    &cancelled,
                    &mut outcome,
                )
                .await;
                outcome
            })
    }

    fn runs(&self) -> &Runs {
        &self.runs
    }

    fn inline_time(&self) -> Duration {
        self.inline
    }
}

async fn end_of(
    target: &str,
    live: &Live,
    observer: &dyn Observer,
    cancelled: &AtomicBool,
    outcome: &mut Outcome,
) {
    match target {
        "panicking" => panic!("later"),
        "refused" => outcome.error = Some(refusal()),
        "slow" => {
            live.cancel().cancelled().await;
            cancelled.store(true, Ordering::SeqCst);
            outcome.error = Some(CallError::new(ErrorType::Cancelled, "cancelled", "again"));
        }
        "busy" => {
            let run_id = "r".into();
            observer.observe(RunEvent::Started { run_id, pid: 1 });
            for percent in 1..=1000 {
                let percent = f64::from(percent) / 10.0;
                let message = "scanning".into();
                observer.observe(RunEvent::Progress { percent, message });
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            outcome.facts = facts("", "done");
        }
        "killed" => {
            outcome.facts = facts("", "half of it");
            outcome.facts.timed_out = true;
            let error = CallError::new(ErrorType::Timeout, "the time was up", "more");
            outcome.error = Some(error);
        }
        "huge" => outcome.facts = facts(&"x".repeat(1024 * 1024), &"y".repeat(20_000)),
        "hosts" => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            outcome.facts = facts(&"line\n".repeat(4000), "hosts");
            outcome.facts.structured = long::scan();
        }
        _ => outcome.facts = facts("plain", "two hosts"),
    }
}

fn outcome(call: &Call) -> Outcome {
    Outcome {
        run_id: "run".into(),
        correlation_id: call.correlation_id.clone().unwrap_or_else(|| "ours".into()),
        tool: call.tool.clone(),
        target: call.target.clone(),
        argv: vec!["/usr/bin/nmap".into(), "10.0.0.1".into()],
        targets: vec!["10.0.0.1".into()],
        notes: vec!["-T4 was added".into()],
        resolved: Some(Resolved {
            name: "web.lab.internal".into(),
            answers: vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()],
            pinned: [10, 0, 0, 1].into(),
        }),
        started_at: Timestamp::now(),
        execution_time: 0.5,
        facts: RunFacts::default(),
        error: None,
    }
}

fn facts(stdout: &str, summary: &str) -> RunFacts {
    RunFacts {
        returncode: Some(0),
        stdout: stdout.into(),
        stderr: stdout.into(),
        summary: summary.into(),
        sandbox: json!({ "uid": 65534 }),
        ..RunFacts::default()
    }
}

fn refusal() -> CallError {
    CallError::new(
        ErrorType::ValidationError,
        "-oN writes a file",
        "leave it out",
    )
    .with("rule", "ARG3")
    .with("nearest_allowed", vec!["-sT", "-p", "80"])
    .about("nmap", "refused")
}
