//! Questions in the handshake era: requests to the client while its call runs.
//!
//! What it is not: the newer era's way, which is in `ask_by_result`.
//!
//! Invariants: a client that refuses to answer gets a result that says so, not
//! an error.

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResult, ClientResult, ContentBlock, CreateMessageRequest, CreateMessageRequestParams,
    ElicitRequest, ElicitRequestParams, SamplingMessage, ServerRequest,
};
use rmcp::service::{Peer, RoleServer};
use serde_json::{Value, json};

use crate::content::said;

/// Longest answer asked of a model, in tokens.
const TOKENS_MAX: u32 = 100;

/// Asks the client's model.
pub(crate) async fn sample(peer: &Peer<RoleServer>, prompt: &str) -> CallToolResult {
    match answer(peer, sampling(prompt)).await {
        Ok(ClientResult::CreateMessageResult(result)) => {
            let words = result.message.content.first().and_then(|c| c.as_text());
            let words = words.map(|c| c.text.as_str()).unwrap_or_default();
            said(format!("LLM response: {words}"))
        }
        Ok(_) => failed("the client answered something else"),
        Err(why) => failed(&why),
    }
}

/// Asks the client's user to fill in a form, which is a JSON schema.
///
/// # Errors
///
/// When the schema isn't one of a form.
pub(crate) async fn elicit(
    peer: &Peer<RoleServer>,
    message: &str,
    form: Value,
) -> Result<CallToolResult, ErrorData> {
    let request = elicitation(message, form)?;
    Ok(match answer(peer, request).await {
        Ok(ClientResult::ElicitResult(result)) => {
            let (action, content) = (json!(result.action), json!(result.content));
            let action = action.as_str().unwrap_or_default();
            said(format!("User response: action={action}, content={content}"))
        }
        Ok(_) => failed("the client answered something else"),
        Err(why) => failed(&why),
    })
}

/// A question to the client's model.
pub(crate) fn sampling(prompt: &str) -> CreateMessageRequest {
    let messages = vec![SamplingMessage::user_text(prompt)];
    CreateMessageRequest::new(CreateMessageRequestParams::new(messages, TOKENS_MAX))
}

/// A form for the client's user.
///
/// # Errors
///
/// When the schema isn't one of a form.
pub(crate) fn elicitation(message: &str, form: Value) -> Result<ElicitRequest, ErrorData> {
    let requested_schema = serde_json::from_value(form)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(ElicitRequest::new(
        ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: message.to_owned(),
            requested_schema,
        },
    ))
}

async fn answer(
    peer: &Peer<RoleServer>,
    request: impl Into<ServerRequest>,
) -> Result<ClientResult, String> {
    let answer = peer.send_request(request.into()).await;
    answer.map_err(|error| error.to_string())
}

fn failed(why: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(format!("no answer: {why}"))])
}

/// Who the user is: two texts, both required.
pub(crate) fn user_form() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

/// A default for each kind of value.
pub(crate) fn defaults_form() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": {
                "type": "string",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

/// The five ways to offer a choice.
pub(crate) fn choices_form() -> Value {
    let titled = |words: [&str; 3], kind: &str| {
        let values = ["value1", "value2", "value3"];
        let each = values.iter().zip(words);
        each.map(|(value, word)| json!({ "const": value, "title": format!("{word} {kind}") }))
            .collect::<Value>()
    };
    let words = ["First", "Second", "Third"];
    let options = ["option1", "option2", "option3"];
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": options },
            "titledSingle": { "type": "string", "oneOf": titled(words, "Option") },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled(words, "Choice") } },
        },
    })
}
