//! Accepted argument vectors, read by the real tools without a sandbox: what
//! they open and whom they send to.
//!
//! What it is not: a test of the sandbox, which is off here. It holds vetting
//! alone against the tools' own parsers.
//!
//! Invariants: the tool runs in a namespace where only the lab can be reached;
//! every packet that leaves for another address than the target's is counted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::Lab;
use harness::identity::{Identity, NOBODY};
use harness::lab::Host;
use harness::running::run;
use sandbox_profiles::profile::{ParameterKind, Piece};
use sandbox_profiles::vet::{self, Arguments, Call, ParamValue};
use sandbox_profiles::{Profile, Scope, ScopeConfig, load};

/// Longest run of one vector. What a tool does with its arguments it does at once.
const RUN_SECONDS: &str = "2";

/// Flags that vetting sets for networks and for scopes with other ports, and the
/// lab's one target has neither.
const NOT_HERE: [&str; 2] = ["--exclude", "--exclude-ports"];

/// What the C library and the TLS library look at before a tool sees its
/// arguments. The sandbox refuses what the profile doesn't list.
const AT_START: [&str; 16] = [
    "/dev/urandom",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ldap",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/proc/self",
    "/proc/sys",
    "/sys/kernel/mm/transparent_hugepage",
    "/usr/lib/locale",
];

/// The scope of the lab, with everything that the policy can allow.
fn scope() -> Result<Scope> {
    Ok(Scope::new(&ScopeConfig {
        allowed_networks: vec!["10.66.0.0/24".to_owned()],
        allow_intrusive: true,
        ..ScopeConfig::default()
    })?)
}

/// Calls that make every flag, parameter and template of a profile appear.
fn calls(profile: &Profile, target: &str) -> Vec<Call> {
    let call = |args: &str, template: Option<&str>| Call {
        target: target.to_owned(),
        arguments: Arguments::Text(args.to_owned()),
        template: template.map(ToOwned::to_owned),
        parameters: Vec::new(),
    };
    let examples = profile.examples.accept.iter().map(|example| {
        // The examples' own addresses lie outside the lab.
        let args = example.args.replace("10.0.0.", "10.66.0.");
        call(&args, example.template.as_deref())
    });
    let base = match profile.name.as_str() {
        "dig" => "-q web.lab.internal",
        _ => "",
    };
    let templates = profile
        .templates
        .iter()
        .map(|template| call(base, Some(&template.name)));
    let parameters = profile.parameters.iter().flat_map(|parameter| {
        values(&parameter.kind, parameter.example.as_deref())
            .into_iter()
            .map(|value| Call {
                parameters: vec![(parameter.name.clone(), value)],
                ..call(base, None)
            })
            .collect::<Vec<_>>()
    });
    examples.chain(templates).chain(parameters).collect()
}

/// Some values of a parameter; one that doesn't fit a call is refused, and left out.
fn values(kind: &ParameterKind, example: Option<&str>) -> Vec<ParamValue> {
    let text = |text: &str| ParamValue::Text(text.to_owned());
    match kind {
        ParameterKind::Boolean => vec![ParamValue::Flag(true)],
        ParameterKind::Integer { min, max, .. } => [*min, *max]
            .iter()
            .filter_map(|number| i64::try_from(*number).ok())
            .map(ParamValue::Integer)
            .collect(),
        ParameterKind::Choice { words, .. } => words.iter().map(|word| text(&word.word)).collect(),
        ParameterKind::Names { safe, .. } => safe.iter().take(3).map(|name| text(name)).collect(),
        // A decoy would be a sender; ME is the one that is there.
        ParameterKind::Addresses { .. } => vec![text("ME")],
        ParameterKind::Duration { .. }
        | ParameterKind::Ports { .. }
        | ParameterKind::Text { .. }
        | ParameterKind::Texts { .. } => example.map(text).into_iter().collect(),
    }
}

/// The vectors that vetting makes of the calls, each once.
fn vectors(profile: &Profile, target: &str) -> Result<BTreeSet<Vec<String>>> {
    let scope = scope()?;
    let accepted: BTreeSet<Vec<String>> = calls(profile, target)
        .iter()
        .filter_map(|call| vet::vet(profile, &scope, call).ok())
        .filter(|run| run.unresolved().is_none())
        .map(|run| run.argv().to_vec())
        .collect();
    ensure!(accepted.len() > 10, "{}: {accepted:?}", profile.name);
    Ok(accepted)
}

/// A system call that strace wrote down: its name, its arguments, its result.
fn traced(line: &str) -> Option<(&str, &str, &str)> {
    let call = line.split_once(' ')?.1.trim_start();
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    Some((name, arguments, result))
}

/// The text between the first pair of quotation marks.
fn quoted(arguments: &str) -> Option<&str> {
    arguments.split('"').nth(1)
}

/// Where the profile, or any program's start, has its files.
fn expected(profile: &Profile, path: &str) -> bool {
    let sandbox = &profile.sandbox;
    let listed = sandbox
        .read
        .iter()
        .chain(&sandbox.read_raw)
        .chain(&sandbox.write)
        .chain(&sandbox.exec)
        .map(|row| row.path.as_path());
    let plain = path
        .replace("/usr/bin/../", "/usr/")
        .replace("/lib/x86", "/usr/lib/x86");
    let plain = plain.replace("/usr/usr/", "/usr/");
    listed
        .chain(AT_START.iter().map(Path::new))
        .any(|root| Path::new(&plain).starts_with(root))
}

/// Holds what one run opened and executed.
fn check_files(profile: &Profile, argv: &[String], trace: &str) -> Result<usize> {
    let mut executions: usize = 0;
    let mut opened: usize = 0;
    for line in trace.lines() {
        let Some((name, arguments, result)) = traced(line) else {
            continue;
        };
        if name.starts_with("exec") {
            executions = executions.saturating_add(1);
            continue;
        }
        let Some(path) = quoted(arguments).filter(|_| name.starts_with("open")) else {
            continue;
        };
        opened = opened.saturating_add(1);
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"]
            .iter()
            .any(|flag| arguments.contains(flag));
        // What is not there was not opened, but nobody may try to write.
        let failed = result.starts_with("-1");
        ensure!(
            !writes
                || path == "/dev/null"
                || path.starts_with("/proc/self/task/")
                || path == "/dev/tty",
            "{argv:?} opens {path} for writing"
        );
        ensure!(
            failed || expected(profile, path) || writes,
            "{argv:?} opens {path}"
        );
    }
    ensure!(executions == 1, "{argv:?} executes {executions} programs");
    ensure!(opened > 0, "nothing was traced: {trace}");
    Ok(opened)
}

/// Counts packets that leave for anything but the target, on every way out.
fn watch(lab: &Lab, target: &str) -> Result<()> {
    lab.client().script(&format!(
        "nft add table inet watch
         nft 'add counter inet watch astray'
         nft 'add chain inet watch out {{ type filter hook output priority 0; }}'
         nft 'add rule inet watch out ip daddr {target} accept'
         nft 'add rule inet watch out meta l4proto ipv6-icmp accept'
         nft 'add rule inet watch out counter name astray'"
    ))
}

fn astray(lab: &Lab) -> Result<u64> {
    let mut command = lab.client().command(Identity::Root, "nft");
    let ended = run(
        command.args(["list", "counter", "inet", "watch", "astray"]),
        Duration::from_secs(10),
    )?;
    let ended = ended.expect_code(0)?;
    let mut words = ended.stdout.split_whitespace();
    words
        .find(|word| *word == "packets")
        .and_then(|_| words.next()?.parse().ok())
        .with_context(|| ended.stdout.clone())
}

/// Whether the flag's value stands in the target, and not as a flag.
fn is_part(profile: &Profile, spelling: &str) -> bool {
    let pieces = profile
        .target
        .form
        .iter()
        .flat_map(|pattern| &pattern.pieces);
    let mut parts = pieces.filter_map(|piece| match piece {
        Piece::Part(id) => profile.flags.get(id.index()),
        Piece::Literal(_) | Piece::Target | Piece::Host | Piece::Name => None,
    });
    parts.any(|flag| flag.spelling == spelling)
}

/// Runs every vector of a tool, and holds what it touches.
fn hold(tool: &str, host: Host, target: &str) -> Result<()> {
    let Some(lab) = Lab::start(&[host])? else {
        return Ok(());
    };
    let tools = load::built_in().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let profile = tools.get(tool).context("the profile")?;
    watch(&lab, target)?;
    let trace = lab.dir().join("trace");
    fs::write(&trace, "")?;
    std::os::unix::fs::chown(&trace, Some(NOBODY.uid), Some(NOBODY.uid))?;
    let mut seen = BTreeSet::new();
    for argv in vectors(profile, target)? {
        let mut command = lab.client().command(Identity::NetRaw(NOBODY), "timeout");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command.envs(
            profile
                .sandbox
                .env
                .iter()
                .map(|(name, value)| (name, value)),
        );
        command.args(["-s", "KILL", RUN_SECONDS, "strace", "-f", "-qq", "-y"]);
        command.args([
            "-e",
            "trace=open,openat,openat2,creat,execve,execveat",
            "-o",
        ]);
        run(command.arg(&trace).args(&argv), Duration::from_secs(20))?;
        let text = fs::read_to_string(&trace)?;
        check_files(profile, &argv, &text)?;
        ensure!(
            astray(&lab)? == 0,
            "{argv:?} sends to another address than {target}"
        );
        seen.extend(argv);
    }
    let unseen: Vec<&str> = profile
        .flags
        .iter()
        .filter(|flag| !flag.shorthand && !is_part(profile, &flag.spelling))
        .filter(|flag| !NOT_HERE.contains(&flag.spelling.as_str()))
        .filter(|flag| {
            !seen
                .iter()
                .any(|element| element.starts_with(&flag.spelling))
        })
        .map(|flag| flag.spelling.as_str())
        .collect();
    ensure!(unseen.is_empty(), "{tool} never saw {unseen:?}");
    Ok(())
}

#[test]
fn curl_touches_its_target_and_no_file_outside_its_profile() -> Result<()> {
    hold("curl", Host::Web, "10.66.0.10")
}

#[test]
fn dig_touches_its_target_and_no_file_outside_its_profile() -> Result<()> {
    hold("dig", Host::Dns, "10.66.0.53")
}

#[test]
fn nmap_touches_its_target_and_no_file_outside_its_profile() -> Result<()> {
    hold("nmap", Host::Web, "10.66.0.10")
}

#[test]
fn ping_touches_its_target_and_no_file_outside_its_profile() -> Result<()> {
    hold("ping", Host::Web, "10.66.0.10")
}

#[test]
fn traceroute_touches_its_target_and_no_file_outside_its_profile() -> Result<()> {
    hold("traceroute", Host::Web, "10.66.0.10")
}
