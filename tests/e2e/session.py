"""One MCP session with the official SDK, reported as JSON on the last line.

Usage: session.py MODE TARGET SLOW_TARGET -- COMMAND...|URL

MODE is "one" for SDK 1.x, else a mode of SDK 2.x: legacy, auto or a protocol
version. A server at a URL gets the token of MANTLET_TOKEN. The session lists the tools, scans TARGET with the template "quick",
then starts a long scan of SLOW_TARGET, waits for its first progress, cancels
it and measures how long the scan's process lives on.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager

NMAP = "/usr/bin/nmap"
PROGRESS_SECONDS_MAX = 60
DEATH_SECONDS_MAX = 5


def scanners():
    """Process ids of nmap in this network namespace."""
    here = os.readlink("/proc/self/ns/net")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                state = stat.read().rpartition(")")[2].split()[0]
            same = os.readlink(f"/proc/{pid}/ns/net") == here
            if same and state != "Z" and os.readlink(f"/proc/{pid}/exe") == NMAP:
                found.append(int(pid))
        except OSError:
            continue
    return found


class ClientOne:
    """SDK 1.x: a session, with the cancellation that it leaves to its caller."""

    def __init__(self, session, initialized):
        self.session = session
        self.protocol = initialized.protocolVersion

    async def tools(self):
        return (await self.session.list_tools()).tools

    async def call(self, name, arguments, progress=None):
        result = await self.session.call_tool(name, arguments, progress_callback=progress)
        return result.isError, result.structuredContent, result.content

    async def cancel(self, task):
        from mcp import types

        params = types.CancelledNotificationParams(requestId=self.session._request_id - 1)
        note = types.CancelledNotification(params=params)
        await self.session.send_notification(types.ClientNotification(note))
        task.cancel()


class ClientTwo:
    """SDK 2.x: cancelling the caller tells the server."""

    def __init__(self, client):
        self.client = client
        self.protocol = client.protocol_version

    async def tools(self):
        return (await self.client.list_tools()).tools

    async def call(self, name, arguments, progress=None):
        result = await self.client.call_tool(name, arguments, progress_callback=progress)
        return result.is_error, result.structured_content, result.content

    async def cancel(self, task):
        task.cancel()


def over_http(url):
    """A transport to a server at a URL, with the token."""
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    headers = {"Authorization": f"Bearer {os.environ['MANTLET_TOKEN']}"}
    return streamable_http_client(url, http_client=create_mcp_http_client(headers=headers))


def over_stdio(command, *arguments):
    """A transport to a server that it starts."""
    from mcp import StdioServerParameters
    from mcp.client.stdio import stdio_client

    return stdio_client(StdioServerParameters(command=command, args=list(arguments)))


@asynccontextmanager
async def connect(mode, command):
    transport = (over_http if command[0].startswith("http") else over_stdio)(*command)
    async with AsyncExitStack() as stack:
        if mode == "one":
            from mcp import ClientSession

            streams = await stack.enter_async_context(transport)
            # HTTP's third is a question after its session, which nobody asks.
            session = await stack.enter_async_context(ClientSession(*streams[:2]))
            yield ClientOne(session, await session.initialize())
        else:
            from mcp import Client

            yield ClientTwo(await stack.enter_async_context(Client(transport, mode=mode)))


async def long_scan(client, target):
    """Progress and cancellation of a scan that would take minutes."""
    told, first = [], asyncio.Event()

    async def progress(value, total, message):
        told.append([value, total, message])
        first.set()

    arguments = {"target": target, "extra_args": "-p 1-1000"}
    task = asyncio.ensure_future(client.call("nmap", arguments, progress))
    begun = time.monotonic()
    while not scanners() and time.monotonic() - begun < PROGRESS_SECONDS_MAX:
        await asyncio.sleep(0.01)
    first.clear()
    await asyncio.wait_for(first.wait(), PROGRESS_SECONDS_MAX)
    before = scanners()
    begun = time.monotonic()
    await client.cancel(task)
    while scanners() and time.monotonic() - begun < DEATH_SECONDS_MAX:
        await asyncio.sleep(0.002)
    death_ms = (time.monotonic() - begun) * 1000
    await asyncio.gather(task, return_exceptions=True)
    return {"progress": told, "ran_before": bool(before), "death_ms": death_ms, "left": scanners()}


async def main():
    mode, target, slow_target, separator, *command = sys.argv[1:]
    assert separator == "--", separator
    async with connect(mode, command) as client:
        tools = await client.tools()
        is_error, structured, content = await client.call(
            "nmap", {"target": target, "template": "quick"}
        )
        report = {
            "protocol": client.protocol,
            "tools": {tool.name: tool.model_dump(mode="json", by_alias=True) for tool in tools},
            "quick": {
                "is_error": is_error,
                "structured": structured,
                "text": [block.text for block in content if block.type == "text"],
            },
        }
        report.update(await long_scan(client, slow_target))
        refused, error, _ = await client.call("nmap", {"target": "192.0.2.1"})
        report["refused"] = {"is_error": refused, "structured": error}
    print(json.dumps(report))


asyncio.run(main())
