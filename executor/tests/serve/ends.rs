//! How runs end: by themselves, by the clock, by the peer, by their output.

use std::net::Shutdown;
use std::thread::sleep;
use std::time::{Duration, Instant};

use protocol::Request;
use protocol::event::Exit;

use crate::lab::{Lab, start, tool};
use crate::peer::Ran;

const SOON: Duration = Duration::from_millis(100);

fn timed(lab: &Lab, word: &str, timeout_ms: u32) -> Ran {
    let mut peer = lab.greeted();
    let mut run = lab.request(word);
    run.timeout_ms = timeout_ms;
    peer.send(&Request::Run(run));
    peer.finish()
}

#[test]
fn a_timeout_terminates_then_kills() {
    let lab = start!(&[tool("sleep"), tool("stubborn"), tool("quiet")]);
    let cases = [
        ("sleep", 15, 300..1500, "SIGTERM is enough"),
        (
            "stubborn",
            9,
            2300..3500,
            "SIGTERM is ignored, SIGKILL follows 2 s later",
        ),
        ("quiet", 15, 300..1500, "the end of a stream is no end"),
    ];
    for (word, signal, wall_ms, why) in cases {
        let ran = timed(&lab, word, 300);
        let finished = ran.finished();
        assert_eq!(
            finished.exit,
            Exit::Signal(signal),
            "{word}: {why}: {ran:?}"
        );
        assert!(finished.timed_out && !finished.cancelled, "{word}: {ran:?}");
        assert!(
            wall_ms.contains(&finished.wall_ms),
            "{word}: {why}: {ran:?}"
        );
    }
    assert!(lab.hostiles().is_empty());
}

#[test]
fn a_cancel_kills_within_100_ms() {
    let lab = start!(&[
        tool("sleep"),
        tool("stubborn"),
        tool("quiet"),
        tool("daemon").with_processes(8),
    ]);
    for word in ["sleep", "stubborn", "quiet", "daemon"] {
        let mut peer = lab.greeted();
        peer.send(&Request::Run(lab.request(word)));
        peer.started();
        sleep(Duration::from_millis(50));
        peer.send(&Request::Cancel);
        let took = lab.none_left(SOON);
        let ran = peer.finish();
        assert!(ran.finished().cancelled, "{word}: {ran:?}");
        println!("{word}: dead {took:?} after the cancel");
    }
    assert!(lab.scratch().is_empty());
}

#[test]
fn a_peer_that_leaves_is_a_cancel() {
    let lab = start!(&[tool("stubborn"), tool("daemon").with_processes(8)]);
    for word in ["stubborn", "daemon"] {
        for is_half in [false, true] {
            let mut peer = lab.greeted();
            peer.send(&Request::Run(lab.request(word)));
            peer.started();
            sleep(Duration::from_millis(50));
            if is_half {
                peer.stream.shutdown(Shutdown::Write).unwrap();
            } else {
                drop(peer);
            }
            lab.none_left(SOON);
        }
    }
}

#[test]
fn a_daemon_dies_with_its_run() {
    let lab = start!(&[tool("daemon").with_processes(8)]);
    let ran = lab.run("daemon");
    assert_eq!(ran.finished().exit, Exit::Code(0), "{ran:?}");
    assert!(ran.stdout.contains("setsid -1 setpgid -1"), "{ran:?}");
    assert!(ran.stdout.contains("\ndaemon "), "it got that far: {ran:?}");
    assert!(
        lab.hostiles().is_empty(),
        "dead before the run is reported finished"
    );
}

#[test]
fn a_fork_bomb_is_bounded_and_ends() {
    let lab = start!(&[tool("bomb").with_processes(32), tool("hello")]);
    let mut peer = lab.greeted();
    let mut run = lab.request("bomb");
    run.timeout_ms = 500;
    peer.send(&Request::Run(run));
    peer.started();
    sleep(Duration::from_millis(200));
    let count = lab.hostiles().len();
    assert!((2..=80).contains(&count), "{count} processes");
    let ran = peer.finish();
    assert!(ran.finished().timed_out, "{ran:?}");
    assert!(lab.hostiles().is_empty());
    assert_eq!(lab.run("hello").finished().exit, Exit::Code(0));
}

#[test]
fn a_flood_is_cut_counted_and_killed() {
    let lab = start!(&[tool("flood")]);
    let ran = lab.run("flood");
    let finished = ran.finished();
    assert!(finished.killed_for_output, "{finished:?}");
    assert_eq!(finished.stdout.bytes_kept, 1 << 20);
    assert_eq!(ran.stdout.len(), 1 << 20);
    let seen = finished.stdout.bytes_seen;
    assert!((17 << 20..18 << 20).contains(&seen), "{seen}");
    assert_eq!(finished.exit, Exit::Signal(9));
}

#[test]
fn a_run_keeps_what_the_broker_asks_for_at_most() {
    let lab = start!(&[tool("hello"), tool("flood")]);
    let mut peer = lab.greeted();
    let mut run = lab.request("hello");
    run.stdout_max = 5;
    peer.send(&Request::Run(run));
    let ran = peer.finish();
    assert_eq!(ran.stdout, "hello");
    assert_eq!(ran.finished().stdout.bytes_seen, 21);

    let mut peer = lab.greeted();
    let mut run = lab.request("flood");
    run.stdout_max = 64 << 20;
    peer.send(&Request::Run(run));
    let ran = peer.finish();
    assert_eq!(
        ran.finished().stdout.bytes_kept,
        1 << 20,
        "the profile's own bound holds"
    );
}

#[test]
fn a_peer_that_does_not_read_stops_the_tool_and_not_the_clock() {
    let lab = start!(&[tool("flood")]);
    let mut peer = lab.greeted();
    let mut run = lab.request("flood");
    run.timeout_ms = 500;
    peer.send(&Request::Run(run));
    let begin = Instant::now();
    sleep(Duration::from_millis(100));
    lab.none_left(Duration::from_millis(1500));
    assert!(
        begin.elapsed() >= Duration::from_millis(450),
        "not before its time"
    );
    let ran = peer.finish();
    assert!(ran.finished().timed_out, "{:?}", ran.finished());
    assert!(
        ran.finished().stdout.bytes_seen < 2 << 20,
        "held back: {:?}",
        ran.finished()
    );
}
