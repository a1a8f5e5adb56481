//! Vetting: from what a client asked to what the executor may be sent.
//!
//! Pure. No clock, no socket, no environment, no global; the same call gives
//! the same verdict. [`vet`] is the broker's entry, [`vet_argv`] the executor's;
//! both end in the same steps, so that they can't drift apart.
//!
//! Invariants: the argument vector of a [`VettedRun`] begins with the profile's
//! absolute program path and ends with the target; every other element is fixed
//! by the profile or rendered from a typed setting; no element is empty or holds
//! white space, a control character or a byte outside ASCII; vetting a resolved
//! run's argument vector again gives the same vector.

mod run;
mod answers;
mod settle;

mod form;
mod policy;
mod ports;

pub use crate::call::{Arguments, Call, ParamValue};
pub use run::VettedRun;

use crate::compose;
use crate::grammar::{self, Fix, Reading, Settings, Trouble};
use crate::limits::{ARG_BYTES_MAX, ARGV_ELEMENTS_MAX};
use crate::meant;
use crate::nearest::nearest;
use crate::parameters;
use crate::profile::{Profile, TargetPlace};
use crate::refusal::Refusal;
use crate::scope::Scope;
use crate::target;
use crate::words;
use settle::{Draft, settle};

/// Vets a call.
///
/// # Errors
///
/// The first rule that the call breaks, with the nearest accepted argument list
/// where there is one.
pub fn vet(profile: &Profile, scope: &Scope, call: &Call) -> Result<VettedRun, Refusal> {
    vet_once(profile, scope, call).map_err(|Trouble { refusal, fix }| {
        // An empty list says nothing that the remedy doesn't.
        let nearest = mended(profile, scope, call, fix).filter(|tokens| !tokens.is_empty());
        refusal.with_nearest(nearest)
    })
}

/// As [`vet`], without the search for the nearest accepted argument list.
pub(crate) fn verdict(profile: &Profile, scope: &Scope, call: &Call) -> Result<VettedRun, Refusal> {
    vet_once(profile, scope, call).map_err(|trouble| *trouble.refusal)
}

/// Most changes made to an argument list in search of one that is accepted.
const MENDS_MAX: usize = 12;

/// The argument list that is accepted after changing the call's step by step,
/// each time as the refusal suggests.
fn mended(
    profile: &Profile,
    scope: &Scope,
    call: &Call,
    mut fix: Option<Fix>,
) -> Option<Vec<String>> {
    let mut tokens = words::arguments(&call.arguments).ok()?;
    for _ in 0..MENDS_MAX {
        tokens = fix?.apply(&tokens);
        let arguments = Arguments::Tokens(tokens.clone());
        match vet_once(
            profile,
            scope,
            &Call {
                arguments,
                ..call.clone()
            },
        ) {
            Ok(_) => return Some(tokens),
            Err(next) => fix = next.fix,
        }
    }
    None
}

fn vet_once(profile: &Profile, scope: &Scope, call: &Call) -> Result<VettedRun, Trouble> {
    let scope = scope.for_tool(&profile.name);
    let parsed = target::parse(&call.target)
        .map_err(|refusal| meant::teach(profile, scope, &call.target, refusal))
        .map_err(Trouble::plain)?;
    let mut notes = parsed.notes;
    let tokens = words::arguments(&call.arguments).map_err(Trouble::plain)?;
    let reading = grammar::read(profile, scope, &tokens)?;
    notes.extend(reading.notes);
    let typed = parameters::read(profile, scope, &call.parameters).map_err(Trouble::plain)?;
    notes.extend(typed.notes);
    let mut settings = parameters::merge(
        profile,
        typed.settings,
        reading.settings,
        "parameter and extra_args",
    )
    .map_err(Trouble::plain)?;
    compose::absorb(profile, scope, &mut settings)?;
    compose::check(profile, &settings)?;
    if let Some(name) = &call.template {
        let template = template(profile, scope, name)?;
        settings = compose::underlay(profile, name, &template, &settings, &mut notes)?;
    }
    let families = reading.families;
    settle(
        profile,
        scope,
        Draft {
            target: parsed.target,
            settings,
            families,
            notes,
        },
    )
}

/// The settings of a template.
fn template(profile: &Profile, scope: &Scope, name: &str) -> Result<Settings, Trouble> {
    let Some(template) = profile.template(name) else {
        let names: Vec<&str> = profile
            .templates
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        let remedy = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("known templates: {}", names.join(", ")),
        };
        let message = format!("{} has no such template", profile.name);
        return Err(Trouble::plain(Refusal::new("ARG1", message, name, remedy)));
    };
    // The template stands in the profile, not in the call: a change to the
    // call's arguments can't mend it.
    grammar::read(profile, scope, &template.args)
        .map(|reading| reading.settings)
        .map_err(|trouble| Trouble::plain(*trouble.refusal))
}

/// Vets an argument vector that claims to be vetted.
///
/// It must equal, byte for byte, what vetting renders from it; a host name is
/// refused, since the executor resolves nothing.
///
/// # Errors
///
/// The first rule that it breaks.
pub fn vet_argv(profile: &Profile, scope: &Scope, argv: &[String]) -> Result<VettedRun, Refusal> {
    let run = revet(profile, scope, argv).map_err(|trouble| *trouble.refusal)?;
    if run.argv == argv {
        return Ok(run);
    }
    let (at, expected, got) = first_difference(&run.argv, argv);
    Err(Refusal::new(
        "ARG7",
        format!("not the canonical argument vector: element {at} must be {expected}"),
        got,
        "send what vetting renders under the executor's own scope and profiles",
    ))
}

/// The run that an argument vector describes, rendered anew.
fn revet(profile: &Profile, scope: &Scope, argv: &[String]) -> Result<VettedRun, Trouble> {
    let scope = scope.for_tool(&profile.name);
    check_elements(argv).map_err(Trouble::plain)?;
    let (middle, elements) = frame(profile, argv).map_err(Trouble::plain)?;
    let form::Found { target, parts } = form::read(profile, scope, elements)?;
    let Some(network) = target.network() else {
        let text = target.argument();
        let remedy = "send the address that the name was pinned to";
        let refusal = Refusal::new("TGT7", "an unresolved host name", &text, remedy);
        return Err(Trouble::plain(refusal));
    };
    let switch = profile.target.family_switch(network.is_ipv6());
    let middle = match middle.split_first() {
        Some((first, rest)) if Some(first) == switch => rest,
        Some(_) | None => middle,
    };
    let Reading {
        mut settings,
        families,
        notes: _,
    } = grammar::read(profile, scope, middle)?;
    settings.extend(parts);
    compose::absorb(profile, scope, &mut settings)?;
    compose::check(profile, &settings)?;
    settle(
        profile,
        scope,
        Draft {
            target,
            settings,
            families,
            notes: Vec::new(),
        },
    )
}

/// Refuses elements that no vetted argument vector has.
fn check_elements(argv: &[String]) -> Result<(), Refusal> {
    if argv.len() > ARGV_ELEMENTS_MAX {
        let message = format!("{} elements, at most {ARGV_ELEMENTS_MAX}", argv.len());
        return Err(Refusal::new("ARG7", message, "argv", "send fewer elements"));
    }
    for element in argv {
        let plain = !element.is_empty()
            && element.len() <= ARG_BYTES_MAX
            && element.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain {
            return Err(Refusal::new(
                "ARG7",
                "an element is empty, too long, or holds something else than printable ASCII",
                element,
                "send the argument vector that vetting rendered",
            ));
        }
    }
    Ok(())
}

/// The elements between the fixed ones and the target, and those of the target.
fn frame<'a>(
    profile: &Profile,
    argv: &'a [String],
) -> Result<(&'a [String], &'a [String]), Refusal> {
    let refuse = |message: &str, offending: &str| {
        let remedy = "send the argument vector that vetting rendered";
        Err(Refusal::new("ARG7", message, offending, remedy))
    };
    let Some((program, rest)) = argv.split_first() else {
        return refuse("the argument vector is empty", "argv");
    };
    if Some(program.as_str()) != profile.executable.to_str() {
        return refuse("the program is not the profile's", program);
    }
    let Some(rest) = rest.strip_prefix(profile.fixed.as_slice()) else {
        return refuse(
            "the profile's fixed arguments are missing",
            rest.first().map_or("", |s| s),
        );
    };
    let Some((middle, target)) = apart(profile, rest) else {
        return refuse("the target is missing", rest.last().map_or("argv", |s| s));
    };
    if !profile.target.separator {
        return Ok((middle, target));
    }
    match middle.split_last() {
        Some((separator, middle)) if separator == "--" => Ok((middle, target)),
        Some(_) | None => refuse(
            "the target does not stand after --",
            target.first().map_or("", |s| s),
        ),
    }
}

/// The other elements, and those of the target, at the place the profile says.
fn apart<'a>(profile: &Profile, rest: &'a [String]) -> Option<(&'a [String], &'a [String])> {
    let mut splits = form::lengths(profile).filter_map(|length| match profile.target.place {
        TargetPlace::Last => rest.split_at_checked(rest.len().checked_sub(length)?),
        TargetPlace::First => {
            let (target, middle) = rest.split_at_checked(length)?;
            Some((middle, target))
        }
    });
    splits.find(|(_, target)| form::fits(profile, target))
}

fn first_difference<'a>(expected: &'a [String], got: &'a [String]) -> (usize, &'a str, &'a str) {
    let at = expected
        .iter()
        .zip(got)
        .take_while(|(left, right)| left == right)
        .count();
    let nothing = "absent";
    let element = |list: &'a [String]| list.get(at).map_or(nothing, String::as_str);
    (at, element(expected), element(got))
}
