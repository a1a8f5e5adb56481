//! Rate limits: how often one caller may call one tool (RES2).
//!
//! What it is: a token bucket per caller and tool, which holds a minute's
//! calls and is refilled evenly.
//! What it is not: a bound on what runs at once; permits are.
//!
//! Invariants: at most [`Rates::new`]'s `callers_max` buckets are kept; a
//! bucket is forgotten only when it is full again, so forgetting one never
//! lets more calls through; callers with a bucket are served also when there
//! is no room for others.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::caller::Caller;
use crate::outcome::{CallError, ErrorType, wait_seconds};

/// A bucket left alone for so long is full again, whatever was taken from it.
const REFILL: Duration = Duration::from_mins(1);

/// Whether the call before was one too many as well, among an error's facts.
pub const REPEATED: &str = "repeated";

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// All buckets.
#[derive(Debug)]
pub struct Rates<C: Clock = MonotonicClock> {
    clock: C,
    book: Mutex<Book<C>>,
}

#[derive(Debug)]
struct Book<C: Clock> {
    per_minute: NonZeroU32,
    callers_max: usize,
    buckets: HashMap<(Caller, String), Entry<C>>,
}

#[derive(Debug)]
struct Entry<C: Clock> {
    bucket: Bucket<C>,
    used: C::Instant,
    /// Whether the last call was one too many.
    refusing: bool,
}

impl Rates {
    /// Buckets of `per_minute` calls, for at most `callers_max` pairs of caller and tool.
    pub fn new(per_minute: NonZeroU32, callers_max: usize) -> Self {
        Self::with_clock(per_minute, callers_max, MonotonicClock)
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(per_minute: NonZeroU32, callers_max: usize, clock: C) -> Self {
        let book = Book {
            per_minute,
            callers_max,
            buckets: HashMap::new(),
        };
        let book = Mutex::new(book);
        Self { clock, book }
    }

    /// Changes the bounds. Where the rate stays, so does what is left in each bucket.
    pub fn change(&self, per_minute: NonZeroU32, callers_max: usize) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.per_minute != per_minute {
            book.buckets.clear();
        }
        book.per_minute = per_minute;
        book.callers_max = callers_max;
    }

    /// Takes one call of `caller` to `tool`, a tool that exists.
    ///
    /// # Errors
    ///
    /// `rate_limited`, with the whole seconds until a call will be taken.
    pub fn take(&self, caller: &Caller, tool: &str) -> Result<(), CallError> {
        let now = self.clock.now();
        let key = (caller.clone(), tool.to_owned());
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let Book {
            per_minute,
            callers_max,
            buckets,
        } = &mut *book;
        let per_minute = *per_minute;
        if !buckets.contains_key(&key) && buckets.len() >= *callers_max {
            let refill = REFILL.into();
            buckets.retain(|_, entry| now.duration_since(entry.used) < refill);
            if buckets.len() >= *callers_max {
                let what = "too many different callers within the last minute";
                return Err(limited(what.to_owned(), REFILL));
            }
        }
        let entry = buckets.entry(key).or_insert_with(|| Entry {
            bucket: RateLimiter::direct_with_clock(
                Quota::per_minute(per_minute),
                self.clock.clone(),
            ),
            used: now,
            refusing: false,
        });
        let repeated = entry.refusing;
        entry.bucket.check().map_err(|until| {
            entry.refusing = true;
            let what = format!("{tool} may be called {per_minute} times a minute by each caller");
            limited(what, until.wait_time_from(now)).with(REPEATED, repeated)
        })?;
        entry.refusing = false;
        entry.used = now;
        Ok(())
    }
}

fn limited(what: String, wait: Duration) -> CallError {
    let seconds = wait_seconds(wait);
    let remedy =
        format!("wait {seconds} s and call again; rate_limit.calls_per_minute sets the bound");
    CallError::new(ErrorType::RateLimited, what, remedy).with("retry_after_sec", seconds)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::super::caller::Surface;
    use super::*;

    fn rates(per_minute: u32, callers_max: usize) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let per_minute = NonZeroU32::new(per_minute).unwrap();
        (
            Rates::with_clock(per_minute, callers_max, clock.clone()),
            clock,
        )
    }

    #[test]
    fn a_minutes_calls_pass_and_the_next_is_told_when_to_come_back() {
        let (rates, clock) = rates(10, 100);
        let caller = Caller::local(Surface::Stdio);
        for _ in 0..10 {
            rates.take(&caller, "nmap").unwrap();
        }
        let refused = rates.take(&caller, "nmap").unwrap_err();
        assert_eq!(refused.error_type, ErrorType::RateLimited);
        assert_eq!(
            refused.metadata["retry_after_sec"], 6,
            "a call every six seconds"
        );
        assert!(
            rates.take(&caller, "ping").is_ok(),
            "each tool has a bucket of its own"
        );
        let other = Caller::local(Surface::Terminal);
        assert!(rates.take(&other, "nmap").is_ok(), "so has each caller");
        clock.advance(Duration::from_secs(5));
        assert!(rates.take(&caller, "nmap").is_err(), "a second too early");
        clock.advance(Duration::from_secs(1));
        assert!(rates.take(&caller, "nmap").is_ok(), "as it was told");
        assert!(
            rates.take(&caller, "nmap").is_err(),
            "one, not a minute's worth"
        );
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_known_callers_are_served_on() {
        let (rates, clock) = rates(2, 3);
        let caller = Caller::local(Surface::Stdio);
        for tool in ["a", "b", "c"] {
            rates.take(&caller, tool).unwrap();
        }
        assert!(rates.take(&caller, "d").is_err(), "no room");
        assert!(
            rates.take(&caller, "a").is_ok(),
            "known, and has a call left"
        );
        assert!(rates.take(&caller, "a").is_err(), "its limit still holds");
        clock.advance(Duration::from_secs(59));
        assert!(
            rates.take(&caller, "d").is_err(),
            "nobody's bucket is full again"
        );
        clock.advance(Duration::from_secs(1));
        assert!(
            rates.take(&caller, "d").is_ok(),
            "the full ones have been forgotten"
        );
        assert_eq!(rates.book.lock().unwrap().buckets.len(), 1);
    }

    #[test]
    fn a_bucket_stays_as_empty_as_it_is_unless_the_rate_is_changed() {
        let (rates, _clock) = rates(1, 3);
        let caller = Caller::local(Surface::Stdio);
        let one = NonZeroU32::MIN;
        rates.take(&caller, "nmap").unwrap();
        rates.change(one, 100);
        assert!(rates.take(&caller, "nmap").is_err(), "the same rate");
        rates.change(one.saturating_add(1), 100);
        assert!(rates.take(&caller, "nmap").is_ok());
        assert!(rates.take(&caller, "nmap").is_ok(), "another rate");
        assert!(rates.take(&caller, "nmap").is_err());
    }

    #[test]
    fn only_the_first_of_several_calls_too_many_is_news() {
        let (rates, clock) = rates(1, 16);
        let caller = Caller::local(Surface::Stdio);
        let repeated = || {
            let error = rates.take(&caller, "nmap").unwrap_err();
            error.metadata[REPEATED].as_bool().unwrap()
        };
        for _ in 0..2 {
            rates.take(&caller, "nmap").unwrap();
            assert!(!repeated());
            assert!(repeated());
            clock.advance(REFILL);
        }
    }
}
