//! Seeds: inputs to begin with, made from what is known to be accepted and refused.
//!
//! Invariants: each built-in tool has seeds of either verdict, for calls and for
//! argument vectors; what a seed says is what its target reads from it.

use std::net::{IpAddr, Ipv4Addr};

use protocol::event::{Output, Stream};
use protocol::request::{Hello, Run};
use protocol::{Event, Request, frame};
use sandbox_profiles::Profile;
use sandbox_profiles::load;
use sandbox_profiles::profile::ParameterKind;
use sandbox_profiles::vet::{self, Arguments, Call, ParamValue};

use crate::hostile;
use crate::input::{self, write_argv, write_call};
use crate::script::PROFILES;
use crate::worlds::{tools, world, worlds};

/// Seeds of the target `vet`. `cases` is the text of a table of further calls to
/// nmap, one JSON object a line; it may be empty.
pub fn of_vet(cases: &str) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for profile in tools() {
        for (scope, call) in calls(profile) {
            seeds.push(write_call(&profile.name, scope, &call));
        }
        for world in worlds() {
            for target in hostile::TARGETS {
                seeds.push(write_call(&profile.name, world.name, &asking(target, "")));
            }
            let named = format!("{} 10.0.0.7,fd00::1,10.0.0.9", world.name);
            seeds.push(write_call(
                &profile.name,
                &named,
                &asking("web.lab.internal", ""),
            ));
            seeds.push(write_call(
                &profile.name,
                world.name,
                &asking("10.0.0.0/23", ""),
            ));
        }
        for text in hostile::ARGUMENTS {
            let target = profile_target(profile);
            seeds.push(write_call(
                &profile.name,
                "intrusive",
                &asking(&target, text),
            ));
        }
    }
    for line in cases.lines() {
        if let (Some(target), Some(args)) = (text_of(line, "target"), text_of(line, "extra_args")) {
            let intrusive = line.contains("\"allow_intrusive\": true");
            let scope = if intrusive { "intrusive" } else { "default" };
            seeds.push(write_call("nmap", scope, &asking(&target, &args)));
        }
    }
    seeds.into_iter().map(String::into_bytes).collect()
}

/// Seeds of the target `vet_argv`: vectors as they are sent, and tampered with.
pub fn of_vet_argv() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for profile in tools() {
        for (scope, call) in calls(profile) {
            let at = world(scope);
            let Ok(run) = vet::vet(profile, &at.scope, &call) else {
                continue;
            };
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
            let Ok(run) = run.pin(profile, &at.scope, address) else {
                continue;
            };
            seeds.push(write_argv(&profile.name, scope, run.argv()));
            seeds.extend(tampered(run.argv()).map(|argv| write_argv(&profile.name, scope, &argv)));
        }
    }
    seeds.into_iter().map(String::into_bytes).collect()
}

/// Seeds of the target `profile`: whole profiles, and each line of one left out.
pub fn of_profile() -> Vec<Vec<u8>> {
    let lines = |name: &str| crate::script::profile(name).lines().count();
    let mut seeds = vec![crate::script::profile("@probe"), "name = 1\n[".to_owned()];
    for (name, _) in PROFILES {
        seeds.push(name.to_owned());
        for line in 0..lines(name) {
            seeds.push(format!("{name}\n{line}-"));
            seeds.push(format!("{name}\n{line}*{line}"));
        }
    }
    seeds.into_iter().map(String::into_bytes).collect()
}

/// Seeds of the target `frame`: requests, output, the body of each kind of message
/// with nothing in it, and a stream of frames.
pub fn of_frame() -> Vec<Vec<u8>> {
    let requests = requests()
        .into_iter()
        .filter_map(|request| frame::encode_request(&request).ok());
    let output = Event::Output(Output {
        stream: Stream::Stderr,
        bytes: b"80/tcp open".to_vec(),
    });
    let frames: Vec<Vec<u8>> = requests.chain(frame::encode_event(&output).ok()).collect();
    let bodies = frames
        .iter()
        .filter_map(|frame| frame.get(4..).map(<[u8]>::to_vec));
    // Zeros are empty texts and lists: of some length they are a whole message.
    let kinds = (0..8_u8).flat_map(|kind| {
        (0..EMPTY_BYTES_MAX).map(move |length| [vec![kind], vec![0; length]].concat())
    });
    bodies
        .chain(frames.iter().cloned())
        .chain([frames.concat()])
        .chain(kinds)
        .collect()
}

/// Longest message that holds nothing, in bytes.
const EMPTY_BYTES_MAX: usize = 160;

/// Whether the profiles that inputs edit are whole themselves.
///
/// # Errors
///
/// The mistakes in one that is not.
pub fn whole_profiles_load() -> Result<(), String> {
    for (name, text) in PROFILES {
        load::parse(name, text).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            errors.join("\n")
        })?;
    }
    Ok(())
}

/// Which verdicts the seeds of a target give, for each tool: tool, accepted, refused.
pub fn verdicts(is_argv: bool, seeds: &[Vec<u8>]) -> Vec<(String, usize, usize)> {
    let mut counts: Vec<(String, usize, usize)> = tools()
        .iter()
        .map(|profile| (profile.name.clone(), 0, 0))
        .collect();
    for seed in seeds {
        let (profile, accepted) = if is_argv {
            let case = input::argv(seed);
            let verdict = vet::vet_argv(case.profile, &case.world.scope, &case.asked);
            (case.profile, verdict.is_ok())
        } else {
            let case = input::call(seed);
            let verdict = vet::vet(case.profile, &case.world.scope, &case.asked);
            (case.profile, verdict.is_ok())
        };
        for (name, accept, refuse) in &mut counts {
            if *name == profile.name {
                let count = if accepted { accept } else { refuse };
                *count = count.saturating_add(1);
            }
        }
    }
    counts
}

fn asking(target: &str, args: &str) -> Call {
    Call {
        target: target.to_owned(),
        arguments: Arguments::Text(args.to_owned()),
        ..Call::default()
    }
}

fn profile_target(profile: &Profile) -> String {
    let examples = profile.examples.accept.iter();
    examples
        .map(|row| row.target.clone())
        .next()
        .unwrap_or_else(|| "10.0.0.7".to_owned())
}

/// Calls that the profile itself speaks of, each with the scope to vet it in.
fn calls(profile: &Profile) -> Vec<(&'static str, Call)> {
    let mut calls = Vec::new();
    let scope = |intrusive| if intrusive { "intrusive" } else { "default" };
    for row in &profile.examples.accept {
        let template = row.template.clone();
        let call = Call {
            template,
            ..asking(&row.target, &row.args)
        };
        let tokens = row.args.split(' ').filter(|token| !token.is_empty());
        let arguments = Arguments::Tokens(tokens.map(ToOwned::to_owned).collect());
        calls.push((
            scope(row.intrusive),
            Call {
                arguments,
                ..call.clone()
            },
        ));
        calls.push((scope(row.intrusive), call.clone()));
        calls.extend(["ipv6", "denied"].map(|scope| (scope, call.clone())));
    }
    for row in &profile.examples.refuse {
        let template = row.template.clone();
        calls.push((
            scope(row.intrusive),
            Call {
                template,
                ..asking(&row.target, &row.args)
            },
        ));
    }
    let target = profile_target(profile);
    let templates = profile
        .templates
        .iter()
        .map(|template| Some(template.name.clone()));
    for template in templates.chain([None]) {
        let plain = Call {
            template,
            ..asking(&target, "")
        };
        calls.push(("default", plain.clone()));
        for parameter in &profile.parameters {
            for value in values(&parameter.kind, parameter.example.as_deref()) {
                let parameters = vec![(parameter.name.clone(), value)];
                calls.push((
                    "intrusive",
                    Call {
                        parameters,
                        ..plain.clone()
                    },
                ));
            }
        }
    }
    calls
}

/// Values that a parameter of that kind may have.
fn values(kind: &ParameterKind, example: Option<&str>) -> Vec<ParamValue> {
    let text = |text: &str| ParamValue::Text(text.to_owned());
    let mut values: Vec<ParamValue> = example.map(text).into_iter().collect();
    if let ParameterKind::Boolean = kind {
        values.extend([true, false].map(ParamValue::Flag));
    }
    if let ParameterKind::Integer { min, max, .. } = kind {
        let part = |of: u64| min.saturating_add(max.abs_diff(*min).div_euclid(of));
        let ends = [*min, part(4), part(2), *max, max.saturating_add(1)];
        values.extend(
            ends.iter()
                .filter_map(|end| i64::try_from(*end).ok())
                .map(ParamValue::Integer),
        );
    }
    if let ParameterKind::Choice { words, .. } = kind {
        values.extend(words.iter().map(|word| text(&word.word)));
        values.push(ParamValue::List(
            words.iter().take(2).map(|word| text(&word.word)).collect(),
        ));
    }
    let items = example.unwrap_or("80,443").split(',');
    values.push(ParamValue::List(items.map(text).collect()));
    values
}

/// A vector with an element too many, too few, twice, or in another place.
fn tampered(argv: &[String]) -> impl Iterator<Item = Vec<String>> {
    let places = argv.len();
    let inserted = hostile::ELEMENTS
        .iter()
        .enumerate()
        .map(move |(index, element)| {
            let mut argv = argv.to_vec();
            let at = index.checked_rem(places).unwrap_or(0);
            argv.insert(at, (*element).to_owned());
            argv
        });
    let removed = (0..places).map(move |at| {
        let mut argv = argv.to_vec();
        argv.remove(at);
        argv
    });
    let swapped = (1..places).map(move |at| {
        let mut argv = argv.to_vec();
        argv.swap(at, at.saturating_sub(1));
        argv
    });
    inserted.chain(removed).chain(swapped)
}

/// The text under a key of a JSON object on one line.
fn text_of(line: &str, key: &str) -> Option<String> {
    let (_, rest) = line.split_once(&format!("\"{key}\": \""))?;
    let mut out = String::new();
    let mut rest = rest.chars();
    loop {
        match rest.next()? {
            '"' => return Some(out),
            '\\' => match rest.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
}

fn requests() -> Vec<Request> {
    let argv = ["/usr/bin/ping", "-n", "--", "10.0.0.7"];
    let run = Run {
        run_id: "0190-a".to_owned(),
        tool: "ping".to_owned(),
        argv: argv.map(ToOwned::to_owned).to_vec(),
        timeout_ms: 60_000,
        stdout_max: 65_536,
        stderr_max: 1024,
        memory_max: None,
        files_max: None,
    };
    let bounded = Run {
        memory_max: Some(64 << 20),
        files_max: Some(32),
        ..run.clone()
    };
    let hello = Hello {
        protocol: protocol::VERSION,
    };
    vec![
        Request::Hello(hello),
        Request::Run(run),
        Request::Run(bounded),
        Request::Cancel,
        Request::Inspect,
    ]
}
