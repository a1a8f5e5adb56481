//! JSON, written for those who read reports by program.
//!
//! What it is: values and their text (RFC 8259), for the reports that programs
//! read.
//! What it is not: a reader; the executor reads none, and takes no crate for it.
//!
//! Invariants: what is written is ASCII and holds no control character,
//! whatever texts it was given.

use std::fmt;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in this order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number of things.
    pub(crate) fn count(count: usize) -> Self {
        Self::Number(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// An object.
    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => quoted(f, text),
            Self::List(items) => {
                let mut between = "";
                f.write_str("[")?;
                for item in items {
                    write!(f, "{between}{item}")?;
                    between = ",";
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                let mut between = "";
                f.write_str("{")?;
                for (name, value) in members {
                    f.write_str(between)?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                    between = ",";
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some('"') => f.write_str("\\\"")?,
            Some('\\') => f.write_str("\\\\")?,
            Some(plain @ ' '..='~') => write!(f, "{plain}")?,
            Some(_) | None => write!(f, "\\u{unit:04x}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_plain_ascii() {
        let cases = [
            ("plain", r#""plain""#, "as it is"),
            ("a\"b\\c", r#""a\"b\\c""#, "its own signs"),
            (
                "\n\u{1b}[31m\u{7f}",
                r#""\u000a\u001b[31m\u007f""#,
                "controls",
            ),
            ("ü€", r#""\u00fc\u20ac""#, "other letters"),
            ("😀", r#""\ud83d\ude00""#, "a pair"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(Json::text(text).to_string(), expected, "{why}");
        }
    }

    #[test]
    fn values_nest_and_keep_their_order() {
        let list = Json::List(vec![Json::Flag(true), Json::count(3), Json::object([])]);
        let value = Json::object([("b", list), ("a", Json::List(vec![]))]);
        assert_eq!(value.to_string(), r#"{"b":[true,3,{}],"a":[]}"#);
    }
}
