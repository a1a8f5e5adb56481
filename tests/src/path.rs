//! A routed path behind the lab's client: three routers and a host.
//!
//! ```text
//! client ─ 10.67.1.0/24 ─ r1 ─ 10.67.2.0/24 ─ r2 ─ 10.67.3.0/24 ─ r3 ─ 10.67.4.0/24 ─ host
//!          fd67:0:0:1::/64     fd67:0:0:2::/64     (1400 bytes)        fd67:0:0:4::/64
//! ```
//!
//! On each link the near end is `.1` and `::1`, the far one `.2` and `::2`. The
//! host has three addresses more in the lab's own network, and three of IPv6:
//! one that answers, one whose packets r3 drops, and one whose packets r3
//! refuses as administratively prohibited.
//!
//! What it is not: part of the lab's bridge; the lab's other hosts don't know it.
//!
//! Invariants: the path has no way out; it is gone with its value.

use anyhow::Result;

use crate::lab::Lab;
use crate::namespace::Namespace;

/// The host's address that answers.
pub const HOST: &str = "10.66.0.200";
/// Its address that r3 drops packets to.
pub const DROPPED: &str = "10.66.0.201";
/// Its address that r3 refuses packets to.
pub const PROHIBITED: &str = "10.66.0.202";
/// As [`HOST`], of IPv6.
pub const HOST_SIX: &str = "fd67:0:0:4::200";
/// As [`DROPPED`], of IPv6.
pub const DROPPED_SIX: &str = "fd67:0:0:4::201";
/// As [`PROHIBITED`], of IPv6.
pub const PROHIBITED_SIX: &str = "fd67:0:0:4::202";
/// Length of the longest packet that passes the path, in bytes.
pub const MTU: u64 = 1400;

/// What r3 does to packets that it passes on.
const FILTER: &str = "table inet path { chain pass { type filter hook forward priority 0; \
    ip daddr 10.66.0.201 drop; ip6 daddr fd67:0:0:4::201 drop; \
    ip daddr 10.66.0.202 reject with icmpx type admin-prohibited; \
    ip6 daddr fd67:0:0:4::202 reject with icmpx type admin-prohibited; }; }";

/// Answers are not rationed, so that a test sees all of them.
const UNRATIONED: &str = "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; \
    echo 0 >/proc/sys/net/ipv6/icmp/ratelimit; \
    echo 10000 >/proc/sys/net/ipv4/icmp_msgs_per_sec; echo 1000 >/proc/sys/net/ipv4/icmp_msgs_burst";

/// A path that is up.
#[derive(Debug)]
pub struct Path {
    _routers: Vec<Namespace>,
}

impl Path {
    /// Lays the path behind the client of a lab.
    ///
    /// # Errors
    ///
    /// When a part of it can't be set up.
    pub fn behind(lab: &Lab) -> Result<Self> {
        let routers = [
            Namespace::new()?,
            Namespace::new()?,
            Namespace::new()?,
            Namespace::new()?,
        ];
        let [r1, r2, r3, host] = &routers;
        cable(lab.client(), r1, 1)?;
        cable(r1, r2, 2)?;
        cable(r2, r3, 3)?;
        cable(r3, host, 4)?;
        lead(lab.client(), 1, None)?;
        lead(r1, 2, None)?;
        lead(r2, 3, Some(2))?;
        lead(r3, 0, Some(3))?;
        lead(host, 0, Some(4))?;
        r2.ip_batch("link set far3 mtu 1400\n")?;
        r3.ip_batch("link set near3 mtu 1400\n")?;
        // The last router delivers what it would have to look for otherwise.
        r3.ip_batch("route add 10.66.0.200/30 dev far4\n")?;
        for address in [HOST, DROPPED, PROHIBITED] {
            host.ip_batch(&format!("addr add {address}/32 dev near4\n"))?;
        }
        for address in [HOST_SIX, DROPPED_SIX, PROHIBITED_SIX] {
            host.ip_batch(&format!("addr add {address}/64 dev near4 nodad\n"))?;
        }
        for router in [r1, r2, r3] {
            router.script(
                "echo 1 >/proc/sys/net/ipv4/ip_forward; \
                 echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
            )?;
        }
        for node in &routers {
            node.script(UNRATIONED)?;
        }
        r3.script(&format!("nft '{FILTER}'"))?;
        Ok(Self {
            _routers: routers.into(),
        })
    }
}

/// Link number `link` from one node to the next.
fn cable(from: &Namespace, to: &Namespace, link: u8) -> Result<()> {
    let pid = to.pid();
    from.ip_batch(&format!(
        "link add far{link} type veth peer name near{link} netns {pid}\n\
         addr add 10.67.{link}.1/24 dev far{link}\n\
         addr add fd67:0:0:{link}::1/64 dev far{link} nodad\n\
         link set far{link} up\n"
    ))?;
    to.ip_batch(&format!(
        "addr add 10.67.{link}.2/24 dev near{link}\n\
         addr add fd67:0:0:{link}::2/64 dev near{link} nodad\n\
         link set near{link} up\n"
    ))
}

/// Routes of a node: forth over the link `on` (none: 0), back over the link `back`.
fn lead(node: &Namespace, on: u8, back: Option<u8>) -> Result<()> {
    let mut lines = String::new();
    if on > 0 {
        lines.push_str(&format!(
            "route add 10.66.0.200/30 via 10.67.{on}.2\n\
             route add fd67:0:0:4::/64 via fd67:0:0:{on}::2\n"
        ));
        for far in on.saturating_add(1)..=3 {
            lines.push_str(&format!(
                "route add fd67:0:0:{far}::/64 via fd67:0:0:{on}::2\n"
            ));
        }
    }
    if let Some(back) = back {
        lines.push_str(&format!(
            "route add 10.67.0.0/16 via 10.67.{back}.1\n\
             route add fd67::/48 via fd67:0:0:{back}::1\n"
        ));
    }
    node.ip_batch(&lines)
}
