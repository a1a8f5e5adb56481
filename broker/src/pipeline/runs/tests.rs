//! Runs whose work is the test's own, on a real store.

use super::ask::ListQuery;
use super::*;
use crate::access::Role;
use crate::config::Settings;
use crate::pipeline::Unobserved;
use crate::pipeline::caller::Surface;

const SOON: Duration = Duration::from_secs(5);

fn runs() -> Runs {
    let settings = Settings::load(None, |_| None).unwrap();
    Runs::new(Store::open(&settings.store, None).unwrap())
}

fn own() -> Caller {
    Caller::local(Surface::Stdio)
}

fn other() -> Caller {
    Caller::local(Surface::Terminal)
}

fn done(info: &RunInfo) -> Outcome {
    let mut outcome = broken(info);
    outcome.error = None;
    outcome.facts.returncode = Some(0);
    outcome.facts.raw_stdout = b"raw".to_vec();
    outcome
}

/// A run that begins and goes on until it is cancelled, or `go_on` is.
fn endless(runs: &Runs, go_on: &CancellationToken) -> Running {
    let info = Runs::info(&own(), "nmap", "10.0.0.1", "c");
    let (all, go_on) = (runs.clone(), go_on.clone());
    runs.start(info, Arc::new(Unobserved), |live, _| async move {
        let mut outcome = done(&live.info());
        if let Err(error) = all.begin(&live, &outcome).await {
            outcome.error = Some(error);
            return outcome;
        }
        tokio::select! {
            () = live.cancel().cancelled() => outcome.error = Some(crate::pipeline::cancelled()),
            () = go_on.cancelled() => {}
        }
        outcome
    })
}

async fn begun(runs: &Runs, run_id: &str) {
    let begun = async {
        let query = ListQuery::default;
        while !runs
            .list(&own(), query())
            .await
            .unwrap()
            .runs
            .iter()
            .any(|run| run.run_id == run_id)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, begun).await.unwrap();
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_any_more_is_cancelled_and_its_outcome_kept() {
    let runs = runs();
    let running = endless(&runs, &CancellationToken::new());
    let id = running.run_id();
    begun(&runs, &id).await;
    drop(running);
    let info = runs.wait(&own(), &id, SOON).await.unwrap();
    assert_eq!(info.state, RunState::Cancelled);
    let result = runs.result(&own(), &id).await.unwrap();
    assert_eq!(result.outcome.unwrap()["error_type"], "cancelled");
}

#[tokio::test]
async fn a_detached_run_goes_on_and_is_asked_for_by_its_id() {
    let runs = runs();
    let go_on = CancellationToken::new();
    let running = endless(&runs, &go_on);
    let id = running.run_id();
    assert!(running.detach());
    drop(running);
    begun(&runs, &id).await;
    let result = runs.result(&own(), &id).await.unwrap();
    assert!(!result.info.state.is_over() && result.outcome.is_none());
    let error = runs.stdout(&own(), &id, 0, 10).await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::ValidationError, "not yet");
    go_on.cancel();
    assert_eq!(
        runs.wait(&own(), &id, SOON).await.unwrap().state,
        RunState::Finished
    );
    assert_eq!(runs.stdout(&own(), &id, 1, 10).await.unwrap().bytes, b"aw");
}

#[tokio::test]
async fn another_callers_run_is_like_one_that_never_was() {
    let runs = runs();
    let go_on = CancellationToken::new();
    let running = endless(&runs, &go_on);
    let id = running.run_id();
    begun(&runs, &id).await;
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    for _ in ["live", "kept"] {
        for id in [id.as_str(), nobody] {
            let errors = [
                runs.status(&other(), id).await.unwrap_err(),
                runs.wait(&other(), id, SOON).await.unwrap_err(),
                runs.result(&other(), id).await.unwrap_err(),
                runs.stdout(&other(), id, 0, 1).await.unwrap_err(),
                runs.cancel(&other(), id).await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.error_type, ErrorType::NotFound);
                assert_eq!(error.message, "there is no such run");
            }
        }
        let page = runs.list(&other(), ListQuery::default()).await.unwrap();
        assert_eq!(page.runs, []);
        go_on.cancel();
        runs.wait(&own(), &id, SOON).await.unwrap();
    }
    assert_eq!(
        runs.status(&own(), &id).await.unwrap().state,
        RunState::Finished
    );
}

#[tokio::test]
async fn only_an_admin_over_http_oversees_others() {
    let runs = runs();
    let go_on = CancellationToken::new();
    let running = endless(&runs, &go_on);
    let id = running.run_id();
    begun(&runs, &id).await;
    for (role, sees) in [
        (Role::Read, false),
        (Role::Execute, false),
        (Role::Admin, true),
    ] {
        let caller = Caller::by_certificate("ab12", role);
        assert_eq!(runs.status(&caller, &id).await.is_ok(), sees, "{role:?}");
        let page = runs.list(&caller, ListQuery::default()).await.unwrap();
        assert_eq!(page.runs.len(), usize::from(sees), "{role:?}");
    }
    let admin = Caller::by_certificate("ab12", Role::Admin);
    assert_eq!(
        runs.cancel(&admin, &id).await.unwrap().state,
        RunState::Cancelled
    );
}

#[tokio::test]
async fn a_run_whose_task_breaks_is_answered_and_off_the_list() {
    let runs = runs();
    let info = Runs::info(&own(), "nmap", "10.0.0.1", "c");
    let mut running = runs.start(info, Arc::new(Unobserved), |_, _| async {
        panic!("asked to")
    });
    let outcome = tokio::time::timeout(SOON, running.outcome()).await.unwrap();
    assert_eq!(outcome.error.unwrap().error_type, ErrorType::Unknown);
    tokio::time::timeout(SOON, runs.drain(&CancellationToken::new()))
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_runs_that_cannot_be_recorded() {
    let runs = Runs::new(Store::none());
    let mut running = endless(&runs, &CancellationToken::new());
    let outcome = tokio::time::timeout(SOON, running.outcome()).await.unwrap();
    let error = outcome.error.unwrap();
    assert_eq!(error.error_type, ErrorType::ResourceExhausted);
    assert!(
        error.recovery_suggestion.contains("store.directory"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_result_that_cannot_be_stored_is_given_with_a_note_and_by_its_id() {
    let runs = Runs::new(Store::none());
    let info = Runs::info(&own(), "nmap", "10.0.0.1", "c");
    let mut running = runs.start(info, Arc::new(Unobserved), |live, _| async move {
        live.recorded.store(true, Ordering::SeqCst);
        done(&live.info())
    });
    let outcome = tokio::time::timeout(SOON, running.outcome()).await.unwrap();
    assert!(outcome.error.is_none());
    assert!(
        outcome.notes[0].contains("could not be stored"),
        "{:?}",
        outcome.notes
    );
    let id = running.run_id();
    assert_eq!(
        runs.result(&own(), &id).await.unwrap().outcome.unwrap()["returncode"],
        0
    );
    assert_eq!(runs.stdout(&own(), &id, 1, 1).await.unwrap().bytes, b"a");
    assert!(runs.status(&other(), &id).await.is_err());
}

#[tokio::test]
async fn an_end_waits_for_detached_runs_and_cancels_them_when_told() {
    let runs = runs();
    let go_on = CancellationToken::new();
    let first = endless(&runs, &go_on);
    assert!(first.detach());
    let cut = CancellationToken::new();
    let early = tokio::time::timeout(Duration::from_millis(50), runs.drain(&cut)).await;
    assert!(early.is_err(), "it is waited for");
    go_on.cancel();
    tokio::time::timeout(SOON, runs.drain(&cut)).await.unwrap();
    let second = endless(&runs, &CancellationToken::new());
    let id = second.run_id();
    assert!(second.detach());
    begun(&runs, &id).await;
    cut.cancel();
    tokio::time::timeout(SOON, runs.drain(&cut)).await.unwrap();
    tokio::time::timeout(SOON, runs.end()).await.unwrap();
    assert_eq!(
        runs.status(&own(), &id).await.unwrap().state,
        RunState::Cancelled,
        "and stored"
    );
}

#[tokio::test]
async fn a_run_that_waits_is_recorded_as_queued() {
    let runs = runs();
    let (all, permit) = (runs.clone(), Arc::new(Notify::new()));
    let given = Arc::clone(&permit);
    let info = Runs::info(&own(), "nmap", "10.0.0.1", "c");
    let mut running = runs.start(info, Arc::new(Unobserved), |live, _| async move {
        let outcome = done(&live.info());
        let waits = Notify::new();
        let wait = async {
            waits.notify_one();
            given.notified().await;
            Ok(())
        };
        all.permitted(&live, &outcome, &waits, wait).await.unwrap();
        outcome
    });
    let id = running.run_id();
    begun(&runs, &id).await;
    assert_eq!(
        runs.status(&own(), &id).await.unwrap().state,
        RunState::Queued
    );
    permit.notify_one();
    tokio::time::timeout(SOON, running.outcome()).await.unwrap();
    assert_eq!(
        runs.status(&own(), &id).await.unwrap().state,
        RunState::Finished
    );
}
