//! Tests of the audit log: what is written, continued, refused and found.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::chain::Head;
use super::verify::{Report, anchor, verify};
use super::*;

fn key() -> Key {
    Key::new(vec![7; 32]).unwrap()
}

fn call(n: u32) -> Entry {
    Entry {
        run_id: format!("run-{n}"),
        tool: "ping".into(),
        target: "10.0.0.1 \"quoted\"".into(),
        argv: vec!["ping".into(), "10.0.0.1".into()],
        ..Entry::of(Kind::Intent)
    }
}

fn open(path: &Path, key: Option<Key>) -> Result<Writer, AuditError> {
    Writer::open(path, key, "policy".into())
}

/// A log of six records in a directory that lasts as long as the first part.
fn log(key: Option<Key>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let mut writer = open(&path, key).unwrap();
    for n in 1..=6 {
        writer.append(&call(n)).unwrap();
    }
    (dir, path)
}

fn check(bytes: &[u8], key: Option<&Key>, anchor: Option<&Head>) -> Report {
    verify(bytes, key, anchor).unwrap()
}

#[test]
fn every_changed_byte_is_found() {
    for key in [None, Some(key())] {
        let (_dir, path) = log(key.clone());
        let good = fs::read(&path).unwrap();
        let report = check(&good, key.as_ref(), None);
        assert!(report.good() && report.head.seq == 6, "{report:?}");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let report = check(&bad, key.as_ref(), Some(&report.head));
            let line = good[..=at].split(|b| *b == b'\n').count();
            // A newline belongs to the line that it ends.
            let line = line - usize::from(good[at] == b'\n');
            let found = report.faults.first().map(|fault| fault.line);
            let found = found.and_then(|line| usize::try_from(line).ok());
            assert_eq!(found, Some(line), "byte {at}: {report:?}");
        }
    }
}

#[test]
fn lines_that_are_missing_moved_or_repeated_are_found() {
    let (_dir, path) = log(None);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    #[rustfmt::skip]
    let cases: [(&[usize], u64, &str, &str); 6] = [
        (&[1, 2, 3, 4, 5],          1, "1 records are missing", "the first is gone"),
        (&[0, 1, 3, 4, 5],          3, "1 records are missing", "one in the middle is gone"),
        (&[0, 1, 4, 5],             3, "2 records are missing", "two are gone"),
        (&[0, 2, 1, 3, 4, 5],       2, "1 records are missing", "two changed places"),
        (&[0, 1, 1, 2, 3, 4, 5],    3, "repeated",              "one stands twice"),
        (&[0, 1, 2, 3, 4, 5, 0, 1], 7, "repeated",              "the beginning follows the end"),
    ];
    for (order, line, what, why) in cases {
        let bad: String = order.iter().map(|at| lines[*at]).collect();
        let report = check(bad.as_bytes(), None, None);
        let first = report.faults.first().unwrap();
        assert!(
            first.line == line && first.what.contains(what),
            "{why}: {first:?}"
        );
    }
}

#[test]
fn a_record_replaced_with_a_fitting_hash_breaks_the_next() {
    let (_dir, path) = log(None);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (body, _) = lines[2].rsplit_once(",\"hash\"").unwrap();
    let forged = body.replace("10.0.0.1", "10.0.0.2") + "}";
    lines[2] = chain::seal(forged, None).0;
    let report = check((lines.join("\n") + "\n").as_bytes(), None, None);
    let first = report.faults.first().unwrap();
    assert!(
        first.line == 4 && first.what.contains("replaced"),
        "{first:?}"
    );
}

#[test]
fn an_end_that_was_cut_is_found_by_the_anchor() {
    let (_dir, path) = log(None);
    let text = fs::read_to_string(&path).unwrap();
    let whole = check(text.as_bytes(), None, None).head;
    let kept: String = text.split_inclusive('\n').take(4).collect();
    assert!(
        check(kept.as_bytes(), None, None).good(),
        "nothing shows it without an anchor"
    );
    let report = check(kept.as_bytes(), None, Some(&whole));
    assert!(
        report.faults[0].what.contains("end is missing"),
        "{report:?}"
    );
    assert!(!check(b"", None, Some(&whole)).good(), "all of it was cut");
    assert!(!check(b"", None, None).good(), "an empty log says nothing");
    // A log that went on holds the record that the anchor names.
    let earlier = check(kept.as_bytes(), None, None).head;
    assert!(check(text.as_bytes(), None, Some(&earlier)).good());
    // One that was written anew doesn't.
    let (_other_dir, other) = log(None);
    let report = check(&fs::read(other).unwrap(), None, Some(&earlier));
    assert!(
        report.faults[0].line == 4 && report.faults[0].what.contains("anchor"),
        "{report:?}"
    );
}

#[test]
fn the_key_decides() {
    let other = Key::new(vec![8; 32]).unwrap();
    #[rustfmt::skip]
    let cases = [
        (Some(key()), Some(key()), None,                  "the right key"),
        (Some(key()), Some(other), Some("key is another"), "a wrong key"),
        (Some(key()), None,        Some("--key"),          "no key"),
        (None,        Some(key()), Some("without a key"),  "a forger has no key"),
    ];
    for (written, checked, what, why) in cases {
        let (_dir, path) = log(written);
        let report = check(&fs::read(&path).unwrap(), checked.as_ref(), None);
        let found = report.faults.first().map(|fault| fault.what.as_str());
        assert_eq!(found.is_some(), what.is_some(), "{why}: {found:?}");
        assert!(
            found.unwrap_or_default().contains(what.unwrap_or_default()),
            "{why}: {found:?}"
        );
        let reopened = open(&path, checked);
        assert_eq!(reopened.is_ok(), what.is_none(), "{why}: {reopened:?}");
    }
}

#[test]
fn a_key_that_others_may_read_or_that_is_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    for (bytes, mode, fits, why) in [
        (32, 0o600, true, "as it should be"),
        (32, 0o400, true, "read only"),
        (31, 0o600, false, "too short"),
        (4097, 0o600, false, "too long"),
        (32, 0o640, false, "open to the group"),
        (32, 0o604, false, "open to others"),
    ] {
        drop(fs::remove_file(&path));
        fs::write(&path, vec![1; bytes]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(Key::read(&path).is_ok(), fits, "{why}");
    }
}

#[test]
fn a_log_cut_anywhere_in_its_last_line_goes_on_and_says_so() {
    let (_dir, path) = log(None);
    let good = fs::read(&path).unwrap();
    let last = good[..good.len() - 1]
        .iter()
        .rposition(|b| *b == b'\n')
        .unwrap()
        + 1;
    for end in last + 1..good.len() {
        fs::write(&path, &good[..end]).unwrap();
        let before = check(&good[..end], None, None);
        assert!(before.faults[0].what.contains("cut short"), "{before:?}");
        open(&path, None).unwrap().append(&call(9)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.as_bytes().starts_with(&good[..last]),
            "cut at {end}: what was there stays"
        );
        let report = check(text.as_bytes(), None, None);
        assert!(
            report.good() && report.marred == 1,
            "cut at {end}: {report:?}"
        );
        // All but the newline is a whole record, and is kept.
        let cut = if end == good.len() - 1 { 0 } else { end - last };
        assert!(
            text.contains(&format!("\"cut_bytes\":{cut}")),
            "cut at {end}: {text}"
        );
    }
}

#[test]
fn an_end_that_no_crash_explains_is_not_continued() {
    let (_dir, path) = log(None);
    let good = fs::read_to_string(&path).unwrap();
    let first = good.lines().next().unwrap();
    let cases: [(String, &str); 7] = [
        (format!("{good}{{}}"), "parses, and is no record"),
        (
            format!("{good}notes of a person"),
            "not the beginning of a record",
        ),
        (
            format!("{good}{{\"seq\":9,\"ti"),
            "the beginning of another record",
        ),
        (
            format!("{good}{first}"),
            "a whole record that doesn't follow",
        ),
        (format!("{good}notes\n"), "a whole line that is no record"),
        (good.replace("run-6", "run-7"), "the last record was edited"),
        ("a text without newline".into(), "some other file"),
    ];
    for (text, why) in cases {
        fs::write(&path, &text).unwrap();
        let error = open(&path, None).expect_err(why).to_string();
        assert!(error.contains("not continued"), "{why}: {error}");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text,
            "{why}: left alone"
        );
    }
    fs::write(&path, good + "\0\0\0\0").unwrap();
    assert!(
        open(&path, None).is_ok(),
        "zeros are what a power cut leaves"
    );
}

#[test]
fn one_broker_has_the_file_and_nobody_else_may_write_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let writer = open(&path, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let error = open(&path, None).unwrap_err().to_string();
    assert!(error.contains("another file"), "{error}");
    drop(writer);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(open(&link, None).is_err(), "a link leads elsewhere");
    assert!(open(dir.path(), None).is_err(), "a directory");
    assert!(open(Path::new("/dev/full"), None).is_err(), "a device");
    fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
    assert!(open(&path, None).is_err(), "writable by its group");
}

#[test]
fn nothing_is_added_to_a_file_that_something_else_changed() {
    let (_dir, path) = log(None);
    let mut writer = open(&path, None).unwrap();
    let mut other = OpenOptions::new().append(true).open(&path).unwrap();
    other.write_all(b"forged\n").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(writer.append(&call(7)).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn after_failed_writes_the_chain_goes_on_and_says_what_is_missing() {
    let (_dir, path) = log(None);
    let mut writer = open(&path, None).unwrap();
    // A file that can be read only stands for a disk that takes nothing.
    let good = writer.swap(File::open(&path).unwrap());
    assert!(writer.append(&call(7)).is_err(), "an intent");
    assert!(writer.append(&Entry::of(Kind::Refused)).is_err());
    assert!(writer.append(&Entry::of(Kind::Outcome)).is_err());
    // As if a part of the last one had come to the disk.
    let mut partial = OpenOptions::new().append(true).open(&path).unwrap();
    partial.write_all(b"{\"seq\":7").unwrap();
    writer.swap(good);
    writer.append(&call(8)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(check(text.as_bytes(), None, None).good(), "{text}");
    assert!(
        text.contains("\"lost\":2"),
        "the intent led to nothing: {text}"
    );
}

#[test]
fn an_anchor_is_read_as_it_is_printed() {
    let head = Head {
        seq: 12,
        hash: chain::NO_HASH.replace('0', "a"),
    };
    assert_eq!(anchor(&head.to_string()), Ok(head));
    for bad in [
        "",
        "1",
        "1:",
        ":aa",
        "0:aa",
        "x:aa",
        &format!("0:{}", chain::NO_HASH),
    ] {
        assert!(anchor(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_call_with_an_intent_has_an_outcome_and_one_without_was_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = AuditLog::open(&path, Some(key()), "policy".into()).unwrap();
    audit.intent(call(1)).await.unwrap();
    audit.end(call(1)).await.unwrap();
    audit.end(call(2)).await.unwrap();
    audit.stopped().await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let kinds: Vec<String> = text
        .lines()
        .map(|line| chain::examine(line.as_bytes(), Some(&key())).unwrap().kind)
        .collect();
    assert_eq!(
        kinds,
        ["started", "intent", "outcome", "refused", "stopped"]
    );
}
