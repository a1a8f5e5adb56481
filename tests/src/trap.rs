//! A listener that counts who touches it: proof that a tool ran, or didn't.
//!
//! What it is not: a service; it closes each connection at once.
//!
//! Invariants: it counts every connection made before it is asked.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::namespace::Namespace;

/// Pause between two looks for connections.
const STEP: Duration = Duration::from_millis(2);

/// A listening trap.
#[derive(Debug)]
pub struct Trap {
    touched: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Trap {
    /// Listens on an address of a host.
    ///
    /// # Errors
    ///
    /// When the address is not the host's, or the port is taken.
    pub fn on(host: &Namespace, address: SocketAddr) -> Result<Self> {
        let listener = host.enter(|| Ok(TcpListener::bind(address)?))?;
        listener.set_nonblocking(true)?;
        let (touched, stop) = (
            Arc::new(AtomicU32::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, ended) = (Arc::clone(&touched), Arc::clone(&stop));
        let watcher = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok(_) => drop(count.fetch_add(1, Ordering::SeqCst)),
                    Err(_) => thread::sleep(STEP),
                }
            }
        });
        Ok(Self {
            touched,
            stop,
            watcher: Some(watcher),
        })
    }

    /// How often it was touched so far. Waits a moment for what is on its way.
    #[must_use]
    pub fn touched(&self) -> u32 {
        thread::sleep(STEP.saturating_mul(10));
        self.touched.load(Ordering::SeqCst)
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.watcher.take().map(JoinHandle::join));
    }
}
