//! The ways of ping and traceroute: by capability, by ICMP datagram socket, by
//! neither, over IPv4 and IPv6, each with the real tool in the real sandbox.

use protocol::Request;
use protocol::event::{Exit, RefusalKind};
use protocol::request::Run;

use crate::lab::{Lab, Setting, start};

/// On loopback of a namespace of its own.
const FOUR: &str = "127.0.0.1";
const SIX: &str = "fd66::1";

/// What an executor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    /// `CAP_NET_RAW`; ICMP datagram sockets are closed.
    Raw,
    /// ICMP datagram sockets, and no capability.
    Sockets,
    /// Both of them.
    Both,
    /// Neither.
    Neither,
}

impl Has {
    fn setting(self) -> Setting {
        let range = match self {
            Self::Raw | Self::Neither => "1 0",
            Self::Sockets | Self::Both => "0 2147483647",
        };
        let caps = match self {
            Self::Raw | Self::Both => "-all,+net_raw",
            Self::Sockets | Self::Neither => "-all",
        };
        // In embedded mode a capability would be given up.
        let system = matches!(self, Self::Raw | Self::Both);
        let up = format!(
            "ip link set lo up && ip addr add {SIX}/128 dev lo nodad && \
             echo {range} >/proc/sys/net/ipv4/ping_group_range && exec \"$@\""
        );
        let mut wrapper: Vec<String> = ["unshare", "--net", "sh", "-c", &up, "sh"]
            .map(str::to_owned)
            .into();
        let identity = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        wrapper.extend(identity.map(str::to_owned));
        for set in ["inh-caps", "ambient-caps"] {
            wrapper.push(format!("--{set}={caps}"));
        }
        // As an ordinary user has it: without it ping's own file can't be executed.
        wrapper.push("--bounding-set=-all,+net_raw".to_owned());
        Setting {
            system,
            wrapper,
            owner: Some(65534),
            ..Setting::default()
        }
    }
}

/// The argv that the broker would send.
fn argv_of(tool: &str, target: &str, arguments: &str) -> Vec<String> {
    use sandbox_profiles::{Arguments, Call, Scope, ScopeConfig, load, vet};
    let config = ScopeConfig {
        allowed_networks: vec!["127.0.0.0/8".into(), "fd66::/64".into()],
        ..ScopeConfig::default()
    };
    let call = Call {
        target: target.into(),
        arguments: Arguments::Text(arguments.into()),
        ..Call::default()
    };
    let (tools, scope) = (load::built_in().unwrap(), Scope::new(&config).unwrap());
    let run = vet::vet(tools.get(tool).unwrap(), &scope, &call).unwrap();
    run.argv().to_vec()
}

fn request(lab: &Lab, tool: &str, target: &str, arguments: &str) -> Run {
    Run {
        tool: tool.into(),
        argv: argv_of(tool, target, arguments),
        ..lab.request("way")
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// It runs, with the capability.
    Granted,
    /// It runs, with none.
    Plain,
    /// It is refused, and the remedy says this.
    Refused(&'static str),
}

use Becomes::{Granted, Plain, Refused};

/// Tool, arguments, and what becomes of it by what the executor has: raw,
/// sockets, both, neither.
const CALLS: [(&str, &str, [Becomes; 4]); 6] = [
    (
        "ping",
        "-c 1",
        [Granted, Plain, Granted, Refused("ping_group_range")],
    ),
    (
        "traceroute",
        "-I -q 1",
        [Granted, Plain, Granted, Refused("ping_group_range")],
    ),
    (
        "traceroute",
        "-T -q 1 -p 9",
        [
            Granted,
            Refused("-U -q 1 -p 9"),
            Granted,
            Refused("-U -q 1 -p 9"),
        ],
    ),
    ("traceroute", "-q 1", [Plain, Plain, Plain, Plain]),
    ("traceroute", "-U -q 1 -p 9", [Plain, Plain, Plain, Plain]),
    ("traceroute", "--mtu -q 1", [Plain, Plain, Plain, Plain]),
];

fn holds(has: Has, at: usize) {
    let lab = start!(&[], &has.setting());
    for (tool, arguments, becomes) in CALLS {
        for target in [FOUR, SIX] {
            let why = format!("{has:?}: {tool} {arguments} {target}");
            let mut peer = lab.greeted();
            peer.send(&Request::Run(request(&lab, tool, target, arguments)));
            let expected = becomes[at];
            if let Refused(remedy) = expected {
                let refused = peer.refused();
                assert_eq!(refused.kind, RefusalKind::CapabilityNotHeld, "{why}");
                assert_eq!(refused.rule, "NM9", "{why}");
                assert!(refused.remedy.contains(remedy), "{why}: {refused:?}");
                continue;
            }
            let ran = peer.finish();
            assert_eq!(ran.finished().exit, Exit::Code(0), "{why}: {ran:?}");
            let arrived = match tool {
                "ping" => " 1 received".to_owned(),
                _ => format!("\n 1  {target}  "),
            };
            assert!(ran.stdout.contains(&arrived), "{why}: {ran:?}");
            let granted = &ran.started.as_ref().unwrap().receipt.capabilities;
            assert_eq!(granted.is_empty(), expected == Plain, "{why}: {granted:?}");
        }
    }
    let inventory = lab.greeted().inventory();
    let problem = |name: &str| {
        let found = inventory.tools.iter().find(|tool| tool.name == name);
        found.unwrap().problem.clone()
    };
    assert_eq!(problem("traceroute"), "", "some way is always left");
    assert_eq!(
        problem("ping").contains("ICMP datagram sockets"),
        has == Has::Neither,
        "{}",
        problem("ping")
    );
}

#[test]
fn by_the_capability_where_it_is_held() {
    holds(Has::Raw, 0);
}

#[test]
fn by_icmp_sockets_where_the_kernel_opens_them() {
    holds(Has::Sockets, 1);
}

#[test]
fn by_the_capability_where_both_are_there() {
    holds(Has::Both, 2);
}

#[test]
fn by_none_where_neither_is_there() {
    holds(Has::Neither, 3);
}
