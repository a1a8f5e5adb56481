//! `GET /openapi.json`: what the API is, made from its handlers.
//!
//! What it is not: written by hand; only what holds for every operation is
//! added here.
//!
//! Invariants: each operation but those that anybody may ask names the token
//! that it needs, and says that anything else than its answers is a problem.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

use super::problem::MEDIA_TYPE;
use super::schemas::ProblemBody;

/// The name of the token's scheme.
const TOKEN: &str = "token";
/// Paths that anybody may ask.
const OPEN: [&str; 2] = ["/", "/livez"];

/// What stands around the handlers.
#[derive(Debug, utoipa::OpenApi)]
#[openapi(
    info(
        title = "Mantlet",
        description = "Runs network diagnostic tools on lab networks, confined."
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "service", description = "What this service is and how it is"),
        (name = "tools", description = "The tools, and calls to them"),
        (name = "runs", description = "What was run, and what came of it"),
        (name = "administration", description = "For tokens with role admin")
    ),
    modifiers(&Tokens)
)]
struct Frame;

/// The description without operations.
pub(super) fn frame() -> OpenApi {
    Frame::openapi()
}

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description =
            Some("Made by `mantlet token create`; its role says what it may do.".to_owned());
        let components = api.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    }
}

/// The description with what holds for every operation.
pub(super) fn complete(mut api: OpenApi) -> OpenApi {
    for (path, item) in &mut api.paths.paths {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.delete,
            &mut item.put,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            if !OPEN.contains(&path.as_str()) {
                let needed = SecurityRequirement::new(TOKEN, Vec::<String>::new());
                operation.security = Some(vec![needed]);
            }
            refusals(operation);
        }
    }
    api
}

fn refusals(operation: &mut Operation) {
    let schema = Ref::from_schema_name("ProblemBody");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description("A problem: why not, and what to do")
        .content(MEDIA_TYPE, content);
    let responses = &mut operation.responses.responses;
    responses.insert("default".to_owned(), response.build().into());
}

/// The description of this API (`OpenAPI` 3.1).
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses(
    (status = 200, description = "The description", body = serde_json::Value),
))]
pub(super) async fn openapi() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, DESCRIPTION.as_str())
}

static DESCRIPTION: LazyLock<String> = LazyLock::new(|| {
    let (_, api) = super::described();
    // Made from our own handlers, which are all text.
    serde_json::to_string(&api).unwrap_or_default()
});

#[cfg(test)]
mod tests;
