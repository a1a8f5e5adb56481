//! The store on real files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use jiff::{Timestamp, ToSpan as _};

use super::*;
use crate::config::service::StorePlace;
use crate::outcome::RunFacts;
use record::RunState;

const MB: u64 = 1_000_000;

fn settings(bytes_max: u64) -> StoreSettings {
    StoreSettings {
        place: StorePlace::State,
        age_max: Duration::from_hours(24),
        bytes_max,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(&settings(64 * MB), Some(dir)).unwrap()
}

fn run(caller: &str) -> RunInfo {
    RunInfo {
        run_id: uuid::Uuid::now_v7().to_string(),
        correlation_id: "c".into(),
        caller: caller.into(),
        surface: "stdio".into(),
        tool: "nmap".into(),
        target: "10.0.0.1".into(),
        argv: vec!["/usr/bin/nmap".into(), "10.0.0.1".into()],
        state: RunState::Queued,
        started_at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
        ended_at: None,
        returncode: None,
        error_type: None,
        error: None,
        stdout_bytes: 0,
        progress: None,
    }
}

fn outcome(run: &RunInfo, stdout: &[u8]) -> Arc<Outcome> {
    Arc::new(Outcome {
        run_id: run.run_id.clone(),
        correlation_id: run.correlation_id.clone(),
        tool: run.tool.clone(),
        target: run.target.clone(),
        argv: run.argv.clone(),
        targets: Vec::new(),
        notes: Vec::new(),
        resolved: None,
        started_at: run.started_at,
        execution_time: 1.0,
        facts: RunFacts {
            returncode: Some(0),
            stdout: "readable".into(),
            summary: "in few words".into(),
            raw_stdout: stdout.into(),
            ..RunFacts::default()
        },
        error: None,
    })
}

/// Stores a run that is over.
async fn stored(store: &Store, stdout: &[u8], at: Timestamp) -> RunInfo {
    let begun = run("stdio:uid=1");
    store.begin(begun.clone()).await.unwrap();
    let outcome = outcome(&begun, stdout);
    let ended = begun.ended(&outcome, at);
    store.finish(ended.clone(), outcome).await.unwrap();
    ended
}

async fn is_sound(store: &Store) -> bool {
    let check = store.0.writer.ask(|connection| {
        let check = "PRAGMA integrity_check";
        Ok(connection.query_row(check, [], |row| row.get::<_, String>(0))?)
    });
    check.await.unwrap() == "ok"
}

#[tokio::test]
async fn runs_and_results_outlive_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let kept = stored(&store, b"\x1b[31mraw\0", Timestamp::now()).await;
    store.close().await;
    drop(store);
    for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        let mode = file.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.path());
    }
    let store = open(dir.path());
    let mut found = store.get(&kept.run_id).await.unwrap().unwrap();
    // Kept in milliseconds.
    found.ended_at = kept.ended_at;
    assert_eq!(found, kept);
    let (text, summary) = store.outcome(&kept.run_id).await.unwrap().unwrap();
    assert_eq!(summary, "in few words");
    let outcome: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(outcome["stdout"], "readable");
    let cases: [(u64, usize, &[u8]); 4] = [
        (0, 100, b"\x1b[31mraw\0"),
        (5, 3, b"raw"),
        (9, 100, b""),
        (u64::MAX, 100, b""),
    ];
    for (offset, bytes_max, expected) in cases {
        let part = store
            .stdout(&kept.run_id, offset, bytes_max)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (part.bytes.as_slice(), part.total),
            (expected, 9),
            "{offset}"
        );
    }
    assert!(store.get("nobody's").await.unwrap().is_none());
}

#[tokio::test]
async fn only_runs_of_dead_brokers_are_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (open(dir.path()), open(dir.path()));
    let under_way = run("stdio:uid=1");
    let id = under_way.run_id.clone();
    one.begin(under_way).await.unwrap();
    one.now_running(&id);
    let state = async |store: &Store| store.get(&id).await.unwrap().unwrap().state;
    assert!(!state(&other).await.is_over(), "its broker lives");
    let third = open(dir.path());
    assert!(
        !state(&third).await.is_over(),
        "a start doesn't change that"
    );
    drop(one);
    assert_eq!(
        state(&other).await,
        RunState::Interrupted,
        "its broker is gone"
    );
    let found = third.get(&id).await.unwrap().unwrap();
    assert!(
        found.ended_at.is_some() && found.error.is_some(),
        "{found:?}"
    );
    assert!(is_sound(&third).await);
}

#[tokio::test]
async fn a_list_is_one_callers_newest_first_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut own = Vec::new();
    for index in 0..10 {
        let caller = if index % 2 == 0 { "own" } else { "other" };
        let begun = run(caller);
        store.begin(begun.clone()).await.unwrap();
        if index % 2 == 0 {
            own.push(begun.run_id);
        }
    }
    own.reverse();
    let filter = |caller: Option<&str>, before: Option<&str>| Filter {
        caller: caller.map(str::to_owned),
        tool: Some("nmap".into()),
        state: Some(RunState::Queued),
        before: before.map(str::to_owned),
        limit: 3,
    };
    let ids = async |filter: Filter| -> Vec<String> {
        let found = store.list(filter).await.unwrap();
        found.into_iter().map(|run| run.run_id).collect()
    };
    let first = ids(filter(Some("own"), None)).await;
    let second = ids(filter(Some("own"), Some(&first[2]))).await;
    assert_eq!([first, second].concat(), own);
    assert_eq!(ids(filter(None, None)).await.len(), 3, "everybody's");
    let mut none = filter(Some("own"), None);
    none.tool = Some("ping".into());
    assert!(ids(none).await.is_empty());
}

#[tokio::test]
async fn what_is_too_old_goes_and_what_runs_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let now = Timestamp::now();
    let old = stored(&store, b"x", now - 25.hours()).await;
    let new = stored(&store, b"x", now - 23.hours()).await;
    let mut under_way = run("stdio:uid=1");
    under_way.started_at = now - 48.hours();
    store.begin(under_way.clone()).await.unwrap();
    let again = open(dir.path());
    let is_there = async |run: &RunInfo| again.get(&run.run_id).await.unwrap().is_some();
    assert!(!is_there(&old).await && again.outcome(&old.run_id).await.unwrap().is_none());
    assert!(is_there(&new).await);
    assert!(is_there(&under_way).await);
}

#[tokio::test]
async fn the_oldest_go_first_when_there_is_too_much_and_the_file_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let size = || fs::metadata(dir.path().join(FILE)).unwrap().len();
    let store = Store::open(&settings(64 * MB), Some(dir.path())).unwrap();
    let bytes = vec![7; 1 << 20];
    let mut runs = Vec::new();
    for _ in 0..40 {
        runs.push(stored(&store, &bytes, Timestamp::now()).await);
    }
    store.close().await;
    drop(store);
    assert!(size() > 40 * MB, "{}", size());
    let store = Store::open(&settings(16 * MB), Some(dir.path())).unwrap();
    assert!(size() <= 16 * MB, "{} after the start", size());
    for _ in 0..20 {
        runs.push(stored(&store, &bytes, Timestamp::now()).await);
        assert!(size() <= 18 * MB, "{} while it is used", size());
    }
    let mut kept = Vec::new();
    for run in &runs {
        kept.push(store.get(&run.run_id).await.unwrap().is_some());
    }
    let first = kept.iter().position(|kept| *kept).unwrap();
    assert!(
        kept[first..].iter().all(|kept| *kept),
        "the oldest go first"
    );
    assert!(
        (10..16).contains(&(runs.len() - first)),
        "{} are kept",
        runs.len() - first
    );
    assert!(is_sound(&store).await);
}

#[tokio::test]
async fn a_store_in_memory_stays_small_whatever_is_configured() {
    let store = Store::open(&settings(1_000_000 * MB), None).unwrap();
    let bytes = vec![7; 8 << 20];
    let mut runs = Vec::new();
    for _ in 0..12 {
        runs.push(stored(&store, &bytes, Timestamp::now()).await);
    }
    let pages = store.0.writer.ask(|connection| {
        Ok(connection.pragma_query_value(None, "page_count", |row| row.get::<_, u32>(0))?)
    });
    assert!(u64::from(pages.await.unwrap()) * 4096 < 80 * MB);
    let is_there = async |run: &RunInfo| store.get(&run.run_id).await.unwrap().is_some();
    assert!(!is_there(&runs[0]).await && is_there(&runs[11]).await);
}

#[tokio::test]
async fn a_result_that_would_fill_the_store_is_kept_without_its_artefact() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&settings(16 * MB), Some(dir.path())).unwrap();
    let before = stored(&store, b"x", Timestamp::now()).await;
    let huge = stored(&store, &vec![7; 10 << 20], Timestamp::now()).await;
    assert!(store.outcome(&huge.run_id).await.unwrap().is_some());
    assert_eq!(
        store.get(&huge.run_id).await.unwrap().unwrap().stdout_bytes,
        0
    );
    assert!(
        store.get(&before.run_id).await.unwrap().is_some(),
        "nothing had to go"
    );
}

#[tokio::test]
async fn a_full_store_takes_no_run_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = stored(&store, b"kept", Timestamp::now()).await;
    let pages = async |more: i64| {
        let limit = store.0.writer.ask(move |connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let pages = pages + more;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        });
        limit.await.unwrap();
    };
    let under_way = run("stdio:uid=1");
    store.begin(under_way.clone()).await.unwrap();
    pages(0).await;
    let result = outcome(&under_way, &vec![7; 1 << 20]);
    let ended = under_way.clone().ended(&result, Timestamp::now());
    let error = store
        .finish(ended.clone(), Arc::clone(&result))
        .await
        .unwrap_err();
    assert!(error.is_full(), "{error}");
    let mut long = run("stdio:uid=1");
    long.argv = vec!["x".repeat(100_000)];
    let error = store.begin(long).await.unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(
        store
            .stdout(&before.run_id, 0, 9)
            .await
            .unwrap()
            .unwrap()
            .bytes,
        b"kept"
    );
    assert!(is_sound(&store).await);
    pages(100_000).await;
    store.finish(ended, result).await.unwrap();
    assert!(
        store.outcome(&under_way.run_id).await.unwrap().is_some(),
        "there is room again"
    );
}

type Make<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn files_that_are_no_store_of_ours_are_refused_and_left_alone() {
    let newer = |path: &Path| {
        drop(schema::open(path).unwrap());
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
    };
    let other = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let text = |path: &Path| {
        fs::write(path, "not a database at all, by far".repeat(100)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let open_to_all = |path: &Path| {
        drop(schema::open(path).unwrap());
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    };
    let link = |path: &Path| std::os::unix::fs::symlink("/dev/null", path).unwrap();
    let cases: [(Make<'_>, &str, &str); 5] = [
        (&newer, "newer Mantlet", "a version that is not known"),
        (&other, "not a store of runs", "another program's"),
        (&text, "not a database", "no database"),
        (&open_to_all, "chmod 600", "others may read it"),
        (&link, "runs.db", "a link to elsewhere"),
    ];
    for (make, expected, why) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        make(&path);
        let before = fs::read(&path).unwrap();
        let error = Store::open(&settings(64 * MB), Some(dir.path())).unwrap_err();
        assert!(error.to_string().contains(expected), "{why}: {error}");
        assert_eq!(fs::read(&path).unwrap(), before, "{why}");
    }
}

#[tokio::test]
async fn many_brokers_open_write_and_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let brokers = (0..4).map(|_| {
        let dir = dir.path().to_owned();
        tokio::task::spawn_blocking(move || open(&dir))
    });
    let stores: Vec<Store> = futures::future::try_join_all(brokers).await.unwrap();
    let writers = stores.iter().map(async |store| {
        for _ in 0..25 {
            stored(store, &[7; 4096], Timestamp::now()).await;
        }
    });
    futures::future::join_all(writers).await;
    let filter = Filter {
        caller: None,
        tool: None,
        state: Some(RunState::Finished),
        before: None,
        limit: 1000,
    };
    assert_eq!(stores[0].list(filter).await.unwrap().len(), 100);
    assert!(is_sound(&stores[1]).await);
}

#[tokio::test]
async fn what_killed_brokers_left_of_themselves_goes_and_the_living_stay() {
    let dir = tempfile::tempdir().unwrap();
    let names = || {
        let entries = fs::read_dir(dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("broker-")).collect();
        names.sort();
        names
    };
    let living = open(dir.path());
    let of_living = names();
    // Killed while it ran nothing, and while it made its file.
    fs::write(dir.path().join("broker-dead.lock"), "").unwrap();
    fs::write(dir.path().join("broker-dying.new"), "").unwrap();
    let next = open(dir.path());
    let left = names();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(of_living.iter().all(|name| left.contains(name)), "{left:?}");
    next.close().await;
    living.close().await;
    assert_eq!(names(), Vec::<String>::new());
}
