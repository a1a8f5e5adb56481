//! Changes of the lists as clients of both eras are told of them.
//!
//! What it is not: a run; no executor is asked here.

use sandbox_profiles::load;

use super::*;
use crate::config::Settings;
use crate::executor::Executor;
use crate::store::Store;

/// Long enough for a notification that must not come.
const QUIET: Duration = Duration::from_millis(200);

struct Real {
    engine: Engine,
    caller: Caller,
    write: WriteHalf<DuplexStream>,
    read: ClientLines<BufReader<ReadHalf<DuplexStream>>>,
    stop: Stop,
    server: JoinHandle<Result<(), StdioError>>,
}

impl Real {
    fn start() -> Self {
        let settings = Settings::load(Some(std::path::Path::new("/dev/null")), |_| None).unwrap();
        let profiles = load::built_in().unwrap();
        let engine = Engine::new(settings, profiles, Executor::none(), None, Store::none());
        let caller = Caller::local(Surface::Stdio);
        let stop = Stop::default();
        let service = Server::new(
            engine.clone(),
            Clients::One(caller.clone()),
            stop.drain.clone(),
        );
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (read, write) = split(client);
        let (input, output) = split(server);
        let gone = CancellationToken::new();
        let serving = serve_streams(
            service,
            input,
            output,
            Box::pin(gone.cancelled_owned()),
            limits(),
            stop.clone(),
        );
        Self {
            engine,
            caller,
            write,
            read: BufReader::new(read).lines(),
            stop,
            server: tokio::spawn(serving),
        }
    }

    async fn send(&mut self, message: Value) {
        let line = format!("{message}\n");
        self.write.write_all(line.as_bytes()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = timeout(SOON, self.read.next_line()).await.expect("in time");
        serde_json::from_str(&line.unwrap().expect("a line")).unwrap()
    }

    async fn nothing(&mut self) {
        let line = timeout(QUIET, self.read.next_line()).await;
        assert!(line.is_err(), "{line:?}");
    }

    async fn switch(&mut self, tool: &str, enabled: bool) {
        let switched = self.engine.set_enabled(tool, enabled, &self.caller).await;
        assert!(switched.unwrap());
    }

    async fn tools(&mut self, meta: &Value) -> Vec<String> {
        let mut params = json!({});
        if !meta.is_null() {
            params["_meta"] = meta.clone();
        }
        self.send(
            json!({"jsonrpc": "2.0", "id": "list", "method": "tools/list", "params": params}),
        )
        .await;
        let answer = self.next().await;
        let tools = answer["result"]["tools"].as_array().unwrap();
        let names = tools.iter().map(|tool| tool["name"].as_str().unwrap());
        names.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_session_is_told_of_other_tools_and_lists_them() {
    let mut real = Real::start();
    real.send(
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}}),
    )
    .await;
    let hello = real.next().await;
    let capabilities = &hello["result"]["capabilities"];
    assert_eq!(capabilities["tools"]["listChanged"], true, "{hello}");
    assert_eq!(capabilities["prompts"]["listChanged"], true, "{hello}");
    real.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    assert!(real.tools(&Value::Null).await.contains(&"ping".to_owned()));
    real.switch("ping", false).await;
    let mut told = [real.next().await, real.next().await].map(|mut told| told["method"].take());
    told.sort_by_key(ToString::to_string);
    assert_eq!(told[0], "notifications/prompts/list_changed");
    assert_eq!(told[1], "notifications/tools/list_changed");
    assert!(!real.tools(&Value::Null).await.contains(&"ping".to_owned()));
    let policy = real.engine.policy();
    let (settings, profiles) = (policy.settings().clone(), policy.profiles().clone());
    real.engine
        .adopt(settings, profiles, real.engine.executor());
    real.nothing().await;
    real.stop.drain.cancel();
    assert!(timeout(SOON, real.server).await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn a_stream_is_told_what_it_asked_for_and_ends_with_the_server() {
    let mut real = Real::start();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    real.send(
        json!({"jsonrpc": "2.0", "id": "s", "method": "subscriptions/listen",
        "params": {"_meta": meta, "notifications": {"toolsListChanged": true}}}),
    )
    .await;
    let established = real.next().await;
    assert_eq!(
        established["method"], "notifications/subscriptions/acknowledged",
        "{established}"
    );
    real.switch("ping", false).await;
    let told = real.next().await;
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    real.nothing().await;
    assert!(!real.tools(&meta).await.contains(&"ping".to_owned()));
    real.stop.drain.cancel();
    let ended = real.next().await;
    assert_eq!(ended["id"], "s", "{ended}");
    assert!(timeout(SOON, real.server).await.unwrap().unwrap().is_ok());
}
