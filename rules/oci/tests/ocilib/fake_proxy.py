"""A proxy on loopback that leads every CONNECT to one place, whatever host is asked for."""

import base64
import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy that runs.

    Attributes:
        asked: "CONNECT host:port" of every request that it passed on, in order.
        port: on which it listens.
    """

    daemon_threads = True

    def __init__(self, target: str, login: str) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        host, port = target.split(":")
        self.target = (host, int(port))
        self.authorization = "Basic " + base64.b64encode(login.encode()).decode() if login else None
        self.asked: list[str] = []
        self.port = self.server_address[1]


class _Tunnel(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        """Passes bytes on until one side has no more."""
        method, where = self.rfile.readline().decode().split()[:2]
        headers = dict(iter(lambda: self.rfile.readline().decode().strip().partition(": ")[::2], ("", "")))
        if headers.get("Proxy-Authorization") != self.server.authorization:
            self.wfile.write(b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n')
            return
        self.server.asked.append(f"{method} {where}")
        with socket.create_connection(self.server.target) as other:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=self._copy, args=(other, self.connection), daemon=True)
            back.start()
            self._copy(self.connection, other)
            back.join()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serve(target: str, login: str = "") -> Iterator[Proxy]:
    """A proxy to TARGET (host:port), for those who give LOGIN (user:password), until the block ends."""
    proxy = Proxy(target, login)
    threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
