//! From a TOML table to a profile: the keys, their types and their bounds.
//!
//! Reads what stands there; whether it makes sense together is decided in
//! `check`.
//!
//! Invariants: every key of the file is read or reported; a reference to a flag
//! that is not listed is reported where it stands.

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::flags::{capabilities, flag_id, flag_ids, flags, needs};
use super::read::{Places, Table};
use super::{calls, confine, lasts, ports, target};
use crate::profile::{
    Conflict, DefaultSetting, Flag, Hint, Order, OutputSpec, Profile, Required, RunLimits,
    Template, VersionProbe,
};

/// A profile and what only the loader needs of it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) profile: Profile,
    pub(super) enabled: bool,
    pub(super) replaces: bool,
    /// Where things stand that are checked later.
    pub(super) places: Places,
}

/// Reads a whole profile. Mistakes are recorded in the document; nothing is
/// given where a required part is missing.
pub(super) fn read(root: Table<'_>, file: &str, text: &str) -> Option<Parsed> {
    let mut places = Places::default();
    let name = root.required_text("name");
    let title = root.required_text("title");
    let description = root.required_text("description");
    let package = root.required_text("package");
    let executable = root.required_text("executable");
    let version = version(&root);
    let (capabilities, needs) = (capabilities(&root), needs(&root));
    let flags = flags(&root, &mut places);
    let target = target::target(&root, &flags);
    let sandbox = confine::sandbox(&root);
    let output = output(&root);
    let (choices, choice_places) = calls::choices(&root);
    let shown = calls::examples(&root);
    let mut parameters = choices;
    places.parameters = choice_places;
    for (parameter, at) in calls::flag_parameters(&root, &flags) {
        parameters.push(parameter);
        places.parameters.push(at);
    }
    (places.accept, places.refuse) = (shown.accept_at, shown.refuse_at);
    let conflicts = conflicts(&root, &flags);
    let (orders, implied_ports) = (orders(&root, &flags), ports::implied(&root, &flags));
    let defaults = defaults(&root, &flags, &mut places);
    let run = run(&root, &flags, &defaults);
    let (required, templates) = (required(&root, &flags), templates(&root, &mut places));
    let hints = hints(&root);
    let aliases = root.plain_texts("aliases");
    let fixed = root.plain_texts("fixed");
    let tolerated = root.plain_texts("tolerated");
    let enabled = !root.has("enabled") || root.boolean("enabled");
    let replaces = root.boolean("replaces");
    root.finish();
    let profile = Profile {
        name: name?.value,
        aliases,
        title: title?.value,
        description: description?.value,
        package: package?.value,
        executable: PathBuf::from(executable?.value),
        version: version?,
        target: target?,
        needs,
        flags,
        fixed,
        tolerated,
        conflicts,
        orders,
        implied_ports,
        defaults,
        required,
        templates,
        parameters,
        hints,
        capabilities,
        sandbox: sandbox?,
        run: run?,
        output: output?,
        examples: shown.examples,
        source: file.to_owned(),
        digest: Sha256::digest(text).into(),
    };
    Some(Parsed {
        profile,
        enabled,
        replaces,
        places,
    })
}

fn version(root: &Table<'_>) -> Option<VersionProbe> {
    let table = root.required_table("version")?;
    let args = table.plain_texts("args");
    let prefix = table.required_text("prefix");
    let sockets = table.boolean("sockets");
    table.finish();
    Some(VersionProbe {
        args,
        prefix: prefix?.value,
        sockets,
    })
}

fn conflicts(root: &Table<'_>, flags: &[Flag]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for table in root.tables("conflicts") {
        let ids = |key: &'static str| flag_ids(&table, key, &table.texts(key), flags);
        let (any_of, with, unless) = (ids("any_of"), ids("with"), ids("unless"));
        let alternatives = table.boolean("alternatives");
        let reason = table.required_text("reason");
        let rule = table
            .text("rule")
            .map_or_else(|| "ARG3".to_owned(), |text| text.value);
        if any_of.is_empty() {
            table.mistake(
                table.at(),
                "any_of",
                "no flags",
                "list the flags that clash",
            );
        }
        table.finish();
        if let Some(reason) = reason {
            conflicts.push(Conflict {
                any_of,
                with,
                unless,
                alternatives,
                reason: reason.value,
                rule,
            });
        }
    }
    conflicts
}

fn orders(root: &Table<'_>, flags: &[Flag]) -> Vec<Order> {
    let mut orders = Vec::new();
    for table in root.tables("orders") {
        let id = |key: &'static str| {
            let text = table.required_text(key)?;
            flag_id(&table, key, &text, flags)
        };
        let (low, high) = (id("low"), id("high"));
        let reason = table.required_text("reason");
        table.finish();
        if let (Some(low), Some(high), Some(reason)) = (low, high, reason) {
            orders.push(Order {
                low,
                high,
                reason: reason.value,
            });
        }
    }
    orders
}

fn defaults(root: &Table<'_>, flags: &[Flag], places: &mut Places) -> Vec<DefaultSetting> {
    let mut defaults = Vec::new();
    for table in root.tables("defaults") {
        let args = table.plain_texts("args");
        let unless = flag_ids(&table, "unless", &table.texts("unless"), flags);
        let single = table.boolean("single");
        let given = table.plain_texts("given");
        places.defaults.push(table.at());
        table.finish();
        defaults.push(DefaultSetting {
            args,
            unless,
            single,
            given,
        });
    }
    defaults
}

fn required(root: &Table<'_>, flags: &[Flag]) -> Vec<Required> {
    let mut rows = Vec::new();
    for table in root.tables("required") {
        let any_of = flag_ids(&table, "any_of", &table.texts("any_of"), flags);
        let reason = table.required_text("reason");
        let remedy = table.required_text("remedy");
        if any_of.is_empty() {
            let remedy = "list the flags of which a call needs one";
            table.mistake(table.at(), "any_of", "no flags", remedy);
        }
        table.finish();
        if let (Some(reason), Some(remedy)) = (reason, remedy) {
            rows.push(Required {
                any_of,
                reason: reason.value,
                remedy: remedy.value,
            });
        }
    }
    rows
}

fn templates(root: &Table<'_>, places: &mut Places) -> Vec<Template> {
    let mut templates = Vec::new();
    for table in root.tables("templates") {
        let name = table.required_text("name");
        let title = table.required_text("title");
        let description = table.required_text("description");
        let args = table.plain_texts("args");
        let at = table.at();
        table.finish();
        if let (Some(name), Some(title), Some(description)) = (name, title, description) {
            places.templates.push(at);
            templates.push(Template {
                name: name.value,
                title: title.value,
                description: description.value,
                args,
            });
        }
    }
    templates
}

fn hints(root: &Table<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for table in root.tables("hints") {
        let tokens = table.plain_texts("tokens");
        let attached = table.boolean("attached");
        let rule = table
            .text("rule")
            .map_or_else(|| "ARG3".to_owned(), |text| text.value);
        let because = table.required_text("because");
        let remedy = table.required_text("remedy");
        let instead = table.plain_texts("instead");
        table.finish();
        if let (Some(because), Some(remedy)) = (because, remedy) {
            let (because, remedy) = (because.value, remedy.value);
            hints.push(Hint {
                tokens,
                attached,
                rule,
                because,
                remedy,
                instead,
            });
        }
    }
    hints
}

fn run(root: &Table<'_>, flags: &[Flag], defaults: &[DefaultSetting]) -> Option<RunLimits> {
    let table = root.required_table("run")?;
    let seconds = |key| {
        table
            .required_integer(key, 1..3601)
            .map(Duration::from_secs)
    };
    let (timeout, timeout_min, timeout_max) = (
        seconds("timeout_s"),
        seconds("timeout_min_s"),
        seconds("timeout_max_s"),
    );
    let breaker_recovery = seconds("breaker_recovery_s");
    let count = |key, range| {
        table
            .required_integer(key, range)
            .and_then(|n| u32::try_from(n).ok())
    };
    let concurrency = count("concurrency", 1..65);
    let concurrency_max = count("concurrency_max", 1..65);
    let queue = count("queue", 0..1025);
    let stdout_bytes_max = count("stdout_bytes_max", 1..(64 << 20));
    let stderr_bytes_max = count("stderr_bytes_max", 1..(64 << 20));
    let breaker_failures = count("breaker_failures", 1..11);
    let lasts = lasts::lasts(&table, flags, defaults);
    table.finish();
    Some(RunLimits {
        timeout: timeout?,
        lasts,
        timeout_min: timeout_min?,
        timeout_max: timeout_max?,
        concurrency: concurrency?,
        concurrency_max: concurrency_max?,
        queue: queue?,
        stdout_bytes_max: stdout_bytes_max?,
        stderr_bytes_max: stderr_bytes_max?,
        breaker_failures: breaker_failures?,
        breaker_recovery: breaker_recovery?,
    })
}

fn output(root: &Table<'_>) -> Option<OutputSpec> {
    let table = root.required_table("output")?;
    let format = table.required_text("format");
    let artefact = table.text("artefact").map(|text| text.value);
    let codes = table.texts("success");
    let success = codes
        .into_iter()
        .filter_map(|code| {
            let parsed = code.value.parse().ok();
            if parsed.is_none() {
                table.mistake(code.at, "success", "no exit code", "write texts like \"0\"");
            }
            parsed
        })
        .collect();
    table.finish();
    Some(OutputSpec {
        format: format?.value,
        artefact,
        success,
    })
}
