"""Ports of this network that lead to the ports of containers."""

import contextlib
import errno
import socket
import socketserver
import threading
from collections.abc import Callable

from image_hash import errors


def bind(port: int) -> socket.socket:
    """A socket on the loopback address, bound to PORT or, for 0, to a free one.

    Raises:
        errors.Error: something else has the port, or it may not be taken.
    """
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
        # Only this fails if another one listens on all addresses.
        bound.listen()
    except OSError as error:
        bound.close()
        reason = "it is taken" if error.errno == errno.EADDRINUSE else error.strerror
        raise errors.Error(f"expected a free port 127.0.0.1:{port}, found that {reason}; choose another with --port") from None
    return bound


class Forwarder(socketserver.ThreadingTCPServer):
    """Takes connections on a socket of this network and passes each on to the network of a container."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        super().__init__(("", 0), _Connection, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.connect = connect

    def handle_error(self, request: object, client_address: object) -> None:
        """Does nothing: if the service does not listen, the client sees its connection closed, as it would without a forwarder."""


class _Connection(socketserver.BaseRequestHandler):
    server: Forwarder

    def handle(self) -> None:
        with self.server.connect() as service:
            answers = threading.Thread(target=_copy, args=(service, self.request), daemon=True)
            answers.start()
            _copy(self.request, service)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either side may be gone
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
