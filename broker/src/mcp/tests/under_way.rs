//! What a client hears of a call that is under way, and what it can do about it.
//!
//! What it is not: runs that outlast their answer; those are in `long`.

use super::*;

#[tokio::test]
async fn progress_grows_is_bounded_and_ends_before_the_answer() {
    let mut client = Client::open().await;
    let params = json!({"name": "nmap", "arguments": {"target": "busy"},
        "_meta": {"progressToken": "p"}});
    client
        .send(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
        .await;
    let mut last = -1.0;
    let mut count = 0;
    loop {
        let message = client.next().await;
        if message.get("id").is_some() {
            break;
        }
        assert_eq!(message["params"]["progressToken"], "p");
        let progress = message["params"]["progress"].as_f64().unwrap();
        assert!(
            progress > last && progress < 100.0,
            "{progress} after {last}"
        );
        last = progress;
        count += 1;
    }
    assert!(
        (2..50).contains(&count),
        "{count} notifications for 1,000 events"
    );
    let quiet = client.call("10.0.0.1").await;
    assert_eq!(
        quiet["isError"], false,
        "the next message is the next answer"
    );
}

#[tokio::test]
async fn no_token_no_progress() {
    let mut client = Client::open().await;
    assert_eq!(
        client.call("busy").await["isError"],
        false,
        "the first message is the answer"
    );
}

#[tokio::test]
async fn cancelling_ends_the_run_and_is_not_answered() {
    let mut client = Client::open().await;
    let params = json!({"name": "nmap", "arguments": {"target": "slow"}});
    client
        .send(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}))
        .await;
    let params = json!({"requestId": 7});
    client
        .send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))
        .await;
    let answer = client.ask("ping", json!({})).await;
    assert_eq!(answer["id"], 1);
    let seen = async {
        while !client.cancelled.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, seen).await.expect("the run was cancelled");
}
