//! The Model Context Protocol: tools, prompts and their results.
//!
//! What it is: the translation between MCP and the pipeline, for every
//! transport. The library serves both of the protocol's eras.
//! What it is not: a place that decides; vetting does, and its refusals come
//! out as results that a model can read and act on.
//!
//! Invariants: the lists are those of the policy in effect; a call always gets
//! an answer, also when its handler panics; a client gets progress only if it
//! asked for it, and none after the answer.

pub mod guard;
pub mod input_schema;

mod catalogue;
mod inline;
mod lists;
mod output_schema;
mod progress;
mod prompts;
mod resources;
mod result;
mod run_pages;
mod run_tools;
mod tasks;
mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CreateTaskResult,
    CustomRequest, CustomResult, ErrorCode, Extensions, GetPromptRequestParams, GetPromptResponse,
    GetTaskParams, GetTaskResult, Implementation, JsonObject, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, SubscriptionFilter, Tool, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use sandbox_profiles::{Profile, Scope};
use tokio_util::sync::CancellationToken;

use crate::pipeline::call::Call;
use crate::pipeline::caller::Caller;
use crate::pipeline::runs::{Running, Runs};
use crate::pipeline::{Engine, Observer};
use inline::Answer;
use lists::Lists;

/// What a server needs to run calls: the pipeline, or a stand-in in tests.
pub trait RunTool: Send + Sync + 'static {
    /// Starts this caller's call, which never fails otherwise than by its outcome.
    fn start(&self, call: Call, caller: &Caller, observer: Arc<dyn Observer>) -> Running;

    /// The runs that may be asked for.
    fn runs(&self) -> &Runs;

    /// How long an answer waits for its run.
    fn inline_time(&self) -> Duration;
}

impl RunTool for Engine {
    fn start(&self, call: Call, caller: &Caller, observer: Arc<dyn Observer>) -> Running {
        Self::start(self, call, caller, observer)
    }

    fn runs(&self) -> &Runs {
        Self::runs(self)
    }

    fn inline_time(&self) -> Duration {
        self.policy().settings().service.inline_time
    }
}

/// Whom a server serves.
#[derive(Debug, Clone)]
pub enum Clients {
    /// One caller, who has the connection to themselves.
    One(Caller),
    /// Whoever sent the HTTP request at hand.
    Many,
}

impl Clients {
    /// The caller of one request. One that HTTP said nothing of must not be served.
    fn caller(&self, extensions: &Extensions) -> Result<Caller, ErrorData> {
        let caller = match self {
            Self::One(caller) => Some(caller),
            Self::Many => extensions
                .get::<Parts>()
                .and_then(|parts| parts.extensions.get()),
        };
        let caller = caller.cloned();
        caller.ok_or_else(|| ErrorData::internal_error("the request has no caller", None))
    }
}

/// An MCP server over one pipeline. Cheap to clone; every connection may have its own.
#[derive(Debug)]
pub struct Server<E>(Arc<Inner<E>>);

#[derive(Debug)]
struct Inner<E> {
    engine: E,
    clients: Clients,
    lists: Arc<Lists>,
}

impl<E> Clone for Server<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Server<Engine> {
    /// A server of the tools that the engine offers. Streams of changes end when
    /// `ending` is cancelled.
    pub fn new(engine: Engine, clients: Clients, ending: CancellationToken) -> Self {
        let lists = Arc::new(Lists::of(engine.clone(), ending));
        Self(Arc::new(Inner {
            engine,
            clients,
            lists,
        }))
    }
}

impl<E: RunTool> Server<E> {
    /// A server for these tools, which never change.
    pub fn with(engine: E, clients: Clients, profiles: &[&Profile], scope: &Scope) -> Self {
        let lists = Arc::new(Lists::fixed(profiles, scope));
        Self(Arc::new(Inner {
            engine,
            clients,
            lists,
        }))
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.as_ref();
        let shown = self.0.lists.shown();
        let tools = &shown.tools;
        if !tools.knows(name) {
            return Err(tools.unknown(name));
        }
        let caller = self.0.clients.caller(&context.extensions)?;
        let fields = request.arguments.unwrap_or_default();
        if run_tools::is_one(name) {
            return Ok(self.ask(name, fields, &caller, &context).await.into());
        }
        let call = match Call::from_json(name, &fields) {
            Ok(call) => call,
            Err(error) => {
                let target = fields.get("target").and_then(|target| target.as_str());
                Call::undecodable(name, target.unwrap_or_default(), error)
            }
        };
        let token = context.meta.get_progress_token();
        let (observer, forwarder) = progress::channel(name, token, &context.peer);
        let inline = self.0.engine.inline_time();
        // Dropped with this future, as an HTTP transport may do, it ends its run.
        let running = self.0.engine.start(call, &caller, observer);
        let run = async {
            let answer = inline::within(running, inline, &context.ct).await;
            forwarder.stop();
            answer
        };
        let (answer, ()) = tokio::join!(run, forwarder.forward());
        Ok(match answer {
            Answer::Outcome(outcome) => {
                result::from_outcome(&outcome, knows_links(&context)).into()
            }
            Answer::Handle(info) if knows_tasks(&context) => {
                let task = tasks::task(&info, self.0.engine.runs());
                CallToolResponse::Task(CreateTaskResult::new(task))
            }
            Answer::Handle(info) => inline::status(&info).into(),
        })
    }

    /// Asks for runs, with a sign of life where that takes time.
    async fn ask(
        &self,
        tool: &str,
        arguments: JsonObject,
        caller: &Caller,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let token = context.meta.get_progress_token();
        let (_observer, forwarder) = progress::channel(tool, token, &context.peer);
        let engine = &self.0.engine;
        let asking = async {
            let asking = run_tools::call(tool, arguments, engine.runs(), caller);
            let answer = asking.await;
            forwarder.stop();
            answer
        };
        let (answer, ()) = tokio::join!(asking, forwarder.forward());
        answer
    }
}

/// Whether the client's version of the protocol has links in results.
fn knows_links(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    // Versions are dates.
    version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2025_06_18.as_str())
}

/// Whether the client can make something of a task.
fn knows_tasks(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    capabilities.is_some_and(|capabilities| capabilities.supports_tasks())
}

impl<E: RunTool> ServerHandler for Server<E> {
    fn get_info(&self) -> ServerConfig {
        self.0.lists.shown().config.clone()
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        only_page(request)?;
        Ok(ListToolsResult::with_all_items(
            self.0.lists.shown().tools.list(),
        ))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.lists.shown().tools.get(name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        // Not every transport serves a guarded service.
        let id = context.id.clone();
        Box::pin(guard::caught(&id, self.call(request, context))).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        only_page(request)?;
        Ok(ListPromptsResult::with_all_items(
            self.0.lists.shown().prompts.list(),
        ))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.0.lists.shown().prompts.get(&request).map(Into::into)
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.0.lists.tell(context.peer);
    }

    fn accepted_subscription_filter(
        &self,
        _requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.0.lists.streams()
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.0.lists.stream(context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        let caller = self.0.clients.caller(&context.extensions)?;
        resources::list(self.0.engine.runs(), &caller, cursor).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        only_page(request)?;
        Ok(resources::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = self.0.clients.caller(&context.extensions)?;
        Ok(resources::read(self.0.engine.runs(), &caller, &request.uri)
            .await?
            .into())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let caller = self.0.clients.caller(&context.extensions)?;
        let runs = self.0.engine.runs();
        let task = tasks::get(runs, &caller, &request.task_id, knows_links(&context)).await?;
        Ok(GetTaskResult::new(task))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.0.clients.caller(&context.extensions)?;
        // No task asks for anything, so whatever is answered answers nothing.
        tasks::is_known(self.0.engine.runs(), &caller, &request.task_id).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.0.clients.caller(&context.extensions)?;
        tasks::cancel(self.0.engine.runs(), &caller, &request.task_id).await
    }

    /// A request that the library could not make sense of: an unknown method, or a known one
    /// with parameters of the wrong shape.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        const SERVED: &[&str] = &[
            "initialize",
            "tools/call",
            "tools/list",
            "prompts/get",
            "prompts/list",
            "resources/list",
            "resources/read",
            "resources/templates/list",
            "tasks/cancel",
            "tasks/get",
            "tasks/update",
            "subscriptions/listen",
        ];
        // The stateless era has no handshake, of whatever shape.
        let version = context.meta.protocol_version();
        let stateless = version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let served = SERVED.contains(&request.method.as_str());
        if served && !(stateless && request.method == "initialize") {
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
        .enable_tool_list_changed()
        .enable_prompts()
        .enable_resources()
        .enable_tasks()
        .enable_prompts_list_changed()
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
