"""What an image must be to start under a Confidential Space launcher as its author means it.

The launcher refuses some of this when the machine starts, and ignores the rest silently (an unknown label, a name with a blank). Source of
the grammar: launcher/spec/launch_policy.go and container_runner.go of go-tpm-tools, 67670e5c. Where the launcher trims or folds case, only
the form that needs neither is accepted here, since other readers of the label do not.
"""

from __future__ import annotations

from ocilib import image
from ocilib.errors import Error
from ocilib.layout import DOCKER_CONFIG, OCI_CONFIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocilib.jsontext import Json

_PREFIX = "tee.launch_policy."
# strconv.ParseBool of Go.
_BOOLEANS = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class LaunchError(Error):
    """An image that would not start, or not as its author means it."""


def check_image(
    target: str, manifest: dict[str, Json], config: dict[str, Json], base_labels: Iterable[str], options: image.Options
) -> None:
    """Checks the effective config, so what comes from the base too, and the lines that made it.

    Raises:
        LaunchError: with TARGET and all problems.
    """
    found = [
        *_lines("env", options.env),
        *_lines("label", options.labels),
        *_inherited(base_labels, options.labels),
        *problems(manifest, config),
    ]
    if found:
        raise LaunchError(f"{target} is not the image of a service: " + "; ".join(found))


def problems(manifest: dict[str, Json], config: dict[str, Json]) -> list[str]:
    """What is wrong with the image of MANIFEST and CONFIG, one line each."""
    found = []
    descriptor = manifest.get("config")
    media_type = descriptor.get("mediaType") if isinstance(descriptor, dict) else None
    if media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        found.append(f"the config has the media type {media_type!r}, the launcher takes OCI's and Docker's")
    found += [f"the config has no {key}" for key in ("architecture", "os") if not config.get(key)]
    settings = config.get("config")
    if not isinstance(settings, dict):
        return [*found, 'the config has no object "config"']
    entrypoint = settings.get("Entrypoint")
    if not isinstance(entrypoint, list) or not entrypoint or not entrypoint[0]:
        found.append("the entrypoint is empty: the launcher starts nothing else")
    workdir = settings.get("WorkingDir")
    if workdir and not str(workdir).startswith("/"):
        found.append(f"the working directory {workdir!r} is not absolute")
    found += _environment(settings.get("Env"))
    ports = settings.get("ExposedPorts")
    found += [problem for port in (ports if isinstance(ports, dict) else ()) if (problem := _port(port))]
    labels = settings.get("Labels")
    return found + label_problems(labels if isinstance(labels, dict) else {})


def label_problems(labels: dict[str, Json]) -> list[str]:
    """What is wrong with LABELS, one line each."""
    found = []
    for key, value in labels.items():
        if not key or key != key.strip() or not key.isprintable() or " " in key:
            found.append(f"the label name {key!r} is empty, or has blanks or control characters")
        elif not isinstance(value, str) or "\n" in value or "\r" in value or "\0" in value:
            found.append(f"the label {key} has the value {value!r}, expected a string of one line")
        elif key in _POLICY:
            problem = _POLICY[key](value)
            if problem:
                found.append(f"the label {key} has the value {value!r}, expected {problem}")
        elif _means_policy(key):
            found.append(f"the label {key} is unknown to the launcher, which ignores it{_nearest(key)}")
    old = f"{_PREFIX}monitoring_memory_allow"
    new = [key for key in (f"{_PREFIX}hardened_monitoring", f"{_PREFIX}debug_monitoring") if key in labels]
    if old in labels and new:
        found.append(f"the label {old} clashes with {' and '.join(new)}: only one way may be used")
    return found


def _lines(what: str, data: bytes | None) -> list[str]:
    found = []
    lines = (data or b"").split(b"\n")
    for line in lines[:-1] if not lines[-1] else lines:
        text = line.decode("utf-8", "backslashreplace")
        name, equals, _ = text.partition("=")
        if not equals:
            found.append(f'the {what} line {text!r} has no "=" (a newline in a value?)')
        elif name != name.strip():
            found.append(f"the {what} name {name!r} has blanks around it")
        if text.endswith("\r"):
            found.append(f"the {what} line {text!r} ends with a carriage return")
    return found


def _inherited(base_labels: Iterable[str], data: bytes | None) -> list[str]:
    own = image.pairs(data or b"")
    return [f"the label {key} comes from the base image: set it here, or use a base without it" for key in base_labels if key not in own]


def _environment(entries: Json) -> list[str]:
    found = []
    seen = set()
    for entry in entries if isinstance(entries, list) else ():
        name, equals, value = str(entry).partition("=")
        if not equals or not _is_name(name):
            found.append(f"the environment has {entry!r}, expected NAME=value with a name of letters, digits and _")
        elif "\n" in value or "\r" in value or "\0" in value:
            found.append(f"the environment variable {name} has the value {value!r}, expected one line")
        elif name in seen:
            found.append(f"the environment variable {name} is set twice")
        seen.add(name)
    return found


def _is_name(name: str) -> bool:
    return bool(name) and not name[0].isdigit() and _NAME.issuperset(name)


def _port(port: str) -> str:
    number, slash, protocol = port.partition("/")
    if number.isascii() and number.isdigit() and number[0] != "0" and int(number) < 1 << 16 and slash and protocol in ("tcp", "udp"):
        return ""
    return f"the exposed port {port!r} is not a number from 1 to 65535 with /tcp or /udp"


def _boolean(value: str) -> str:
    return "" if value in _BOOLEANS else "a boolean of Go: " + ", ".join(_BOOLEANS)


def _one_of(*words: str) -> Callable[[str], str]:
    return lambda value: "" if value in words else "one of " + ", ".join(words)


def _names(value: str) -> str:
    names = value.split(",")
    if all(_is_name(name) for name in names) and len(set(names)) == len(names):
        return ""
    return "names of environment variables with commas between them, without blanks, each once"


def _paths(value: str) -> str:
    for path in value.split(":"):
        if not path.startswith("/") or (path != "/" and not {"", ".", ".."}.isdisjoint(path[1:].split("/"))):
            return "absolute paths with colons between them, without . and .. and double or final slashes"
    return ""


_WHEN = _one_of("always", "never", "debugonly")
_WHAT = _one_of("none", "memoryonly", "all")
_POLICY: dict[str, Callable[[str], str]] = {
    f"{_PREFIX}allow_cmd_override": _boolean,
    f"{_PREFIX}allow_env_override": _names,
    f"{_PREFIX}log_redirect": _WHEN,
    f"{_PREFIX}monitoring_memory_allow": _WHEN,
    f"{_PREFIX}hardened_monitoring": _WHAT,
    f"{_PREFIX}debug_monitoring": _WHAT,
    f"{_PREFIX}allow_mount_destinations": _paths,
    f"{_PREFIX}allow_capabilities": _boolean,
    f"{_PREFIX}allow_cgroups": _boolean,
}


def _means_policy(key: str) -> bool:
    """Whether KEY is in the launcher's name space, or looks like a slip of somebody who meant to be."""
    plain = key.lower().replace("-", "_")
    return plain.startswith(("tee.", "tee_")) or plain == "tee" or "launch_policy" in plain or "launchpolicy" in plain


def _nearest(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key.lower().replace("-", "_"), _POLICY, 1)
    return f" (did you mean {close[0]}?)" if close else ""
