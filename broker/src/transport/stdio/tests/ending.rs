//! How a connection ends: by its client, by its input, by us.

use super::*;

#[tokio::test]
async fn a_client_that_sends_and_closes_gets_its_answers() {
    let mut client = Client::start(limits());
    let requests = format!("{}\n{}\n{}", initialize(), call(1, "echo", "one"), ping(2));
    client.send_text(&requests).await;
    client.close_input().await;
    let mut ids = Vec::new();
    while let Some(line) = client.line().await {
        ids.push(
            serde_json::from_str::<Value>(&line).unwrap()["id"]
                .as_i64()
                .unwrap(),
        );
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2], "all three, the last without an end of line");
    client.server_ends().await.unwrap();
}

#[tokio::test]
async fn a_run_outlives_the_input_by_the_grace_and_no_more() {
    let mut client = Client::open(limits()).await;
    client.send(&call(1, "wait", "")).await;
    let sent = std::time::Instant::now();
    client.close_input().await;
    assert_eq!(client.line().await, None, "no answer after the end");
    let took = sent.elapsed();
    assert!(
        took >= Duration::from_millis(250),
        "{took:?}: it had its time"
    );
    assert_eq!(client.counts.cancelled.load(Ordering::SeqCst), 1);
    client.server_ends().await.unwrap();
}

#[tokio::test]
async fn draining_lets_runs_end_and_takes_nothing_more_on() {
    let mut client = Client::open(limits()).await;
    client.send(&call(1, "wait", "")).await;
    client
        .until(|counts| counts.running.load(Ordering::SeqCst) == 1)
        .await;
    client.drain.cancel();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(
        client.counts.cancelled.load(Ordering::SeqCst),
        0,
        "longer than the grace"
    );
    client.send(&call(2, "wait", "")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        client.counts.running.load(Ordering::SeqCst),
        1,
        "the second is not taken on"
    );
    client.shutdown.cancel();
    client
        .until(|counts| counts.cancelled.load(Ordering::SeqCst) == 1)
        .await;
    client.server_ends().await.unwrap();
}

#[tokio::test]
async fn draining_ends_an_idle_server() {
    let client = Client::open(limits()).await;
    client.drain.cancel();
    client.server_ends().await.unwrap();
}

#[tokio::test]
async fn the_grace_counts_from_the_last_message() {
    let mut client = Client::open(limits()).await;
    client.send(&call(1, "wait", "")).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(client.counts.cancelled.load(Ordering::SeqCst), 0);
    let closed = std::time::Instant::now();
    client.close_input().await;
    client
        .until(|counts| counts.cancelled.load(Ordering::SeqCst) == 1)
        .await;
    assert!(
        closed.elapsed() < Duration::from_millis(250),
        "an interactive client left"
    );
    client.server_ends().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_is_gone_ends_everything_at_once() {
    let mut client = Client::open(limits()).await;
    client.send(&call(1, "wait", "")).await;
    client
        .until(|counts| counts.running.load(Ordering::SeqCst) == 1)
        .await;
    client.gone.cancel();
    client
        .until(|counts| counts.cancelled.load(Ordering::SeqCst) == 1)
        .await;
    client.server_ends().await.unwrap();
}

#[tokio::test]
async fn shutdown_answers_and_ends_with_the_input_open() {
    let mut client = Client::open(limits()).await;
    client.send(&call(1, "wait", "")).await;
    client
        .until(|counts| counts.running.load(Ordering::SeqCst) == 1)
        .await;
    client.shutdown.cancel();
    assert_eq!(text(&client.answer().await), "cancelled");
    client.server_ends().await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_client_that_reads_nothing() {
    let mut client = Client::open(limits()).await;
    for id in 1..6 {
        client.send(&call(id, "echo", &"x".repeat(8_000))).await;
    }
    let asked = std::time::Instant::now();
    client.shutdown.cancel();
    client.server_ends().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn shutdown_before_the_session_is_open_ends_it() {
    let client = Client::start(limits());
    client.shutdown.cancel();
    client.server_ends().await.unwrap();
}
