//! The tools that a client is shown.
//!
//! What it is: one MCP tool per profile, and those that ask for runs, made once.
//! What it is not: the tools' rules; profile and scope are, and vetting reads
//! those again for every call.
//!
//! Invariants: in the profiles' order, which is stable; no name twice.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::{Tool, ToolAnnotations};
use sandbox_profiles::nearest::nearest;
use sandbox_profiles::profile::ParameterKind;
use sandbox_profiles::{Profile, Scope};
use serde_json::json;

use super::words::{self, listed};
use super::{input_schema, output_schema, run_tools};

/// All tools of a server.
#[derive(Debug)]
pub(super) struct Catalogue {
    tools: Vec<Tool>,
    /// Names of tools that there are and that are not offered.
    off: Vec<String>,
}

impl Catalogue {
    pub(super) fn new(profiles: &[&Profile], off: Vec<String>, scope: &Scope) -> Self {
        let taken = |profile: &&&Profile| {
            let taken = run_tools::is_one(&profile.name);
            if taken {
                let tool = profile.name.as_str();
                tracing::error!(
                    tool,
                    "the name is taken by a tool of Mantlet's own; not offered"
                );
            }
            !taken
        };
        let own = profiles
            .iter()
            .filter(taken)
            .map(|profile| tool(profile, scope));
        let tools = own.chain(run_tools::list()).collect();
        Self { tools, off }
    }

    pub(super) fn list(&self) -> Vec<Tool> {
        self.tools.clone()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Whether there is such a tool, offered or not: the pipeline says why it
    /// isn't.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.get(name).is_some() || self.off.iter().any(|off| off == name)
    }

    /// The answer to a call of a tool that is not listed.
    pub(super) fn unknown(&self, name: &str) -> ErrorData {
        let names = || self.tools.iter().map(|tool| tool.name.as_ref());
        let asked: String = name.chars().take(64).collect();
        let remedy = match nearest(&asked, names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("the tools are {}", listed(names())),
        };
        let data = json!({
            "error_type": "not_found",
            "offending": asked,
            "recovery_suggestion": remedy,
        });
        ErrorData::invalid_params(format!("unknown tool {asked:?}; {remedy}"), Some(data))
    }
}

fn tool(profile: &Profile, scope: &Scope) -> Tool {
    let scope = scope.for_tool(&profile.name);
    let input = Arc::new(input_schema::schema(profile, scope));
    let output = Arc::new(output_schema::schema(profile));
    let annotations = ToolAnnotations::with_title(profile.title.clone())
        .read_only(!(scope.allows_intrusive() && may_intrude(profile)))
        .destructive(false)
        .idempotent(true)
        .open_world(true);
    Tool::new(
        profile.name.clone(),
        words::description(profile, scope),
        input,
    )
    .with_title(profile.title.clone())
    .with_raw_output_schema(output)
    .with_annotations(annotations)
}

/// Whether a policy that allows it makes intrusive calls of this tool possible.
fn may_intrude(profile: &Profile) -> bool {
    let names = |kind: &ParameterKind| match kind {
        ParameterKind::Names { intrusive, .. } => !intrusive.is_empty(),
        ParameterKind::Choice { words, .. } => words.iter().any(|word| word.intrusive),
        ParameterKind::Boolean
        | ParameterKind::Integer { .. }
        | ParameterKind::Duration { .. }
        | ParameterKind::Ports { .. }
        | ParameterKind::Addresses { .. }
        | ParameterKind::Text { .. }
        | ParameterKind::Texts { .. } => false,
    };
    profile.flags.iter().any(|flag| flag.intrusive)
        || profile
            .parameters
            .iter()
            .any(|parameter| parameter.intrusive || names(&parameter.kind))
}
