//! Scan templates as prompts, which clients offer to people as commands.
//!
//! What it is: one prompt per template of each tool.
//! What it is not: a run; a prompt asks the model to make the call.
//!
//! Invariants: a prompt's text holds nothing from the client but a target and
//! names that look like ones.

use rmcp::ErrorData;
use rmcp::model::{
    GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role,
};
use sandbox_profiles::Profile;
use sandbox_profiles::nearest::nearest;
use sandbox_profiles::profile::{Parameter, TargetKind};
use serde_json::{Map, Value};

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
    /// Names of the parameters that the tool can't do without.
    required: Vec<String>,
}

impl Prompts {
    pub(super) fn new(profiles: &[&Profile]) -> Self {
        let mut offers = Vec::new();
        for profile in profiles {
            for template in &profile.templates {
                let what = if profile.target.takes(TargetKind::Network) {
                    "An address, a network or a host name of the lab."
                } else {
                    "An address or a host name of the lab."
                };
                let target = PromptArgument::new("target")
                    .with_title("Target")
                    .with_description(what)
                    .with_required(true);
                let required: Vec<&Parameter> = profile.required_parameters().collect();
                let further = required.iter().map(|parameter| {
                    PromptArgument::new(parameter.name.clone())
                        .with_description(parameter.description.clone())
                        .with_required(true)
                });
                let arguments = std::iter::once(target).chain(further).collect();
                let name = format!("{}_{}", profile.name, template.name);
                let title = format!("{}: {}", profile.title, template.title);
                let prompt = Prompt::new(name, Some(template.description.clone()), Some(arguments))
                    .with_title(title);
                offers.push(Offer {
                    prompt,
                    tool: profile.name.clone(),
                    template: template.name.clone(),
                    purpose: template.description.clone(),
                    required: required.iter().map(|one| one.name.clone()).collect(),
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
        let call = Value::Object(offer.call(request)?);
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

impl Offer {
    /// The call that the prompt asks for.
    fn call(&self, request: &GetPromptRequestParams) -> Result<Map<String, Value>, ErrorData> {
        let wanted = || std::iter::once("target").chain(self.required.iter().map(String::as_str));
        let given = || request.arguments.iter().flatten();
        if let Some((name, _)) = given().find(|(name, _)| wanted().all(|known| known != *name)) {
            let name: String = name.chars().take(64).collect();
            let takes = wanted().collect::<Vec<_>>().join(" and ");
            let message = format!("unknown argument {name:?}; a prompt takes only {takes}");
            return Err(ErrorData::invalid_params(message, None));
        }
        let mut call = Map::new();
        for wanted in wanted() {
            let value = given().find(|(name, _)| *name == wanted);
            let value = value.and_then(|(_, value)| value.as_str());
            let value = value
                .filter(|value| looks_like_target(value))
                .ok_or_else(|| {
                    let message = match wanted {
                        "target" => "give target: one address, network or host name".to_owned(),
                        other => format!("give {other}: one address or name"),
                    };
                    ErrorData::invalid_params(message, None)
                })?;
            call.insert(wanted.to_owned(), value.into());
        }
        call.insert("template".to_owned(), self.template.clone().into());
        Ok(call)
    }
}

/// Whether a text could be a target or a name at all: vetting says whether it is one.
fn looks_like_target(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TARGET_CHARS_MAX
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '/' | '_'))
}
