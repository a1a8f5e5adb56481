//! What a profile says about calls: typed parameters and examples.
//!
//! As `schema`: reads what stands there, records what can't be read.
//!
//! Invariants: examples and their places are lists of the same length.

use super::read::Table;
use crate::grammar;
use crate::parameters::kind_of;
use crate::profile::{
    AcceptExample, ChoiceWord, Examples, Flag, FlagId, Parameter, ParameterKind, ParameterTarget,
    Profile, RefuseExample, Requirement,
};
use crate::scope::{Scope, ScopeConfig};

/// Parameters that stand for several flags.
pub(super) fn choices(root: &Table<'_>) -> (Vec<Parameter>, Vec<usize>) {
    let mut parameters = Vec::new();
    let mut places = Vec::new();
    for table in root.tables("choices") {
        let name = table.required_text("name");
        let description = table.required_text("description");
        let several = table.boolean("several");
        let example = table.text("example").map(|text| text.value);
        let mut words = Vec::new();
        for row in table.tables("words") {
            let word = row.required_text("word");
            let description = row.required_text("description");
            let args = row.plain_texts("args");
            row.finish();
            if let (Some(word), Some(description)) = (word, description) {
                words.push(ChoiceWord {
                    word: word.value,
                    description: description.value,
                    args,
                    // Filled in once the grammar can read the arguments.
                    intrusive: false,
                });
            }
        }
        if words.is_empty() {
            table.mistake(
                table.at(),
                "words",
                "no words to choose from",
                "add [[choices.words]]",
            );
        }
        let at = table.at();
        table.finish();
        if let (Some(name), Some(description)) = (name, description) {
            places.push(at);
            parameters.push(Parameter {
                name: name.value,
                description: description.value,
                kind: ParameterKind::Choice { words, several },
                // What its words need is filled in once the grammar can read them.
                intrusive: false,
                needs: Vec::new(),
                example,
                sets: ParameterTarget::Words,
            });
        }
    }
    (parameters, places)
}

/// Fills in what the words of choices need, now that their arguments can be read.
pub(super) fn complete(profile: &mut Profile) {
    let config = ScopeConfig {
        allow_intrusive: true,
        ..ScopeConfig::default()
    };
    let Ok(scope) = Scope::new(&config) else {
        return;
    };
    let mut parameters = std::mem::take(&mut profile.parameters);
    for parameter in &mut parameters {
        complete_words(profile, &scope, parameter);
    }
    profile.parameters = parameters;
}

fn complete_words(profile: &Profile, scope: &Scope, parameter: &mut Parameter) {
    let (ParameterTarget::Words, ParameterKind::Choice { words, .. }) =
        (parameter.sets, &mut parameter.kind)
    else {
        return;
    };
    let mut all = Vec::new();
    for word in words {
        let Ok(reading) = grammar::read(profile, scope, &word.args) else {
            continue;
        };
        for (id, value) in &reading.settings {
            let Some(flag) = profile.flag(*id) else {
                continue;
            };
            word.intrusive |= flag.intrusive || flag.value.is_intrusive(value);
            all.extend(flag.needs.iter().map(|need| need.what));
        }
    }
    parameter.needs = Requirement::union(all.into_iter());
}

/// Parameters over one flag each, and where they stand.
pub(super) fn flag_parameters(root: &Table<'_>, flags: &[Flag]) -> Vec<(Parameter, usize)> {
    let mut parameters = Vec::new();
    for table in root.tables("flags") {
        let Some(name) = table.text("parameter") else {
            continue;
        };
        let spelling = table
            .text("flag")
            .map(|text| text.value)
            .unwrap_or_default();
        let Some(index) = flags.iter().position(|flag| flag.spelling == spelling) else {
            continue;
        };
        let Some(flag) = flags.get(index) else {
            continue;
        };
        let description = table
            .text("description")
            .map_or_else(|| flag.summary.clone(), |text| text.value);
        parameters.push((
            Parameter {
                name: name.value,
                description,
                kind: kind_of(flag),
                intrusive: flag.intrusive,
                needs: flag.needs.iter().map(|need| need.what).collect(),
                example: table.text("example").map(|text| text.value),
                sets: ParameterTarget::Flag(FlagId(index)),
            },
            name.at,
        ));
    }
    parameters
}

/// The examples, and where each of them stands.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) examples: Examples,
    pub(super) accept_at: Vec<usize>,
    pub(super) refuse_at: Vec<usize>,
}

pub(super) fn examples(root: &Table<'_>) -> Shown {
    let mut shown = Shown::default();
    let Some(table) = root.required_table("examples") else {
        return shown;
    };
    let target = table
        .required_text("target")
        .map(|text| text.value)
        .unwrap_or_default();
    for row in table.tables("accept") {
        shown.examples.accept.push(accept_example(&row, &target));
        shown.accept_at.push(row.at());
        row.finish();
    }
    for row in table.tables("refuse") {
        let examples = refuse_examples(&row, &target);
        shown.refuse_at.extend(examples.iter().map(|_| row.at()));
        shown.examples.refuse.extend(examples);
        row.finish();
    }
    table.finish();
    shown
}

fn accept_example(row: &Table<'_>, target: &str) -> AcceptExample {
    let argv = row
        .required_text("argv")
        .map(|text| text.value)
        .unwrap_or_default();
    AcceptExample {
        target: row
            .text("target")
            .map_or_else(|| target.to_owned(), |text| text.value),
        args: row.text("args").map(|text| text.value).unwrap_or_default(),
        template: row.text("template").map(|text| text.value),
        intrusive: row.boolean("intrusive"),
        argv: argv.split(' ').map(ToOwned::to_owned).collect(),
    }
}

/// One row lists several calls that break the same rule.
fn refuse_examples(row: &Table<'_>, target: &str) -> Vec<RefuseExample> {
    let mut targets = row.plain_texts("targets");
    let mut argument_texts = row.plain_texts("args");
    let template = row.text("template").map(|text| text.value);
    let intrusive = row.boolean("intrusive");
    let rule = row
        .required_text("rule")
        .map(|text| text.value)
        .unwrap_or_default();
    let why = row
        .required_text("why")
        .map(|text| text.value)
        .unwrap_or_default();
    if targets.is_empty() && argument_texts.is_empty() && template.is_none() {
        row.mistake(
            row.at(),
            "args",
            "no calls",
            "list args, targets or a template",
        );
    }
    if targets.is_empty() {
        targets.push(target.to_owned());
    }
    if argument_texts.is_empty() {
        argument_texts.push(String::new());
    }
    let mut examples = Vec::new();
    for target in &targets {
        for text in &argument_texts {
            examples.push(RefuseExample {
                target: target.clone(),
                args: text.clone(),
                template: template.clone(),
                intrusive,
                rule: rule.clone(),
                why: why.clone(),
            });
        }
    }
    examples
}
