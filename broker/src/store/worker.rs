//! A thread with a connection of its own.
//!
//! What it is: where everything that may block on the disk is done, one piece
//! after the other, so that no async task ever waits for it.
//! What it is not: a transaction; the work says where one begins and ends.
//!
//! Invariants: at most [`JOBS_MAX`] pieces wait; who asks gets an answer, also
//! when the thread is gone.

use std::io;
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// Pieces of work that wait.
const JOBS_MAX: usize = 256;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The thread's handle. It ends when all handles are gone.
#[derive(Debug, Clone)]
pub(super) struct Worker(mpsc::Sender<Job>);

/// A handle that doesn't keep the thread alive.
#[derive(Debug)]
pub(super) struct WeakWorker(mpsc::WeakSender<Job>);

impl Worker {
    /// Starts the thread.
    pub(super) fn start(name: &str, mut connection: Connection) -> io::Result<Self> {
        let (sender, mut jobs) = mpsc::channel::<Job>(JOBS_MAX);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Some(job) = jobs.blocking_recv() {
                    job(&mut connection);
                }
            })?;
        Ok(Self(sender))
    }

    /// One that does nothing: whoever asks is told that it is gone.
    pub(super) fn none() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// Whether nothing is done any more.
    pub(super) fn is_none(&self) -> bool {
        self.0.is_closed()
    }

    /// Has something done, and waits for what it comes to.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(answer.send(work(connection))));
        let sent = self.0.send(job).await;
        sent.map_err(|_| StoreError::Interrupted)?;
        answered.await.map_err(|_| StoreError::Interrupted)?
    }

    /// Has something done some time, if there is room for it.
    pub(super) fn tell(&self, work: impl FnOnce(&mut Connection) + Send + 'static) {
        if self.0.try_send(Box::new(work)).is_err() {
            tracing::debug!("the store is busy; a state of a run is not recorded");
        }
    }

    pub(super) fn downgrade(&self) -> WeakWorker {
        WeakWorker(self.0.downgrade())
    }
}

impl WeakWorker {
    pub(super) fn upgrade(&self) -> Option<Worker> {
        self.0.upgrade().map(Worker)
    }
}
