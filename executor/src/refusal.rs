//! Refusals as the peer gets them: bounded texts, one constructor per reason.
//!
//! What it is not: the reasons of vetting, which come from `sandbox_profiles`
//! and are only carried over here.
//!
//! Invariants: every refusal fits its frame, however long the text that it
//! quotes; each says what to do.

use protocol::FrameError;
use protocol::event::{RefusalKind, Refused};
use protocol::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use sandbox_profiles::Refusal;

/// A refusal without a rule or an offending part.
pub(crate) fn new(kind: RefusalKind, message: &str, remedy: &str) -> Refused {
    Refused {
        kind,
        rule: String::new(),
        message: cut(message, TEXT_BYTES_MAX),
        offending: String::new(),
        remedy: cut(remedy, TEXT_BYTES_MAX),
    }
}

/// The frame is not allowed at this point.
pub(crate) fn out_of_turn(message: &str) -> Refused {
    let remedy = "send Hello once, then Inspect or one Run, then at most Cancel";
    new(RefusalKind::OutOfTurn, message, remedy)
}

/// The bytes are no request.
pub(crate) fn malformed(error: &FrameError) -> Refused {
    let message = chain(error);
    new(
        RefusalKind::Malformed,
        &message,
        "send frames as docs/PROTOCOL.md describes",
    )
}

/// Vetting's own refusal.
pub(crate) fn not_vetted(refusal: &Refusal) -> Refused {
    Refused {
        kind: match refusal.kind {
            sandbox_profiles::RefusalKind::Validation
            | sandbox_profiles::RefusalKind::Intrusive => RefusalKind::NotVetted,
            sandbox_profiles::RefusalKind::Capability => RefusalKind::CapabilityNotHeld,
        },
        rule: cut(&refusal.rule, NAME_BYTES_MAX),
        message: cut(&refusal.message, TEXT_BYTES_MAX),
        offending: cut(&refusal.offending, TEXT_BYTES_MAX),
        remedy: cut(&refusal.remedy, TEXT_BYTES_MAX),
    }
}

/// A digest as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = |text: String, byte: &u8| text + &format!("{byte:02x}");
    bytes.iter().fold(String::new(), digits)
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A text from a peer, made safe to show: printable ASCII, bounded.
pub(crate) fn shown(text: &str) -> String {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    let mut out = String::new();
    for c in text.chars().take(NAME_BYTES_MAX) {
        if plain(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

/// The beginning of a text, at most `bytes_max` long.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max.min(text.len()));
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Event, frame};

    #[test]
    fn every_refusal_fits_its_frame() {
        let long = "\u{1f980}".repeat(3000);
        let refused = new(RefusalKind::NotVetted, &long, &long);
        assert!(frame::encode_event(&Event::Refused(refused)).is_ok());
    }
}
