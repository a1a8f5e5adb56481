//! Results that could not be stored, as long as the broker lives.
//!
//! What it is not: a store. It holds a few, the newest, and within bounds.
//!
//! Invariants: at most [`RESULTS_MAX`] results and about [`BYTES_MAX`] bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::outcome::Outcome;
use crate::store::record::RunInfo;

const RESULTS_MAX: usize = 16;
const BYTES_MAX: usize = 32 << 20;

/// The newest results that are nowhere else.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    results: VecDeque<(RunInfo, Arc<Outcome>, usize)>,
    bytes: usize,
}

impl Unkept {
    pub(super) fn push(&mut self, info: RunInfo, outcome: Outcome) {
        let text = outcome.to_json().to_string().len();
        let bytes = text.saturating_add(outcome.facts.raw_stdout.len());
        self.bytes = self.bytes.saturating_add(bytes);
        self.results.push_back((info, Arc::new(outcome), bytes));
        while self.results.len() > RESULTS_MAX || self.bytes > BYTES_MAX {
            let Some((_, _, bytes)) = self.results.pop_front() else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    pub(super) fn get(&self, run_id: &str) -> Option<(RunInfo, Arc<Outcome>)> {
        let found = self
            .results
            .iter()
            .find(|(info, _, _)| info.run_id == run_id);
        found.map(|(info, outcome, _)| (info.clone(), Arc::clone(outcome)))
    }
}
