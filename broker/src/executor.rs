//! The executor that this broker uses: embedded or installed as a service.
//!
//! What it is: one place that knows the socket, and who is responsible for what
//! listens there.
//! What it is not: a connection; each run opens its own.
//!
//! Invariants: an embedded executor ends with this value.

use std::path::{Path, PathBuf};

use protocol::event::{Inventory, RefusalKind, Refused, Welcome};
use sandbox_profiles::scope::ScopeConfig;
use tokio::sync::Mutex;

use crate::config::ExecutorPlace;
use crate::embedded::{Embedded, EmbeddedError, Watch};
use crate::executor_client::{ClientError, Connection};
use crate::outcome::{CallError, ErrorType};

/// What an executor says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Its release, and the digests of what it enforces.
    pub welcome: Welcome,
    /// What it is and can do.
    pub inventory: Inventory,
}

/// An executor.
#[derive(Debug)]
pub struct Executor {
    socket: PathBuf,
    embedded: Option<Mutex<Option<Embedded>>>,
    watch: Option<Watch>,
}

impl Executor {
    /// Starts an embedded executor, or notes where the system's is.
    ///
    /// # Errors
    ///
    /// Where an embedded one can't be started.
    pub fn start(
        place: &ExecutorPlace,
        scope: &ScopeConfig,
        profiles: &[PathBuf],
    ) -> Result<Self, EmbeddedError> {
        match place {
            ExecutorPlace::System(socket) => Ok(Self {
                socket: socket.clone(),
                embedded: None,
                watch: None,
            }),
            ExecutorPlace::Embedded(program) => {
                let embedded = Embedded::start(program.as_deref(), scope, profiles)?;
                let socket = embedded.socket();
                Ok(Self {
                    watch: Some(embedded.watch()),
                    socket,
                    embedded: Some(Mutex::new(Some(embedded))),
                })
            }
        }
    }

    /// No executor: for commands that only vet.
    pub fn none() -> Self {
        Self {
            socket: PathBuf::from("/nonexistent"),
            embedded: None,
            watch: None,
        }
    }

    /// `embedded` or `system`.
    pub fn mode(&self) -> &'static str {
        if self.embedded.is_some() {
            "embedded"
        } else {
            "system"
        }
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Opens a connection for one run or one inspection.
    ///
    /// # Errors
    ///
    /// As clients see it: with what to do.
    pub async fn open(&self) -> Result<Connection, CallError> {
        let given_up = async {
            match &self.watch {
                Some(watch) => watch.given_up().await,
                None => std::future::pending().await,
            }
        };
        let opened = tokio::select! {
            biased;
            opened = Connection::open(&self.socket) => opened,
            words = given_up => {
                let what = format!("the embedded executor does not start: {words}");
                let remedy = "put right what it says; `mantlet doctor` checks again";
                return Err(CallError::new(ErrorType::ExecutorUnavailable, what, remedy));
            }
        };
        match opened {
            Ok(connection) => Ok(connection),
            Err(error) => Err(self.worded(&error).await),
        }
    }

    /// Asks it what it is and can do.
    ///
    /// # Errors
    ///
    /// As [`Executor::open`].
    pub async fn inspect(&self) -> Result<Inspected, CallError> {
        let connection = self.open().await?;
        let welcome = connection.welcome().clone();
        match connection.inspect().await {
            Ok(inventory) => Ok(Inspected { welcome, inventory }),
            Err(error) => Err(self.worded(&error).await),
        }
    }

    /// A client error as clients see it.
    pub async fn worded(&self, error: &ClientError) -> CallError {
        if let ClientError::Refused(refused) = error {
            return refusal(refused);
        }
        let mut message = error.to_string();
        if let Some(cause) = std::error::Error::source(error) {
            message = format!("{message}: {cause}");
        }
        let trouble = match &self.embedded {
            Some(embedded) => embedded.lock().await.as_ref().and_then(Embedded::trouble),
            None => None,
        };
        if let Some(trouble) = trouble {
            message = format!("{message}; its last words: {trouble}");
        }
        let remedy = match self.mode() {
            "embedded" => {
                "it is restarted by itself; call again, and run `mantlet doctor` if this goes on"
            }
            _ => {
                "see `systemctl status mantlet-executor.socket mantlet-executor.service`, and run `mantlet doctor`"
            }
        };
        CallError::new(ErrorType::ExecutorUnavailable, message, remedy)
    }

    /// Ends an embedded executor and its runs.
    pub async fn stop(&self) {
        if let Some(embedded) = &self.embedded
            && let Some(embedded) = embedded.lock().await.take()
        {
            embedded.stop().await;
        }
    }
}

/// An executor's refusal as clients see it.
fn refusal(refused: &Refused) -> CallError {
    let error_type = match refused.kind {
        RefusalKind::NotVetted => ErrorType::ValidationError,
        RefusalKind::CapabilityNotHeld | RefusalKind::PeerNotAllowed => ErrorType::PermissionDenied,
        RefusalKind::Busy => ErrorType::ResourceExhausted,
        RefusalKind::UnknownTool | RefusalKind::ToolMissing => ErrorType::NotFound,
        RefusalKind::SandboxUnavailable | RefusalKind::ToolUnavailable => {
            ErrorType::SandboxUnavailable
        }
        RefusalKind::SpawnFailed => ErrorType::ExecutionError,
        RefusalKind::Draining | RefusalKind::ProtocolMismatch => ErrorType::ExecutorUnavailable,
        RefusalKind::Malformed | RefusalKind::OutOfTurn => ErrorType::Unknown,
    };
    let error = CallError::new(error_type, refused.message.clone(), refused.remedy.clone());
    let error = error.with("refused_by", "executor");
    let error = if refused.rule.is_empty() {
        error
    } else {
        error.with("rule", refused.rule.clone())
    };
    if refused.offending.is_empty() {
        error
    } else {
        error.with("offending", refused.offending.clone())
    }
}
