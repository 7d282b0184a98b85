"""Debian's docker-registry on loopback, from the locked packages, for tests: open, with basic authentication, or with tokens.

It speaks the registry API of the distribution project (https://distribution.github.io/distribution/), as most registries do.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runfiles import Runfiles

from tools.registry.tokens import Certificate, TokenService

USER = "alice"
PASSWORD = "correct horse"
# Of PASSWORD, with bcrypt, which is what docker-registry takes.
_HTPASSWD = f"{USER}:$2b$04$rR3F6pDlGk.lAUfH3NZNvuC8hbqGGq7Zn2z/NaGPv.8YH8xGobedy\n"
_TREE = "debian12_registry_tools"
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_SECONDS_TO_START = 30
# A line of the access log: ... "METHOD /path?query HTTP/1.1" STATUS ...
_ACCESS = re.compile(r'"([A-Z]+) (\S+) HTTP/1\.1" (\d+) ')


def program(name: str) -> list[str]:
    """The command that runs a program of the locked packages, docker-registry or skopeo, whatever libraries the machine has."""
    runfiles = Runfiles.Create()
    loader = runfiles and runfiles.Rlocation(f"{_TREE}/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    if not loader:
        raise FileNotFoundError(f"@{_TREE}//:programs is not in the runfiles")
    root = Path(loader).parents[2]
    return [
        loader,
        "--inhibit-cache",
        "--library-path",
        ":".join(str(root / folder) for folder in _LIBRARIES),
        str(root / "usr/bin" / name),
    ]


@dataclass(frozen=True)
class DockerRegistry:
    """A registry that runs.

    Attributes:
        address: host and port.
        folder: of its files; `log` is its access log.
    """

    address: str
    folder: Path

    def requests(self) -> list[str]:
        """Every request so far, in order, as "METHOD /path STATUS", without queries."""
        found = _ACCESS.findall((self.folder / "log").read_text("utf-8"))
        return [f"{method} {path.partition('?')[0]} {status}" for method, path, status in found]


@contextlib.contextmanager
def serve(
    folder: Path, *, basic: bool = False, tokens: TokenService | None = None, tls: Certificate | None = None
) -> Iterator[DockerRegistry]:
    """Runs a registry whose files are in FOLDER until the block ends.

    Args:
        folder: is made; what an earlier registry has stored there is served again.
        basic: whether it wants USER and PASSWORD.
        tokens: whose tokens it wants.
        tls: with which it speaks https; else it speaks http.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}"}
    if tls:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    # YAML takes JSON.
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "store")}, "delete": {"enabled": True}},
        "http": http,
    }
    if basic:
        (folder / "htpasswd").write_text(_HTPASSWD, "utf-8")
        config["auth"] = {"htpasswd": {"realm": "here", "path": str(folder / "htpasswd")}}
    if tokens:
        config["auth"] = {"token": tokens.registry_settings()}
    (folder / "config.yml").write_text(json.dumps(config), "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with (folder / "log").open("wb") as log:
        command = [*program("docker-registry"), "serve", str(folder / "config.yml")]
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"docker-registry does not start: {(folder / 'log').read_text('utf-8')}")
            time.sleep(0.02)
        yield DockerRegistry(f"127.0.0.1:{port}", folder)
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
