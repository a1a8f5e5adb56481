//! The resources: one of text, one of bytes, one by template.
//!
//! What it is not: subscriptions, which the fixture only takes note of.

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

use crate::content::{PIXEL_PNG, text_at};

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
const BEFORE_ID: &str = "test://template/";
const AFTER_ID: &str = "/data";

/// What `resources/list` shows.
pub(crate) fn list() -> Vec<Resource> {
    vec![
        Resource::new(TEXT, "static-text")
            .with_description("A text that never changes.")
            .with_mime_type("text/plain"),
        Resource::new(BINARY, "static-binary")
            .with_description("An image that never changes.")
            .with_mime_type("image/png"),
    ]
}

/// What `resources/templates/list` shows.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(format!("{BEFORE_ID}{{id}}{AFTER_ID}"), "by-id")
            .with_description("A document for each id.")
            .with_mime_type("application/json"),
    ]
}

/// Reads one resource.
///
/// # Errors
///
/// When there is none at this URI.
pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = match uri {
        TEXT => text_at(
            uri,
            "text/plain",
            "This is the content of the static text resource.",
        ),
        BINARY => ResourceContents::blob(PIXEL_PNG, uri).with_mime_type("image/png"),
        _ => {
            let id = uri
                .strip_prefix(BEFORE_ID)
                .and_then(|rest| rest.strip_suffix(AFTER_ID))
                .ok_or_else(|| {
                    ErrorData::resource_not_found("no such resource", Some(json!({ "uri": uri })))
                })?;
            let document =
                json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            text_at(uri, "application/json", document.to_string())
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}
