//! The feed: what one subscriber of the event stream gets, merged.
//!
//! What it is: health and metrics now and every [`EVERY`], run events as they
//! happen, each as `{"type": …, "data": …}`.
//! What it is not: a route. Whoever serves it names the caller's view and ends
//! it by dropping it.
//!
//! Invariants: a subscriber sees only the runs that its view admits; a slow one
//! holds up nothing and is told what it lost; health and metrics come often
//! enough that a connection is never silent for longer than [`EVERY`].

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::events::{Received, RunNews, Subscription};
use super::health::Report;
use super::health::keeper::Health;
use super::metrics::Metrics;

/// Between two messages of health and metrics.
pub const EVERY: Duration = Duration::from_secs(5);

/// One message of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `health`, `metrics`, `run` or `lagged`.
    pub kind: &'static str,
    /// The number of a run's event.
    pub id: Option<u64>,
    /// What it says.
    pub data: Value,
}

impl Message {
    fn new(kind: &'static str, data: Value) -> Self {
        let id = None;
        Self { kind, id, data }
    }

    /// The text of a server-sent event's `data`.
    pub fn json(&self) -> String {
        json!({ "type": self.kind, "data": self.data }).to_string()
    }
}

/// What the feed is made of.
#[derive(Debug)]
pub struct Sources {
    /// The subscriber's place.
    pub news: Subscription,
    /// Where health comes from.
    pub health: Health,
    /// Where metrics come from.
    pub metrics: Metrics,
    /// Ends the feed.
    pub end: CancellationToken,
}

struct Feed<V> {
    sources: Sources,
    may_see: V,
    ticks: Interval,
    /// Health has been told of this tick, metrics not yet.
    metrics_due: bool,
}

/// The messages for one subscriber, who sees the runs that `may_see` admits.
pub fn feed<V>(sources: Sources, may_see: V) -> impl Stream<Item = Message> + Send
where
    V: Fn(&RunNews) -> bool + Send,
{
    let mut ticks = interval(EVERY);
    // After a pause one message is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        sources,
        may_see,
        ticks,
        metrics_due: false,
    };
    unfold(feed, |mut feed| async move {
        let message = feed.next().await?;
        Some((message, feed))
    })
}

impl<V: Fn(&RunNews) -> bool> Feed<V> {
    async fn next(&mut self) -> Option<Message> {
        if self.metrics_due {
            self.metrics_due = false;
            return Some(Message::new("metrics", self.sources.metrics.summary()));
        }
        loop {
            tokio::select! {
                biased;
                () = self.sources.end.cancelled() => return None,
                _ = self.ticks.tick() => {
                    self.metrics_due = true;
                    // The very first report is waited for, and that wait can be ended too.
                    return tokio::select! {
                        () = self.sources.end.cancelled() => None,
                        report = self.sources.health.report() => Some(health(&report)),
                    };
                }
                received = self.sources.news.next() => match received? {
                    Received::Lagged(lost) => {
                        return Some(Message::new("lagged", json!({ "lost": lost })));
                    }
                    Received::News(news) if (self.may_see)(&news) => return Some(run(&news)),
                    Received::News(_) => {}
                },
            }
        }
    }
}

fn health(report: &Report) -> Message {
    let data = json!({
        "status": report.status,
        "timestamp": report.timestamp,
        "summary": report.summary,
    });
    Message::new("health", data)
}

fn run(news: &Arc<RunNews>) -> Message {
    // It is made of texts and numbers, which always are JSON.
    let data = serde_json::to_value(news.as_ref()).unwrap_or_default();
    Message {
        id: Some(news.sequence),
        ..Message::new("run", data)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::StreamExt;

    use super::super::events::{About, Events, KEPT_MAX, What};
    use super::*;

    fn about(caller: &str) -> Arc<About> {
        Arc::new(About {
            run_id: "r".into(),
            correlation_id: "c".into(),
            tool: "nmap".into(),
            target: "10.0.0.1".into(),
            caller: caller.into(),
        })
    }

    fn sources(events: &Events, end: &CancellationToken) -> Sources {
        Sources {
            news: events.subscribe("http:token=a").unwrap(),
            health: Health::start("http", Vec::new(), Duration::from_secs(30), Arc::default()),
            metrics: Metrics::new(&[]),
            end: end.clone(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn health_and_metrics_come_every_five_seconds_and_ones_own_runs_at_once() {
        let (events, end) = (Events::default(), CancellationToken::new());
        let mine = feed(sources(&events, &end), |news| {
            news.about.caller == "http:token=a"
        });
        let mut mine = pin!(mine);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            kinds.push(mine.next().await.unwrap().kind);
        }
        events.tell(&about("http:token=b"), What::Started);
        events.tell(&about("http:token=a"), What::Started);
        let run = mine.next().await.unwrap();
        kinds.push(run.kind);
        assert_eq!(run.id, Some(2), "the other's is not shown");
        let text: Value = serde_json::from_str(&run.json()).unwrap();
        assert_eq!(text["type"], "run");
        assert_eq!(text["data"]["event"], "started");
        let before = tokio::time::Instant::now();
        for _ in 0..2 {
            kinds.push(mine.next().await.unwrap().kind);
        }
        assert!(before.elapsed() <= EVERY);
        assert_eq!(kinds, ["health", "metrics", "run", "health", "metrics"]);
        end.cancel();
        assert_eq!(mine.next().await, None, "it ends when it is told to");
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_told_how_many_events_are_lost() {
        let (events, end) = (Events::default(), CancellationToken::new());
        let all = feed(sources(&events, &end), |_| true);
        let mut all = pin!(all);
        for _ in 0..2 {
            all.next().await.unwrap();
        }
        for _ in 0..KEPT_MAX + 3 {
            events.tell(&about("x"), What::Queued);
        }
        let lagged = all.next().await.unwrap();
        assert_eq!((lagged.kind, &lagged.data["lost"]), ("lagged", &json!(3)));
        assert_eq!(all.next().await.unwrap().id, Some(4));
    }
}
