//! The fuzz targets: bytes in, nothing out, a panic where a promise is broken.
//!
//! Invariants: a panic's message holds the input in readable form.

use std::net::IpAddr;

use protocol::frame;
use protocol::limits::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use sandbox_profiles::vet::{self, Arguments, Call, VettedRun};
use sandbox_profiles::{Profile, Refusal, Scope, ScopeConfig, load};

use crate::ground::{Ground, literals};
use crate::input::{self, Case};
use crate::invariants::{self, Check};
use crate::memory::within;
use crate::script;

/// Most that vetting one call may hold at a time, in bytes.
const VET_BYTES_MAX: usize = 1 << 20;

/// Most that decoding one frame may hold at a time, in bytes: its texts, and as
/// much again for the lists that hold them.
const DECODE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// Vets a call as the broker does.
pub fn vet(bytes: &[u8]) {
    let case = input::call(bytes);
    hold(check_call(&case), &case.asked);
}

/// Vets an argument vector as the executor does.
pub fn vet_argv(bytes: &[u8]) {
    let case = input::argv(bytes);
    hold(check_argv(&case), &case.asked);
}

/// Loads a profile.
pub fn profile(bytes: &[u8]) {
    let text = script::profile(&String::from_utf8_lossy(bytes));
    hold(check_profile(&text), &text);
}

/// Decodes a frame, as either side does.
pub fn frame(bytes: &[u8]) {
    hold(check_frame(bytes), &bytes);
}

#[expect(
    clippy::panic,
    reason = "a panic is how a fuzz target says what it found"
)]
fn hold(check: Check, input: &impl std::fmt::Debug) {
    if let Err(why) = check {
        panic!("{why}\n{input:#?}");
    }
}

fn check_call(case: &Case<Call>) -> Check {
    let Case {
        profile,
        world,
        asked,
        ..
    } = case;
    let verdict = within(VET_BYTES_MAX, || vet::vet(profile, &world.scope, asked));
    match verdict {
        Err(refusal) => check_refusal(case, &refusal),
        Ok(run) => {
            invariants::accepted(profile, &world.scope, &world.ground, &run)?;
            if run.unresolved().is_some() {
                check_pinning(case, run)?;
            }
            Ok(())
        }
    }
}

/// A refusal explains itself, and what it suggests is accepted.
fn check_refusal(case: &Case<Call>, refusal: &Refusal) -> Check {
    invariants::refused(refusal).map_err(|why| format!("{why}: {refusal}"))?;
    let Some(nearest) = &refusal.nearest else {
        return Ok(());
    };
    let arguments = Arguments::Tokens(nearest.clone());
    let mended = Call {
        arguments,
        ..case.asked.clone()
    };
    let run = vet::vet(case.profile, &case.world.scope, &mended)
        .map_err(|again| format!("the nearest call {nearest:?} is refused: {again}"))?;
    invariants::accepted(case.profile, &case.world.scope, &case.world.ground, &run)
}

/// A name is pinned if, and only if, every answer may be touched; what comes of it
/// is what the address itself would get.
fn check_pinning(case: &Case<Call>, run: VettedRun) -> Check {
    let Case {
        profile,
        world,
        answers,
        asked,
    } = case;
    let admitted = |answer: &IpAddr| {
        let spans = literals(&answer.to_string());
        spans.iter().all(|span| world.ground.admits(span))
    };
    match run.pin_answers(profile, &world.scope, answers) {
        Err(refusal) => invariants::refused(&refusal).map_err(|why| format!("{why}: {refusal}")),
        Ok(pinned) => {
            if answers.is_empty() || !answers.iter().all(admitted) {
                return Err(format!(
                    "pinned with answers outside the scope: {:?}",
                    pinned.argv()
                ));
            }
            invariants::accepted(profile, &world.scope, &world.ground, &pinned)?;
            let Some(address) = pinned
                .targets()
                .first()
                .and_then(sandbox_profiles::Target::network)
            else {
                return Err("pinned to no address".to_owned());
            };
            let direct = Call {
                target: address.base().to_string(),
                ..asked.clone()
            };
            let direct = vet::vet(profile, &world.scope, &direct)
                .map_err(|refusal| format!("pinned, but refused as an address: {refusal}"))?;
            // Where the tool gets the name as well, the two differ in it.
            let same = direct.argv() == pinned.argv();
            if same || !profile.target.named_form.is_empty() {
                return Ok(());
            }
            Err(format!(
                "pinned: {:?}, but direct: {:?}",
                pinned.argv(),
                direct.argv()
            ))
        }
    }
}

fn check_argv(case: &Case<Vec<String>>) -> Check {
    let Case {
        profile,
        world,
        asked,
        ..
    } = case;
    match within(VET_BYTES_MAX, || {
        vet::vet_argv(profile, &world.scope, asked)
    }) {
        Err(refusal) => invariants::refused(&refusal).map_err(|why| format!("{why}: {refusal}")),
        Ok(run) if run.argv() != asked.as_slice() => Err(format!("rewritten: {:?}", run.argv())),
        Ok(run) if run.unresolved().is_some() => Err("a name for the executor".to_owned()),
        Ok(run) => invariants::accepted(profile, &world.scope, &world.ground, &run),
    }
}

fn check_profile(text: &str) -> Check {
    const FILE: &str = "fuzz.toml";
    let lines = text.matches('\n').count().saturating_add(1);
    match load::parse(FILE, text) {
        Ok(profile) => check_examples(&profile),
        Err(errors) if errors.is_empty() => Err("neither loaded nor refused".to_owned()),
        Err(errors) => errors.iter().try_for_each(|error| {
            let placed = error.line.is_none_or(|line| (1..=lines).contains(&line));
            let said = !error.what.trim().is_empty() && !error.remedy.trim().is_empty();
            if placed && said && error.file == FILE {
                Ok(())
            } else {
                Err(format!(
                    "a mistake without place, reason or remedy: {error:?}"
                ))
            }
        }),
    }
}

/// A loaded profile does what its examples say, and what every profile does.
fn check_examples(profile: &Profile) -> Check {
    for intrusive in [false, true] {
        let config = ScopeConfig {
            allow_intrusive: intrusive,
            ..ScopeConfig::default()
        };
        let scope = Scope::new(&config).map_err(|error| error.to_string())?;
        let ground = Ground::new(&config);
        let call = |target: &String, args: &String, template: &Option<String>| Call {
            target: target.clone(),
            arguments: Arguments::Text(args.clone()),
            template: template.clone(),
            parameters: Vec::new(),
        };
        for example in profile
            .examples
            .accept
            .iter()
            .filter(|row| row.intrusive == intrusive)
        {
            let asked = call(&example.target, &example.args, &example.template);
            let run = vet::vet(profile, &scope, &asked)
                .map_err(|refusal| format!("an example is refused: {example:?}: {refusal}"))?;
            let (_, rest) = run.argv().split_first().unzip();
            if rest != Some(example.argv.as_slice()) {
                return Err(format!("an example gives {:?}: {example:?}", run.argv()));
            }
            invariants::accepted(profile, &scope, &ground, &run)?;
        }
        for example in profile
            .examples
            .refuse
            .iter()
            .filter(|row| row.intrusive == intrusive)
        {
            let asked = call(&example.target, &example.args, &example.template);
            match vet::vet(profile, &scope, &asked) {
                Err(refusal) if *refusal.rule == *example.rule => {}
                other => return Err(format!("{other:?} for the example {example:?}")),
            }
        }
        check_templates(profile, &scope, &ground)?;
    }
    Ok(())
}

/// Each template, and a call without one, is accepted and harmless or refused.
fn check_templates(profile: &Profile, scope: &Scope, ground: &Ground) -> Check {
    let names = profile
        .templates
        .iter()
        .map(|template| Some(template.name.clone()));
    for template in names.chain([None]) {
        for target in ["10.0.0.7", "10.0.0.0/29", "web.lab.internal"] {
            let asked = Call {
                target: target.to_owned(),
                template: template.clone(),
                ..Call::default()
            };
            match vet::vet(profile, scope, &asked) {
                Ok(run) => invariants::accepted(profile, scope, ground, &run)
                    .map_err(|why| format!("{why}: {asked:?}"))?,
                Err(refusal) => {
                    invariants::refused(&refusal).map_err(|why| format!("{why}: {refusal}"))?;
                }
            }
        }
    }
    Ok(())
}

fn check_frame(bytes: &[u8]) -> Check {
    if let Ok(request) = within(DECODE_BYTES_MAX, || frame::decode_request(bytes)) {
        let again = frame::encode_request(&request).map_err(|error| error.to_string())?;
        let again = again.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        if !frame::decode_request(again).is_ok_and(|again| again == request) {
            return Err("a request changes on the wire".to_owned());
        }
    }
    if let Ok(event) = within(DECODE_BYTES_MAX, || frame::decode_event(bytes)) {
        let again = frame::encode_event(&event).map_err(|error| error.to_string())?;
        let again = again.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        if !frame::decode_event(again).is_ok_and(|again| again == event) {
            return Err("an event changes on the wire".to_owned());
        }
    }
    let mut stream = bytes;
    let mut body = Vec::new();
    within(2 * FRAME_BYTES_MAX, || {
        while frame::read_body(&mut stream, &mut body).is_ok() {}
    });
    if body.len() > FRAME_BYTES_MAX {
        return Err(format!("a body of {} bytes", body.len()));
    }
    Ok(())
}
