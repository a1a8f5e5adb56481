//! Reloads with real files, and with a real executor.
//!
//! What it is not: signals; the programs' own tests send those.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use sandbox_profiles::vet::ParamValue;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::Unobserved;
use super::super::call::Call;
use super::super::caller::Surface;
use super::*;
use crate::config::ExecutorPlace;
use crate::observe::audit::AuditLog;
use crate::store::Store;

/// A configuration file, an audit log, and an engine that was started from them.
struct Place {
    dir: TempDir,
    engine: Engine,
}

fn caller() -> Caller {
    Caller::local(Surface::Signal)
}

impl Place {
    fn start(text: &str, executor: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(
            &file,
            text.replace("DIR", &dir.path().display().to_string()),
        )
        .unwrap();
        let settings = Settings::load(Some(&file), |_| None).unwrap();
        let found = reading::profiles(&settings);
        assert_eq!(found.profile_errors, Vec::<String>::new());
        let policy = Policy::digest_of(&settings, &found.profiles);
        let audit = AuditLog::open(&dir.path().join("audit"), None, policy).unwrap();
        let executor = match executor {
            None => Executor::none(),
            Some(program) => {
                let place = ExecutorPlace::Embedded(Some(program.to_owned()));
                Executor::start(&place, &settings.scope_config, &settings.profiles).unwrap()
            }
        };
        // Without a directory it keeps runs in memory; without a store nothing would run.
        let store = Store::open(&settings.store, None).unwrap();
        let engine = Engine::new(settings, found.profiles, executor, Some(audit), store);
        Self { dir, engine }
    }

    fn write(&self, name: &str, text: &str) {
        let text = text.replace("DIR", &self.dir.path().display().to_string());
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("audit")).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn changes(&self) -> usize {
        let records = self.records();
        let changed = records.iter().filter(|record| record["kind"] == "changed");
        changed.count()
    }
}

const PROFILES: &str = "profiles = [\"DIR/none\", \"DIR/tools\"]\n";

#[tokio::test]
async fn whatever_is_wrong_changes_nothing_and_all_of_it_is_told() {
    let good = format!("[tool]\n{PROFILES}default_timeout = 7\n");
    let place = Place::start(&good, None);
    std::fs::create_dir(place.dir.path().join("tools")).unwrap();
    let cases: [(&str, &str, &[&str], &str); 6] = [
        (
            "[tool]\ndefault_timeout = 0\nx = 1\n",
            "",
            &["config.toml:2: ", "config.toml:3: "],
            "keys",
        ),
        ("[tool\n", "", &["config.toml:1: "], "no TOML"),
        (
            "[tool]\ninclude = [\"nmapp\"]\nexclude = [\"digg\"]\n",
            "",
            &["did you mean nmap?", "did you mean dig?"],
            "tools",
        ),
        (
            "[security.tools.nmapp]\n[security.tools.digg]\n",
            "",
            &["tools.nmapp", "tools.digg"],
            "their scopes",
        ),
        (
            "[server]\ntls_key = \"k\"\n",
            "",
            &["server.tls_key needs"],
            "a key alone",
        ),
        (
            good.as_str(),
            "name = \"broken\"\n",
            &["tools/x.toml"],
            "a profile",
        ),
    ];
    for (config, profile, expected, why) in cases {
        place.write("config.toml", config);
        if !profile.is_empty() {
            place.write("tools/x.toml", profile);
        }
        let refused = place.engine.reload(&caller()).await.unwrap_err();
        for expected in expected {
            assert!(
                refused.faults.iter().any(|fault| fault.contains(expected)),
                "{why}: {expected}: {:#?}",
                refused.faults
            );
        }
        assert_eq!(refused.error().error_type, ErrorType::ValidationError);
        let policy = place.engine.policy();
        assert_eq!(policy.generation(), 0, "{why}");
        assert_eq!(
            policy.settings().timeout,
            Some(Duration::from_secs(7)),
            "{why}"
        );
    }
    std::fs::remove_file(place.dir.path().join("config.toml")).unwrap();
    assert!(place.engine.reload(&caller()).await.is_err(), "no file");
    assert_eq!(
        place.changes(),
        0,
        "nothing was changed, so nothing is recorded"
    );
}

#[tokio::test]
async fn what_changed_is_told_recorded_and_what_needs_a_restart_is_kept() {
    let place = Place::start(&format!("[tool]\n{PROFILES}[server]\nport = 1\n"), None);
    let before = place.engine.policy().digest().to_owned();
    let tools = place.dir.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let dig = include_str!("../../../../sandbox-profiles/tools/dig.toml");
    let other = dig.replace("name = \"dig\"", "name = \"dig\"\nreplaces = true");
    place.write("tools/dig.toml", &format!("{other}\n# another\n"));
    let text = format!(
        "[tool]\n{PROFILES}max_args_length = 5\n[server]\nport = 2\n[security]\ndenied_ports = [\"22\"]\n"
    );
    place.write("config.toml", &text);
    let report = place.engine.reload(&caller()).await.unwrap();
    let keys = |changes: &[Change]| -> Vec<String> {
        changes.iter().map(|change| change.key.clone()).collect()
    };
    assert_eq!(
        keys(&report.changed),
        ["security.denied_ports", "tool.max_args_length"]
    );
    assert_eq!(keys(&report.restart_needed), ["server.port"]);
    assert_eq!(report.restart_needed[0].to, Some(2.into()));
    assert_eq!(report.tools_changed, ["dig"]);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("system executor"))
    );
    let policy = place.engine.policy();
    assert_eq!(
        (policy.generation(), policy.digest()),
        (1, report.policy.as_str())
    );
    assert_ne!(policy.digest(), before);
    let shown = super::super::effective::configuration(&policy);
    assert_eq!(
        shown["values"]["server.port"]["value"], 1,
        "as it is, not as it will be"
    );
    assert_eq!(
        shown["tools"]["dig"]["scope"]["allowed_ports"]["value"],
        "1-21,23-65535"
    );
    let records = place.records();
    let changed = records.last().unwrap();
    assert_eq!(changed["kind"], "changed");
    assert_eq!(changed["change"], "reloaded");
    assert_eq!(changed["policy"], report.policy.as_str());
    assert_eq!(changed["keys"][0], "security.denied_ports");
    let caller_shown = caller().to_string();
    assert_eq!(changed["caller"], caller_shown.as_str());
    let again = place.engine.reload(&caller()).await.unwrap();
    assert!(
        again.changed.is_empty() && again.tools_changed.is_empty(),
        "{again:?}"
    );
    assert_eq!(keys(&again.restart_needed), ["server.port"], "still");
}

/// The executor of this build.
fn executor() -> PathBuf {
    let ours = std::env::current_exe().unwrap();
    let target = ours.parent().and_then(Path::parent).unwrap();
    let program = target.join("mantlet-executor");
    assert!(program.is_file(), "`cargo build --bins` builds it first");
    program
}

/// A server on loopback that answers each request after a while.
fn slow_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut request = [0; 1024];
                let _read = stream.read(&mut request);
                std::thread::sleep(Duration::from_millis(300));
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                let _written = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}

/// A configuration with room for many calls.
fn roomy(executor: &Path, networks: &str, denied_ports: &str) -> String {
    format!(
        "[server]\nmax_calls = 256\n[rate_limit]\ncalls_per_minute = 60000\n[tool]\n{PROFILES}\
         [executor]\nbinary = \"{}\"\n\
         [security]\nallowed_networks = [{networks}]\ndenied_ports = [{denied_ports}]\n",
        executor.display()
    )
}

/// curl's profile, with a queue for all calls of a test.
fn patient_curl() -> String {
    let curl = include_str!("../../../../sandbox-profiles/tools/curl.toml");
    let queue = curl
        .lines()
        .find(|line| line.starts_with("queue = "))
        .unwrap();
    let curl = curl.replace(queue, "queue = 200");
    curl.replace("name = \"curl\"", "name = \"curl\"\nreplaces = true")
}

fn start(engine: &Engine, call: Call) -> tokio::task::JoinHandle<crate::outcome::Outcome> {
    let engine = engine.clone();
    tokio::spawn(async move {
        let (caller, cancel) = (caller(), CancellationToken::new());
        let observer = Arc::new(Unobserved);
        engine.run(call, &caller, observer, cancel).await
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_under_reloads_all_end_well_and_a_narrower_scope_holds_on_both_sides() {
    let program = executor();
    let scope = |networks: &str, port: &str| roomy(&program, networks, port);
    let place = Place::start(&scope("\"127.0.0.0/8\"", ""), Some(&program));
    std::fs::create_dir(place.dir.path().join("tools")).unwrap();
    place.write("tools/curl.toml", &patient_curl());
    let report = place.engine.reload(&caller()).await.unwrap();
    assert_eq!(report.tools_changed, ["curl"]);
    let port = slow_server();
    let call = move || {
        let mut call = Call::new("curl", "127.0.0.1");
        call.parameters = vec![("port".to_owned(), ParamValue::Integer(port.into()))];
        call
    };
    let calls: Vec<_> = (0..100).map(|_| start(&place.engine, call())).collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    place.write("config.toml", "[tool]\nnonsense = 1\n");
    assert!(place.engine.reload(&caller()).await.is_err());
    for denied in ["\"1\"", "\"2\""] {
        place.write("config.toml", &scope("\"127.0.0.0/8\"", denied));
        place.engine.reload(&caller()).await.unwrap();
    }
    let former = place.engine.executor();
    place.write("config.toml", &scope("\"10.0.0.0/8\"", ""));
    place.engine.reload(&caller()).await.unwrap();
    let mut well = 0;
    for call in calls {
        let outcome = call.await.unwrap();
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        well += 1;
    }
    assert_eq!(well, 100);
    let refused = place.engine.policy().vet(&call()).unwrap_err();
    assert_eq!(refused.error_type, ErrorType::ValidationError);
    // The executor's own word, as one would get it who had taken over the broker.
    let enforced = enforced(&place.engine.executor()).await.unwrap();
    assert_eq!(enforced.1, place.engine.policy().settings().scope.digest());
    let running = || {
        let started = place.engine.0.started.lock().unwrap();
        started.iter().filter(|one| one.strong_count() > 0).count()
    };
    assert_eq!(
        running(),
        2,
        "the one in effect, and the one that is kept here"
    );
    drop(former);
    assert_eq!(running(), 1, "those without calls have ended");
    assert_eq!(place.changes(), 4);
    let records = place.records();
    let intents = records.iter().filter(|record| record["kind"] == "intent");
    let policies: std::collections::BTreeSet<_> =
        intents.map(|one| one["policy"].to_string()).collect();
    assert_eq!(policies.len(), 1, "the policy that they began with");
    place.engine.stop().await;
}
