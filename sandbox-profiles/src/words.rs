//! From text to arguments, and which characters no argument may hold.
//!
//! Splitting follows POSIX shell rules through the crate `shlex`; no shell is
//! involved, nothing is expanded. Comments are not: a `#` is refused instead of
//! silently cutting the text.
//!
//! Invariants: what [`arguments`] gives is printable ASCII without white space
//! (but for the one blank in `Name: value`), not empty, and within the bounds of
//! [`crate::limits`].

use crate::call::Arguments;
use crate::limits::{ARG_TOKENS_MAX, EXTRA_ARGS_BYTES_MAX};
use crate::refusal::{Refusal, shown};

/// What a shell would act on. No tool of ours needs any of them.
const METACHARACTERS: &str = ";&|`$><\r\n\0";

/// The arguments of a call, split and checked.
pub(crate) fn arguments(arguments: &Arguments) -> Result<Vec<String>, Refusal> {
    let tokens = match arguments {
        Arguments::Text(text) => {
            check_length(text.len())?;
            check_text(text)?;
            split(text)?
        }
        Arguments::Tokens(tokens) => {
            let bytes = tokens.iter().map(|token| token.len().saturating_add(1));
            check_length(bytes.fold(0, usize::saturating_add).saturating_sub(1))?;
            tokens.iter().try_for_each(|token| check_text(token))?;
            tokens.clone()
        }
    };
    if tokens.len() > ARG_TOKENS_MAX {
        return Err(Refusal::new(
            "ARG1",
            format!(
                "{} arguments, at most {ARG_TOKENS_MAX} are accepted",
                tokens.len()
            ),
            "extra_args",
            "give each flag once",
        ));
    }
    tokens.iter().try_for_each(|token| check_token(token))?;
    Ok(tokens)
}

fn check_length(bytes: usize) -> Result<(), Refusal> {
    if bytes <= EXTRA_ARGS_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::new(
        "ARG1",
        format!("{bytes} bytes of arguments, at most {EXTRA_ARGS_BYTES_MAX} are accepted"),
        "extra_args",
        "shorten the arguments; merge neighbouring ports into ranges",
    ))
}

/// Refuses what may stand nowhere, quoted or not.
fn check_text(text: &str) -> Result<(), Refusal> {
    if let Some(ch) = text.chars().find(|ch| METACHARACTERS.contains(*ch)) {
        return Err(Refusal::new(
            "ARG2",
            format!(
                "the character {} is refused anywhere, quoted or not",
                named(ch)
            ),
            word_with(text, ch),
            "leave it out: no shell reads the arguments, and no flag needs it",
        ));
    }
    if let Some(ch) = text.chars().find(|ch| !ch.is_ascii()) {
        return Err(Refusal::new(
            "ARG3",
            format!("the character {} is outside ASCII", named(ch)),
            word_with(text, ch),
            "write flags and numbers in plain ASCII",
        ));
    }
    if text.contains('#') {
        return Err(Refusal::new(
            "ARG3",
            "'#' begins a comment for a shell, and no flag takes it",
            word_with(text, '#'),
            "leave it out, with what follows it",
        ));
    }
    Ok(())
}

fn split(text: &str) -> Result<Vec<String>, Refusal> {
    shlex::split(text).ok_or_else(|| {
        Refusal::new(
            "ARG2",
            "a quotation mark or backslash is left open",
            text,
            "close the quotation, or leave the mark out: no value needs one",
        )
    })
}

/// Refuses what no single argument may hold.
fn check_token(token: &str) -> Result<(), Refusal> {
    if token.is_empty() {
        return Err(Refusal::new(
            "ARG3",
            "an empty argument",
            "\"\"",
            "leave it out, or give the value",
        ));
    }
    let Some(ch) = token.chars().find(|ch| !ch.is_ascii_graphic()) else {
        return Ok(());
    };
    if is_header_field(token) {
        return Ok(());
    }
    let what = if ch == ' ' || ch == '\t' {
        "white space"
    } else {
        "a control character"
    };
    let remedy = "give each flag and each value as an argument of its own";
    let message = format!("{what} inside an argument");
    Err(Refusal::new("ARG3", message, token, remedy))
}

/// Whether the only white space is the one blank that people write after the
/// colon of an HTTP header field. Values that are no header fields refuse it.
fn is_header_field(token: &str) -> bool {
    token.split_once(": ").is_some_and(|(name, value)| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !name.is_empty()
            && !name.starts_with('-')
            && name.bytes().all(plain)
            && !value.is_empty()
            && value.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// The word of the text that holds the character; the text itself if blanks are at fault.
fn word_with(text: &str, ch: char) -> &str {
    text.split([' ', '\t'])
        .find(|word| word.contains(ch))
        .unwrap_or(text)
}

fn named(ch: char) -> String {
    format!("'{}'", shown(&ch.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_a_posix_shell_does() {
        let cases: [(&str, Option<&[&str]>, &str); 18] = [
            ("", Some(&[]), "nothing"),
            ("  -sV  ", Some(&["-sV"]), "outer blanks"),
            ("-sV\t-O", Some(&["-sV", "-O"]), "a tab separates"),
            ("\"-s\"V", Some(&["-sV"]), "quotes join"),
            ("-p 80\\,443", Some(&["-p", "80,443"]), "a backslash quotes"),
            ("-sV #x", None, "a comment would thin the call out"),
            ("-sV x#y", None, "no flag takes it"),
            ("-sV \"", None, "open quote"),
            ("-sV '", None, "open quote"),
            ("-sV \\", None, "trailing backslash"),
            ("-p \"80 443\"", None, "white space in a value"),
            ("-p \"80\t443\"", None, "white space in a value"),
            ("-p \"\"", None, "empty value"),
            ("-p '80;443'", None, "quoted metacharacter"),
            ("-sV\n-O", None, "line feed"),
            ("-sV \u{0}", None, "NUL"),
            ("-sV \u{7}x", None, "control character"),
            ("-p \u{ff18}\u{ff10}", None, "full-width digits"),
        ];
        for (text, expected, why) in cases {
            let got = arguments(&Arguments::Text(text.to_owned())).ok();
            let expected = expected.map(|list| list.iter().map(|&t| t.to_owned()).collect());
            assert_eq!(got, expected, "{text:?}: {why}");
        }
    }

    #[test]
    fn bounds_length_and_count() {
        let tokens = |count| Arguments::Tokens(vec!["-v".to_owned(); count]);
        assert!(arguments(&tokens(ARG_TOKENS_MAX)).is_ok());
        assert!(arguments(&tokens(ARG_TOKENS_MAX + 1)).is_err());
        let text = |bytes| Arguments::Text("x".repeat(bytes));
        assert!(arguments(&text(EXTRA_ARGS_BYTES_MAX)).is_ok());
        assert!(arguments(&text(EXTRA_ARGS_BYTES_MAX + 1)).is_err());
        let long = Arguments::Tokens(vec!["x".repeat(EXTRA_ARGS_BYTES_MAX), "y".to_owned()]);
        assert!(arguments(&long).is_err());
    }

    #[test]
    fn refuses_metacharacters_in_separate_arguments_too() {
        for token in [
            "-sV;id", "a|b", "$(id)", "`id`", "a>b", "a<b", "a&b", "a\nb", "a\rb", "a\0b",
        ] {
            let refusal = arguments(&Arguments::Tokens(vec![token.to_owned()])).unwrap_err();
            assert_eq!(&*refusal.rule, "ARG2", "{token:?}");
        }
    }
}
