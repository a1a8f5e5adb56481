//! Results of runs as resources: `mantlet://runs/{id}`.
//!
//! What it is: the whole of a result, as JSON text, and the readable output, in
//! pages where they are long.
//! What it is not: a page for a model; `run_result` is.
//!
//! Invariants: a caller's list holds its own runs; an address that leads nowhere
//! and one that leads to somebody else's run get the same answer; an answer is
//! at most [`READ_CHARS_MAX`] characters long.

use rmcp::ErrorData;
use rmcp::model::{
    CacheScope, ListResourceTemplatesResult, ListResourcesResult, MetaObject, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate,
};
use serde_json::{Value, json};

use crate::outcome::{CallError, ErrorType};
use crate::pipeline::caller::Caller;
use crate::pipeline::runs::Runs;
use crate::pipeline::runs::ask::ListQuery;
use crate::store::record::RunInfo;

/// What every address begins with.
const PREFIX: &str = "mantlet://runs/";
/// The readable output, behind a run's address.
const STDOUT: &str = "/stdout";
/// Before the place where a page begins, in characters.
const OFFSET: &str = "?offset=";

/// Longest text of one answer, in characters.
const READ_CHARS_MAX: usize = 256 * 1024;

/// Resources of a page of the list.
const LIST: u32 = 50;

/// The address of a run's whole result.
pub(super) fn uri(run_id: &str) -> String {
    format!("{PREFIX}{run_id}")
}

/// The link to a run's whole result.
pub(super) fn link(run_id: &str, tool: &str) -> Resource {
    Resource::new(uri(run_id), format!("{tool} {run_id}"))
        .with_title("The whole result")
        .with_description("What was left out here. run_result gives it in pages.")
        .with_mime_type("application/json")
}

/// The caller's runs that are over, newest first.
pub(super) async fn list(
    runs: &Runs,
    caller: &Caller,
    cursor: Option<String>,
) -> Result<ListResourcesResult, ErrorData> {
    let query = ListQuery {
        limit: LIST,
        cursor,
        ..ListQuery::default()
    };
    let page = runs
        .list(caller, query)
        .await
        .map_err(|error| failed(&error))?;
    let over = page.runs.iter().filter(|run| run.state.is_over());
    let mut result = ListResourcesResult::with_all_items(over.map(resource).collect());
    result.next_cursor = page.next_cursor;
    // The next run changes it, and it is this caller's alone.
    result.ttl_ms = Some(0);
    result.cache_scope = Some(CacheScope::Private);
    Ok(result)
}

fn resource(run: &RunInfo) -> Resource {
    let (tool, target, state) = (&run.tool, &run.target, run.state.as_str());
    Resource::new(uri(&run.run_id), format!("{tool} {}", run.run_id))
        .with_title(format!("{tool} on {target}"))
        .with_description(format!("{state}; begun {}", run.started_at))
        .with_mime_type("application/json")
}

/// How addresses are made.
pub(super) fn templates() -> ListResourceTemplatesResult {
    let whole = ResourceTemplate::new("mantlet://runs/{run_id}{?offset}", "run")
        .with_title("Result of a run")
        .with_description("All fields as JSON; where that is long, the part at offset.")
        .with_mime_type("application/json");
    let stdout = ResourceTemplate::new("mantlet://runs/{run_id}/stdout{?offset}", "run_stdout")
        .with_title("Readable output of a run")
        .with_description(
            "The part at offset, in characters; _meta.next is the next part's address.",
        )
        .with_mime_type("text/plain");
    let mut result = ListResourceTemplatesResult::with_all_items(vec![whole, stdout]);
    result.ttl_ms = Some(3_600_000);
    result.cache_scope = Some(CacheScope::Public);
    result
}

/// What is at an address.
pub(super) async fn read(
    runs: &Runs,
    caller: &Caller,
    address: &str,
) -> Result<ReadResourceResult, ErrorData> {
    let place = Place::parse(address).ok_or_else(nowhere)?;
    let found = runs.result(caller, place.run_id).await;
    let found = found.map_err(|error| failed(&error))?;
    let outcome = found.outcome.unwrap_or_else(|| json!(found.info));
    let (text, mime) = if place.stdout {
        let text = outcome.get("stdout").and_then(Value::as_str);
        (text.unwrap_or("").to_owned(), "text/plain")
    } else {
        (outcome.to_string(), "application/json")
    };
    let total = text.chars().count();
    let offset = place.offset.min(total);
    let part: String = text.chars().skip(offset).take(READ_CHARS_MAX).collect();
    let end = offset.saturating_add(part.chars().count());
    // A part of JSON is none.
    let whole = offset == 0 && end == total;
    let mime = if whole { mime } else { "text/plain" };
    let mut meta = MetaObject::default();
    meta.insert("total".into(), total.into());
    if end < total {
        let behind = if place.stdout { STDOUT } else { "" };
        let next = format!("{}{behind}{OFFSET}{end}", uri(place.run_id));
        meta.insert("next".into(), next.into());
    }
    let contents = ResourceContents::text(part, address)
        .with_mime_type(mime)
        .with_meta(meta);
    Ok(ReadResourceResult::new(vec![contents])
        .with_ttl_ms(0)
        .with_cache_scope(CacheScope::Private))
}

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    run_id: &'a str,
    stdout: bool,
    offset: usize,
}

impl<'a> Place<'a> {
    fn parse(address: &'a str) -> Option<Self> {
        let rest = address.strip_prefix(PREFIX)?;
        let (rest, offset) = match rest.split_once(OFFSET) {
            Some((rest, offset)) => (rest, offset.parse().ok()?),
            None => (rest, 0),
        };
        let (run_id, stdout) = match rest.strip_suffix(STDOUT) {
            Some(run_id) => (run_id, true),
            None => (rest, false),
        };
        let is_id = uuid::Uuid::try_parse(run_id).is_ok();
        is_id.then_some(Self {
            run_id,
            stdout,
            offset,
        })
    }
}

fn nowhere() -> ErrorData {
    ErrorData::resource_not_found(
        "there is no such resource; resources/list has those of this caller",
        None,
    )
}

fn failed(error: &CallError) -> ErrorData {
    if error.error_type == ErrorType::NotFound {
        return nowhere();
    }
    ErrorData::internal_error(error.message.clone(), Some(json!(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_run_and_a_place_in_it() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let cases = [
            (
                format!("mantlet://runs/{id}"),
                Some((false, 0)),
                "the whole",
            ),
            (
                format!("mantlet://runs/{id}/stdout"),
                Some((true, 0)),
                "the output",
            ),
            (
                format!("mantlet://runs/{id}?offset=7"),
                Some((false, 7)),
                "a part",
            ),
            (
                format!("mantlet://runs/{id}/stdout?offset=9"),
                Some((true, 9)),
                "a part of it",
            ),
            (
                format!("mantlet://runs/{id}/stdout?offset=-9"),
                None,
                "before the beginning",
            ),
            (format!("mantlet://runs/{id}/raw"), None, "no such part"),
            (format!("file:///runs/{id}"), None, "another scheme"),
            ("mantlet://runs/../../etc/passwd".to_owned(), None, "no id"),
            ("mantlet://runs/".to_owned(), None, "no id at all"),
        ];
        for (address, expected, why) in &cases {
            let place = Place::parse(address).map(|place| (place.stdout, place.offset));
            assert_eq!(place, *expected, "{why}: {address}");
        }
    }
}
