//! Tests of the splitter: what documents become, in however many pieces, and what endless ones cost.

use super::*;
use proptest::prelude::*;

fn show(token: &Token<'_>) -> String {
    match token {
        Token::Open(tag) => {
            let slash = if tag.empty { "/" } else { "" };
            let pairs = tag
                .attributes
                .iter()
                .map(|(k, v)| format!(" {k}={}", unescape(v)));
            format!(
                "<{}{}{slash}>",
                tag.name,
                pairs.collect::<Vec<_>>().concat()
            )
        }
        Token::Close(name) => format!("</{name}>"),
        Token::Text(text) => (*text).to_owned(),
        Token::Malformed(fault) => format!("!{fault:?}"),
    }
}

fn split(chunks: &[&[u8]]) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut splitter = Splitter::default();
    for chunk in chunks {
        splitter.push(chunk, &mut |token| tokens.push(show(&token)));
    }
    splitter.finish(&mut |token| tokens.push(show(&token)));
    tokens
}

#[test]
fn splits_documents() {
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "<a><b/>x</a>",
            &["<a>", "<b/>", "x", "</a>"],
            "elements and text",
        ),
        ("<a k='1' l=\"2\"/>", &["<a k=1 l=2/>"], "both quotes"),
        (
            "<a k='>' l=\"'\">",
            &["<a k=> l='>"],
            "markup inside quotes",
        ),
        (
            "<a k='/'>",
            &["<a k=/>"],
            "a slash in a value does not end the element",
        ),
        ("<?xml v?><a/>", &["<a/>"], "instructions go"),
        ("<!-- <b> -- > - --><a/>", &["<a/>"], "comments go"),
        (
            "<![CDATA[<&]]]]>",
            &["<&]]"],
            "character data is not decoded",
        ),
        (
            "<!DOCTYPE nmaprun><a/>",
            &["<a/>"],
            "nmap's own document type",
        ),
        (
            "<!DOCTYPE a [<!ENTITY x '>'>]><a k='&x;'/>",
            &["!Doctype", "<a k=&x;/>"],
            "bomb",
        ),
        ("&lt;&#65;&#x42;&amp;lt;", &["<AB&lt;"], "decoded once"),
        (
            "&bad;&#xd800;&#x110000;&;&",
            &["&bad;&#xd800;&#x110000;&;&"],
            "left as written",
        ),
        (
            "<a k='1' k='2'/>",
            &["<a k=1 k=2/>"],
            "repeats are kept, the first is found",
        ),
        ("< a>", &["!Tag"], "no name"),
        ("<a b>", &["<a>", "!Tag"], "an attribute without a value"),
        ("<!WHAT>", &["!Declaration", "HAT>"], "unknown declaration"),
        ("<a k='", &["!Unfinished"], "cut off in a value"),
        ("<", &["!Unfinished"], "cut off at once"),
        ("<>", &["!Tag"], "nothing at all"),
        ("</>", &["</>"], "an end tag without a name"),
    ];
    for (document, expected, why) in cases {
        assert_eq!(
            split(&[document.as_bytes()]),
            *expected,
            "{why}: {document}"
        );
    }
}

#[test]
fn keeps_the_beginning_of_an_endless_attribute() {
    let mut splitter = Splitter::default();
    let mut tokens = Vec::new();
    splitter.push(b"<script id='x' output='", &mut |_| {});
    for _ in 0..2000 {
        splitter.push(&[b'A'; 8192], &mut |_| {});
        assert!(
            splitter.piece.capacity() <= MARKUP_BYTES_MAX * 2,
            "grows without bound"
        );
    }
    splitter.push(b"'/><b/>", &mut |token| {
        let Token::Open(tag) = token else {
            panic!("{token:?}")
        };
        let output = tag.get("output").map(|output| output.len());
        tokens.push((tag.name.to_owned(), tag.get("id"), output, tag.empty));
    });
    let kept = MARKUP_BYTES_MAX - "script id='x' output='".len();
    let script = ("script".to_owned(), Some("x".to_owned()), Some(kept), true);
    assert_eq!(tokens, [script, ("b".to_owned(), None, None, true)]);
}

#[test]
fn decodes_a_value_full_of_ampersands_in_linear_time() {
    // Quadratic work would make this take minutes.
    let document = format!("<a k='{}'/>", "&".repeat(MARKUP_BYTES_MAX - 100));
    let mut splitter = Splitter::default();
    for _ in 0..100 {
        splitter.push(document.as_bytes(), &mut |token| {
            let Token::Open(tag) = token else {
                panic!("{token:?}")
            };
            assert_eq!(tag.get("k").map(|k| k.len()), Some(MARKUP_BYTES_MAX - 100));
        });
    }
}

#[test]
fn bounds_every_other_endless_piece() {
    for opening in ["", "<!--", "<?", "<![CDATA[", "<!DOCTYPE [", "<a ", "</a"] {
        let mut splitter = Splitter::default();
        splitter.push(opening.as_bytes(), &mut |_| {});
        for _ in 0..200 {
            splitter.push(&[b'a'; 8192], &mut |_| {});
        }
        assert!(
            splitter.piece.capacity() <= MARKUP_BYTES_MAX * 2,
            "{opening}"
        );
    }
}

proptest! {
    #[test]
    fn gives_the_same_tokens_however_it_is_cut(
        document in "[<>/!?'\"=&;#\\[\\] a-cDOCTYPE-]{0,80}", at in 0_usize..80,
    ) {
        let bytes = document.as_bytes();
        let (head, tail) = bytes.split_at(at.min(bytes.len()));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(split(&[bytes]), split(&[head, tail]));
        prop_assert_eq!(split(&[bytes]), split(&single));
    }

    #[test]
    fn survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        split(&[&bytes]);
    }
}
