//! The transport that the MCP service runs on.
//!
//! What it is: lines to messages and back, with an answer for every line that
//! can't be a message: not JSON, not a request, too long, an id in use.
//! What it is not: a handler of messages.
//!
//! Invariants: [`Connection::receive`] may be dropped at any point without loss;
//! no more requests are read while the client leaves answers unread; when the
//! client is gone, or its time after the end of input is up, `ended` is
//! cancelled before `receive` returns `None`, and with it every run.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorCode, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::service::RoleServer;
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::in_flight::{InFlight, Slot};
use super::line::{Line, Lines};
use super::output::Output;

/// Resolves when nobody can read what is written any more.
pub(super) type PeerGone = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One client on two byte streams.
pub(super) struct Connection<R, W> {
    lines: Lines<R>,
    output: Arc<Output<W>>,
    in_flight: Arc<InFlight>,
    peer_gone: PeerGone,
    /// Cancelled when the client no longer waits for anything.
    ended: CancellationToken,
    /// How long a request may take when the input ends behind it.
    grace: Duration,
    /// An answer of our own that is not on its way yet.
    reply: Option<Vec<u8>>,
    /// It is not known to be out yet.
    replying: bool,
    /// Taken before a line is read, so that reading stops when there is none.
    slot: Option<Slot>,
    /// A request that opens a session has been seen.
    opened: bool,
    last_message: Instant,
    input_over: bool,
    /// Cancelled when nothing more is to be taken on.
    drain: CancellationToken,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    pub(super) fn new(
        lines: Lines<R>,
        output: Arc<Output<W>>,
        in_flight: Arc<InFlight>,
        peer_gone: PeerGone,
        ended: CancellationToken,
        grace: Duration,
        drain: CancellationToken,
    ) -> Self {
        Self {
            lines,
            output,
            in_flight,
            peer_gone,
            ended,
            grace,
            reply: None,
            replying: false,
            slot: None,
            opened: false,
            last_message: Instant::now(),
            input_over: false,
            drain,
        }
    }

    /// The next message, or `None` when there will be no more.
    async fn next(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if self.replying {
                self.output.write(&mut self.reply).await;
                self.replying = false;
            }
            if self.input_over {
                self.last_answers().await;
                return None;
            }
            if self.slot.is_none() {
                self.slot = self.in_flight.slot().await;
            }
            let line = tokio::select! {
                biased;
                () = self.output.closed() => return None,
                () = &mut self.peer_gone => return None,
                () = self.drain.cancelled() => Line::End,
                line = self.lines.next() => line,
            };
            match line {
                Line::Whole(line) => {
                    self.last_message = Instant::now();
                    if let Some(message) = self.message(&line) {
                        return Some(message);
                    }
                }
                Line::TooLong => {
                    let error = (ErrorCode::INVALID_REQUEST, "the message is too long");
                    self.refuse(&Value::Null, error);
                }
                Line::End => {
                    self.input_over = true;
                    // It would count as a request that waits for an answer.
                    self.slot = None;
                }
            }
        }
    }

    /// After the end of input: a client that sends and closes still gets its
    /// answers, if they come within the grace of its last message. While this
    /// process drains, runs may take as long as whoever drains it allows.
    async fn last_answers(&mut self) {
        let draining = self.drain.is_cancelled();
        let deadline = self
            .last_message
            .checked_add(self.grace)
            .unwrap_or(self.last_message);
        tokio::select! {
            () = self.in_flight.idle() => {}
            () = self.output.closed() => {}
            () = &mut self.peer_gone => {}
            () = tokio::time::sleep_until(deadline), if !draining => {}
        }
    }

    /// Decodes a line; where that fails or the message is out of turn, queues the answer.
    fn message(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        let message = match serde_json::from_slice::<ClientJsonRpcMessage>(line) {
            Ok(message) => message,
            Err(error) => {
                self.refuse_undecoded(line, &error);
                return None;
            }
        };
        match &message {
            JsonRpcMessage::Request(request) => {
                let opening = !matches!(
                    request.request,
                    ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_)
                );
                let slot = self.slot.take()?;
                if self.in_flight.admit(&request.id, slot).is_err() {
                    let error = (
                        ErrorCode::INVALID_REQUEST,
                        "a request with this id is under way; give each request an id of its own",
                    );
                    self.refuse(&id_value(&request.id), error);
                    return None;
                }
                self.opened |= opening;
            }
            // The service takes anything but a request as a reason to quit until a session is
            // open. There is nothing to notify about yet, so nothing is lost.
            JsonRpcMessage::Notification(_)
            | JsonRpcMessage::Response(_)
            | JsonRpcMessage::Error(_) => {
                if !self.opened {
                    return None;
                }
            }
        }
        Some(message)
    }

    /// Answers what is not a message.
    fn refuse_undecoded(&mut self, line: &[u8], error: &serde_json::Error) {
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            tracing::debug!(%error, "a line is not JSON");
            return self.refuse(
                &Value::Null,
                (ErrorCode::PARSE_ERROR, "the line is not JSON"),
            );
        };
        let known = value.as_object();
        let is_notification =
            known.is_some_and(|fields| fields.contains_key("method") && !fields.contains_key("id"));
        if is_notification {
            tracing::debug!(%error, "ignoring a notification of a shape that is not known");
            return;
        }
        let id = value
            .get("id")
            .filter(|id| id.is_string() || id.is_i64())
            .cloned();
        let message = if value.is_array() {
            "batches are not part of this protocol; send one message per line"
        } else {
            "the message is no JSON-RPC 2.0 request, notification or response"
        };
        self.refuse(
            &id.unwrap_or_default(),
            (ErrorCode::INVALID_REQUEST, message),
        );
    }

    fn refuse(&mut self, id: &Value, (code, message): (ErrorCode, &str)) {
        let answer = json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": { "code": code.0, "message": message },
        });
        self.reply = Some(answer.to_string().into_bytes());
        self.replying = true;
    }
}

impl<R, W> Transport<RoleServer> for Connection<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    // A client that is gone is no error of the service.
    type Error = Infallible;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let output = Arc::clone(&self.output);
        let in_flight = Arc::clone(&self.in_flight);
        async move {
            let answered = answered(&message);
            let mut line = Some(encode(&message, answered.as_ref()));
            // Free before the lines of others are waited for.
            drop(message);
            output.write(&mut line).await;
            if let Some(id) = answered {
                in_flight.release(&id);
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        let message = self.next().await;
        if message.is_none() {
            self.ended.cancel();
            if self.input_over {
                // Answers that come from now on are late, and nobody may be there to read them.
                self.output.close();
            }
        }
        message
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        self.output.close();
        Ok(())
    }
}

/// The request that a message answers.
fn answered(message: &ServerJsonRpcMessage) -> Option<RequestId> {
    match message {
        JsonRpcMessage::Response(response) => Some(response.id.clone()),
        JsonRpcMessage::Error(error) => error.id.clone(),
        JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
    }
}

/// One message as one line; JSON escapes line ends.
fn encode(message: &ServerJsonRpcMessage, answered: Option<&RequestId>) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer can't be written as JSON");
        let id = answered.map_or(Value::Null, id_value);
        let code = ErrorCode::INTERNAL_ERROR.0;
        let error = json!({ "code": code, "message": "the answer can't be written as JSON" });
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
            .to_string()
            .into_bytes()
    })
}

fn id_value(id: &RequestId) -> Value {
    id.clone().into_json_value()
}
