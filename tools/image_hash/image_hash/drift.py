"""Whether the build environment is the locked one; standard library only, since publishing starts without any package."""

import pathlib

_DRIFT = pathlib.Path("/etc/build-environment.drift")


def drift(path: pathlib.Path = _DRIFT) -> list[str]:
    """How the build environment differs from its lock: a line a package; empty when it does not."""
    return path.read_text("utf-8").splitlines() if path.exists() else []
