//! The Model Context Protocol: tools, prompts and their results.
//!
//! What it is: the translation between MCP and the pipeline, for every
//! transport. The library serves both of the protocol's eras.
//! What it is not: a place that decides; vetting does, and its refusals come
//! out as results that a model can read and act on.
//!
//! Invariants: the lists are made once, when the server is; a call always gets
//! an answer, also when its handler panics; a client gets progress only if it
//! asked for it, and none after the answer.

pub mod guard;
pub mod input_schema;

mod catalogue;
mod output_schema;
mod progress;
mod prompts;
mod result;
mod words;

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode,
    GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use sandbox_profiles::{Profile, Scope};
use tokio_util::sync::CancellationToken;

use crate::outcome::Outcome;
use crate::pipeline::call::Call;
use crate::pipeline::caller::Caller;
use crate::pipeline::{Engine, Observer};
use catalogue::Catalogue;
use prompts::Prompts;

/// What a server needs to run calls: the pipeline, or a stand-in in tests.
pub trait RunTool: Send + Sync + 'static {
    /// Runs a call to its end; never fails otherwise than by its outcome.
    fn run(
        &self,
        call: Call,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> impl Future<Output = Outcome> + Send;
}

/// The pipeline for one caller.
#[derive(Debug, Clone)]
pub struct Calls {
    engine: Engine,
    caller: Caller,
}

impl RunTool for Calls {
    fn run(
        &self,
        call: Call,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> impl Future<Output = Outcome> + Send {
        self.engine.run(call, &self.caller, observer, cancel)
    }
}

/// An MCP server over one pipeline. Cheap to clone; every connection may have its own.
#[derive(Debug)]
pub struct Server<E>(Arc<Inner<E>>);

#[derive(Debug)]
struct Inner<E> {
    engine: E,
    tools: Catalogue,
    prompts: Prompts,
    config: ServerConfig,
}

impl<E> Clone for Server<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Server<Calls> {
    /// A server of the tools that the engine offers, for this caller.
    pub fn new(engine: Engine, caller: Caller) -> Self {
        let handle = engine.clone();
        let profiles: Vec<&Profile> = handle.enabled().collect();
        let calls = Calls { engine, caller };
        Self::with(calls, &profiles, &handle.settings().scope)
    }
}

impl<E: RunTool> Server<E> {
    /// A server for these tools.
    pub fn with(engine: E, profiles: &[&Profile], scope: &Scope) -> Self {
        let (tools, prompts) = (Catalogue::new(profiles, scope), Prompts::new(profiles));
        Self(Arc::new(Inner {
            engine,
            tools,
            prompts,
            config: config(profiles, scope),
        }))
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.as_ref();
        let tool = self
            .0
            .tools
            .get(name)
            .ok_or_else(|| self.0.tools.unknown(name))?;
        let fields = request.arguments.unwrap_or_default();
        let call = match Call::from_json(&tool.name, &fields) {
            Ok(call) => call,
            Err(error) => {
                let target = fields.get("target").and_then(|target| target.as_str());
                let error = error.about(&tool.name, target.unwrap_or_default());
                return Ok(result::undecoded(&error).into());
            }
        };
        // Ends the run also when this future is dropped, as an HTTP transport may do.
        let cancel = context.ct.child_token();
        let _ends_with_us = cancel.clone().drop_guard();
        let token = context.meta.get_progress_token();
        let (observer, forwarder) = progress::channel(&tool.name, token, &context.peer);
        let run = async {
            let outcome = self.0.engine.run(call, observer, cancel).await;
            forwarder.stop();
            outcome
        };
        let (outcome, ()) = tokio::join!(run, forwarder.forward());
        Ok(result::from_outcome(&outcome).into())
    }
}

impl<E: RunTool> ServerHandler for Server<E> {
    fn get_info(&self) -> ServerConfig {
        self.0.config.clone()
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        only_page(request)?;
        Ok(ListToolsResult::with_all_items(self.0.tools.list()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.tools.get(name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.call(request, context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        only_page(request)?;
        Ok(ListPromptsResult::with_all_items(self.0.prompts.list()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.0.prompts.get(&request).map(Into::into)
    }

    /// A request that the library could not make sense of: an unknown method, or a known one
    /// with parameters of the wrong shape.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        const SERVED: &[&str] = &[
            "initialize",
            "tools/call",
            "tools/list",
            "prompts/get",
            "prompts/list",
        ];
        if SERVED.contains(&request.method.as_str()) {
            let message = format!("the params of {} have the wrong shape", request.method);
            return Err(ErrorData::invalid_params(message, None));
        }
        let method: String = request.method.chars().take(64).collect();
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method, None))
    }
}

fn config(profiles: &[&Profile], scope: &Scope) -> ServerConfig {
    let capabilities = ServerCapabilities::builder()
        .enable_tools()
        .enable_prompts()
        .build();
    let identity = Implementation::new("mantlet", env!("CARGO_PKG_VERSION"))
        .with_title("Mantlet")
        .with_description("Runs network diagnostic tools on lab networks, confined.");
    ServerConfig::new(capabilities)
        .with_server_info(identity)
        .with_instructions(words::instructions(profiles, scope))
}

/// Lists come in one page, so no cursor was ever given out.
fn only_page(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|request| request.cursor) {
        None => Ok(()),
        Some(_) => Err(ErrorData::invalid_params(
            "there is no such page; leave cursor out",
            None,
        )),
    }
}

#[cfg(test)]
mod tests;
