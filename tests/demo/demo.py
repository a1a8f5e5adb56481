"""The demo: an MCP client session over standard input and output.

Usage: demo.py --binaries DIRECTORY

Starts a small lab on loopback addresses, starts `mantlet stdio` as an AI
assistant's client would, lists its tools, scans the lab, shows progress and
the structured result, and is refused once. Leaves nothing behind.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager

from lab import NETWORK, Lab

TERMINAL = sys.stdout.isatty()
HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "..", "..", "packaging", "demo", "mantlet.toml")


def styled(text, code):
    return f"\033[{code}m{text}\033[0m" if TERMINAL else text


def heading(number, text):
    print(f"\n{styled(f'{number}. {text}', '1')}")


def say(text=""):
    print(f"   {text}" if text else "")


class Bar:
    """Progress: one moving line on a terminal, a line now and then elsewhere."""

    def __init__(self):
        self.told = 0
        self.shown = -100.0

    async def __call__(self, progress, total, message):
        self.told += 1
        percent = 100 * progress / total if total else progress
        filled = int(percent / 4)
        line = f"[{'#' * filled}{'.' * (25 - filled)}] {percent:3.0f} %  {message or ''}"
        if TERMINAL:
            print(f"\r\033[K   {line[:100]}", end="", flush=True)
        elif percent - self.shown >= 10:
            self.shown = percent
            say(line)

    def done(self):
        if TERMINAL:
            print("\r\033[K", end="")
        say(f"{self.told} progress notification{'' if self.told == 1 else 's'}")


@contextmanager
def reachable(binaries):
    """The programs where the account that the broker runs under can start them.

    Started as root, the broker gives root up for an ordinary account, which
    may not enter the directory that the programs were built in.
    """
    binaries = os.path.abspath(binaries)
    parents, path = [], binaries
    while path != os.path.dirname(path):
        parents.append(path)
        path = os.path.dirname(path)
    if os.geteuid() != 0 or all(os.stat(path).st_mode & 0o001 for path in parents):
        yield binaries, os.path.abspath(CONFIG)
        return
    with tempfile.TemporaryDirectory(prefix="mantlet-demo-") as place:
        os.chmod(place, 0o755)
        for name in ("mantlet", "mantlet-executor"):
            shutil.copy(os.path.join(binaries, name), place)
        yield place, shutil.copy(CONFIG, place)


def show_tools(tools):
    for tool in tools:
        hints = tool.annotations
        marks = ", ".join(
            word
            for word, on in (
                ("read-only", hints and hints.read_only_hint),
                ("not destructive", hints and hints.destructive_hint is False),
            )
            if on
        )
        fields = tool.input_schema.get("properties", {})
        say(f"{styled(tool.name, '36')}  {tool.title or ''}{f'  ({marks})' if marks else ''}")
        say(f"      {len(fields)} typed parameters: {', '.join(list(fields)[:7])}, …")


def show_run(result):
    """The structured result as a table."""
    data = result.structured_content
    say(f"ran: {' '.join(data['argv'])}")
    structured, receipt = data["structured"], data["sandbox"]
    found = set()
    for host in structured["hosts"]:
        ports = [port for port in host["ports"] if port["state"] == "open"]
        if not ports:
            continue
        say(styled(host["address"], "36"))
        for port in ports:
            found.add((host["address"], port["number"]))
            service = " ".join(
                part for part in (port.get("service"), port.get("product"), port.get("version")) if part
            )
            say(f"   {port['number']:>5}/{port['protocol']}  {styled('open', '32')}  {service}")
    totals = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in structured["totals"].items())
    say(f"hosts: {totals}; took {data['execution_time']:.1f} s")
    say(
        f"confined: uid {receipt['uid']}, capabilities {receipt['capabilities'] or 'none'}, "
        f"Landlock ABI {receipt['landlock_abi']}, {receipt['tool_path']} {receipt['tool_version']}"
    )
    return found


def show_error(result):
    error = result.structured_content
    say(f"{styled(error['error_type'], '31')}: {error['message']}")
    say(f"what to do: {error['recovery_suggestion']}")


async def scan(client, arguments):
    say(f"tools/call nmap {arguments}")
    bar = Bar()
    result = await client.call_tool("nmap", arguments, progress_callback=bar)
    bar.done()
    if result.is_error:
        show_error(result)
        raise SystemExit("error: the scan failed")
    return show_run(result)


async def session(binaries, config, services):
    from mcp import Client, StdioServerParameters

    command = os.path.join(binaries, "mantlet")
    server = StdioServerParameters(command=command, args=["--config", config, "stdio"])
    heading(2, "An MCP client starts `mantlet stdio`")
    async with Client(server) as client:
        about = client.server_info
        say(f"{about.name} {about.version}, protocol {client.protocol_version}" if about
            else f"protocol {client.protocol_version}")
        show_tools((await client.list_tools()).tools)

        heading(3, "It scans the lab with the template `quick`")
        found = await scan(client, {"target": NETWORK, "template": "quick"})

        heading(4, "It asks what those services are: a longer scan, with progress")
        ports = ",".join(str(port) for port in sorted({port for _, port, _ in services}))
        await scan(client, {"target": NETWORK, "ports": ports, "service_detection": True})

        heading(5, "It asks for something outside the configured network")
        say("tools/call nmap {'target': '192.0.2.1'}")
        result = await client.call_tool("nmap", {"target": "192.0.2.1"})
        if not result.is_error:
            raise SystemExit("error: a target outside the scope was not refused")
        show_error(result)
    return found


def main():
    parser = argparse.ArgumentParser(description="Scans a small lab through an MCP session.")
    parser.add_argument("--binaries", required=True, help="directory of mantlet and mantlet-executor")
    options = parser.parse_args()
    print(styled("Mantlet demo", "1") + ": an AI assistant's view, on this machine's loopback only")
    with Lab() as lab, reachable(options.binaries) as (binaries, config):
        heading(1, f"A small lab on {NETWORK}")
        for address, port, what in lab.services:
            say(f"{address}:{port}  {what}")
        found = asyncio.run(session(binaries, config, lab.services))
        really = {(address, port) for address, port, _ in lab.services}
        missed = really - found
        if missed:
            raise SystemExit(f"error: the scan missed {sorted(missed)}")
    print(f"\n{styled('Done.', '1')} The scan found every service of the lab; all of it is stopped again.")
    say("Next: `mantlet doctor` says what this machine can do; README.md says how to connect a client.")


if __name__ == "__main__":
    main()
