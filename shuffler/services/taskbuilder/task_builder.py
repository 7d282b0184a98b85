"""Serves the task builder over HTTP, on all interfaces, at the TCP port PORT of the environment or 5000; 0 takes any free one.

Exit codes: 0 after SIGTERM or SIGINT, 1 if the service cannot start, 64 if PORT is malformed or there are arguments.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from types import FrameType

from absl import flags, logging
from waitress.server import create_server

_PORT = "5000"
_LARGEST_PORT = 65535
_USAGE = 64

# OpenSSL of the bundled interpreter looks for certificates where they were on the machine that built it. This is Debian's place.
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def _stop(_signum: int, _frame: FrameType | None) -> None:
    # waitress ends its loop on SystemExit, and waits for requests that are being served.
    sys.exit(0)


def _port() -> int:
    text = os.environ.get("PORT") or _PORT
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > _LARGEST_PORT:
        logging.error("cannot start: PORT: expected a number from 0 to %d, found %r", _LARGEST_PORT, text)
        sys.exit(_USAGE)
    return int(text)


def main(arguments: list[str]) -> None:
    """Loads TensorFlow, then listens."""
    if arguments:
        logging.error("cannot start: expected no arguments, found %r", arguments[0])
        sys.exit(_USAGE)
    # First of all: as process 1 of a container, this one gets no signal that it has no handler for.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    port = _port()
    os.environ.setdefault("SSL_CERT_FILE", _CERTIFICATES)
    # The import takes seconds.
    from shuffler.services.taskbuilder import build, environment, server, tensorflow_check

    connected = environment.Environment(os.environ)
    builder = build.Builder(connected.storage(), connected.task_management())
    try:
        version = tensorflow_check.execute_graph()
        listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    except (tensorflow_check.TensorFlowError, OSError) as e:
        logging.error("cannot start: %s", e)
        sys.exit(1)
    wsgi = create_server(server.create_app(version, builder), sockets=[listener])
    logging.info("TensorFlow %s; listening on port %d", version, listener.getsockname()[1])
    wsgi.run()


if __name__ == "__main__":
    # Not by absl's app.run(): within it, an import of TensorFlow leaves all threads but this one without eager mode, and Keras with graphs.
    flags.FLAGS(sys.argv[:1])
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    main(sys.argv[1:])
