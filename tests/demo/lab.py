"""A small lab on loopback addresses: what the demo scans.

Every address of 127.0.0.0/8 is this machine, so three of them make three hosts.
Real servers answer: Python's HTTP server, and OpenSSH where it is installed.
"""

import functools
import http.server
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time

NETWORK = "127.66.0.0/29"
WEB, API, SSH = "127.66.0.2", "127.66.0.3", "127.66.0.4"
READY_SECONDS_MAX = 10


class Page(http.server.SimpleHTTPRequestHandler):
    """Python's own file server, without its log."""

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server that keeps quiet about clients that hang up, as scanners do."""

    def handle_error(self, request, client_address):
        pass


class Lab:
    """The servers, from entering to leaving the `with` block."""

    def __enter__(self):
        self.stops = []
        self.directory = tempfile.mkdtemp(prefix="mantlet-demo-")
        self.stops.append(lambda: shutil.rmtree(self.directory, ignore_errors=True))
        # What is really there, for comparison with what the scan finds.
        self.services = []
        try:
            self.serve_http(WEB, (8080, 8008, 8443))
            self.serve_http(API, (8000, 8081, 8888))
            self.serve_ssh(SSH, (2121, 2001, 2000))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for stop in reversed(self.stops):
            stop()

    def serve_http(self, address, ports):
        files = os.path.join(self.directory, address)
        os.mkdir(files)
        with open(os.path.join(files, "index.html"), "w") as file:
            file.write(f"<title>Mantlet demo lab: {address}</title>\n")
        page = functools.partial(Page, directory=files)
        for port in ports:
            try:
                server = Server((address, port), page)
            except OSError:
                continue  # taken by somebody who listens on all addresses
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.stops.append(server.server_close)
            self.stops.append(server.shutdown)
            self.services.append((address, port, "web server"))
            return
        raise SystemExit(f"error: ports {ports} of {address} are all in use")

    def serve_ssh(self, address, ports):
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
        if sshd is None:
            return
        if os.geteuid() == 0:
            # As root the server insists on this directory and this account.
            try:
                pwd.getpwnam("sshd")
            except KeyError:
                return
            if not os.path.isdir("/run/sshd"):
                os.mkdir("/run/sshd", 0o755)
                self.stops.append(lambda: os.rmdir("/run/sshd"))
        key = os.path.join(self.directory, "host_key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        port = next((port for port in ports if self.is_free(address, port)), None)
        if port is None:
            return
        config = os.path.join(self.directory, "sshd_config")
        with open(config, "w") as file:
            file.write(
                f"ListenAddress {address}\nPort {port}\nHostKey {key}\nPidFile none\nUsePAM no\n"
                "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
                "PubkeyAuthentication no\n"
            )
        server = subprocess.Popen(
            [sshd, "-D", "-e", "-f", config],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.stops.append(server.wait)
        self.stops.append(server.terminate)
        if self.answers(address, port, server):
            self.services.append((address, port, "SSH server"))

    @staticmethod
    def is_free(address, port):
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
        return True

    @staticmethod
    def answers(address, port, server):
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and server.poll() is None:
            try:
                socket.create_connection((address, port), 1).close()
                return True
            except OSError:
                time.sleep(0.02)
        return False
