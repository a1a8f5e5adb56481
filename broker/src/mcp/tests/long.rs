//! Runs that outlast their answer, and results in pages.

use std::collections::BTreeSet;

use super::*;

/// A scan of 40 hosts, 20 ports each, one of them open.
pub(super) fn scan() -> Value {
    let ports = |host: u32| -> Vec<Value> {
        let port = |number: u32| {
            let state = if number == host % 20 {
                "open"
            } else {
                "closed"
            };
            json!({ "number": number, "protocol": "tcp", "state": state, "service": "http" })
        };
        (0..20).map(port).collect()
    };
    let host = |host: u32| {
        let address = format!("10.0.0.{host}");
        json!({ "address": address, "name": format!("h{host}.lab.internal"), "state": "up",
            "reason": "syn-ack", "ports": ports(host) })
    };
    let hosts: Vec<Value> = (1..=40).map(host).collect();
    json!({ "hosts": hosts, "totals": { "up": 40, "down": 0, "no_answer": 0, "total": 40 } })
}

const SHORT: Duration = Duration::from_millis(50);

impl Client {
    async fn tool(&mut self, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        self.ask("tools/call", params).await["result"].take()
    }

    /// Starts a run that goes on after its answer, and waits for its end.
    async fn ended(&mut self, target: &str) -> String {
        let handle = self.call(target).await;
        let run_id = handle["structuredContent"]["run_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let status = self
            .tool("run_status", json!({"run_id": run_id, "wait_sec": 5}))
            .await;
        assert_eq!(status["structuredContent"]["state"], "finished", "{status}");
        run_id
    }
}

#[tokio::test]
async fn a_run_that_takes_long_is_answered_by_a_handle_and_goes_on() {
    let mut client = Client::open_with(SHORT).await;
    let handle = client.call("busy").await;
    assert_eq!(handle["isError"], false);
    let content = &handle["structuredContent"];
    assert!(has_all(content, output_schema::HANDLE_FIELDS), "{content}");
    assert_eq!(content["state"], "running");
    assert!(content["progress"]["percent"].as_f64().unwrap() > 0.0);
    for part in ["run_status", "run_result", "run_cancel", "% done: scanning"] {
        assert!(text(&handle).contains(part), "{part}: {handle}");
    }
    let asked = json!({"run_id": content["run_id"], "wait_sec": 5});
    let status = client.tool("run_status", asked).await["structuredContent"].take();
    assert_eq!(status["state"], "finished", "it was waited for: {status}");
    assert!(status["progress"].is_null() && status["ended_at"].is_string());
    let asked = json!({"run_id": content["run_id"]});
    let result = client.tool("run_result", asked).await;
    assert_eq!(result["structuredContent"]["returncode"], 0, "{result}");
}

#[tokio::test]
async fn a_run_is_cancelled_by_its_id() {
    let mut client = Client::open_with(SHORT).await;
    let run_id = client.call("slow").await["structuredContent"]["run_id"].take();
    let asked = json!({ "run_id": run_id });
    let running = client.tool("run_result", asked.clone()).await;
    assert_eq!(
        running["structuredContent"]["state"], "queued",
        "no result yet: {running}"
    );
    let ended = client.tool("run_cancel", asked.clone()).await;
    assert_eq!(ended["structuredContent"]["state"], "cancelled", "{ended}");
    assert!(client.cancelled.load(Ordering::SeqCst));
    let again = client.tool("run_cancel", asked).await;
    assert_eq!(
        again["structuredContent"]["state"], "cancelled",
        "once more changes nothing"
    );
}

#[tokio::test]
async fn pages_of_hosts_are_bounded_and_show_everything_once() {
    let mut client = Client::open_with(SHORT).await;
    let run_id = client.ended("hosts").await;
    let mut seen = BTreeSet::new();
    let mut offset = json!(0);
    let mut pages = 0;
    while !offset.is_null() {
        let asked = json!({ "run_id": run_id, "offset": offset });
        let page = client.tool("run_result", asked).await;
        let content = &page["structuredContent"];
        assert!(
            content.to_string().len() < 8_000,
            "{} bytes",
            content.to_string().len()
        );
        for host in content["hosts"].as_array().unwrap() {
            for port in host["ports"].as_array().unwrap() {
                let unit = (host["address"].to_string(), port["number"].to_string());
                assert!(seen.insert(unit), "{host} twice");
            }
        }
        offset = content["next_offset"].clone();
        pages += 1;
    }
    assert_eq!(seen.len(), 800);
    assert!((5..40).contains(&pages), "{pages} pages");
}

#[tokio::test]
async fn results_are_narrowed_down() {
    let mut client = Client::open_with(SHORT).await;
    let run_id = client.ended("hosts").await;
    let cases = [
        // narrowed by                                            units  why
        (json!({}), 800, "everything"),
        (json!({"state": "open"}), 40, "one open port a host"),
        (json!({"host": "10.0.0.7"}), 20, "all ports of a host"),
        (
            json!({"host": "H7.lab.internal"}),
            20,
            "by its name, in any case",
        ),
        (json!({"host": "10.0.0.7", "state": "open"}), 1, "both"),
        (json!({"port": 7}), 40, "a port of every host"),
        (json!({"port": 7, "state": "open"}), 2, "hosts 7 and 27"),
        (json!({"host": "10.9.9.9"}), 0, "no such host"),
    ];
    for (mut asked, units, why) in cases {
        asked["run_id"] = json!(run_id);
        let page = client.tool("run_result", asked).await;
        assert_eq!(page["structuredContent"]["total"], units, "{why}");
    }
}

#[tokio::test]
async fn output_is_read_to_its_end_in_pages() {
    let mut client = Client::open_with(SHORT).await;
    let run_id = client.ended("hosts").await;
    let mut whole = String::new();
    let mut offset = json!(0);
    while !offset.is_null() {
        let asked = json!({ "run_id": run_id, "part": "stdout", "offset": offset });
        let page = client.tool("run_result", asked).await["structuredContent"].take();
        let part = page["text"].as_str().unwrap();
        assert!(json!(part).to_string().len() < 8_000);
        whole.push_str(part);
        offset = page["next_offset"].clone();
    }
    assert_eq!(whole, "line\n".repeat(4000));
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let mut client = Client::open_with(SHORT).await;
    let run_id = client.ended("hosts").await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    let cases = [
        (
            "run_status",
            json!({"run_id": nobody}),
            "not_found",
            "no such run",
        ),
        (
            "run_result",
            json!({"run_id": "../../etc/passwd"}),
            "not_found",
            "no id at all",
        ),
        (
            "run_cancel",
            json!({"run_id": nobody}),
            "not_found",
            "nothing to cancel",
        ),
        ("run_cancel", json!({}), "validation_error", "no run named"),
        (
            "run_status",
            json!({"run": "x"}),
            "validation_error",
            "an unknown field",
        ),
        (
            "run_status",
            json!({"state": "done"}),
            "validation_error",
            "an unknown state",
        ),
        (
            "run_status",
            json!({"run_id": run_id, "wait_sec": 3600}),
            "validation_error",
            "too long",
        ),
        (
            "run_result",
            json!({"run_id": run_id, "part": "raw"}),
            "validation_error",
            "no such part",
        ),
        (
            "run_result",
            json!({"run_id": run_id, "port": "80"}),
            "validation_error",
            "a text",
        ),
    ];
    for (tool, arguments, kind, why) in cases {
        let result = client.tool(tool, arguments).await;
        assert_eq!(result["isError"], true, "{why}: {result}");
        assert_eq!(result["structuredContent"]["error_type"], kind, "{why}");
        assert!(has_all(&result["structuredContent"], ERROR_FIELDS), "{why}");
    }
}

#[tokio::test]
async fn results_are_resources_and_cut_ones_link_to_them() {
    let mut client = Client::open_with(SHORT).await;
    let huge = client.call("huge").await;
    let link = &huge["content"][1];
    assert_eq!(link["type"], "resource_link", "{huge}");
    assert!(
        client.call("10.0.0.1").await["content"]
            .as_array()
            .unwrap()
            .len()
            == 1
    );
    let run_id = client.ended("hosts").await;
    let listed = client.ask("resources/list", json!({})).await["result"].take();
    let uri = format!("mantlet://runs/{run_id}");
    assert_eq!(listed["resources"][0]["uri"], uri, "{listed}");
    let read = client.ask("resources/read", json!({ "uri": uri })).await["result"].take();
    let whole: Value = serde_json::from_str(read["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(whole["structured"], scan());
    let read = client
        .ask("resources/read", json!({"uri": format!("{uri}/stdout")}))
        .await;
    assert_eq!(read["result"]["contents"][0]["text"], "line\n".repeat(4000));
    let templates = client.ask("resources/templates/list", json!({})).await;
    assert_eq!(
        templates["result"]["resourceTemplates"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for uri in [
        "mantlet://runs/01890a5d-ac96-774b-bcce-b302099a8057",
        "file:///etc/passwd",
    ] {
        let error = client.ask("resources/read", json!({ "uri": uri })).await["error"].take();
        assert_eq!(error["code"], -32002, "{uri}: {error}");
    }
}

#[tokio::test]
async fn a_run_that_panics_is_answered_as_a_failure() {
    let mut client = Client::open().await;
    let result = client.call("panicking").await;
    assert_eq!(result["isError"], true);
    assert_eq!(result["structuredContent"]["error_type"], "unknown");
    assert!(
        !result.to_string().contains("later"),
        "its text stays in the log"
    );
}

#[tokio::test]
async fn run_tools_are_listed_with_schemas() {
    let mut client = Client::open().await;
    let tools = client.ask("tools/list", json!({})).await["result"]["tools"].take();
    for (name, reads) in [
        ("run_status", true),
        ("run_result", true),
        ("run_cancel", false),
    ] {
        let tools = tools.as_array().unwrap();
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
        assert_eq!(tool["annotations"]["readOnlyHint"], reads, "{name}");
        assert_eq!(tool["annotations"]["openWorldHint"], false, "{name}");
    }
}

#[tokio::test]
async fn a_client_that_knows_tasks_gets_one_instead_of_a_handle() {
    let mut client = Client::open_with(SHORT).await;
    let capabilities = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let meta = json!({"io.modelcontextprotocol/clientCapabilities": capabilities});
    let mut call = async |target: &str| {
        let params = json!({"name": "nmap", "arguments": {"target": target}, "_meta": meta});
        let created = client.ask("tools/call", params).await["result"].take();
        assert_eq!(created["resultType"], "task", "{created}");
        assert_eq!(created["status"], "working");
        assert!(created["ttlMs"].as_u64() > Some(0) && created["pollIntervalMs"].is_u64());
        let id = created["taskId"].clone();
        if target == "slow" {
            let params = json!({"taskId": id, "_meta": meta});
            let answer = client.ask("tasks/cancel", params).await;
            assert!(answer["result"].is_object(), "{answer}");
        }
        for _ in 0..500 {
            let params = json!({"taskId": id, "_meta": meta});
            let task = client.ask("tasks/get", params).await["result"].take();
            if task["status"] != "working" {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the task has no end");
    };
    let done = call("hosts").await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["result"]["structuredContent"]["returncode"], 0);
    assert!(text(&done["result"]).contains("-T4 was added"), "{done}");
    assert_eq!(call("slow").await["status"], "cancelled");
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({"taskId": nobody, "inputResponses": {}, "_meta": meta});
        let answer = client.ask(method, params).await;
        assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
    }
    let params = json!({ "taskId": nobody });
    let answer = client.ask("tasks/get", params).await;
    assert_eq!(answer["error"]["code"], -32021, "not declared: {answer}");
}
