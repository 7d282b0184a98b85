"""Serves the task builder over HTTP.

Exit codes: 0 after SIGTERM or SIGINT, 1 if the service cannot start.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from types import FrameType

from absl import app, flags, logging
from waitress.server import create_server

_PORT = flags.DEFINE_integer("port", 5000, "TCP port on all interfaces; 0 takes any free one.", lower_bound=0, upper_bound=65535)

# OpenSSL of the bundled interpreter looks for certificates where they were on the machine that built it. This is Debian's place.
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def _stop(_signum: int, _frame: FrameType | None) -> None:
    # waitress ends its loop on SystemExit, and waits for requests that are being served.
    sys.exit(0)


def main(argv: list[str]) -> None:
    """Loads TensorFlow, then listens."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    # First of all: as process 1 of a container, this one gets no signal that it has no handler for.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    os.environ.setdefault("SSL_CERT_FILE", _CERTIFICATES)
    # The import takes seconds.
    from shuffler.services.taskbuilder import build, environment, server, tensorflow_check

    connected = environment.Environment(os.environ)
    builder = build.Builder(connected.storage(), connected.task_management())
    try:
        version = tensorflow_check.execute_graph()
        listener = socket.create_server(("0.0.0.0", _PORT.value), backlog=1024)
    except (tensorflow_check.TensorFlowError, OSError) as e:
        logging.error("cannot start: %s", e)
        sys.exit(1)
    wsgi = create_server(server.create_app(version, builder), sockets=[listener])
    logging.info("TensorFlow %s; listening on port %d", version, listener.getsockname()[1])
    wsgi.run()


if __name__ == "__main__":
    app.run(main)
