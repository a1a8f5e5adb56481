//! One connection as a client sees it, byte for byte, over in-memory streams.

mod ending;

use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines as ClientLines, ReadHalf,
    WriteHalf, split,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(5);

/// Counts the handlers that are under way and those that were cancelled.
#[derive(Debug, Default)]
struct Counts {
    running: AtomicUsize,
    cancelled: AtomicUsize,
}

/// A server with three tools: `echo` answers, `wait` does once cancelled, `stubborn` much later.
#[derive(Debug, Clone, Default)]
struct Stub(Arc<Counts>);

impl ServerHandler for Stub {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, rmcp::ErrorData> {
        self.0.running.fetch_add(1, Ordering::SeqCst);
        let text = match request.name.as_ref() {
            "wait" | "stubborn" => {
                context.ct.cancelled().await;
                self.0.cancelled.fetch_add(1, Ordering::SeqCst);
                if request.name == "stubborn" {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                "cancelled".to_owned()
            }
            _ => request
                .arguments
                .and_then(|a| a["text"].as_str().map(str::to_owned))
                .unwrap(),
        };
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// The client's side of a connection.
struct Client {
    write: Option<WriteHalf<DuplexStream>>,
    read: Option<ClientLines<BufReader<ReadHalf<DuplexStream>>>>,
    counts: Arc<Counts>,
    gone: CancellationToken,
    shutdown: CancellationToken,
    drain: CancellationToken,
    server: JoinHandle<Result<(), StdioError>>,
}

fn limits() -> Limits {
    Limits {
        line_bytes_max: 64 * 1024,
        requests_max: 8,
        grace: Duration::from_millis(300),
    }
}

impl Client {
    fn start(limits: Limits) -> Self {
        let (client, server) = tokio::io::duplex(4096);
        let (read, write) = split(client);
        let (input, output) = split(server);
        let stub = Stub::default();
        let counts = Arc::clone(&stub.0);
        let (gone, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let peer_gone: PeerGone = Box::pin(gone.clone().cancelled_owned());
        let stop = Stop {
            drain: CancellationToken::new(),
            cancel: shutdown.clone(),
        };
        let drain = stop.drain.clone();
        let server = tokio::spawn(serve_streams(stub, input, output, peer_gone, limits, stop));
        let read = Some(BufReader::new(read).lines());
        Self {
            write: Some(write),
            read,
            counts,
            gone,
            shutdown,
            drain,
            server,
        }
    }

    async fn open(limits: Limits) -> Self {
        let mut client = Self::start(limits);
        client.send(&initialize()).await;
        assert_eq!(client.answer().await["id"], 0);
        client
            .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        client
    }

    async fn send(&mut self, message: &Value) {
        self.send_text(&format!("{message}\n")).await;
    }

    async fn send_text(&mut self, text: &str) {
        let write = self.write.as_mut().expect("not closed");
        write.write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> Option<String> {
        let read = self.read.as_mut().expect("still reading");
        timeout(SOON, read.next_line())
            .await
            .expect("an answer in time")
            .unwrap()
    }

    async fn answer(&mut self) -> Value {
        serde_json::from_str(&self.line().await.expect("a line")).unwrap()
    }

    /// Ends the client's input, as closing a pipe does.
    async fn close_input(&mut self) {
        self.write.take().unwrap().shutdown().await.unwrap();
    }

    async fn until(&self, what: impl Fn(&Counts) -> bool) {
        let wait = async {
            while !what(&self.counts) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(SOON, wait).await.expect("in time");
    }

    async fn server_ends(self) -> Result<(), StdioError> {
        timeout(SOON, self.server)
            .await
            .expect("the server ends")
            .unwrap()
    }
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}})
}

fn call(id: impl Into<Value>, tool: &str, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "tools/call",
        "params": {"name": tool, "arguments": {"text": text}}})
}

fn ping(id: i64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "ping"})
}

fn cancel(id: i64) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or("no text")
}

#[tokio::test]
async fn answers_what_is_no_message_and_serves_what_follows() {
    let long = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":3,\"x\":\"{}\"}}\n",
        "x".repeat(70_000)
    );
    let deep = format!("{}\n", "[".repeat(1000));
    let cases = [
        ("{nope\n", -32700, Value::Null, "not JSON"),
        ("\u{fffd}\u{0}\n", -32700, Value::Null, "binary"),
        (deep.as_str(), -32700, Value::Null, "nested too deep"),
        ("[]\n", -32600, Value::Null, "a batch"),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":7}\n",
            -32600,
            json!(7),
            "no method",
        ),
        (
            "{\"jsonrpc\":\"1.0\",\"id\":\"a\",\"method\":\"ping\"}\n",
            -32600,
            json!("a"),
            "version",
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}\n",
            -32600,
            Value::Null,
            "null id",
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}\n",
            -32600,
            Value::Null,
            "broken id",
        ),
        (long.as_str(), -32600, Value::Null, "too long"),
    ];
    let mut client = Client::open(limits()).await;
    for (line, code, id, why) in cases {
        client.send_text(line).await;
        let answer = client.answer().await;
        assert_eq!(answer["error"]["code"], code, "{why}: {answer}");
        assert_eq!(answer["id"], id, "{why}");
        client.send(&call(1, "echo", why)).await;
        assert_eq!(text(&client.answer().await), why);
    }
}

#[tokio::test]
async fn ignores_unknown_notifications_and_stray_answers() {
    let mut client = Client::start(limits());
    // Before the session is open, too.
    for _ in 0..2 {
        client
            .send(&json!({"jsonrpc": "2.0", "method": "notifications/of-another-time"}))
            .await;
        client
            .send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled"}))
            .await;
        client
            .send(&json!({"jsonrpc": "2.0", "id": 99, "result": {}}))
            .await;
        client
            .send(&json!({"jsonrpc": "2.0", "error": {"code": -1, "message": "x"}}))
            .await;
        client.send(&initialize()).await;
        assert_eq!(
            client.answer().await["result"]["protocolVersion"],
            "2025-11-25"
        );
    }
}

#[tokio::test]
async fn refuses_a_second_request_with_an_id_in_use_and_harms_not_the_first() {
    let mut client = Client::open(limits()).await;
    client.send(&call(5, "wait", "")).await;
    client
        .until(|counts| counts.running.load(Ordering::SeqCst) == 1)
        .await;
    client.send(&call(5, "echo", "second")).await;
    let answer = client.answer().await;
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(5), &json!(-32600))
    );
    client.send(&call("5", "echo", "text id")).await;
    assert_eq!(text(&client.answer().await), "text id");
    assert_eq!(
        client.counts.cancelled.load(Ordering::SeqCst),
        0,
        "the first runs on"
    );
    client.shutdown.cancel();
    let answer = client.answer().await;
    assert_eq!(
        (&answer["id"], text(&answer)),
        (&json!(5), "cancelled"),
        "the first is answered"
    );
}

#[tokio::test]
async fn an_id_of_a_cancelled_request_is_free_once_its_handler_is_done() {
    let mut client = Client::open(limits()).await;
    client.send(&call(5, "stubborn", "")).await;
    client
        .until(|counts| counts.running.load(Ordering::SeqCst) == 1)
        .await;
    client.send(&cancel(5)).await;
    client
        .until(|counts| counts.cancelled.load(Ordering::SeqCst) == 1)
        .await;
    client.send(&call(5, "echo", "too early")).await;
    assert_eq!(
        client.answer().await["error"]["code"],
        -32600,
        "the old handler is at work"
    );
    client
        .until(|counts| counts.running.load(Ordering::SeqCst) == 0)
        .await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    client.send(&call(5, "echo", "now")).await;
    assert_eq!(
        text(&client.answer().await),
        "now",
        "and not the old answer"
    );
}

#[tokio::test]
async fn many_cancelled_requests_leave_no_slot_taken() {
    let mut client = Client::open(limits()).await;
    for id in 1..100 {
        client.send(&call(id, "wait", "")).await;
        client.send(&cancel(id)).await;
    }
    client.send(&call(100, "echo", "still here")).await;
    assert_eq!(text(&client.answer().await), "still here");
}

#[tokio::test]
async fn stops_reading_while_answers_are_not_read() {
    let mut client = Client::open(limits()).await;
    let big = "x".repeat(40_000);
    let mut accepted = 0;
    // Eight answers wait, one request waits to be read, and the streams hold a bit.
    while accepted < 100 {
        let request = call(accepted, "echo", &big);
        if timeout(Duration::from_millis(200), client.send(&request))
            .await
            .is_err()
        {
            break;
        }
        accepted += 1;
    }
    assert!((8..=10).contains(&accepted), "{accepted} requests went in");
    for _ in 0..accepted {
        assert_eq!(
            text(&client.answer().await).len(),
            big.len(),
            "each is answered in the end"
        );
    }
}

#[tokio::test]
async fn both_eras_are_served() {
    let mut client = Client::start(limits());
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"}});
    let discover = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover",
        "params": {"_meta": meta}});
    client.send(&discover).await;
    let answer = client.answer().await;
    let versions = answer["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{answer}");
    let mut request = call(2, "echo", "stateless");
    request["params"]["_meta"] = meta;
    client.send(&request).await;
    let answer = client.answer().await;
    assert_eq!(text(&answer), "stateless");
    assert_eq!(answer["result"]["resultType"], "complete");
}
