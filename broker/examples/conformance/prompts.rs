//! The prompts: plain, with arguments, with a resource, with an image, and one
//! that asks back.

use rmcp::ErrorData;
use rmcp::model::{
    ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult, JsonObject, Prompt,
    PromptArgument, PromptMessage, RequestMetaObject, Role,
};

use crate::ask_by_result::{Asking, CONTEXT_FLOW, Step};
use crate::content::{PIXEL_PNG, text_at};

/// A prompt and how it is made.
struct Row {
    name: &'static str,
    description: &'static str,
    arguments: &'static [&'static str],
    messages: Messages,
}

enum Messages {
    /// Made from the arguments.
    Made(fn(&JsonObject) -> Vec<ContentBlock>),
    /// Made from what the client is asked for.
    Asked,
}

const ROWS: &[Row] = &[
    Row {
        name: "test_simple_prompt",
        description: "One line of text.",
        arguments: &[],
        messages: Messages::Made(|_| {
            vec![ContentBlock::text("This is a simple prompt for testing.")]
        }),
    },
    Row {
        name: "test_prompt_with_arguments",
        description: "Repeats its two arguments.",
        arguments: &["arg1", "arg2"],
        messages: Messages::Made(|given| {
            let (first, second) = (argument(given, "arg1"), argument(given, "arg2"));
            vec![ContentBlock::text(format!(
                "Prompt with arguments: arg1='{first}', arg2='{second}'"
            ))]
        }),
    },
    Row {
        name: "test_prompt_with_embedded_resource",
        description: "Embeds a resource.",
        arguments: &["resourceUri"],
        messages: Messages::Made(|given| {
            let uri = argument(given, "resourceUri");
            let text = "Embedded resource content for testing.";
            vec![
                ContentBlock::resource(text_at(uri, "text/plain", text)),
                ContentBlock::text("Please process the embedded resource above."),
            ]
        }),
    },
    Row {
        name: "test_prompt_with_image",
        description: "Shows an image.",
        arguments: &[],
        messages: Messages::Made(|_| {
            vec![
                ContentBlock::image(PIXEL_PNG, "image/png"),
                ContentBlock::text("Please analyze the image above."),
            ]
        }),
    },
    Row {
        name: "test_input_required_result_prompt",
        description: "Asks what it should be about.",
        arguments: &[],
        messages: Messages::Asked,
    },
];

/// What `prompts/list` shows.
pub(crate) fn list() -> Vec<Prompt> {
    let arguments = |row: &Row| {
        let each = row.arguments.iter().map(|name| {
            PromptArgument::new(*name)
                .with_description("Text to put in.")
                .with_required(true)
        });
        (!row.arguments.is_empty()).then(|| each.collect())
    };
    ROWS.iter()
        .map(|row| Prompt::new(row.name, Some(row.description), arguments(row)))
        .collect()
}

/// Makes a prompt, or asks for what it needs.
///
/// # Errors
///
/// When there is none of this name.
pub(crate) fn get(
    asking: &Asking,
    request: &GetPromptRequestParams,
    meta: &RequestMetaObject,
) -> Result<GetPromptResponse, ErrorData> {
    let row = ROWS.iter().find(|row| row.name == request.name);
    let row = row.ok_or_else(|| ErrorData::invalid_params("no such prompt", None))?;
    let blocks = match &row.messages {
        Messages::Made(make) => make(&request.arguments.clone().unwrap_or_default()),
        Messages::Asked => {
            let (given, state) = (&request.input_responses, &request.request_state);
            match asking.step(&CONTEXT_FLOW, given.as_ref(), state.as_deref(), meta)? {
                Step::Ask(result) => return Ok(result.into()),
                Step::Done(text) => vec![ContentBlock::text(text)],
            }
        }
    };
    let messages = blocks
        .into_iter()
        .map(|block| PromptMessage::new(Role::User, block));
    let result = GetPromptResult::new(messages.collect()).with_description(row.description);
    Ok(result.into())
}

fn argument<'a>(given: &'a JsonObject, name: &str) -> &'a str {
    given
        .get(name)
        .and_then(|value| value.as_str())
        .unwrap_or_default()
}
