//! What a server lists, and how clients are told that it changed.
//!
//! What it is: the lists for the policy in effect, made anew when another one
//! holds; notifications to clients of the sessions' era, and streams for those of
//! the stateless one (`subscriptions/listen`).
//! What it is not: the lists' content; [`super::catalogue`] and
//! [`super::prompts`] make that.
//!
//! Invariants: a list is never older than the policy that the next call works on;
//! a client is told only if a list did change; one that does not read holds up
//! nobody else.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{ServerConfig, SubscriptionFilter};
use rmcp::service::{Peer, RoleServer, SubscriptionContext};
use sandbox_profiles::{Profile, Scope};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::catalogue::Catalogue;
use super::config;
use super::prompts::Prompts;
use crate::pipeline::Engine;
use crate::pipeline::policy::Policy;

/// How long a client may take to accept a notification before it is passed over.
const TELL_WAIT: Duration = Duration::from_secs(5);

/// What is listed under one policy.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) tools: Catalogue,
    pub(super) prompts: Prompts,
    pub(super) config: ServerConfig,
    generation: u64,
}

impl Shown {
    fn new(profiles: &[&Profile], off: Vec<String>, scope: &Scope, generation: u64) -> Self {
        Self {
            tools: Catalogue::new(profiles, off, scope),
            prompts: Prompts::new(profiles),
            config: config(profiles, scope),
            generation,
        }
    }

    fn of(policy: &Policy) -> Self {
        let profiles: Vec<&Profile> = policy.enabled().collect();
        let all = policy.profiles().iter();
        let off = all.filter(|profile| !policy.offers(profile));
        let off = off.map(|profile| profile.name.clone()).collect();
        let (scope, generation) = (&policy.settings().scope, policy.generation());
        Self::new(&profiles, off, scope, generation)
    }

    /// Which lists differ: the tools', the prompts'.
    fn differs(&self, other: &Self) -> (bool, bool) {
        let tools = self.tools.list() != other.tools.list();
        (tools, self.prompts.list() != other.prompts.list())
    }
}

/// A server's lists and the clients that are told of changes.
#[derive(Debug)]
pub(super) struct Lists {
    engine: Option<Engine>,
    shown: RwLock<Arc<Shown>>,
    told: Mutex<Told>,
    /// Ends every stream when the server is to end.
    ending: CancellationToken,
}

#[derive(Debug, Default)]
struct Told {
    /// One for each session that is open.
    peers: Vec<Peer<RoleServer>>,
    /// Ends the task that tells them, with these lists.
    watching: Option<DropGuard>,
}

impl Lists {
    /// The lists of an engine, until `ending`.
    pub(super) fn of(engine: Engine, ending: CancellationToken) -> Self {
        let shown = Shown::of(&engine.policy());
        Self {
            engine: Some(engine),
            shown: RwLock::new(Arc::new(shown)),
            told: Mutex::default(),
            ending,
        }
    }

    /// Lists that never change.
    pub(super) fn fixed(profiles: &[&Profile], scope: &Scope) -> Self {
        Self {
            engine: None,
            shown: RwLock::new(Arc::new(Shown::new(profiles, Vec::new(), scope, 0))),
            told: Mutex::default(),
            ending: CancellationToken::new(),
        }
    }

    /// What is listed now.
    pub(super) fn shown(&self) -> Arc<Shown> {
        let held = Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner));
        let Some(engine) = &self.engine else {
            return held;
        };
        let policy = engine.policy();
        if policy.generation() <= held.generation {
            return held;
        }
        let fresh = Arc::new(Shown::of(&policy));
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if fresh.generation > shown.generation {
            *shown = Arc::clone(&fresh);
        }
        fresh
    }

    /// Tells this client of changes as long as its session is open.
    pub(super) fn tell(self: &Arc<Self>, peer: Peer<RoleServer>) {
        let Some(engine) = &self.engine else {
            return;
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.peers.retain(|peer| !peer.is_transport_closed());
        told.peers.push(peer);
        if told.watching.is_none() {
            let end = CancellationToken::new();
            let changes = engine.changes();
            tokio::spawn(watch_for(
                Arc::downgrade(self),
                self.shown(),
                changes,
                end.clone(),
            ));
            told.watching = Some(end.drop_guard());
        }
    }

    fn tell_all(&self, (tools, prompts): (bool, bool)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.peers.retain(|peer| !peer.is_transport_closed());
        for peer in &told.peers {
            let peer = peer.clone();
            tokio::spawn(tokio::time::timeout(TELL_WAIT, async move {
                if tools && let Err(error) = peer.notify_tool_list_changed().await {
                    tracing::debug!(%error, "a client was not told of other tools");
                }
                if prompts && let Err(error) = peer.notify_prompt_list_changed().await {
                    tracing::debug!(%error, "a client was not told of other prompts");
                }
            }));
        }
    }

    /// What a stream may be asked for; none where nothing ever changes.
    pub(super) fn streams(&self) -> Option<SubscriptionFilter> {
        self.engine.as_ref()?;
        let filter = SubscriptionFilter::builder();
        Some(filter.tools_list_changed().prompts_list_changed().build())
    }

    /// One stream, to its end.
    pub(super) async fn stream(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let (mut changes, mut before) = (engine.changes(), self.shown());
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                () = self.ending.cancelled() => return Ok(()),
                news = changes.changed() => if news.is_err() {
                    return Ok(());
                },
            }
            let after = self.shown();
            let (tools, prompts) = before.differs(&after);
            let accepted = context.accepted();
            let (wants_tools, wants_prompts) = (
                accepted.tools_list_changed == Some(true),
                accepted.prompts_list_changed == Some(true),
            );
            let sink = context.sink();
            let sent = async {
                if tools && wants_tools {
                    sink.notify_tool_list_changed().await?;
                }
                if prompts && wants_prompts {
                    sink.notify_prompt_list_changed().await?;
                }
                Ok::<_, rmcp::service::SubscriptionSendError>(())
            };
            if let Err(error) = sent.await {
                tracing::debug!(%error, "a stream ended");
                return Ok(());
            }
            before = after;
        }
    }
}

async fn watch_for(
    lists: Weak<Lists>,
    mut before: Arc<Shown>,
    mut changes: watch::Receiver<u64>,
    end: CancellationToken,
) {
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            news = changes.changed() => if news.is_err() {
                return;
            },
        }
        let Some(lists) = lists.upgrade() else {
            return;
        };
        let after = lists.shown();
        lists.tell_all(before.differs(&after));
        before = after;
    }
}
