//! JSON Schemas (draft 2020-12) of the structured results, for MCP's output schemas and `OpenAPI`.
//!
//! Written by hand beside the types that serialise to them; the golden tests hold every recorded
//! result against its schema, where no unknown field is allowed. No `format` keywords: clients warn
//! about those that they don't know.
//!
//! Invariants: each object lists all its properties; whatever [`super::bounded()`] leaves of a result
//! still fits.

mod curl;
mod dig;

use super::Format;
use serde_json::{Map, Value, json};

/// The schema of a format's structured result, to stand inside the schema of a whole result.
pub fn schema(format: Format) -> Value {
    match format {
        Format::NmapXml => nmap(),
        Format::PingText => ping(),
        Format::TracerouteText => traceroute(),
        Format::CurlJson => curl::schema(),
        Format::DigYaml => dig::schema(),
        Format::Text => {
            json!({ "type": "null", "description": "This tool has no structured result." })
        }
    }
}

/// An object that has these properties and no others. A name that begins with `?` may be absent.
fn object<const N: usize>(description: &str, properties: [(&str, Value); N]) -> Value {
    let mut required = Vec::new();
    let mut all = Map::new();
    for (name, schema) in properties {
        let always = name.trim_start_matches('?');
        if always == name {
            required.push(name);
        }
        all.insert(always.to_owned(), schema);
    }
    json!({
        "type": "object",
        "description": description,
        "properties": all,
        "required": required,
        "additionalProperties": false,
    })
}

fn list(description: &str, items: Value) -> Value {
    let mut list = json!({ "type": "array", "description": description });
    if let Some(object) = list.as_object_mut() {
        object.insert("items".to_owned(), items);
    }
    list
}

fn string(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn strings(description: &str) -> Value {
    list(description, json!({ "type": "string" }))
}

fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

fn number(description: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

fn nmap() -> Value {
    object(
        "What nmap found. Names, products and script outputs are the scanned hosts' own words.",
        [
            ("?scanner", string("The program that scanned.")),
            ("?version", string("Its version.")),
            ("?start", string("When the scan began (RFC 3339, UTC).")),
            ("?elapsed", number("How long it took, in seconds.")),
            ("?exit", string("nmap's own verdict: success or error.")),
            ("?summary", string("nmap's own last line.")),
            ("scans", list("What was scanned for, by protocol.", scan())),
            ("hosts", list("Hosts that gave a sign of life.", host())),
            (
                "?no_answer",
                list(
                    "Hosts taken for up by -Pn that never answered: the first few.",
                    silent(),
                ),
            ),
            (
                "?unfinished",
                strings("Addresses seen up whose scan had not ended."),
            ),
            ("totals", totals()),
            ("statistics", statistics()),
            (
                "?scripts",
                list("Outputs of scripts that belong to no host.", script()),
            ),
            ("?warnings", strings("What nmap warned about.")),
            (
                "truncated",
                flag("Whether the output ended before nmap had finished it."),
            ),
            ("?parse_error", string("What was wrong with the output.")),
            ("?omitted", omitted()),
        ],
    )
}

fn scan() -> Value {
    object(
        "One kind of scan.",
        [
            ("type", string("connect, syn, udp, …")),
            ("protocol", string("tcp, udp, sctp or ip.")),
            ("ports", count("Ports per host.")),
        ],
    )
}

fn totals() -> Value {
    object(
        "Hosts by outcome. In a truncated result: of the hosts that were finished.",
        [
            ("up", count("Hosts that gave a sign of life.")),
            ("down", count("Hosts found down.")),
            (
                "no_answer",
                count("Hosts taken for up by -Pn that never answered."),
            ),
            ("total", count("All of them.")),
        ],
    )
}

fn statistics() -> Value {
    object(
        "Numbers about the run, over hosts that gave a sign of life.",
        [
            ("hosts_with_open_ports", count("Hosts with an open port.")),
            ("ports_open", count("Open ports.")),
            ("ports_closed", count("Closed ports.")),
            ("ports_filtered", count("Filtered ports.")),
            (
                "ports_other",
                count("Ports in another state, as open|filtered."),
            ),
            (
                "hosts_timed_out",
                count("Hosts given up by --host-timeout: of their ports nothing is known."),
            ),
            (
                "hosts_reported_up",
                count("Hosts that nmap calls up, -Pn taken on trust."),
            ),
        ],
    )
}

fn omitted() -> Value {
    object(
        "How much was seen and is not in this result.",
        [
            ("hosts", count("Whole hosts.")),
            ("ports", count("Ports of hosts that are here.")),
            ("scripts", count("Outputs of scripts.")),
        ],
    )
}

fn host() -> Value {
    object(
        "One host.",
        [
            ("address", string("Its IPv4 or IPv6 address.")),
            ("?name", string("Its name, where one is known.")),
            ("state", string("up, down, unknown or skipped.")),
            (
                "reason",
                string("How nmap knows; user-set means it was told so by -Pn."),
            ),
            ("?mac", string("Its hardware address, on the same segment.")),
            ("?vendor", string("Who made that hardware.")),
            (
                "?hostnames",
                strings("All its names, when there are several."),
            ),
            (
                "?os_guess",
                list("Guesses at the operating system, best first.", os_guess()),
            ),
            ("ports", list("Ports of interest.", port())),
            (
                "?extraports",
                list("Ports summed up instead of listed.", extra()),
            ),
            (
                "?scripts",
                list("Outputs of scripts about the host.", script()),
            ),
            ("?distance", count("Hops away.")),
            (
                "?uptime",
                count("Seconds since it started, guessed from TCP timestamps."),
            ),
            ("?trace", list("The way to it.", hop())),
            (
                "?timed_out",
                flag("Whether nmap gave up on it by --host-timeout."),
            ),
            (
                "?partial",
                flag("Whether the output ended in the middle of this host."),
            ),
        ],
    )
}

fn os_guess() -> Value {
    object(
        "One guess.",
        [
            ("name", string("The system's name.")),
            ("accuracy", count("How sure nmap is, in percent.")),
            ("?cpe", strings("Its CPE names.")),
        ],
    )
}

fn port() -> Value {
    object(
        "One port.",
        [
            (
                "number",
                json!({ "type": "integer", "minimum": 0, "maximum": 65535 }),
            ),
            ("protocol", string("tcp, udp, sctp or ip.")),
            (
                "state",
                string("open, closed, filtered, unfiltered, open|filtered, closed|filtered."),
            ),
            ("reason", string("How nmap knows.")),
            (
                "?service",
                string("The service; only guessed by its number if the method is table."),
            ),
            (
                "?service_method",
                string("probed (the service was asked) or table."),
            ),
            ("?product", string("The product that serves it.")),
            ("?version", string("The product's version.")),
            ("?extra_info", string("What else the service told.")),
            ("?tunnel", string("ssl when the service is inside TLS.")),
            (
                "?service_hostname",
                string("The name the service gives its host."),
            ),
            (
                "?os_type",
                string("The operating system that the service tells."),
            ),
            (
                "?device_type",
                string("The kind of device that the service tells."),
            ),
            ("?cpe", strings("CPE names of product and system.")),
            (
                "?scripts",
                list("Outputs of scripts about this port.", script()),
            ),
        ],
    )
}

fn script() -> Value {
    object(
        "What one script found.",
        [
            ("id", string("The script's name.")),
            ("output", string("Its output, as text.")),
        ],
    )
}

fn extra() -> Value {
    object(
        "Ports with a state in common.",
        [
            ("state", string("Their state.")),
            ("count", count("How many.")),
            (
                "reason",
                string("How nmap knows; the most frequent reason."),
            ),
        ],
    )
}

fn silent() -> Value {
    object(
        "A host that never answered.",
        [
            ("address", string("Its address.")),
            ("?extraports", list("Its ports by state.", extra())),
            (
                "?timed_out",
                flag("Whether nmap gave up on it by --host-timeout."),
            ),
        ],
    )
}

fn hop() -> Value {
    object(
        "One hop.",
        [
            ("ttl", count("Distance.")),
            ("?address", string("Its address, if it showed one.")),
            ("?name", string("Its name.")),
            ("?rtt_ms", number("Round-trip time in milliseconds.")),
        ],
    )
}

fn ping() -> Value {
    object(
        "What ping measured.",
        [
            ("target", string("The target as given.")),
            ("?address", string("The address asked.")),
            ("transmitted", count("Requests sent.")),
            ("received", count("Requests answered.")),
            ("errors", count("Messages that came instead of a reply.")),
            ("duplicates", count("Replies that came more than once.")),
            (
                "?loss_percent",
                number("Requests without an answer, in percent of those sent."),
            ),
            ("?time_ms", count("How long the run took, in milliseconds.")),
            ("?rtt_ms", rtt()),
            ("replies", list("The replies, one by one.", reply())),
            (
                "?messages",
                list("What came instead of replies.", message()),
            ),
            ("?warnings", strings("What ping said on standard error.")),
            (
                "truncated",
                flag("Whether ping was stopped early; the counts are reckoned then."),
            ),
            (
                "?replies_omitted",
                count("Replies that are not in this result."),
            ),
            (
                "?messages_omitted",
                count("Messages that are not in this result."),
            ),
            (
                "?warnings_omitted",
                count("Warnings that are not in this result."),
            ),
        ],
    )
}

fn rtt() -> Value {
    object(
        "Round-trip times in milliseconds.",
        [
            ("min", number("The shortest.")),
            ("avg", number("The mean.")),
            ("max", number("The longest.")),
            ("mdev", number("The standard deviation.")),
        ],
    )
}

fn reply() -> Value {
    object(
        "One reply.",
        [
            ("seq", count("Number of the request.")),
            ("?ttl", count("Time to live, as it arrived.")),
            ("?time_ms", number("Round-trip time in milliseconds.")),
            ("from", string("Who replied.")),
            (
                "?remarks",
                strings("What is odd about it: DUP!, BAD CHECKSUM!, truncated."),
            ),
        ],
    )
}

fn message() -> Value {
    object(
        "A message instead of a reply.",
        [
            ("?seq", count("Number of the request it answers.")),
            ("from", string("Who sent it.")),
            ("message", string("What it says.")),
        ],
    )
}

fn traceroute() -> Value {
    object(
        "The way to a host, as traceroute saw it.",
        [
            ("target", string("The target as given.")),
            ("?address", string("The address traced.")),
            (
                "method",
                string("udp (ports counted up), udp-port, icmp or tcp."),
            ),
            (
                "?port",
                count("The port, or the first of those counted up."),
            ),
            (
                "reached",
                flag("Whether an answer came from the address itself."),
            ),
            ("?hops_max", count("Most hops that were tried.")),
            ("hops", list("The hops, in order.", traceroute_hop())),
            (
                "?mtu",
                count("The longest packet, in bytes, that passed; only --mtu finds it."),
            ),
            (
                "?annotations",
                list("What the annotations mean.", annotation()),
            ),
            (
                "?warnings",
                strings("What traceroute said on standard error."),
            ),
            ("truncated", flag("Whether traceroute was stopped early.")),
            ("?hops_omitted", count("Hops that are not in this result.")),
            (
                "?annotations_omitted",
                count("Annotations that are not explained in this result."),
            ),
            (
                "?warnings_omitted",
                count("Warnings that are not in this result."),
            ),
        ],
    )
}

fn traceroute_hop() -> Value {
    let probe = object(
        "One packet. Without an address, nobody answered.",
        [
            ("?address", string("Who answered.")),
            ("?rtt_ms", number("Round-trip time in milliseconds.")),
            (
                "?annotation",
                string("What is odd about the answer: !H, !X, !F-1400, …"),
            ),
            (
                "?mtu",
                count("Bytes that packets had to be shortened to, to get here."),
            ),
        ],
    );
    object(
        "One hop.",
        [
            ("ttl", count("Distance.")),
            (
                "probes",
                list("What became of each packet, in order.", probe),
            ),
        ],
    )
}

fn annotation() -> Value {
    object(
        "One annotation.",
        [
            ("code", string("As traceroute writes it.")),
            ("meaning", string("What it means.")),
        ],
    )
}
