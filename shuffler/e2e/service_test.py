"""The service in its image, as it is deployed: read-only root, own user, no rights."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from shuffler.e2e.services import Service
from tools.containers.container import Container, Response
from tools.containers.layers import Root
from tools.containers.local_options import ALONE


def _status(container: Container) -> dict[str, str]:
    lines = Path(f"/proc/{container.pid()}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _writable(container: Container) -> set[str]:
    """Where file systems are mounted that are not read-only, in the container."""
    lines = Path(f"/proc/{container.pid()}/mounts").read_text(encoding="utf-8").splitlines()
    mounts = [line.split() for line in lines]
    return {mount[1] for mount in mounts if "rw" in mount[3].split(",")}


# Well-formed; what the services start with without it, their own tests show.
_ENVIRONMENT = {
    "FCP_OPTS": "--environment 'e2e' --upload_timeout_minutes 15",
    "LOCAL_OPTS": ALONE,
    "SPRING_PROFILES_ACTIVE": "local",
}


def test_it_starts_answers_and_stops(
    root: Root, bundle: Path, service: Service, record_testsuite_property: Callable[[str, object], None]
) -> None:
    begin = time.monotonic()
    status = 503 if service.lacks else 200
    with Container(root, bundle, env=_ENVIRONMENT) as container:
        ready = container.wait_for(service.port, "/ready", status=status)
        record_testsuite_property("seconds until ready", round(time.monotonic() - begin, 1))
        if service.lacks:
            assert ready.body.startswith(f"{service.greeting} Ready check. \n")
            assert f"\nNot ready: {service.lacks}: " in ready.body
            assert service.checks in ready.body
        else:
            assert ready == Response(status, f"{service.greeting} Ready check. \n{service.checks}")
        assert container.get(service.port, "/healthz") == Response(200, f"{service.greeting} Health check. \n")
        assert container.get(service.port, "/no/such/path").status == 404

        process = _status(container)
        record_testsuite_property("resident memory", process["VmRSS"])
        assert process["Uid"].split() == [str(service.user)] * 4
        assert {process[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert process["NoNewPrivs"] == "1"
        kernel = {path for path in _writable(container) if path.startswith("/proc")}
        assert _writable(container) - kernel == {"/dev", "/tmp"} | ({"/dev/shm"} if service.user == 0 else set())

        assert container.stop() == service.stopped
        # A stack trace of Java, or one of Python.
        for text in (container.stdout, container.stderr):
            assert "\n\tat " not in text
            assert "Traceback" not in text
