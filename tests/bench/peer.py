"""The peer of the HTTP bench: a server of the official Python SDK without tools.

Usage: peer.py PORT

Answers over streamable HTTP with plain JSON, and keeps no sessions: the fastest
that the SDK can be set to.
"""

import sys

import uvicorn
from mcp.server.mcpserver import MCPServer

app = MCPServer("peer").streamable_http_app(json_response=True, stateless_http=True)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
