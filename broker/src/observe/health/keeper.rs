//! The task that has the checks made and keeps what they found.
//!
//! What it is: one round of probes after another, at an interval; who asks gets
//! the last round's report.
//! What it is not: a probe.
//!
//! Invariants: however many ask, there is one round at a time; a probe that
//! hangs or panics is a finding, and holds up no other; the task ends with its
//! [`Health`].

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Check, Findings, PROBE_TIME_MAX, Priority, Report, Status};

/// The next look while something is unhealthy comes after so long at the latest.
const RETRY: Duration = Duration::from_secs(5);
/// Least time between two rounds, whoever asks for one.
const ROUND_GAP: Duration = Duration::from_secs(1);

/// One look at something.
pub type Look = Pin<Box<dyn Future<Output = Findings> + Send>>;

/// Something that can be looked at, again and again.
pub struct Probe {
    name: &'static str,
    priority: Priority,
    look: Box<dyn Fn() -> Look + Send + Sync>,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({})", self.name)
    }
}

impl Probe {
    /// A probe. If a look hangs or panics, that is found under `name`, with `priority`.
    pub fn new<F, L>(name: &'static str, priority: Priority, look: L) -> Self
    where
        F: Future<Output = Findings> + Send + 'static,
        L: Fn() -> F + Send + Sync + 'static,
    {
        Self {
            name,
            priority,
            look: Box::new(move || Box::pin(look())),
        }
    }

    fn failed(&self, what: &str) -> Findings {
        let message = format!("the check of {} {what}; see the log", self.name);
        vec![Check::new(
            self.name,
            self.priority,
            Status::Unhealthy,
            message,
        )]
    }
}

/// The last report, and the task that renews it. Cheap to clone; the task ends
/// with the last clone.
#[derive(Debug, Clone)]
pub struct Health {
    latest: watch::Receiver<Option<Arc<Report>>>,
    _task: Arc<EndOnDrop>,
}

#[derive(Debug)]
struct EndOnDrop(AbortHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Health {
    /// Starts looking: at once, then every `interval`, and soon after `again` is
    /// notified. Needs a tokio runtime.
    pub fn start(
        transport: &'static str,
        probes: Vec<Probe>,
        interval: Duration,
        again: Arc<Notify>,
    ) -> Self {
        let (sender, latest) = watch::channel(None);
        let task = tokio::spawn(async move {
            while !sender.is_closed() {
                let report = Report::new(transport, round(&probes).await);
                let wait = match report.status {
                    Status::Healthy | Status::Degraded => interval,
                    Status::Unhealthy => interval.min(RETRY),
                };
                log_change(sender.borrow().as_deref(), &report);
                let next = Instant::now().checked_add(wait);
                sender.send_replace(Some(Arc::new(report)));
                sleep(ROUND_GAP.min(wait)).await;
                tokio::select! {
                    () = sleep_until(next.unwrap_or_else(Instant::now)) => {}
                    () = again.notified() => {}
                }
            }
        });
        Self {
            latest,
            _task: Arc::new(EndOnDrop(task.abort_handle())),
        }
    }

    /// The last round's report; waits for the first one, which takes
    /// [`PROBE_TIME_MAX`] at the longest.
    pub async fn report(&self) -> Arc<Report> {
        let mut latest = self.latest.clone();
        match latest.wait_for(Option::is_some).await {
            Ok(report) => report.clone().unwrap_or_else(no_report),
            Err(_) => no_report(),
        }
    }
}

/// Where the task has ended, which it does only with the runtime.
fn no_report() -> Arc<Report> {
    let what = "the checks have ended; restart mantlet";
    let check = Check::new("health", Priority::Critical, Status::Unhealthy, what);
    Arc::new(Report::new("none", [check]))
}

/// All probes at once, each within its bound.
async fn round(probes: &[Probe]) -> Findings {
    let mut looks = JoinSet::new();
    let began = Instant::now();
    for (at, probe) in probes.iter().enumerate() {
        let look = (probe.look)();
        looks.spawn(async move { (at, timeout(PROBE_TIME_MAX, look).await, began.elapsed()) });
    }
    let mut found: Vec<Option<Findings>> = probes.iter().map(|_| None).collect();
    while let Some(looked) = looks.join_next().await {
        // A panic leaves its place empty.
        let Ok((at, findings, took)) = looked else {
            continue;
        };
        let Some((probe, place)) = probes.get(at).zip(found.get_mut(at)) else {
            continue;
        };
        let mut findings = findings.unwrap_or_else(|_| probe.failed("did not end in time"));
        for check in &mut findings {
            check.duration = took.as_secs_f64();
        }
        *place = Some(findings);
    }
    probes
        .iter()
        .zip(found)
        .flat_map(|(probe, findings)| findings.unwrap_or_else(|| probe.failed("panicked")))
        .collect()
}

fn log_change(before: Option<&Report>, now: &Report) {
    let was = before.map(|report| report.status);
    if was == Some(now.status) {
        return;
    }
    let faulty = now
        .checks
        .values()
        .filter(|check| check.weighs() != Status::Healthy);
    let reasons: Vec<_> = faulty.map(|check| check.message.as_str()).collect();
    let (status, reasons) = (now.status.as_str(), reasons.join("; "));
    match now.status {
        Status::Healthy if was.is_none() => {}
        Status::Healthy => tracing::info!(status, "health"),
        Status::Degraded | Status::Unhealthy => tracing::warn!(status, reasons, "health"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counted(looks: &Arc<AtomicU32>, status: Status) -> Probe {
        let looks = Arc::clone(looks);
        Probe::new("counted", Priority::Critical, move || {
            let number = looks.fetch_add(1, Ordering::SeqCst);
            async move {
                vec![Check::new(
                    "counted",
                    Priority::Critical,
                    status,
                    number.to_string(),
                )]
            }
        })
    }

    fn start(probes: Vec<Probe>) -> Health {
        Health::start("http", probes, Duration::from_secs(30), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_ask_make_one_round() {
        let (looks, again) = (Arc::default(), Arc::new(Notify::new()));
        let probes = vec![counted(&looks, Status::Healthy)];
        let health = Health::start("http", probes, Duration::from_secs(30), Arc::clone(&again));
        let asked = (0..1000).map(|_| {
            let health = health.clone();
            tokio::spawn(async move { health.report().await.status })
        });
        for asked in asked.collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap(), Status::Healthy);
        }
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        sleep(Duration::from_secs(31)).await;
        assert_eq!(looks.load(Ordering::SeqCst), 2, "one more at the interval");
        for _ in 0..100 {
            again.notify_one();
        }
        sleep(Duration::from_secs(3)).await;
        assert_eq!(looks.load(Ordering::SeqCst), 3, "and one when told");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unhealthy_is_looked_at_more_often() {
        let looks = Arc::default();
        let health = start(vec![counted(&looks, Status::Unhealthy)]);
        sleep(Duration::from_secs(11)).await;
        assert_eq!(looks.load(Ordering::SeqCst), 3);
        assert_eq!(health.report().await.checks["counted"].message, "2");
        drop(health);
        sleep(Duration::from_mins(1)).await;
        assert_eq!(
            looks.load(Ordering::SeqCst),
            3,
            "it ends with its last holder"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_or_panics_is_found_and_holds_up_no_other() {
        let looks = Arc::default();
        let hangs = Probe::new("hangs", Priority::Important, std::future::pending);
        let panics = Probe::new("panics", Priority::Important, || async {
            panic!("as told")
        });
        let health = start(vec![hangs, panics, counted(&looks, Status::Healthy)]);
        let report = health.report().await;
        assert_eq!(report.status, Status::Degraded);
        assert_eq!(report.status_of("counted"), Some(Status::Healthy));
        let said = |name: &str| report.checks[name].message.clone();
        assert!(
            said("hangs").contains("did not end in time"),
            "{}",
            said("hangs")
        );
        assert!(said("panics").contains("panicked"), "{}", said("panics"));
    }
}
