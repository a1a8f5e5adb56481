//! The hosts file: names that this machine knows by itself.
//!
//! What it is: a reader of hosts(5) for one name at a time.
//! What it is not: name resolution; [`super::resolve`] asks the name servers for
//! whatever isn't here.
//!
//! Invariants: never holds more than one line, and no line longer than
//! [`LINE_BYTES_MAX`]; what can't be read as an address answers nothing, as it
//! does for the system's resolver.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::net::IpAddr;
use std::path::Path;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// The addresses that the file gives to `name`, in its order, without repeats.
/// A file that isn't there gives none.
///
/// # Errors
///
/// Where it can't be read, or has a line longer than 64 KiB.
pub fn addresses(file: &Path, name: &str) -> io::Result<Vec<IpAddr>> {
    match File::open(file) {
        Ok(file) => lookup(BufReader::new(file), name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn lookup(mut lines: impl BufRead, name: &str) -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = lines.by_ref().take(LINE_BYTES_MAX);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        if bounded.limit() == 0 && !line.ends_with(b"\n") {
            // The rest of it could hold the name.
            let what = format!("a line is longer than {LINE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        if let Some(address) = of_line(&String::from_utf8_lossy(&line), name)
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
}

/// The line's address, if one of its names is `name`.
fn of_line(line: &str, name: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let address = words.next()?.parse().ok()?;
    words
        .any(|word| word.eq_ignore_ascii_case(name))
        .then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_every_address_of_the_name_and_no_other() {
        let cases = [
            // file                                        addresses                 why
            ("10.0.0.1 web.lab\n", "10.0.0.1", "plain"),
            (
                "10.0.0.1\tx web.lab y",
                "10.0.0.1",
                "alias, tab, no line end",
            ),
            ("10.0.0.1 WEB.Lab\n", "10.0.0.1", "letter case"),
            (
                "10.0.0.1 web.lab\n10.0.0.2 web.lab\n10.0.0.1 web.lab\n",
                "10.0.0.1 10.0.0.2",
                "several lines, one of them twice",
            ),
            ("fd00::1 web.lab\n", "fd00::1", "IPv6"),
            ("# 10.0.0.1 web.lab\n", "", "a comment"),
            ("10.0.0.1 x # web.lab\n", "", "the name in a comment"),
            ("10.0.0.1 web.lab.internal\n", "", "a longer name"),
            ("10.0.0.1 web.lab.\n", "", "as the system's resolver has it"),
            ("010.0.0.1 web.lab\n", "", "no canonical address"),
            ("fe80::1%eth0 web.lab\n", "", "a zone"),
            ("web.lab 10.0.0.1\n", "", "the wrong way round"),
            (
                "10.0.0.1 \u{fffd} web.lab\n",
                "10.0.0.1",
                "odd bytes beside it",
            ),
            ("", "", "nothing"),
        ];
        for (text, expected, why) in cases {
            let found = lookup(text.as_bytes(), "web.lab").unwrap();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{why}");
        }
    }

    #[test]
    fn refuses_a_line_without_end_instead_of_missing_a_name() {
        let text = format!("10.0.0.1 {} web.lab\n", "x".repeat(70_000));
        assert!(lookup(text.as_bytes(), "web.lab").is_err());
        let fits = format!("10.0.0.1 {}\n", "x".repeat(60_000));
        assert!(lookup(fits.as_bytes(), "web.lab").unwrap().is_empty());
    }

    #[test]
    fn a_missing_file_knows_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let none = addresses(&dir.path().join("hosts"), "web.lab").unwrap();
        assert!(none.is_empty());
    }
}
