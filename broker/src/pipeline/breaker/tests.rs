//! The rules of a breaker, one table or story each.
//!
//! What it is not: real time; every moment is given.

use std::sync::Arc;
use std::thread;

use super::*;

const RECOVERY: Duration = Duration::from_mins(1);

fn breaker() -> Breaker {
    Breaker::new("nmap", 5, RECOVERY)
}

fn end(breaker: &Breaker, word: Word, now: Instant) {
    breaker.admit(now).unwrap().settle(word, now);
}

fn opened(now: Instant) -> Breaker {
    let breaker = breaker();
    for _ in 0..5 {
        end(&breaker, Word::Fault, now);
    }
    breaker
}

#[test]
fn opens_at_the_fifth_fault_in_a_row_and_says_when_to_come_back() {
    let now = Instant::now();
    let breaker = breaker();
    for _ in 0..4 {
        end(&breaker, Word::Fault, now);
    }
    end(&breaker, Word::Works, now);
    for _ in 0..4 {
        end(&breaker, Word::Fault, now);
    }
    end(&breaker, Word::Nothing, now);
    assert!(breaker.admit(now).is_ok(), "not five in a row");
    end(&breaker, Word::Fault, now);
    let refused = breaker.admit(now + Duration::from_millis(500)).unwrap_err();
    assert_eq!(refused.error_type, ErrorType::CircuitBreakerOpen);
    assert_eq!(refused.metadata["retry_after_sec"], 60, "59.5 rounded up");
}

#[test]
fn refusals_and_cancellations_never_open_it() {
    let now = Instant::now();
    let breaker = breaker();
    for _ in 0..100 {
        end(&breaker, Word::Nothing, now);
        drop(breaker.admit(now).unwrap());
    }
    assert!(breaker.admit(now).is_ok());
}

#[test]
fn lets_exactly_one_probe_through_among_a_hundred_calls_at_once() {
    let now = Instant::now();
    let breaker = Arc::new(opened(now));
    let later = now + RECOVERY;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || match breaker.admit(later) {
                Ok(probe) => {
                    // As long as it is under way, it is the only one.
                    thread::sleep(Duration::from_millis(200));
                    probe.settle(Word::Fault, later);
                    true
                }
                Err(refused) => {
                    assert_eq!(refused.error_type, ErrorType::CircuitBreakerOpen);
                    false
                }
            })
        })
        .collect();
    let through = calls.into_iter().filter_map(|call| call.join().ok());
    assert_eq!(through.filter(|through| *through).count(), 1);
    assert!(breaker.admit(later + RECOVERY / 2).is_err(), "open again");
    assert!(breaker.admit(later + RECOVERY).is_ok());
}

#[test]
fn a_probe_that_works_closes_it_and_one_without_a_word_makes_way() {
    let now = Instant::now();
    let breaker = opened(now);
    let later = now + RECOVERY;
    let probe = breaker.admit(later).unwrap();
    assert!(breaker.admit(later).is_err(), "one probe at a time");
    probe.settle(Word::Nothing, later);
    let probe = breaker.admit(later).unwrap();
    probe.settle(Word::Works, later);
    let (_one, _two) = (breaker.admit(later).unwrap(), breaker.admit(later).unwrap());
}

#[test]
fn late_words_change_nothing() {
    let now = Instant::now();
    let breaker = breaker();
    let (works, fails) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
    for _ in 0..5 {
        end(&breaker, Word::Fault, now);
    }
    let later = now + RECOVERY;
    let probe = breaker.admit(later).unwrap();
    works.settle(Word::Works, later);
    assert!(
        breaker.admit(later).is_err(),
        "an old success closes nothing"
    );
    fails.settle(Word::Fault, later);
    probe.settle(Word::Works, later);
    assert!(breaker.admit(later).is_ok(), "an old fault opens nothing");
}

#[test]
fn a_call_that_waited_is_refused_if_the_breaker_opened_meanwhile() {
    let now = Instant::now();
    let breaker = breaker();
    let waiting = breaker.admit(now).unwrap();
    let patient = breaker.admit(now).unwrap();
    for _ in 0..5 {
        end(&breaker, Word::Fault, now);
    }
    assert!(waiting.renewed(now).is_err());
    let probe = patient.renewed(now + RECOVERY).unwrap();
    assert!(
        breaker.admit(now + RECOVERY).is_err(),
        "it is the probe now"
    );
    probe.settle(Word::Works, now + RECOVERY);
    assert!(breaker.admit(now + RECOVERY).is_ok());
}

#[test]
fn other_bounds_leave_it_as_open_as_it_is() {
    let now = Instant::now();
    let profiles = sandbox_profiles::load::built_in().unwrap();
    let bounds = |failures, recovery| BreakerBounds {
        failures: Some(failures),
        recovery: Some(recovery),
    };
    let before = Breakers::new(profiles.iter(), bounds(2, RECOVERY));
    for _ in 0..2 {
        before.admit("nmap", now).unwrap().settle(Word::Fault, now);
    }
    before.admit("ping", now).unwrap().settle(Word::Fault, now);
    let without_dig = profiles.iter().filter(|profile| profile.name != "dig");
    let after = before.renewed(without_dig, bounds(1, RECOVERY * 2));
    assert!(after.admit("nmap", now).is_err(), "open");
    assert!(after.admit("dig", now).is_err(), "gone");
    after.admit("ping", now).unwrap().settle(Word::Fault, now);
    assert!(after.admit("ping", now).is_err(), "by the new threshold");
    let later = now + RECOVERY;
    assert!(after.admit("ping", later).is_err(), "for the new time");
    assert!(
        after.admit("nmap", later).is_ok(),
        "for the time it was told"
    );
}
