//! Inputs: from bytes to calls and argument vectors, and back for seeds.
//!
//! One field a line. A call is
//!
//! ```text
//! nmap
//! default 10.0.0.7,10.0.0.8
//! web.lab.internal
//! -sV -p 22,80
//! quick
//! timing#3
//! ports=22,80
//! ```
//!
//! tool, scope with the answers of a name server, target, arguments, template, and
//! parameters. Arguments that begin with `|` are separate ones, each behind a `|`.
//! A parameter is its name, a mark and a value: `=` text, `#` number, `?` truth,
//! `:` a list with `;` between its items, each with a mark of its own. An argument
//! vector is tool, scope, and its elements.
//!
//! Invariants: any bytes are an input; the unit separator (0x1F) stands for a line
//! break inside a field, so that no character is beyond reach.

use std::net::IpAddr;

use sandbox_profiles::Profile;
use sandbox_profiles::vet::{Arguments, Call, ParamValue};

use crate::worlds::{World, tool, world};

/// A line break inside a field.
const BREAK: char = '\u{1f}';

/// What to vet, and where.
#[derive(Debug)]
pub(crate) struct Case<T> {
    pub(crate) profile: &'static Profile,
    pub(crate) world: &'static World,
    /// What a name server says.
    pub(crate) answers: Vec<IpAddr>,
    pub(crate) asked: T,
}

/// Reads a call.
pub(crate) fn call(bytes: &[u8]) -> Case<Call> {
    read(bytes, |lines| Call {
        target: field(lines.next()),
        arguments: arguments(&field(lines.next())),
        template: Some(field(lines.next())).filter(|name| !name.is_empty()),
        parameters: lines.map(|line| parameter(&field(Some(line)))).collect(),
    })
}

/// Reads an argument vector.
pub(crate) fn argv(bytes: &[u8]) -> Case<Vec<String>> {
    read(bytes, |lines| lines.map(|line| field(Some(line))).collect())
}

fn read<T>(bytes: &[u8], rest: impl Fn(&mut std::str::Split<'_, char>) -> T) -> Case<T> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let profile = tool(lines.next().unwrap_or_default());
    let line = lines.next().unwrap_or_default();
    let (name, answers) = line.split_once(' ').unwrap_or((line, ""));
    Case {
        profile,
        world: world(name),
        answers: answers
            .split(',')
            .filter_map(|text| text.parse().ok())
            .collect(),
        asked: rest(&mut lines),
    }
}

fn field(line: Option<&str>) -> String {
    line.unwrap_or_default().replace(BREAK, "\n")
}

fn arguments(text: &str) -> Arguments {
    match text.strip_prefix('|') {
        Some(tokens) => Arguments::Tokens(tokens.split('|').map(ToOwned::to_owned).collect()),
        None => Arguments::Text(text.to_owned()),
    }
}

const MARKS: [char; 4] = ['=', '#', '?', ':'];

fn parameter(line: &str) -> (String, ParamValue) {
    let at = line.find(MARKS).unwrap_or(line.len());
    let (name, value) = line.split_at(at);
    (name.to_owned(), value_of(value, true))
}

/// Reads a value with its mark in front.
fn value_of(text: &str, may_be_list: bool) -> ParamValue {
    let mut rest = text.chars();
    match rest.next() {
        Some('#') => ParamValue::Integer(rest.as_str().parse().unwrap_or(-1)),
        Some('?') => ParamValue::Flag(rest.as_str() == "true"),
        Some(':') if may_be_list => {
            let items = rest.as_str().split(';');
            ParamValue::List(items.map(|item| value_of(item, false)).collect())
        }
        Some('=') => ParamValue::Text(rest.as_str().to_owned()),
        Some(_) | None => ParamValue::Text(text.to_owned()),
    }
}

/// Writes a call; what [`call`] reads from it is the same.
pub(crate) fn write_call(tool: &str, scope: &str, call: &Call) -> String {
    let arguments = match &call.arguments {
        Arguments::Text(text) => text.clone(),
        Arguments::Tokens(tokens) => format!("|{}", tokens.join("|")),
    };
    let template = call.template.clone().unwrap_or_default();
    let mut fields = vec![
        tool.to_owned(),
        scope.to_owned(),
        call.target.clone(),
        arguments,
        template,
    ];
    let parameters = call.parameters.iter();
    fields.extend(parameters.map(|(name, value)| format!("{name}{}", write_value(value))));
    write(&fields)
}

/// Writes an argument vector; what [`argv`] reads from it is the same.
pub(crate) fn write_argv(tool: &str, scope: &str, argv: &[String]) -> String {
    let head = [tool.to_owned(), scope.to_owned()];
    write(&[&head, argv].concat())
}

fn write(fields: &[String]) -> String {
    let lines: Vec<String> = fields
        .iter()
        .map(|field| field.replace('\n', &BREAK.to_string()))
        .collect();
    lines.join("\n")
}

fn write_value(value: &ParamValue) -> String {
    match value {
        ParamValue::Text(text) => format!("={text}"),
        ParamValue::Integer(number) => format!("#{number}"),
        ParamValue::Flag(on) => format!("?{on}"),
        ParamValue::List(items) => {
            let items: Vec<String> = items.iter().map(write_value).collect();
            format!(":{}", items.join(";"))
        }
    }
}
