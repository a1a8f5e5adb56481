//! What an HTTP request is made of: header fields, path, query, byte range.
//!
//! Spelling only, and only spellings that mean the same to every URL and HTTP
//! reader: no dot segments, no bare percent signs, no characters that a shell,
//! a URL glob or a header line could take for something else.
//!
//! Invariants: a path begins with `/`; nothing here begins with `-`, `@` or `+`;
//! an item of a query holds no `&`, so that joined items can be told apart.

use super::ValueError;

/// The longest header value, in bytes.
const HEADER_VALUE_BYTES_MAX: usize = 200;

/// The longest item of a query, in bytes.
const QUERY_ITEM_BYTES_MAX: usize = 255;

/// Reads `Name:value`; the name as the profile spells it.
pub(super) fn parse_header(text: &str, names: &[String]) -> Result<String, ValueError> {
    let remedy = || format!("write NAME:value, with NAME one of {}", names.join(", "));
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| ValueError::new("not a header field", text, remedy()))?;
    let Some(name) = names.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
        let error = ValueError::new("not one of the accepted header fields", name, remedy());
        let meant = crate::nearest::nearest(name, names.iter().map(String::as_str));
        return Err(match meant {
            Some(meant) => error.with_nearest(format!("{meant}:{value}")),
            None => error,
        });
    };
    // One space after the colon is how people write it, and means nothing.
    let value = value.strip_prefix(' ').unwrap_or(value);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?@!*+,=%()\"".contains(&byte);
    if value.is_empty() || value.len() > HEADER_VALUE_BYTES_MAX || !value.bytes().all(plain) {
        let remedy = format!(
            "give 1 to {HEADER_VALUE_BYTES_MAX} letters, digits and -._~:/?@!*+,=%()\" without spaces"
        );
        return Err(ValueError::new(
            "not an accepted header value",
            value,
            remedy,
        ));
    }
    Ok(format!("{name}:{value}"))
}

/// The name of a header field that [`parse_header`] gave.
pub(super) fn header_name(field: &str) -> &str {
    field.split_once(':').map_or(field, |(name, _)| name)
}

/// Reads the path of a URL, without query and fragment.
pub(super) fn parse_path(text: &str, bytes_max: u32) -> Result<String, ValueError> {
    let wrong = |message: &str| {
        ValueError::new(
            message,
            text,
            "give the path of the URL alone, like /status; a query goes into its own field",
        )
    };
    if !text.starts_with('/') {
        let error = wrong("a path begins with /");
        return Err(match parse_path(&format!("/{text}"), bytes_max) {
            Ok(path) if !text.contains(':') => error.with_nearest(path),
            Ok(_) | Err(_) => error,
        });
    }
    if u32::try_from(text.len()).map_or(true, |bytes| bytes > bytes_max) {
        return Err(wrong("the path is too long"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!'()*+,=:@%/".contains(&byte);
    if !text.bytes().all(plain) {
        return Err(wrong(
            "a character that the path of a URL can't hold; encode it as %XX",
        ));
    }
    if !has_whole_escapes(text) {
        return Err(wrong(
            "a percent sign that two hexadecimal digits don't follow",
        ));
    }
    if text
        .split('/')
        .any(|part| matches!(decoded_dots(part).as_str(), "." | ".."))
    {
        return Err(wrong(
            "a dot segment, which clients and servers resolve differently",
        ));
    }
    Ok(text.to_owned())
}

/// The part with encoded dots written plainly.
fn decoded_dots(part: &str) -> String {
    part.replace("%2e", ".").replace("%2E", ".")
}

/// Reads one item of a query: `name=value`, or a word.
pub(super) fn parse_query_item(text: &str) -> Result<String, ValueError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!'()*+,=:@%/?".contains(&byte);
    let good = !text.is_empty()
        && text.len() <= QUERY_ITEM_BYTES_MAX
        && !text.starts_with(['-', '@', '+'])
        && text.bytes().all(plain)
        && has_whole_escapes(text);
    if good {
        return Ok(text.to_owned());
    }
    Err(ValueError::new(
        "not an item of a URL's query",
        text,
        "give name=value, one item at a time; encode other characters as %XX",
    ))
}

fn has_whole_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let mut bytes = after.bytes();
        let mut digit = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
        digit() && digit()
    })
}

/// Reads `FIRST-LAST`, both included.
pub(super) fn parse_byte_range(text: &str) -> Result<String, ValueError> {
    let wrong = |message: &str| {
        ValueError::new(
            message,
            text,
            "give FIRST-LAST, like 0-1023, both counted from 0",
        )
    };
    let (first, last) = text
        .split_once('-')
        .ok_or_else(|| wrong("not a range of bytes"))?;
    let number = |text: &str| super::number::canonical(text).map_err(wrong);
    if number(first)? > number(last)? {
        return Err(wrong("the range ends before it begins"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_plain_paths_only() {
        let cases = [
            ("/", true, "the root"),
            ("/a/b.html", true, "a file"),
            ("/a%20b", true, "an escape"),
            (
                "/~user/@x",
                true,
                "reserved characters that mean themselves",
            ),
            ("a", false, "no leading slash"),
            ("/a?x=1", false, "a query"),
            ("/a#f", false, "a fragment"),
            ("/a/../b", false, "a dot segment"),
            ("/a/%2e%2E/b", false, "an encoded dot segment"),
            ("/.", false, "a dot segment at the end"),
            ("/.well-known/x", true, "a dot that is no segment"),
            ("/a%2", false, "half an escape"),
            ("/a%zz", false, "no escape"),
            ("/[1-9]", false, "a glob"),
            ("/{a,b}", false, "a glob"),
            ("/a b", false, "white space"),
            ("/a\\b", false, "a backslash"),
            (
                "//evil/",
                true,
                "an empty segment stays in the path of a whole URL",
            ),
        ];
        for (text, accepted, why) in cases {
            assert_eq!(parse_path(text, 100).is_ok(), accepted, "{text}: {why}");
        }
        assert_eq!(
            parse_path("a", 100).unwrap_err().nearest.as_deref(),
            Some("/a")
        );
        assert!(parse_path("/abc", 3).is_err(), "too long");
    }

    #[test]
    fn takes_listed_header_fields_only() {
        let names = ["Accept".to_owned(), "X-Request-Id".to_owned()];
        let cases = [
            ("Accept:text/html", Some("Accept:text/html"), "as listed"),
            (
                "accept: text/html",
                Some("Accept:text/html"),
                "case and one space",
            ),
            ("Accept:", None, "an empty value removes the field"),
            ("Accept", None, "no colon"),
            ("Host:x", None, "not listed"),
            ("@/etc/passwd", None, "a file"),
            ("Accept:a b", None, "a space inside"),
            ("Accept:a\r\nHost:x", None, "another header"),
            ("Accept;", None, "an empty header"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(
                parse_header(text, &names).ok().as_deref(),
                expected,
                "{text}: {why}"
            );
        }
    }

    #[test]
    fn tells_query_items_apart() {
        let cases = [
            ("a=1", true, "a pair"),
            ("flag", true, "a word"),
            ("a=1&b=2", false, "two items"),
            ("@/etc/passwd", false, "a file"),
            ("a=%2", false, "half an escape"),
            ("a#b", false, "a fragment"),
            ("", false, "nothing"),
        ];
        for (text, accepted, why) in cases {
            assert_eq!(parse_query_item(text).is_ok(), accepted, "{text}: {why}");
        }
    }

    #[test]
    fn takes_whole_byte_ranges() {
        for (text, accepted) in [
            ("0-0", true),
            ("0-1023", true),
            ("5-4", false),
            ("-5", false),
            ("5-", false),
            ("0-1,3-4", false),
            ("00-1", false),
        ] {
            assert_eq!(parse_byte_range(text).is_ok(), accepted, "{text}");
        }
    }
}
