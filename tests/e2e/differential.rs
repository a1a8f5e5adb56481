//! The tools' own parsers on what vetting accepts: none is refused, and no tool
//! warns of what we don't know.
//!
//! Flags and values come from the profiles: every value of every flag by itself,
//! and every pair of flags that vetting accepts, many pairs to a run. The real tool
//! runs as root in a network of two hosts until it begins its work.
//! What it is not: a test of what a run finds.
//!
//! Invariants: nothing but the other host can be reached.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use harness::identity::Identity;
use harness::namespace::Namespace;
use harness::running::Running;
use harness::{Binaries, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest start of a tool; script engines take the most.
const START: Duration = Duration::from_millis(1500);
/// How long a tool may still complain after its work has begun.
const GRACE: Duration = Duration::from_millis(60);
/// Most flags in one run, so that one rarely hides what another would say.
const TOGETHER_MAX: usize = 8;

/// A tool, where it says that it begins, and what it is known to warn of: text,
/// and the arguments that must be there.
struct Subject {
    tool: &'static str,
    begins: &'static str,
    targets: &'static [&'static str],
    known: &'static [(&'static str, &'static [&'static str])],
    /// Exit codes of a tool that has done its work.
    codes: &'static [i32],
}

#[test]
fn nmap_takes_every_argv_that_vetting_accepts() -> Result<()> {
    takes_every_argv(&Subject {
        tool: "nmap",
        begins: "<nmaprun",
        targets: &["10.66.0.10", "fd66::10", "10.66.0.8/30", "fd66::8/126"],
        known: &[(
            "Warning: --min-parallelism and --max-parallelism are ignored with --scan-delay.",
            // The caller's own number, not the default.
            &[" --max-parallelism 1 ", " --scan-delay "],
        )],
        codes: &[0],
    })
}

#[test]
fn ping_takes_every_argv_that_vetting_accepts() -> Result<()> {
    takes_every_argv(&Subject {
        tool: "ping",
        begins: "PING ",
        targets: &["10.66.0.10", "fd66::10"],
        known: &[],
        // 1: no answer.
        codes: &[0, 1],
    })
}

fn takes_every_argv(subject: &Subject) -> Result<()> {
    if !skip::is_root() {
        return Ok(());
    }
    let hosts = Hosts::new()?;
    let mut judge = Judge::start()?;
    let mut argvs = BTreeSet::new();
    for (index, target) in subject.targets.iter().enumerate() {
        let flags = flags(subject.tool, target)?;
        ensure!(flags.len() > 5, "the profile's flags");
        // Values by themselves and pairs, on one target of each family each.
        if index % 2 == usize::from(index > 1) {
            singles(&mut judge, subject.tool, target, &flags, &mut argvs)?;
        } else {
            pairs(&mut judge, subject.tool, target, &flags, &mut argvs)?;
        }
    }
    ensure!(argvs.len() > 10, "{} argument vectors", argvs.len());
    let queue = Mutex::new(argvs.into_iter().collect::<VecDeque<_>>());
    thread::scope(|scope| {
        let work = || scope.spawn(|| hosts.drain(subject, &queue));
        let workers = [work(), work()];
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}

/// A flag, and each way of giving it that the test tries.
type Flag = Vec<Vec<String>>;

/// The flags of a profile with values for a target.
fn flags(tool: &str, target: &str) -> Result<Vec<Flag>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sandbox-profiles/tools");
    let text = fs::read_to_string(dir.join(format!("{tool}.toml")))?;
    let profile: toml::Table = text.parse()?;
    let flags = profile["flags"].as_array().context("flags")?;
    let net = target.trim_end_matches(|ch: char| ch.is_ascii_hexdigit() || ch == '/');
    flags
        .iter()
        .map(|flag| {
            let spelling = flag["flag"].as_str().context("a spelling")?;
            let values = values(flag, target, net);
            let attached = flag.get("attached").and_then(toml::Value::as_str);
            let mut ways: Flag = values
                .into_iter()
                .map(|value| match attached {
                    Some(_) => vec![format!("{spelling}{value}")],
                    None => vec![spelling.to_owned(), value],
                })
                .collect();
            if ways.is_empty() || attached == Some("optional") {
                ways.push(vec![spelling.to_owned()]);
            }
            ways.extend(
                flag.get("all")
                    .and_then(toml::Value::as_str)
                    .map(|all| vec![all.to_owned()]),
            );
            if flag.get("type").and_then(toml::Value::as_str) == Some("count") {
                ways.push(vec![spelling.to_owned(); 2]);
            }
            Ok(ways)
        })
        .collect()
}

/// Values that the type of a flag takes.
fn values(flag: &toml::Value, target: &str, net: &str) -> Vec<String> {
    let number = |key: &str| flag.get(key).and_then(toml::Value::as_integer);
    let bounds = |least, greatest| [number(least), number(greatest)].into_iter().flatten();
    let texts = |key: &str| {
        let list = flag.get(key).and_then(toml::Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(ToOwned::to_owned))
    };
    match flag.get("type").and_then(toml::Value::as_str) {
        None | Some("switch" | "count") => Vec::new(),
        Some("integer") => bounds("min", "max")
            .map(|number| number.to_string())
            .collect(),
        Some("duration") => bounds("min_ms", "max_ms")
            .map(|ms| format!("{ms}ms"))
            .collect(),
        Some("seconds") => bounds("min_ms", "max_ms")
            .map(|ms| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000)))
            .collect(),
        Some("ports") => vec!["80".to_owned(), "22,80-90".to_owned()],
        Some("word") => texts("words").collect(),
        Some("names") => {
            let names: Vec<String> = texts("safe").chain(texts("intrusive_names")).collect();
            // One by itself for the pairs, then all of them.
            let lists = names.chunks(30).map(|names| names.join(","));
            names.first().cloned().into_iter().chain(lists).collect()
        }
        Some("decoys") => vec!["ME".to_owned(), format!("{net}9,ME")],
        Some("networks") if target.contains('/') => vec![format!("{net}9")],
        Some("mac") => vec!["0".to_owned(), "02:00:5e:10:00:01".to_owned()],
        Some(_) => flag
            .get("example")
            .and_then(toml::Value::as_str)
            .map(ToOwned::to_owned)
            .into_iter()
            .collect(),
    }
}

/// Every value of every flag, by itself.
fn singles(
    judge: &mut Judge,
    tool: &str,
    target: &str,
    flags: &[Flag],
    argvs: &mut BTreeSet<Vec<String>>,
) -> Result<()> {
    for way in flags.iter().flatten() {
        argvs.extend(judge.argv(tool, target, way)?);
    }
    Ok(())
}

/// Every pair of flags that is accepted, in as few runs as a simple search finds.
fn pairs(
    judge: &mut Judge,
    tool: &str,
    target: &str,
    flags: &[Flag],
    argvs: &mut BTreeSet<Vec<String>>,
) -> Result<()> {
    let first: Vec<&Vec<String>> = flags.iter().filter_map(|ways| ways.first()).collect();
    let mut open = BTreeSet::new();
    for (one, left) in first.iter().enumerate() {
        for (other, right) in first.iter().enumerate().skip(one.saturating_add(1)) {
            if judge
                .argv(tool, target, &[left.as_slice(), right].concat())?
                .is_some()
            {
                open.insert((one, other));
            }
        }
    }
    while let Some(&(one, other)) = open.first() {
        let mut chosen = vec![one, other];
        let words = |chosen: &[usize]| -> Vec<String> {
            chosen
                .iter()
                .filter_map(|index| first.get(*index))
                .copied()
                .flatten()
                .cloned()
                .collect()
        };
        for more in 0..first.len() {
            let news = chosen
                .iter()
                .any(|had| open.contains(&(*had.min(&more), *had.max(&more))));
            if chosen.len() == TOGETHER_MAX || chosen.contains(&more) || !news {
                continue;
            }
            chosen.push(more);
            if judge.argv(tool, target, &words(&chosen))?.is_none() {
                chosen.pop();
            }
        }
        let argv = judge.argv(tool, target, &words(&chosen))?;
        argvs.insert(argv.context("what was accepted is accepted again")?);
        open.retain(|(one, other)| !(chosen.contains(one) && chosen.contains(other)));
    }
    Ok(())
}

/// `mantlet vet`, asked line by line.
struct Judge {
    _running: Running,
    calls: ChildStdin,
    verdicts: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Judge {
    fn start() -> Result<Self> {
        let (dir, binaries) = (tempfile::tempdir()?, Binaries::find()?);
        let file = dir.path().join("mantlet.toml");
        let scope = "[security]\nallow_intrusive = true\n\
             allowed_networks = [\"10.66.0.0/24\", \"fd66::/64\"]\n";
        fs::write(&file, scope)?;
        let mut command = std::process::Command::new(&binaries.mantlet);
        command
            .env_clear()
            .arg("--config")
            .arg(&file)
            .args(["vet", "--calls", "-"]);
        let (running, calls, verdicts) = Running::start_talking(&mut command)?;
        Ok(Self {
            _running: running,
            calls,
            verdicts: BufReader::new(verdicts),
            _dir: dir,
        })
    }

    /// The argument vector that a call comes to, if it is accepted.
    fn argv(&mut self, tool: &str, target: &str, words: &[String]) -> Result<Option<Vec<String>>> {
        let call = json!({"tool": tool, "target": target, "extra_args": words.join(" ")});
        writeln!(self.calls, "{call}")?;
        let mut line = String::new();
        self.verdicts.read_line(&mut line)?;
        let verdict: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let argv = verdict["argv"].as_array();
        Ok(argv.map(|argv| {
            argv.iter()
                .filter_map(|word| word.as_str().map(ToOwned::to_owned))
                .collect()
        }))
    }
}

/// Two hosts with a cable between them.
struct Hosts {
    here: Namespace,
    _there: Namespace,
}

impl Hosts {
    fn new() -> Result<Self> {
        let (here, there) = (Namespace::new()?, Namespace::new()?);
        here.script(&format!(
            "ip link add cable type veth peer name cable netns {}",
            there.pid()
        ))?;
        for (host, ends) in [(&here, &["2"][..]), (&there, &["8", "9", "10", "11"])] {
            for end in ends {
                host.script(&format!(
                    "ip addr add 10.66.0.{end}/24 dev cable; \
                     ip addr add fd66::{end}/64 dev cable nodad"
                ))?;
            }
            host.script("ip link set cable up")?;
        }
        Ok(Self {
            here,
            _there: there,
        })
    }

    fn drain(&self, subject: &Subject, queue: &Mutex<VecDeque<Vec<String>>>) -> Result<()> {
        loop {
            let next = queue
                .lock()
                .map_err(|_| anyhow!("the other worker panicked"))?
                .pop_front();
            let Some(argv) = next else { return Ok(()) };
            self.takes(subject, &argv)?;
        }
    }

    /// Runs the tool until it begins its work, and holds what it says against
    /// what is known.
    fn takes(&self, subject: &Subject, argv: &[String]) -> Result<()> {
        let (program, words) = argv.split_first().context("a program")?;
        let mut command = self.here.command(Identity::Root, program);
        let mut running = Running::start(command.args(words))?;
        let end = Instant::now().checked_add(START).context("a time")?;
        let mut ended = running.has_ended()?;
        while !ended && Instant::now() < end {
            if running.stdout_so_far().contains(subject.begins) {
                thread::sleep(GRACE);
                break;
            }
            thread::sleep(Duration::from_millis(5));
            ended = running.has_ended()?;
        }
        let said = if ended {
            let done = running.wait(START)?;
            ensure!(
                subject.codes.contains(&done.code),
                "{}: {done:?}",
                argv.join(" ")
            );
            done.stderr
        } else {
            running.stderr_so_far()
        };
        for line in said.lines().filter(|line| !line.trim().is_empty()) {
            let known = subject.known.iter().any(|(text, words)| {
                let given = format!(" {} ", argv.join(" "));
                line == *text && words.iter().all(|word| given.contains(word))
            });
            ensure!(known, "{}: {line}\n{}", subject.tool, argv.join(" "));
        }
        Ok(())
    }
}
