//! Sessions of the protocol's older era (2025-11-25 and before) over HTTP.
//!
//! What it is: the library's sessions, each bound to the caller who began it,
//! bounded in number and in requests under way, and with a disconnect that
//! cancels the request it takes the answer from.
//! What it is not: the newer era, which has no sessions.
//!
//! Invariants: nobody but its caller learns that a session exists; an id is
//! under way at most once in a session; what is kept for a session is bounded,
//! and goes with it; a session in use is never taken away for another.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use rmcp::ErrorData;
use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, ClientNotification,
    RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::common::server_side_http::ServerSseMessage;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError, SessionConfig,
};
use rmcp::transport::streamable_http_server::{SessionId, SessionManager};

use crate::pipeline::caller::Caller;

/// Requests of one session under way at once. Runs have permits of their own;
/// this bounds what is held for those that wait.
const REQUESTS_MAX: usize = 64;
/// How long a session may be silent. A run that takes longer than the inline
/// time is answered with a handle long before.
const SILENCE_MAX: Duration = Duration::from_mins(5);

tokio::task_local! {
    /// The HTTP request that is being handled.
    pub(super) static ASKING: Asking;
}

/// Who sent a request, and what became of it.
pub(super) struct Asking {
    /// The sender.
    pub(super) caller: Caller,
    /// Set where there was no room for its session.
    pub(super) full: Arc<AtomicBool>,
}

/// Why a session can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionsError {
    /// Every session there is room for is in use.
    #[error("every session is in use")]
    Full,
    /// Nobody asked: a request that was not authenticated got here.
    #[error("a session needs a caller")]
    NoCaller,
    /// The library's own.
    #[error(transparent)]
    Local(#[from] LocalSessionManagerError),
}

/// All sessions.
pub(super) struct Sessions {
    local: Arc<LocalSessionManager>,
    known: Arc<Mutex<Known>>,
    /// Sessions that have a place and are not known yet; changed under that lock.
    arriving: Arc<AtomicUsize>,
    max: usize,
}

type Known = HashMap<SessionId, Session>;

#[derive(Debug)]
struct Session {
    caller: Caller,
    used: Instant,
    under_way: HashSet<RequestId>,
    listeners: usize,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Room for `max` sessions.
    pub(super) fn new(max: usize) -> Self {
        let mut config = SessionConfig::default();
        config.keep_alive = Some(SILENCE_MAX);
        // A request whose client is gone is cancelled, so there is nothing to
        // resume: no answer is kept once it was sent, and none is promised.
        config.completed_cache_ttl = Duration::ZERO;
        config.sse_retry = None;
        let mut local = LocalSessionManager::default();
        local.session_config = config;
        Self {
            local: Arc::new(local),
            known: Arc::default(),
            arriving: Arc::default(),
            max,
        }
    }

    /// Whether the one who asks began this session; `None` outside of an HTTP request.
    fn is_theirs(&self, id: &SessionId) -> Option<bool> {
        let known = lock(&self.known);
        let asked = |asking: &Asking| {
            let session = known.get(id);
            session.is_some_and(|session| session.caller == asking.caller)
        };
        ASKING.try_with(asked).ok()
    }

    /// A session of the one who asks. The library has looked before, by
    /// [`SessionManager::has_session`]; this doesn't rest on it.
    fn of_asking(&self, id: &SessionId) -> Result<(), SessionsError> {
        match self.is_theirs(id) {
            Some(true) => Ok(()),
            Some(false) | None => Err(LocalSessionManagerError::SessionNotFound(id.clone()).into()),
        }
    }

    /// A place for a caller's new session, and the session that lost it: of those
    /// who have most, and no fewer than this one, the one that was silent longest.
    fn place(&self, caller: &Caller) -> Result<(Place, Option<SessionId>), SessionsError> {
        let mut known = lock(&self.known);
        let taken = known
            .len()
            .saturating_add(self.arriving.load(Ordering::SeqCst));
        if taken < self.max {
            return Ok((Place::take(&self.arriving), None));
        }
        let mut counts: HashMap<&Caller, usize> = HashMap::new();
        for session in known.values() {
            let count = counts.entry(&session.caller).or_default();
            *count = count.saturating_add(1);
        }
        let idle = known
            .iter()
            .filter(|(_, session)| session.under_way.is_empty() && session.listeners == 0);
        let count = |caller: &Caller| counts.get(caller).copied().unwrap_or_default();
        let own = count(caller);
        let oldest = idle
            .filter(|(_, session)| count(&session.caller) >= own)
            .max_by_key(|(_, session)| (count(&session.caller), std::cmp::Reverse(session.used)));
        let silent = oldest.map(|(id, _)| id.clone());
        let silent = silent.ok_or(SessionsError::Full)?;
        known.remove(&silent);
        Ok((Place::take(&self.arriving), Some(silent)))
    }

    /// Enters a request; says what to answer where it can't be.
    fn admit(&self, session: &SessionId, id: &RequestId) -> Result<(), ErrorData> {
        let mut known = lock(&self.known);
        let Some(session) = known.get_mut(session) else {
            return Ok(());
        };
        session.used = Instant::now();
        if session.under_way.len() >= REQUESTS_MAX {
            let message =
                format!("{REQUESTS_MAX} requests of this session are under way; wait for one");
            return Err(ErrorData::invalid_request(message, None));
        }
        if !session.under_way.insert(id.clone()) {
            let message = "a request with this id is under way; ids must not be used again";
            return Err(ErrorData::invalid_request(message, None));
        }
        Ok(())
    }
}

impl SessionManager for Sessions {
    type Error = SessionsError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), SessionsError> {
        let asking = |asking: &Asking| (asking.caller.clone(), Arc::clone(&asking.full));
        let asking = ASKING.try_with(asking);
        let (caller, full) = asking.map_err(|_| SessionsError::NoCaller)?;
        let place = self.place(&caller);
        if place.is_err() {
            full.store(true, Ordering::Relaxed);
        }
        let (place, silent) = place?;
        if let Some(silent) = silent {
            tracing::debug!("a silent session is closed to make room for a new one");
            self.local.close_session(&silent).await?;
        }
        let (id, transport) = self.local.create_session().await?;
        let session = Session {
            caller,
            used: Instant::now(),
            under_way: HashSet::new(),
            listeners: 0,
        };
        let mut known = lock(&self.known);
        known.insert(id.clone(), session);
        drop(place);
        drop(known);
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionsError> {
        Ok(self.local.initialize_session(id, message).await?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionsError> {
        Ok(self.is_theirs(id) == Some(true) && self.local.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionsError> {
        // Nobody asks where a session ends by itself.
        if self.is_theirs(id).unwrap_or(true) {
            lock(&self.known).remove(id);
            self.local.close_session(id).await?;
        }
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        self.of_asking(id)?;
        let request = match &message {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            ClientJsonRpcMessage::Response(_)
            | ClientJsonRpcMessage::Notification(_)
            | ClientJsonRpcMessage::Error(_) => None,
        };
        if let Some(request) = &request
            && let Err(refusal) = self.admit(id, request)
        {
            let message = ServerJsonRpcMessage::error(refusal, Some(request.clone()));
            return Ok(Answer::refusal(ServerSseMessage::from_message(message)));
        }
        // From here on whatever is dropped takes the request out again.
        let ends = request.map(|request| Ends {
            local: Arc::clone(&self.local),
            known: Arc::clone(&self.known),
            session: id.clone(),
            request,
            answered: false,
        });
        let stream = self.local.create_stream(id, message).await?;
        Ok(Answer {
            stream: Box::pin(stream),
            ends,
        })
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), SessionsError> {
        self.of_asking(id)?;
        if let Some(session) = lock(&self.known).get_mut(id) {
            session.used = Instant::now();
        }
        Ok(self.local.accept_message(id, message).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        self.of_asking(id)?;
        let stream = self.local.create_standalone_stream(id).await?;
        let listening = Listening::begin(&self.known, id);
        Ok(Listened {
            stream: Box::pin(stream),
            _listening: listening,
        })
    }

    /// Nothing is kept to resume from; the library answers an empty stream.
    async fn resume(
        &self,
        id: &SessionId,
        _last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionsError> {
        let gone = LocalSessionManagerError::SessionNotFound(id.clone());
        Err::<futures::stream::Empty<_>, _>(gone.into())
    }
}

/// The place of a session that is not known yet.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(arriving: &Arc<AtomicUsize>) -> Self {
        arriving.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(arriving))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The answer to one request, and what comes before it.
struct Answer {
    stream: Pin<Box<dyn Stream<Item = ServerSseMessage> + Send + Sync>>,
    ends: Option<Ends>,
}

impl Answer {
    fn refusal(message: ServerSseMessage) -> Self {
        Self {
            stream: Box::pin(futures::stream::iter([message])),
            ends: None,
        }
    }
}

impl Stream for Answer {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.as_mut().poll_next(cx);
        if let (Poll::Ready(Some(event)), Some(ends)) = (&polled, &mut self.ends) {
            ends.answered |= event
                .message
                .as_deref()
                .is_some_and(|message| answers(message, &ends.request));
        }
        polled
    }
}

fn answers(message: &ServerJsonRpcMessage, request: &RequestId) -> bool {
    match message {
        ServerJsonRpcMessage::Response(response) => response.id == *request,
        ServerJsonRpcMessage::Error(error) => error.id.as_ref() == Some(request),
        ServerJsonRpcMessage::Request(_) | ServerJsonRpcMessage::Notification(_) => false,
    }
}

/// Takes a request out of its session; cancels it where its answer was not sent.
struct Ends {
    local: Arc<LocalSessionManager>,
    known: Arc<Mutex<Known>>,
    session: SessionId,
    request: RequestId,
    answered: bool,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(session) = lock(&self.known).get_mut(&self.session) {
            session.under_way.remove(&self.request);
            session.used = Instant::now();
        }
        if self.answered {
            return;
        }
        // A runtime that is being taken down ends the session anyway.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let reason = Some("the client disconnected".to_owned());
        let params = CancelledNotificationParam::new(Some(self.request.clone()), reason);
        let cancel = CancelledNotification::new(params);
        let cancel = ClientNotification::CancelledNotification(cancel);
        let (local, session) = (Arc::clone(&self.local), self.session.clone());
        runtime.spawn(async move {
            let cancel = ClientJsonRpcMessage::notification(cancel);
            // A session that has ended has cancelled all of its requests.
            drop(local.accept_message(&session, cancel).await);
        });
    }
}

/// A stream that nothing was asked for: changes and progress outside of answers.
struct Listened {
    stream: Pin<Box<dyn Stream<Item = ServerSseMessage> + Send + Sync>>,
    _listening: Listening,
}

impl Stream for Listened {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}

/// Keeps a session from being taken for silent.
struct Listening {
    known: Arc<Mutex<Known>>,
    session: SessionId,
}

impl Listening {
    fn begin(known: &Arc<Mutex<Known>>, session: &SessionId) -> Self {
        if let Some(session) = lock(known).get_mut(session) {
            session.listeners = session.listeners.saturating_add(1);
        }
        Self {
            known: Arc::clone(known),
            session: session.clone(),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(session) = lock(&self.known).get_mut(&self.session) {
            session.listeners = session.listeners.saturating_sub(1);
            session.used = Instant::now();
        }
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
