//! A call as a client makes it, before anything is believed.
//!
//! What it is: the fields of the API (ARG1) and their decoding from JSON.
//! What it is not: vetting; sandbox-profiles does that.
//!
//! Invariants: unknown fields are kept as parameters, and vetting refuses those
//! that the tool's profile doesn't have; nothing is dropped on the way.

use std::fmt;

use sandbox_profiles::vet::{Arguments, ParamValue};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::outcome::{CallError, ErrorType};

/// Longest correlation id, in characters.
pub const CORRELATION_ID_MAX: usize = 64;

/// One request to run a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// A profile's name or alias.
    pub tool: String,
    /// Address, network or name, as typed.
    pub target: String,
    /// Extra arguments.
    pub arguments: Arguments,
    /// A template of the profile.
    pub template: Option<String>,
    /// Seconds until the run is ended.
    pub timeout_sec: Option<u64>,
    /// The caller's name for this call.
    pub correlation_id: Option<String>,
    /// Typed parameters by name.
    pub parameters: Vec<(String, ParamValue)>,
    /// Why the rest can't be decoded. Such a call is refused by the pipeline, so
    /// that it is bounded, counted and recorded as others that are refused.
    pub fault: Option<CallError>,
}

impl Call {
    /// A call without anything optional.
    pub fn new(tool: &str, target: &str) -> Self {
        Self {
            tool: tool.to_owned(),
            target: target.to_owned(),
            arguments: Arguments::Text(String::new()),
            template: None,
            timeout_sec: None,
            correlation_id: None,
            parameters: Vec::new(),
            fault: None,
        }
    }

    /// A call that can't be decoded.
    pub fn undecodable(tool: &str, target: &str, fault: CallError) -> Self {
        Self {
            fault: Some(fault),
            ..Self::new(tool, target)
        }
    }

    /// Decodes the arguments of a call to `tool`.
    ///
    /// # Errors
    ///
    /// Names the field whose type or range is wrong.
    pub fn from_json(tool: &str, fields: &Map<String, Value>) -> Result<Self, CallError> {
        let target = fields
            .get("target")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Self::decode(tool, fields).map_err(|error| error.about(tool, target))
    }

    fn decode(tool: &str, fields: &Map<String, Value>) -> Result<Self, CallError> {
        let target = fields.get("target").ok_or_else(|| {
            let remedy = "give `target`: an address, a network or a name";
            invalid("target", "is missing", remedy)
        })?;
        let mut call = Self::new(tool, &text("target", target)?);
        for (name, value) in fields {
            match name.as_str() {
                "target" => {}
                // As if it were absent, which is how some clients spell absence.
                _ if value.is_null() => {}
                "extra_args" => call.arguments = Arguments::Text(text(name, value)?),
                "template" => call.template = Some(text(name, value)?),
                "timeout_sec" => call.timeout_sec = Some(timeout(value)?),
                "correlation_id" => call.correlation_id = Some(correlation_id(value)?),
                _ => call
                    .parameters
                    .push((name.clone(), parameter(name, value)?)),
            }
        }
        Ok(call)
    }

    /// Decodes one call that names its tool in the field `tool`, from JSON text.
    ///
    /// # Errors
    ///
    /// As [`Call::from_json`]; and where the text is no JSON object, a field is
    /// given twice, or `tool` is missing or no text.
    pub fn from_json_text(line: &[u8]) -> Result<Self, CallError> {
        // Editors on other systems put a byte order mark at a file's beginning.
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let mut fields = fields(line, "give {\"tool\": …, \"target\": …}")?;
        let tool = fields
            .remove("tool")
            .ok_or_else(|| invalid("tool", "is missing", "give the tool's name as `tool`"))?;
        Self::from_json(&text("tool", &tool)?, &fields)
    }

    /// Decodes a call to `tool` from JSON text that doesn't name it.
    ///
    /// # Errors
    ///
    /// As [`Call::from_json`]; and where the text is no JSON object, or a field is
    /// given twice.
    pub fn from_json_body(tool: &str, body: &[u8]) -> Result<Self, CallError> {
        let fields = fields(body, "give {\"target\": …}");
        let fields = fields.map_err(|error| error.about(tool, ""))?;
        Self::from_json(tool, &fields)
    }
}

fn fields(text: &[u8], remedy: &str) -> Result<Map<String, Value>, CallError> {
    match serde_json::from_slice(text) {
        Ok(Fields(fields)) => Ok(fields),
        Err(error) => {
            let what = format!("is no JSON object with each field once: {error}");
            Err(invalid("call", &what, remedy))
        }
    }
}

/// An object each of whose fields is given once. JSON leaves open which one
/// counts otherwise, and two readers that choose differently are a hole.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        let shown = name.escape_debug();
                        return Err(A::Error::custom(format_args!("{shown} is given twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Once)
    }
}

fn text(name: &str, value: &Value) -> Result<String, CallError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| invalid(name, "is not a text", "give it as a JSON string"))
}

/// ARG1: 1 to 3,600 whole seconds.
fn timeout(value: &Value) -> Result<u64, CallError> {
    // A JSON number such as 30.0 is the whole number 30.
    let whole = value.as_u64().or_else(|| {
        let float = value
            .as_f64()
            .filter(|float| (1.0..=3600.0).contains(float))?;
        (1..=3600_u32)
            .find(|n| (f64::from(*n) - float).abs() < f64::EPSILON)
            .map(u64::from)
    });
    whole
        .filter(|seconds| (1..=3600).contains(seconds))
        .ok_or_else(|| {
            invalid(
                "timeout_sec",
                "is not a whole number from 1 to 3600",
                "give seconds, 1 to 3600",
            )
        })
}

fn correlation_id(value: &Value) -> Result<String, CallError> {
    let id = text("correlation_id", value)?;
    let fits = !id.is_empty()
        && id.chars().count() <= CORRELATION_ID_MAX
        && id.chars().all(|c| c.is_ascii_graphic());
    if fits {
        return Ok(id);
    }
    let remedy = "give 1 to 64 printable ASCII characters without spaces, or leave it out";
    Err(invalid("correlation_id", "is out of bounds", remedy))
}

fn parameter(name: &str, value: &Value) -> Result<ParamValue, CallError> {
    match value {
        Value::Bool(flag) => Ok(ParamValue::Flag(*flag)),
        Value::String(text) => Ok(ParamValue::Text(text.clone())),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(ParamValue::Integer(whole)),
            // Fractions (`interval: 0.5`) are read by the flag's own rule, as text.
            (None, Some(float)) => Ok(ParamValue::Text(float.to_string())),
            (None, None) => Err(invalid(name, "is no number", "give a number")),
        },
        Value::Array(items) => {
            let items: Result<_, _> = items.iter().map(|item| parameter(name, item)).collect();
            items.map(ParamValue::List)
        }
        Value::Null | Value::Object(_) => {
            let remedy = "give true, false, a number, a text or a list of these, or leave it out";
            Err(invalid(name, "has a type that no parameter takes", remedy))
        }
    }
}

fn invalid(name: &str, what: &str, remedy: &str) -> CallError {
    CallError::new(ErrorType::ValidationError, format!("{name} {what}"), remedy)
        .with("rule", "ARG1")
        .with("offending", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn decodes_the_fields_of_the_api() {
        let line = json!({"tool": "nmap", "target": "10.0.0.1", "extra_args": "-sV", "template": "quick",
            "timeout_sec": 30, "correlation_id": "a-1", "ports": "80", "open_only": true, "top_ports": 5});
        let call = Call::from_json_text(line.to_string().as_bytes()).unwrap();
        assert_eq!(call.arguments, Arguments::Text("-sV".into()));
        assert_eq!(call.timeout_sec, Some(30));
        assert_eq!(call.parameters.len(), 3, "the rest are typed parameters");
    }

    #[test]
    fn null_is_absence() {
        let line = br#"{"tool":"nmap","target":"10.0.0.1","extra_args":null,"ports":null}"#;
        let call = Call::from_json_text(line).unwrap();
        assert_eq!(call, Call::new("nmap", "10.0.0.1"));
    }

    #[test]
    fn refuses_a_field_given_twice_and_text_that_is_no_object() {
        let cases: [(&[u8], &str); 4] = [
            (
                br#"{"tool":"nmap","target":"8.8.8.8","target":"10.0.0.1"}"#,
                "two readers could differ",
            ),
            (b"this is no call", "no JSON"),
            (b"", "an empty line"),
            (b"[1]", "no object"),
        ];
        for (line, why) in cases {
            let error = Call::from_json_text(line).unwrap_err();
            assert_eq!(error.metadata["offending"], "call", "{why}");
        }
        let marked = "\u{feff}{\"tool\":\"nmap\",\"target\":\"10.0.0.1\"}";
        assert!(
            Call::from_json_text(marked.as_bytes()).is_ok(),
            "a byte order mark is no fault"
        );
    }

    #[test]
    fn an_error_of_decoding_says_what_the_call_was_about() {
        let line = br#"{"tool":"nmap","target":"10.0.0.1","timeout_sec":0}"#;
        let error = Call::from_json_text(line).unwrap_err();
        assert_eq!(
            (error.tool_name.as_str(), error.target.as_str()),
            ("nmap", "10.0.0.1")
        );
    }

    #[test]
    fn refuses_fields_of_the_wrong_type_or_range() {
        let cases = [
            (json!({"target": "10.0.0.1"}), "tool", "no tool"),
            (json!({"tool": "nmap"}), "target", "no target"),
            (json!({"tool": "nmap", "target": 5}), "target", "a number"),
            (
                json!({"tool": "nmap", "target": "x", "timeout_sec": 0}),
                "timeout_sec",
                "too short",
            ),
            (
                json!({"tool": "nmap", "target": "x", "timeout_sec": 1e12}),
                "timeout_sec",
                "too long",
            ),
            (
                json!({"tool": "nmap", "target": "x", "timeout_sec": "5"}),
                "timeout_sec",
                "a text",
            ),
            (
                json!({"tool": "nmap", "target": "x", "correlation_id": "a\nb"}),
                "correlation_id",
                "forges log lines",
            ),
            (
                json!({"tool": "nmap", "target": "x", "correlation_id": "a".repeat(65)}),
                "correlation_id",
                "too long",
            ),
            (
                json!({"tool": "nmap", "target": "x", "ports": {"a": 1}}),
                "ports",
                "an object",
            ),
            (json!([1]), "call", "no object"),
        ];
        for (line, field, why) in cases {
            let error = Call::from_json_text(line.to_string().as_bytes()).unwrap_err();
            assert_eq!(error.metadata["offending"], field, "{why}");
        }
    }
}
