//! Properties of every built-in tool, with calls made from its own profile.
//!
//! Nothing here names a tool, a flag or a parameter: a new profile is covered as
//! soon as it is built in.

use std::collections::HashSet;

use proptest::prelude::*;
use sandbox_profiles::profile::{Flag, ParameterKind, Repeat};
use sandbox_profiles::vet::{self, Arguments, Call, ParamValue};
use sandbox_profiles::{Profile, Scope, ScopeConfig};

use crate::bench::{config_of, intrusive_ipv6};
use crate::ground::Ground;
use crate::invariants;
use crate::pools::{HOSTILE, POOLS, TARGETS, VALUES, tokens, vet};

/// Scopes, each beside a second reading of its configuration.
fn scopes() -> Vec<(Scope, Ground)> {
    let private = config_of(&["10.0.0.0/8", "fd00::/64"], &[]);
    let denying = config_of(
        &["10.0.0.0/8", "fd00::/64"],
        &["10.0.0.2/31", "10.0.0.9/32", "fd00::3/128"],
    );
    let plain = ScopeConfig::default();
    let allowing = |config: &ScopeConfig| ScopeConfig {
        allow_intrusive: true,
        ..config.clone()
    };
    let configs = [allowing(&plain), allowing(&private), plain, denying];
    let both = |config: &ScopeConfig| (Scope::new(config).unwrap(), Ground::new(config));
    configs.iter().map(both).collect()
}

/// What a caller may add to a tool's own flags.
fn stray() -> impl Strategy<Value = Vec<String>> {
    let value = prop::sample::select(HOSTILE).prop_map(|value| vec![value.to_owned()]);
    prop_oneof![2 => value, 1 => "[ -~]{0,9}".prop_map(|text| vec![text])]
}

/// A tool, and a call that is likely to be accepted.
fn call() -> impl Strategy<Value = (usize, Call)> {
    (0..POOLS.len()).prop_flat_map(|tool| {
        let pool = &POOLS[tool];
        let group = prop_oneof![
            20 => prop::sample::select(&pool.good[..]),
            2 => prop::sample::select(&pool.odd[..]),
            1 => stray(),
        ];
        let groups = prop::collection::vec(group, 0..4);
        let base = prop::sample::select(&pool.bases[..]);
        let aim = prop::option::weighted(0.2, prop::sample::select(TARGETS));
        let names = pool
            .profile
            .templates
            .iter()
            .map(|template| template.name.clone());
        let names: Vec<Option<String>> = names.map(Some).chain([None]).collect();
        let template = (prop::sample::select(names), prop::bool::weighted(0.2));
        (base, groups, aim, template).prop_map(
            move |((target, base), groups, aim, (name, use_it))| {
                let target = aim.unwrap_or(&target);
                let template = name.filter(|_| use_it);
                (
                    tool,
                    Call {
                        template,
                        ..tokens(target, [base, groups.concat()].concat())
                    },
                )
            },
        )
    })
}

#[test]
fn pools_reach_every_flag() {
    assert!(!POOLS.is_empty());
    for pool in POOLS.iter() {
        for flag in &pool.profile.flags {
            let good = pool
                .good
                .iter()
                .filter(|group| group[0].starts_with(&flag.spelling));
            assert!(
                good.count() > 0,
                "{} {}: no value is accepted",
                pool.profile.name,
                flag.spelling
            );
        }
        assert!(pool.odd.len() > 100, "{}", pool.profile.name);
    }
}

/// A value of a parameter, in every form that a client might send.
fn forms(kind: &ParameterKind, value: &str) -> Vec<ParamValue> {
    if matches!(kind, ParameterKind::Boolean) {
        return vec![ParamValue::Flag(true)];
    }
    let mut forms = vec![ParamValue::Text(value.to_owned())];
    forms.extend(value.parse().map(ParamValue::Integer));
    let items = value
        .split(',')
        .map(|item| ParamValue::Text(item.to_owned()));
    forms.push(ParamValue::List(items.collect()));
    forms
}

#[test]
fn every_parameter_leads_where_arguments_lead() {
    let scope = intrusive_ipv6();
    for pool in POOLS.iter() {
        let profile = pool.profile;
        let said: Vec<HashSet<Vec<String>>> = pool
            .probes()
            .map(|(target, base)| {
                let groups = pool.good.iter().map(Vec::as_slice).chain([&[][..]]);
                let runs = groups.filter_map(|group| vet(profile, &scope, target, base, group));
                runs.map(|run| run.argv().to_vec()).collect()
            })
            .collect();
        for parameter in &profile.parameters {
            let mut values: Vec<String> = VALUES.iter().map(|&value| value.to_owned()).collect();
            values.extend(parameter.example.clone());
            if let ParameterKind::Integer { min, max, .. } = &parameter.kind {
                values.extend([min.to_string(), max.to_string()]);
            }
            if let ParameterKind::Choice { words, .. } = &parameter.kind {
                values.extend(words.iter().map(|word| word.word.clone()));
            }
            let values = values
                .iter()
                .flat_map(|value| forms(&parameter.kind, value));
            let values: Vec<ParamValue> = values.collect();
            let mut same = 0;
            for (said, (target, base)) in said.iter().zip(pool.probes()) {
                for value in &values {
                    let parameters = vec![(parameter.name.clone(), value.clone())];
                    let call = Call {
                        parameters,
                        ..tokens(target, base.clone())
                    };
                    let Ok(run) = vet::vet(profile, &scope, &call) else {
                        continue;
                    };
                    assert!(
                        said.contains(run.argv())
                            || says_its_words(profile, &scope, &call, &parameter.kind)
                            || says_its_items(profile, &scope, &call, &parameter.kind),
                        "{} {} = {value}: no arguments say {:?}",
                        profile.name,
                        parameter.name,
                        run.argv()
                    );
                    same += 1;
                }
            }
            assert!(
                same > 0,
                "{} {}: no value is accepted",
                profile.name,
                parameter.name
            );
        }
    }
}

/// Whether the items of a list lead where the flag leads that is given for each.
fn says_its_items(profile: &Profile, scope: &Scope, call: &Call, kind: &ParameterKind) -> bool {
    let (ParameterKind::Texts { .. }, ParamValue::List(items), Arguments::Tokens(base)) =
        (kind, &call.parameters[0].1, &call.arguments)
    else {
        return false;
    };
    let typed = vet::vet(profile, scope, call).map(|run| run.argv().to_vec());
    let collecting = |flag: &&Flag| flag.repeat == Repeat::Collect;
    profile.flags.iter().filter(collecting).any(|flag| {
        let each = |item: &ParamValue| [flag.spelling.clone(), item.to_string()];
        let args: Vec<String> = items.iter().flat_map(each).collect();
        let said = vet(profile, scope, &call.target, base, &args);
        said.is_some_and(|run| typed.as_ref().is_ok_and(|typed| run.argv() == *typed))
    })
}

/// Whether the words of a choice lead where their own arguments lead.
fn says_its_words(profile: &Profile, scope: &Scope, call: &Call, kind: &ParameterKind) -> bool {
    let ParameterKind::Choice { words, .. } = kind else {
        return false;
    };
    let chosen = match &call.parameters[0].1 {
        ParamValue::List(items) => items.clone(),
        one @ (ParamValue::Flag(_) | ParamValue::Integer(_) | ParamValue::Text(_)) => {
            vec![one.clone()]
        }
    };
    let args = chosen.iter().flat_map(|item| {
        words
            .iter()
            .filter(|word| ParamValue::Text(word.word.clone()) == *item)
            .flat_map(|word| word.args.clone())
    });
    let Arguments::Tokens(base) = &call.arguments else {
        return false;
    };
    let by_words = vet(
        profile,
        scope,
        &call.target,
        base,
        &args.collect::<Vec<_>>(),
    );
    by_words.map(|run| run.argv().to_vec())
        == vet::vet(profile, scope, call)
            .ok()
            .map(|run| run.argv().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn accepted_calls_are_harmless_and_the_executor_agrees((tool, call) in call()) {
        let profile = POOLS[tool].profile;
        for (scope, ground) in scopes() {
            match vet::vet(profile, &scope, &call) {
                Ok(run) => {
                    let check = invariants::accepted(profile, &scope, &ground, &run);
                    prop_assert_eq!(check, Ok(()));
                }
                Err(refusal) => {
                    prop_assert_eq!(invariants::refused(&refusal), Ok(()), "{}", refusal);
                    if let Some(nearest) = refusal.nearest {
                        let mended = Call { arguments: Arguments::Tokens(nearest), ..call.clone() };
                        let verdict = vet::vet(profile, &scope, &mended);
                        prop_assert!(verdict.is_ok(), "{:?} for {:?}: {:?}", mended, call, verdict);
                    }
                }
            }
        }
    }

    #[test]
    fn a_tampered_vector_is_refused_or_harmless(
        (tool, call) in call(),
        (at, to) in any::<(prop::sample::Index, prop::sample::Index)>(),
        how in 0_u8..5,
        part in stray(),
    ) {
        let profile = POOLS[tool].profile;
        let sender = intrusive_ipv6();
        let Ok(run) = vet::vet(profile, &sender, &call) else { return Ok(()) };
        let mut argv = run.argv().to_vec();
        let (at, to) = (at.index(argv.len()), to.index(argv.len()));
        match how {
            0 => drop(argv.remove(at)),
            1 => argv.insert(to, argv[at].clone()),
            2 => argv.swap(at, to),
            3 => argv.splice(at..=at, part).for_each(drop),
            _ => argv.splice(at..at, part).for_each(drop),
        }
        for (scope, ground) in scopes() {
            let Ok(again) = vet::vet_argv(profile, &scope, &argv) else { continue };
            prop_assert_eq!(again.argv(), argv.as_slice());
            let check = invariants::accepted(profile, &scope, &ground, &again);
            prop_assert_eq!(check, Ok(()));
            prop_assert!(again.unresolved().is_none());
        }
    }
}
