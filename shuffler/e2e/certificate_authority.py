"""A certificate authority that nobody knows, and a TLS server with a certificate of it."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.containers.container import Container

_CONFIG = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1
"""


class CertificateAuthority:
    """Made anew in a folder: `certificate` is the PEM of its root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "config").write_text(_CONFIG, encoding="utf-8")
        self._request("authority")
        self._request("server", "-CA", "authority.pem", "-CAkey", "authority.key")
        self.certificate = (folder / "authority.pem").read_bytes()

    def _request(self, name: str, *options: str) -> None:
        command = ["openssl", "req", "-x509", "-config", "config", "-extensions", name, "-subj", f"/CN=test {name}", "-days", "2"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*command, *options], cwd=self._folder, check=True, capture_output=True)

    @contextmanager
    def serve(self, container: Container) -> Iterator[str]:
        """A server on the loopback address of CONTAINER, whose URL it yields."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "server.pem", self._folder / "server.key")
        server = container.in_network(lambda: http.server.HTTPServer(("127.0.0.1", 0), _Handler))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"https://127.0.0.1:{server.server_port}/"
            finally:
                server.shutdown()
                thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is that of the overridden method)
        pass
