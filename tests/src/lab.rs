//! The lab: hosts with real services on 10.66.0.0/24, and a client among them.
//!
//! ```text
//! 10.66.0.2   client   the programs under test run here; nothing listens
//! 10.66.0.10  web      nginx on 80 and 8080
//! 10.66.0.20  ssh      OpenSSH on 22
//! 10.66.0.30  silent   nginx on 80; 443 never answers
//! 10.66.0.40  bare     no open port
//! 10.66.0.53  dns      dnsmasq on 53, for lab.internal
//! 10.66.0.66  tarpit   no port answers at all: a scan of it takes long
//! ```
//!
//! What it is not: shared. Each lab is a network of its own, so tests run side
//! by side with the same addresses.
//!
//! Invariants: the services have answered before [`Lab::start`] returns; the
//! network has no way out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::identity::Identity;
use crate::namespace::Namespace;
use crate::processes::Process;
use crate::running::{Running, run};
use crate::{Binaries, config, processes, services, skip, wait};

/// Longest wait for a service to answer.
const READY: Duration = Duration::from_secs(15);

/// A kind of host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// nginx on 80 and 8080.
    Web,
    /// OpenSSH on 22.
    Ssh,
    /// nginx on 80, and 443 that never answers.
    Silent,
    /// No open port.
    Bare,
    /// dnsmasq on 53.
    Dns,
    /// Answers nothing but address resolution.
    Tarpit,
}

/// Every host but the tarpit, which would slow each scan of the whole network.
pub const ALL_HOSTS: [Host; 5] = [Host::Web, Host::Ssh, Host::Silent, Host::Bare, Host::Dns];

/// Names under `lab.internal` and their addresses. `mixed` has one address
/// inside the lab and one outside (of a network reserved for documentation).
pub const RECORDS: [(&str, &str); 7] = [
    ("web", "10.66.0.10"),
    ("ssh", "10.66.0.20"),
    ("silent", "10.66.0.30"),
    ("bare", "10.66.0.40"),
    ("mixed", "10.66.0.10"),
    ("mixed", "198.51.100.7"),
    ("outside", "198.51.100.7"),
];

/// Address of the client's host.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);

impl Host {
    /// Its address.
    #[must_use]
    pub const fn addr(self) -> Ipv4Addr {
        let last = match self {
            Self::Web => 10,
            Self::Ssh => 20,
            Self::Silent => 30,
            Self::Bare => 40,
            Self::Dns => 53,
            Self::Tarpit => 66,
        };
        Ipv4Addr::new(10, 66, 0, last)
    }

    /// Its open TCP ports, with the service that nmap knows them by.
    #[must_use]
    pub const fn open(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::Web => &[(80, "http"), (8080, "http-proxy")],
            Self::Ssh => &[(22, "ssh")],
            Self::Silent => &[(80, "http")],
            Self::Dns => &[(53, "domain")],
            Self::Bare | Self::Tarpit => &[],
        }
    }

    fn serve(self, host: &Namespace, dir: &Path) -> Result<Option<Running>> {
        let drop_rule = |what: &str| {
            let chain = "{ type filter hook input priority 0; }";
            host.script(&format!(
                "nft add table inet lab; nft 'add chain inet lab in {chain}'; \
                 nft add rule inet lab in {what} drop"
            ))
        };
        match self {
            Self::Web => services::http(host, dir, &[80, 8080]).map(Some),
            Self::Ssh => services::ssh(host, dir).map(Some),
            Self::Silent => {
                drop_rule("tcp dport 443")?;
                services::http(host, dir, &[80]).map(Some)
            }
            Self::Dns => services::dns(host, dir, &RECORDS).map(Some),
            Self::Bare => Ok(None),
            Self::Tarpit => drop_rule("meta l4proto { tcp, udp, icmp }").map(|()| None),
        }
    }
}

/// A running lab.
// NOTE: fields drop in order: the servers, then their hosts, then their files.
#[derive(Debug)]
pub struct Lab {
    _servers: Vec<Running>,
    hosts: BTreeMap<Host, Namespace>,
    client: Namespace,
    _bridge: Namespace,
    dir: TempDir,
    binaries: Binaries,
}

impl Lab {
    /// Starts a lab with the given hosts; `None` where this process isn't
    /// root, which is said as a skip.
    ///
    /// # Errors
    ///
    /// When a part of it can't be set up or doesn't answer in time.
    pub fn start(wanted: &[Host]) -> Result<Option<Self>> {
        if !skip::is_root() {
            return Ok(None);
        }
        let dir = tempfile::Builder::new().prefix("mantlet-lab-").tempdir()?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        // What a killed program leaves behind goes with the lab.
        let leftovers = dir.path().join("tmp");
        fs::create_dir(&leftovers)?;
        fs::set_permissions(&leftovers, Permissions::from_mode(0o1777))?;
        let (bridge, client) = (Namespace::new()?, Namespace::new()?);
        let mut hosts = BTreeMap::new();
        for host in wanted {
            hosts.insert(*host, Namespace::new()?);
        }
        connect(&bridge, &client, &hosts)?;
        let resolv = dir.path().join("resolv.conf");
        fs::write(&resolv, format!("nameserver {}\n", Host::Dns.addr()))?;
        // As Debian sets it: every group may use ICMP datagram sockets.
        client.script(&format!(
            "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range; \
             mount --bind {} /etc/resolv.conf",
            resolv.display()
        ))?;
        let mut servers = Vec::new();
        for (kind, host) in &hosts {
            servers.extend(kind.serve(host, dir.path())?);
        }
        let lab = Self {
            _servers: servers,
            hosts,
            client,
            _bridge: bridge,
            dir,
            binaries: Binaries::find()?,
        };
        lab.await_services()?;
        Ok(Some(lab))
    }

    /// The client's host.
    #[must_use]
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// Another host, if the lab has it.
    ///
    /// # Errors
    ///
    /// When it was not asked for.
    pub fn host(&self, kind: Host) -> Result<&Namespace> {
        self.hosts
            .get(&kind)
            .with_context(|| format!("the lab has no {kind:?}"))
    }

    /// The programs under test.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// A directory for this test's files, owned by root and readable by all.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into [`Lab::dir`] and gives its path.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn file(&self, name: &str, text: &str) -> Result<std::path::PathBuf> {
        let path = self.dir().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The broker with the embedded executor, to be started on the client's
    /// host as root; it gives root up by itself.
    ///
    /// # Errors
    ///
    /// When its configuration can't be written.
    pub fn mantlet(&self, args: &[&str]) -> Result<Command> {
        let text = config::embedded(&self.binaries.executor, "");
        let file = self.file("embedded.toml", &text)?;
        Ok(self.mantlet_with(&file, args))
    }

    /// The broker with a configuration file of the test's own.
    #[must_use]
    pub fn mantlet_with(&self, config: &Path, args: &[&str]) -> Command {
        let mut command = self.client.command(Identity::Root, &self.binaries.mantlet);
        command.arg("--config").arg(config).args(args);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("TMPDIR", self.dir().join("tmp"));
        command.env("STATE_DIRECTORY", self.state());
        command
    }

    /// Where the broker keeps its runs: this test's alone, gone with the lab.
    #[must_use]
    pub fn state(&self) -> std::path::PathBuf {
        self.dir().join("state")
    }

    /// The argv that a call comes to, as `mantlet vet` renders it.
    ///
    /// # Errors
    ///
    /// When the call is refused.
    pub fn vetted(&self, tool: &str, target: &str, args: &[&str]) -> Result<Vec<String>> {
        let mut words = vec!["vet", tool, target, "--json", "--"];
        words.extend(args);
        let ended = run(&mut self.mantlet(&words)?, READY)?.expect_code(0)?;
        let verdict: serde_json::Value = serde_json::from_str(&ended.stdout)?;
        let canonical = verdict.get("argv").and_then(serde_json::Value::as_array);
        let canonical = canonical.with_context(|| ended.stdout.clone())?.iter();
        Ok(canonical
            .filter_map(|word| Some(word.as_str()?.to_owned()))
            .collect())
    }

    /// The living tool processes on the client's host that have a target in the
    /// lab. An executor that starts also asks its tools for their versions.
    ///
    /// # Errors
    ///
    /// When the process list can't be read.
    pub fn tools(&self, program: &str) -> Result<Vec<Process>> {
        let mut found = processes::running(&[Path::new(program)], self.client.net_inode()?)?;
        found.retain(|process| process.argv.iter().any(|word| word.starts_with("10.66.0.")));
        Ok(found)
    }

    /// What a scan of the whole network has to find: each host up, with its
    /// open TCP ports. The client's own host is one of them.
    #[must_use]
    pub fn truth(&self) -> BTreeMap<String, BTreeSet<u16>> {
        let open = |host: &Host| host.open().iter().map(|(port, _)| *port).collect();
        let hosts = self
            .hosts
            .keys()
            .map(|host| (host.addr().to_string(), open(host)));
        hosts
            .chain([(CLIENT.to_string(), BTreeSet::new())])
            .collect()
    }

    fn await_services(&self) -> Result<()> {
        for host in self.hosts.keys() {
            for (port, _) in host.open() {
                let to = SocketAddr::from((host.addr(), *port));
                self.client.enter(|| {
                    wait::until_true(&format!("{host:?} on {to}"), READY, || {
                        TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_ok()
                    })
                })?;
            }
        }
        if self.hosts.contains_key(&Host::Dns) {
            let mut getent = self.client.command(Identity::Root, "getent");
            let answer = run(getent.args(["ahostsv4", "web.lab.internal"]), READY)?;
            answer.expect_code(0)?;
        }
        Ok(())
    }
}

/// Cables all hosts to a bridge and gives them their addresses.
fn connect(
    bridge: &Namespace,
    client: &Namespace,
    hosts: &BTreeMap<Host, Namespace>,
) -> Result<()> {
    let others = hosts.iter().map(|(kind, host)| (kind.addr(), host));
    let all: Vec<_> = others.chain([(CLIENT, client)]).collect();
    let mut lines = vec![
        "link add br0 type bridge".to_owned(),
        "link set br0 up".to_owned(),
    ];
    for (addr, host) in &all {
        let port = format!("p{}", addr.octets()[3]);
        let peer = format!("type veth peer name eth0 netns {}", host.pid());
        lines.push(format!("link add {port} {peer}"));
        lines.push(format!("link set {port} master br0 up"));
    }
    bridge.ip_batch(&lines.join("\n"))?;
    for (addr, host) in &all {
        host.ip_batch(&format!("addr add {addr}/24 dev eth0\nlink set eth0 up\n"))?;
    }
    Ok(())
}
