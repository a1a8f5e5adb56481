//! Sessions and disconnects, over real connections, against a server whose one
//! tool waits until it is cancelled.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::response::IntoResponse as _;
use axum::routing::any;
use rmcp::ServerHandler;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::mcp::McpEndpoint;
use super::*;
use crate::pipeline::caller::Surface;
use crate::transport::Stop;

const SOON: Duration = Duration::from_secs(10);

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Began,
    Cancelled,
}

/// Its tool `wait` ends when it is cancelled, `now` at once.
#[derive(Clone)]
struct Waits(mpsc::UnboundedSender<Told>);

impl ServerHandler for Waits {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name == "wait" {
            self.0.send(Told::Began).unwrap();
            context.ct.cancelled().await;
            self.0.send(Told::Cancelled).unwrap();
        }
        Ok(CallToolResult::success(Vec::new()).into())
    }
}

struct Service {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Told>,
    _stop: tokio_util::sync::DropGuard,
}

/// A caller is chosen by the header `who`; access is not under test here.
async fn service(sessions_max: usize) -> Service {
    let (sender, told) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let told_to = Stop {
        drain: CancellationToken::new(),
        cancel: stop.clone(),
    };
    let endpoint = McpEndpoint::new(move || Waits(sender.clone()), sessions_max, &told_to);
    let serve = move |headers: HeaderMap, request: Request<Body>| async move {
        let surface = match headers.get("who").map(axum::http::HeaderValue::as_bytes) {
            Some(b"other") => Surface::Terminal,
            _ => Surface::Stdio,
        };
        match endpoint.serve(Caller::local(surface), request).await {
            Ok(response) => response,
            Err(error) => {
                (axum::http::StatusCode::SERVICE_UNAVAILABLE, error.message).into_response()
            }
        }
    };
    let app = Router::new().route("/mcp", any(serve));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::spawn(async move { served.await.unwrap() });
    Service {
        address,
        told,
        _stop: stop.drop_guard(),
    }
}

struct Connection(TcpStream);

impl Connection {
    /// Sends a request; `extra` are headers, each with its line end.
    async fn open(service: &Service, method: &str, extra: &str, body: &Value) -> Self {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let head = format!(
            "{method} /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\ncontent-length: {}\r\n{extra}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// Reads until `mark` has come.
    async fn until(&mut self, mark: &str) -> String {
        let mut text = Vec::new();
        let reads = async {
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&text).contains(mark) {
                let count = self.0.read(&mut buffer).await.unwrap();
                assert!(
                    count > 0,
                    "no {mark:?} in {}",
                    String::from_utf8_lossy(&text)
                );
                text.extend_from_slice(&buffer[..count]);
            }
        };
        tokio::time::timeout(SOON, reads)
            .await
            .expect("an answer in time");
        String::from_utf8(text).unwrap()
    }
}

/// Begins a session; gives the header that names it.
async fn session(service: &Service, who: &str) -> Result<String, String> {
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" } });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let who = format!("who: {who}\r\n");
    let mut connection = Connection::open(service, "POST", &who, &initialize).await;
    let head = connection.until("\r\n\r\n").await;
    let named = head
        .lines()
        .find(|line| line.starts_with("mcp-session-id:"));
    let Some(named) = named else {
        return Err(head);
    };
    let named = format!("{named}\r\n{who}");
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let mut connection = Connection::open(service, "POST", &named, &ready).await;
    connection.until("202").await;
    Ok(named)
}

fn call(id: u32, tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool } })
}

/// A call of the era without sessions.
fn call_without_session(id: u32, tool: &str) -> Value {
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": tool, "_meta": meta } })
}

async fn told(service: &mut Service) -> Told {
    let told = tokio::time::timeout(SOON, service.told.recv()).await;
    told.expect("the tool is told in time").unwrap()
}

#[tokio::test]
async fn a_disconnect_cancels_the_call_in_a_session() {
    let mut service = service(8).await;
    let named = session(&service, "one").await.unwrap();
    let connection = Connection::open(&service, "POST", &named, &call(1, "wait")).await;
    assert_eq!(told(&mut service).await, Told::Began);
    drop(connection);
    assert_eq!(told(&mut service).await, Told::Cancelled);
    let mut after = Connection::open(&service, "POST", &named, &call(1, "now")).await;
    after.until("\"id\":1").await;
}

#[tokio::test]
async fn a_disconnect_cancels_the_call_without_a_session() {
    let mut service = service(8).await;
    let headers =
        "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: wait\r\n";
    let connection =
        Connection::open(&service, "POST", headers, &call_without_session(1, "wait")).await;
    assert_eq!(told(&mut service).await, Told::Began);
    drop(connection);
    assert_eq!(told(&mut service).await, Told::Cancelled);
}

#[tokio::test]
async fn a_cancel_notification_cancels_the_call_of_its_session() {
    let mut service = service(8).await;
    let named = session(&service, "one").await.unwrap();
    let _waiting = Connection::open(&service, "POST", &named, &call(7, "wait")).await;
    assert_eq!(told(&mut service).await, Told::Began);
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 7 } });
    let mut connection = Connection::open(&service, "POST", &named, &cancel).await;
    connection.until("202").await;
    assert_eq!(told(&mut service).await, Told::Cancelled);
}

#[tokio::test]
async fn a_session_is_not_there_for_anybody_else() {
    let service = service(8).await;
    let named = session(&service, "one").await.unwrap();
    let stolen = named.replace("who: one", "who: other");
    for (method, body) in [("POST", call(1, "now")), ("GET", Value::Null)] {
        let mut connection = Connection::open(&service, method, &stolen, &body).await;
        let answer = connection.until("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{method}: {answer}");
    }
    let mut connection = Connection::open(&service, "DELETE", &stolen, &Value::Null).await;
    connection.until("\r\n\r\n").await;
    let mut connection = Connection::open(&service, "POST", &named, &call(1, "now")).await;
    let answer = connection.until("\"id\":1").await;
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "it was ended by another: {answer}"
    );
}

#[tokio::test]
async fn an_id_under_way_is_refused_and_its_first_use_is_answered() {
    let mut service = service(8).await;
    let named = session(&service, "one").await.unwrap();
    let mut first = Connection::open(&service, "POST", &named, &call(1, "wait")).await;
    assert_eq!(told(&mut service).await, Told::Began);
    let mut second = Connection::open(&service, "POST", &named, &call(1, "now")).await;
    second.until("ids must not be used again").await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 1 } });
    Connection::open(&service, "POST", &named, &cancel)
        .await
        .until("202")
        .await;
    assert_eq!(told(&mut service).await, Told::Cancelled);
    first.until("\r\n\r\n").await;
}

#[tokio::test]
async fn requests_of_one_session_are_bounded() {
    let mut service = service(8).await;
    let named = session(&service, "one").await.unwrap();
    let mut waiting = Vec::new();
    for id in 1..=u32::try_from(REQUESTS_MAX).unwrap() {
        waiting.push(Connection::open(&service, "POST", &named, &call(id, "wait")).await);
        assert_eq!(told(&mut service).await, Told::Began);
    }
    let mut one_more = Connection::open(&service, "POST", &named, &call(1000, "now")).await;
    one_more.until("are under way; wait for one").await;
    drop(waiting);
    assert_eq!(
        told(&mut service).await,
        Told::Cancelled,
        "room is made again"
    );
    let mut after = Connection::open(&service, "POST", &named, &call(1001, "now")).await;
    after.until("\"id\":1001").await;
}

#[tokio::test]
async fn the_longest_silent_session_of_whoever_has_most_makes_room() {
    let service = service(3).await;
    let other = session(&service, "other").await.unwrap();
    let first = session(&service, "one").await.unwrap();
    let second = session(&service, "one").await.unwrap();
    let third = session(&service, "one").await.unwrap();
    for (named, expected) in [
        (&other, "200"),
        (&first, "404"),
        (&second, "200"),
        (&third, "200"),
    ] {
        let mut connection = Connection::open(&service, "POST", named, &call(1, "now")).await;
        let answer = connection.until("\r\n\r\n").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected}")),
            "{named}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_session_in_use_is_not_taken_away() {
    let mut service = service(2).await;
    let calling = session(&service, "one").await.unwrap();
    let listening = session(&service, "one").await.unwrap();
    let _call = Connection::open(&service, "POST", &calling, &call(1, "wait")).await;
    assert_eq!(told(&mut service).await, Told::Began);
    let mut stream = Connection::open(&service, "GET", &listening, &Value::Null).await;
    stream.until("\r\n\r\n").await;
    let refused = session(&service, "one").await.unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(stream);
    let begun = async {
        while session(&service, "one").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, begun)
        .await
        .expect("room when nobody listens");
}

#[tokio::test]
async fn no_more_sessions_than_there_is_room_for_begin_at_once() {
    let mut service = service(4).await;
    let mut kept = Vec::new();
    // In use, so that none makes room for another.
    for _ in 0..2 {
        let named = session(&service, "one").await.unwrap();
        kept.push(Connection::open(&service, "POST", &named, &call(1, "wait")).await);
        assert_eq!(told(&mut service).await, Told::Began);
    }
    let attempts = (0..32).map(|_| session(&service, "one"));
    let begun: Vec<String> = futures::future::join_all(attempts)
        .await
        .into_iter()
        .flatten()
        .collect();
    let mut alive = 0;
    for named in &begun {
        let mut connection = Connection::open(&service, "POST", named, &call(2, "now")).await;
        let answer = connection.until("\r\n\r\n").await;
        alive += usize::from(answer.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(alive, 2, "of {} that began", begun.len());
}

#[tokio::test]
async fn whoever_has_most_makes_nobody_else_make_room() {
    let service = service(3).await;
    let other = session(&service, "other").await.unwrap();
    for _ in 0..8 {
        session(&service, "one").await.unwrap();
    }
    let mut connection = Connection::open(&service, "POST", &other, &call(1, "now")).await;
    let answer = connection.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_says_too_much_of_itself_opens_nothing() {
    let service = service(4).await;
    let experimental: serde_json::Map<String, Value> = (0..2000)
        .map(|number| (number.to_string(), json!({})))
        .collect();
    let params = json!({ "protocolVersion": "2025-11-25",
        "capabilities": { "experimental": experimental },
        "clientInfo": { "name": "t", "version": "1" } });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let mut connection = Connection::open(&service, "POST", "", &initialize).await;
    let answer = connection.until("at most 8192 bytes").await;
    assert!(!answer.contains("mcp-session-id"), "{answer}");
    // A call may say as much as it likes.
    let named = session(&service, "one").await.unwrap();
    let mut long = call(1, "now");
    long["params"]["arguments"] = json!({ "text": "x".repeat(20_000) });
    let mut connection = Connection::open(&service, "POST", &named, &long).await;
    connection.until("\"id\":1").await;
}
