//! What the tests work with: built-in tools, scopes, calls.
//!
//! Not a mock of anything: the real profiles and the real vetting.

use std::sync::LazyLock;

use sandbox_profiles::vet::{self, Arguments, Call};
use sandbox_profiles::{Profile, ProfileSet, Refusal, Scope, ScopeConfig, VettedRun, load};

static TOOLS: LazyLock<ProfileSet> = LazyLock::new(|| load::built_in().unwrap());

/// A built-in profile.
pub(crate) fn tool(name: &str) -> &'static Profile {
    TOOLS.get(name).unwrap()
}

/// Every built-in profile.
pub(crate) fn every_tool() -> impl Iterator<Item = &'static Profile> {
    TOOLS.iter()
}

/// The default scope.
pub(crate) fn scope() -> Scope {
    Scope::new(&ScopeConfig::default()).unwrap()
}

/// The default scope with intrusive runs allowed.
pub(crate) fn intrusive() -> Scope {
    Scope::new(&ScopeConfig {
        allow_intrusive: true,
        ..ScopeConfig::default()
    })
    .unwrap()
}

/// A scope of private IPv4 and IPv6 networks with intrusive runs allowed.
pub(crate) fn intrusive_ipv6() -> Scope {
    let networks = ["10.0.0.0/8", "fd00::/64"].map(ToOwned::to_owned);
    Scope::new(&ScopeConfig {
        allow_intrusive: true,
        allowed_networks: networks.to_vec(),
        ..ScopeConfig::default()
    })
    .unwrap()
}

/// A scope of these networks, allowed and denied.
pub(crate) fn scope_of(allowed: &[&str], denied: &[&str]) -> Scope {
    Scope::new(&config_of(allowed, denied)).unwrap()
}

/// The configuration of such a scope.
pub(crate) fn config_of(allowed: &[&str], denied: &[&str]) -> ScopeConfig {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    ScopeConfig {
        allowed_networks: texts(allowed),
        denied_networks: texts(denied),
        ..ScopeConfig::default()
    }
}

/// A call with arguments as one text.
pub(crate) fn call(target: &str, args: &str) -> Call {
    Call {
        target: target.to_owned(),
        arguments: Arguments::Text(args.to_owned()),
        ..Call::default()
    }
}

/// Vets a call to nmap.
pub(crate) fn nmap(scope: &Scope, target: &str, args: &str) -> Result<VettedRun, Refusal> {
    vet::vet(tool("nmap"), scope, &call(target, args))
}

/// What every category of scripts leaves out under a policy without intrusive runs.
pub(crate) const NARROWED: &str = "and(not((broadcast)or(external)or(url-snarf)or(targets-*)or(http-fetch)or(fcrdns)or(ftp-bounce)or(dns-recursion)or(intrusive)or(vuln)or(exploit)or(brute)or(dos)or(malware)or(fuzzer)))";

/// What stands between the fixed arguments and `--` in a run of nmap, with `@`
/// for what a category of scripts leaves out.
pub(crate) fn flags(run: &VettedRun) -> String {
    let argv = run.argv();
    assert_eq!(
        &argv[..6],
        ["/usr/bin/nmap", "-oX", "-", "--stats-every", "2s", "-n"]
    );
    assert_eq!(argv[argv.len() - 2], "--");
    argv[6..argv.len() - 2].join(" ").replace(NARROWED, "@")
}
