"""Writes the configuration with which an OCI runtime starts the content of an image (runtime-spec, config.md).

It is as strict as production: the image's own user, no capabilities, a read-only root, a tmpfs on /tmp, a network of its own with nothing
but the loopback device. What the kernel shows in /proc is masked as container engines do it, because root in the container is root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ocilib.errors import Error

from tools.containers.layers import LayerError, Root

if TYPE_CHECKING:
    from ocilib.jsontext import Json

HOSTNAME = "container"

# The defaults of containerd and Docker (pkg/oci/spec.go, daemon/pkg/oci/defaults.go).
_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_NAMESPACES = ["ipc", "mount", "network", "pid", "uts"]
_CAPABILITY_SETS = ["ambient", "bounding", "effective", "inheritable", "permitted"]


class BundleError(Error):
    """An image that cannot be started."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine that the container sees at PATH, read-only unless it is WRITABLE."""

    source: Path
    path: str
    writable: bool = False


def runtime_config(
    root: Root,
    *,
    args: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    mounts: Sequence[Mount] = (),
    user: str | None = None,
    own_network: bool = True,
) -> dict[str, Json]:
    """Returns the config.json of a bundle.

    Args:
        root: the image's root file system.
        args: the command, instead of the image's Entrypoint and Cmd.
        env: variables over those of the image.
        mounts: what the container sees beside the image.
        user: who runs the command, instead of the image's User.
        own_network: whether it has a network with nothing but the loopback device, or that of whoever starts it.

    Raises:
        BundleError: the image has no command, or its user is not in its /etc/passwd.
    """
    config = root.config.get("config")
    config = config if isinstance(config, dict) else {}
    command = list(args) if args is not None else _strings(config.get("Entrypoint")) + _strings(config.get("Cmd"))
    if not command:
        raise BundleError("the image has neither Entrypoint nor Cmd, and no command was given")
    own_user = str(config.get("User") or "0")
    uid, gid, home = _user(root, user or own_user)
    variables = {"HOSTNAME": HOSTNAME, "HOME": home}
    for entry in _strings(config.get("Env")):
        name, _, value = entry.partition("=")
        variables[name] = value
    variables |= env or {}
    own = [
        _mount("/proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "nosuid", "noexec", "strictatime", "mode=755", "size=65536k"),
        _mount("/tmp", "tmpfs", "nosuid", "nodev", "mode=1777"),
    ]
    if _user(root, own_user)[0] == 0:
        # The images for Confidential Space run as root because they write to its memory file system.
        own.append(_mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777"))
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid},
            "args": [*command],
            "env": [f"{name}={variables[name]}" for name in sorted(variables)],
            "cwd": str(config.get("WorkingDir") or "/"),
            "capabilities": {name: [] for name in _CAPABILITY_SETS},
            "noNewPrivileges": True,
        },
        "root": {"path": str(root.path), "readonly": True},
        "hostname": HOSTNAME,
        "mounts": [*own, *(_bind(mount) for mount in mounts)],
        "linux": {
            "namespaces": [{"type": name} for name in _NAMESPACES if own_network or name != "network"],
            "maskedPaths": [*_MASKED],
            "readonlyPaths": [*_READ_ONLY],
        },
    }


def _mount(path: str, kind: str, *options: str) -> Json:
    return {"destination": path, "type": kind, "source": kind, "options": [*options]}


def _bind(mount: Mount) -> Json:
    options: list[Json] = ["bind", "rw" if mount.writable else "ro", "nosuid", "nodev"]
    return {"destination": mount.path, "type": "bind", "source": str(mount.source), "options": options}


def _strings(value: Json) -> list[str]:
    return [str(element) for element in value] if isinstance(value, list) else []


def _user(root: Root, user: str) -> tuple[int, int, str]:
    """Number, group and home of an image's user, which is `user`, `uid`, `user:group` or `uid:gid` (image-spec, config.md)."""
    name, _, group = user.partition(":")
    uid, gid, home = None, 0, "/"
    if name.isdecimal():
        uid = int(name)
    for entry in _database(root, "/etc/passwd", 7):
        if name in (entry[0], entry[2]):
            uid, gid, home = int(entry[2]), int(entry[3]), entry[5]
            break
    if uid is None:
        raise BundleError(f"the image's user is {user!r}, and its /etc/passwd has no {name!r}")
    if group:
        groups = {entry[0]: int(entry[2]) for entry in _database(root, "/etc/group", 4)}
        if not group.isdecimal() and group not in groups:
            raise BundleError(f"the image's user is {user!r}, and its /etc/group has no {group!r}")
        gid = int(group) if group.isdecimal() else groups[group]
    return uid, gid, home


def _database(root: Root, path: str, fields: int) -> list[list[str]]:
    try:
        text = root.file(path).read_text(encoding="utf-8")
    except LayerError:
        return []
    return [entry for entry in (line.split(":") for line in text.splitlines()) if len(entry) == fields]
