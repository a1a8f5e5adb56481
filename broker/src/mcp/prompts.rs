//! Scan templates as prompts, which clients offer to people as commands.
//!
//! What it is: one prompt per template of each tool.
//! What it is not: a run; a prompt asks the model to make the call.
//!
//! Invariants: a prompt's text holds nothing from the client but a target that
//! looks like one.

use rmcp::ErrorData;
use rmcp::model::{
    GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role,
};
use sandbox_profiles::Profile;
use sandbox_profiles::nearest::nearest;
use serde_json::{Value, json};

use super::words::listed;

/// Longest target, as for calls.
const TARGET_CHARS_MAX: usize = 253;

/// All prompts of a server.
#[derive(Debug)]
pub(super) struct Prompts(Vec<Offer>);

#[derive(Debug)]
struct Offer {
    prompt: Prompt,
    tool: String,
    template: String,
    purpose: String,
}

impl Prompts {
    pub(super) fn new(profiles: &[&Profile]) -> Self {
        let mut offers = Vec::new();
        for profile in profiles {
            for template in &profile.templates {
                let target = PromptArgument::new("target")
                    .with_title("Target")
                    .with_description("An address, a network or a host name of the lab.")
                    .with_required(true);
                let name = format!("{}_{}", profile.name, template.name);
                let title = format!("{}: {}", profile.title, template.title);
                let prompt =
                    Prompt::new(name, Some(template.description.clone()), Some(vec![target]))
                        .with_title(title);
                offers.push(Offer {
                    prompt,
                    tool: profile.name.clone(),
                    template: template.name.clone(),
                    purpose: template.description.clone(),
                });
            }
        }
        Self(offers)
    }

    pub(super) fn list(&self) -> Vec<Prompt> {
        self.0.iter().map(|offer| offer.prompt.clone()).collect()
    }

    pub(super) fn get(
        &self,
        request: &GetPromptRequestParams,
    ) -> Result<GetPromptResult, ErrorData> {
        let asked: String = request.name.chars().take(64).collect();
        let offer = self
            .0
            .iter()
            .find(|offer| offer.prompt.name == request.name);
        let offer = offer.ok_or_else(|| self.unknown(&asked))?;
        let arguments = request.arguments.iter().flatten();
        if let Some((name, _)) = arguments.clone().find(|(name, _)| *name != "target") {
            let name: String = name.chars().take(64).collect();
            let message = format!("unknown argument {name:?}; a prompt takes only target");
            return Err(ErrorData::invalid_params(message, None));
        }
        let target = arguments
            .map(|(_, value)| value)
            .next()
            .and_then(Value::as_str);
        let target = target
            .filter(|target| looks_like_target(target))
            .ok_or_else(|| {
                let message = "give target: one address, network or host name";
                ErrorData::invalid_params(message, None)
            })?;
        let call = json!({ "target": target, "template": offer.template });
        let text = format!(
            "Call the tool {} with {call}. Purpose: {} Then report what was found, in a short table of \
             hosts and services where there are any; name anything unusual, and say what could not be \
             determined. If the call is refused, say why and propose the nearest allowed one.",
            offer.tool, offer.purpose
        );
        let mut result = GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]);
        result.description.clone_from(&offer.prompt.description);
        Ok(result)
    }

    fn unknown(&self, asked: &str) -> ErrorData {
        let names = || self.0.iter().map(|offer| offer.prompt.name.as_str());
        let remedy = match nearest(asked, names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("the prompts are {}", listed(names())),
        };
        ErrorData::invalid_params(format!("unknown prompt {asked:?}; {remedy}"), None)
    }
}

/// Whether a text could be a target at all: vetting says whether it is one.
fn looks_like_target(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TARGET_CHARS_MAX
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '/'))
}
