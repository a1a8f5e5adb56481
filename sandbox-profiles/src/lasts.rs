//! How long a call can take, by its settings.
//!
//! An upper bound for the tool at work, as its profile states it; not a
//! prediction, and no limit: whoever runs the call decides what to do with it.
//!
//! Invariants: total; never smaller than the profile's margin.

use std::time::Duration;

use crate::grammar::Settings;
use crate::profile::{FlagId, LastsTerm, Profile};
use crate::value::{Value, ValueType};

/// How long a call with those settings can take; nothing where the profile
/// doesn't say.
pub(crate) fn lasts(profile: &Profile, settings: &Settings) -> Option<Duration> {
    let lasts = profile.run.lasts.as_ref()?;
    let given = |id: &FlagId| settings.contains_key(id);
    let terms = lasts
        .terms
        .iter()
        .filter(|term| term.with.iter().all(given) && !term.unless.iter().any(given))
        .map(|term| milliseconds(profile, settings, term));
    let sum = terms.fold(0, u64::saturating_add);
    Some(Duration::from_millis(sum).saturating_add(lasts.margin))
}

fn milliseconds(profile: &Profile, settings: &Settings, term: &LastsTerm) -> u64 {
    let value = |id: &FlagId| {
        let own = settings.get(id).and_then(Value::magnitude);
        own.or(profile.flag(*id)?.absent)
    };
    let is_time = |id: &&FlagId| {
        profile
            .flag(**id)
            .is_some_and(|flag| matches!(flag.value, ValueType::Duration { .. }))
    };
    let numbers = term.times.iter().filter(|id| !is_time(id));
    let count = numbers.filter_map(value).fold(1, u64::saturating_mul);
    let per = term.per.as_ref().and_then(value).unwrap_or(1).max(1);
    let time = term.times.iter().find(is_time).and_then(value);
    count.div_ceil(per).saturating_mul(time.unwrap_or(1000))
}
