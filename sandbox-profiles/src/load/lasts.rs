//! How long a call can take: `[run.lasts]` of a profile.
//!
//! As `schema`: reads what stands there, records what can't be read.
//!
//! Invariants: a term that is given can be reckoned for every call.

use std::time::Duration;

use super::flags::{flag_id, flag_ids};
use super::read::Table;
use crate::profile::{DefaultSetting, Flag, FlagId, Lasts, LastsTerm};
use crate::value::ValueType;

/// The table, if the profile has one.
pub(super) fn lasts(run: &Table<'_>, flags: &[Flag], defaults: &[DefaultSetting]) -> Option<Lasts> {
    let table = run.table("lasts")?;
    let margin = table.required_integer("margin_s", 0..601);
    let rows = table.tables("terms");
    if rows.is_empty() {
        table.mistake(
            table.at(),
            "terms",
            "no terms",
            "add [[run.lasts.terms]], or leave run.lasts out",
        );
    }
    let terms = rows.iter().filter_map(|row| term(row, flags, defaults));
    let terms = terms.collect();
    table.finish();
    Some(Lasts {
        margin: Duration::from_secs(margin?),
        terms,
    })
}

fn term(row: &Table<'_>, flags: &[Flag], defaults: &[DefaultSetting]) -> Option<LastsTerm> {
    let times = flag_ids(row, "times", &row.texts("times"), flags);
    let one = |key: &'static str| {
        let text = row.text(key)?;
        flag_id(row, key, &text, flags)
    };
    let term = LastsTerm {
        times,
        per: one("per"),
        with: one("with"),
        unless: one("unless"),
    };
    if let Some((what, remedy)) = mistake(&term, flags, defaults) {
        row.mistake(row.at(), "times", what, remedy);
        return None;
    }
    Some(term)
}

/// What is wrong with a term, and what to do about it.
fn mistake(
    term: &LastsTerm,
    flags: &[Flag],
    defaults: &[DefaultSetting],
) -> Option<(&'static str, &'static str)> {
    let flag = |id: &FlagId| flags.get(id.0);
    let numbers = |id: &FlagId| matches!(flag(id)?.value, ValueType::Integer { .. }).then_some(());
    let spans = |id: &FlagId| matches!(flag(id)?.value, ValueType::Duration { .. }).then_some(());
    let all = || term.times.iter().chain(&term.per);
    let counted = all().all(|id| numbers(id).or_else(|| spans(id)).is_some());
    let times = term.times.iter().filter_map(spans).count();
    if term.times.is_empty()
        || !counted
        || times > 1
        || term.per.iter().any(|id| spans(id).is_some())
    {
        return Some((
            "not numbers and at most one time",
            "list flags that take numbers, and one that takes a time",
        ));
    }
    let is_default = |id: &FlagId| {
        let spelled = |text: &String| flag(id).is_some_and(|flag| flag.is_spelled(text));
        let always = |default: &&DefaultSetting| default.unless.is_empty() && !default.single;
        let first = defaults.iter().filter(always);
        first
            .filter_map(|default| default.args.first())
            .any(spelled)
    };
    let has_value = |id: &FlagId| {
        flag(id).is_some_and(|flag| flag.absent.is_some())
            || is_default(id)
            || term.with == Some(*id)
    };
    (!all().all(has_value)).then_some((
        "a flag may be absent, and what the tool takes then is not stated",
        "add absent to the flag, or a default for it",
    ))
}
