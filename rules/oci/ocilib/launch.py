"""What a Confidential Space launcher makes of an image, and what an image must be so that this is what its author meant.

The launcher refuses some mistakes when the machine starts, and ignores others silently (an unknown label, a name with a blank). Source of
the grammar: launcher/spec/launch_policy.go and container_runner.go of go-tpm-tools, 67670e5c. `read_policy` and `refusal` do what it does.
`problems` is stricter: where the launcher trims, drops or folds case, only the form that needs none of that passes, since other readers of
a config do not.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, NamedTuple

from ocilib import image
from ocilib.errors import Error
from ocilib.layout import DOCKER_CONFIG, OCI_CONFIG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ocilib.jsontext import Json

    _Shape = type[object] | list[Any] | dict[str, Any] | re.Pattern[str]

_PREFIX = "tee.launch_policy."
_OLD_MONITORING = _PREFIX + "monitoring_memory_allow"
_NEW_MONITORING = (_PREFIX + "hardened_monitoring", _PREFIX + "debug_monitoring")
# strconv.ParseBool of Go.
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
# What strings.TrimSpace of Go trims: White_Space of Unicode; str.strip() trims four control characters more.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
# What time.Time of Go takes in JSON: RFC 3339, and a little more.
_TIME = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"T(0?[0-9]|1[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.,][0-9]+)?(Z|[+-]([01][0-9]|2[0-4]):([0-5][0-9]|60))"
)
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
# What the launcher unmarshals a config into: v1.Image of OCI's image-spec. {"": x} is a map with values like x.
_CONFIG: dict[str, Any] = {
    "created": _TIME,
    "author": str,
    "architecture": str,
    "variant": str,
    "os": str,
    "os.version": str,
    "os.features": [str],
    "config": {
        "User": str,
        "ExposedPorts": {"": {}},
        "Env": [str],
        "Entrypoint": [str],
        "Cmd": [str],
        "Volumes": {"": {}},
        "WorkingDir": str,
        "Labels": {"": str},
        "StopSignal": str,
        "ArgsEscaped": bool,
    },
    "rootfs": {"type": str, "diff_ids": [str]},
    "history": [{"created": _TIME, "created_by": str, "author": str, "comment": str, "empty_layer": bool}],
}

ALWAYS, NEVER, DEBUG_ONLY = _WHEN = ("always", "never", "debugonly")
NONE, MEMORY_ONLY, ALL = _WHAT = ("none", "memoryonly", "all")


class LaunchError(Error):
    """An image that would not start, or not as its author means it."""


class Policy(NamedTuple):
    """What the operator of a machine may change: what the labels of an image say, or what the launcher takes where they say nothing.

    Attributes:
        allow_cmd_override: whether to replace what stands behind the entrypoint.
        allow_env_override: names of the environment variables to set.
        log_redirect: ALWAYS, NEVER or DEBUG_ONLY: on which machines to have the container's output.
        hardened_monitoring: NONE, MEMORY_ONLY or ALL: what to measure on a production machine.
        debug_monitoring: the same on a debug machine.
        allow_mount_destinations: folders where to mount a tmpfs, there and below.
        allow_capabilities: whether to add Linux capabilities.
        allow_cgroups: whether to give the container a cgroup namespace.
    """

    allow_cmd_override: bool = False
    allow_env_override: tuple[str, ...] = ()
    log_redirect: str = DEBUG_ONLY
    hardened_monitoring: str = NONE
    debug_monitoring: str = MEMORY_ONLY
    allow_mount_destinations: tuple[str, ...] = ()
    allow_capabilities: bool = False
    allow_cgroups: bool = False


def read_policy(labels: Mapping[str, str]) -> Policy:
    """Reads labels as the launcher does.

    Raises:
        LaunchError: it refuses them: its first reason.
    """
    found: dict[str, Any] = {}

    def read(name: str) -> None:
        value = labels.get(_PREFIX + name)
        if value is not None:
            found[name] = _GRAMMAR[_PREFIX + name].read(value)
            if found[name] is None:
                raise LaunchError(_expected(_PREFIX + name, value))

    # In the order in which GetLaunchPolicy looks.
    for name in ("allow_env_override", "allow_cmd_override", "log_redirect"):
        read(name)
    if _OLD_MONITORING in labels:
        if clash := _clash(labels):
            raise LaunchError(clash)
        read("monitoring_memory_allow")
        when = found.pop("monitoring_memory_allow")
        found["hardened_monitoring"] = MEMORY_ONLY if when == ALWAYS else NONE
        found["debug_monitoring"] = NONE if when == NEVER else MEMORY_ONLY
    for name in ("hardened_monitoring", "debug_monitoring", "allow_mount_destinations", "allow_capabilities", "allow_cgroups"):
        read(name)
    return Policy(**found)


def labels_of(config: Mapping[str, Json]) -> dict[str, str]:
    """The labels of CONFIG, which `refusal` must have found readable, as Go reads them: null is the empty string."""
    return {key: str(value or "") for key, value in _object(_object(config.get("config")).get("Labels")).items()}


def refusal(media_type: Json, config: Mapping[str, Json]) -> str:
    """Why the launcher would not start the image of CONFIG, whatever its operator asks for; empty if it would.

    Args:
        media_type: of the config, as the manifest states it.
        config: parsed.
    """
    problem = _media_type(media_type) or _misfit(config, _CONFIG, "the config")
    if problem:
        return problem
    settings = _object(config.get("config"))
    for port in _object(settings.get("ExposedPorts")):
        number, _, protocol = port.partition("/")
        if _port_number(number) is None or protocol not in ("tcp", "udp"):
            return _port(port)
    try:
        read_policy(labels_of(config))
    except LaunchError as error:
        return str(error)
    if not settings.get("Entrypoint") and not settings.get("Cmd"):
        return "entrypoint and command are empty: there is nothing to start"
    return ""


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
        *problems(_object(manifest.get("config")).get("mediaType"), config),
    ]
    if found:
        raise LaunchError(f"{target} is not the image of a service: " + "; ".join(found))


def problems(media_type: Json, config: Mapping[str, Json]) -> list[str]:
    """What is wrong with the image of CONFIG, one line each: what the launcher refuses, and what it reads otherwise than it is written.

    Args:
        media_type: of the config, as the manifest states it.
        config: parsed.
    """
    found = [problem] if (problem := _media_type(media_type)) else []
    found += [f"the config has no {key}" for key in ("architecture", "os") if not config.get(key)]
    if problem := _misfit(config, _CONFIG, "the config"):
        return [*found, problem]
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
    found += [problem for port in _object(settings.get("ExposedPorts")) if (problem := _port(port))]
    return found + _label_problems(_object(settings.get("Labels")))


def _label_problems(labels: Mapping[str, Json]) -> list[str]:
    found = []
    for key, value in labels.items():
        if not key or key != key.strip() or not key.isprintable() or " " in key:
            found.append(f"the label name {key!r} is empty, or has blanks or control characters")
        elif not isinstance(value, str) or "\n" in value or "\r" in value or "\0" in value:
            found.append(f"the label {key} has the value {value!r}, expected a string of one line")
        elif key in _GRAMMAR:
            read, is_canonical, _ = _GRAMMAR[key]
            meaning = read(value)
            if meaning is None or not is_canonical(meaning, value):
                found.append(_expected(key, value))
        elif _means_policy(key):
            # Finding what was meant is slow, and 20 are no slips.
            nearest = _nearest(key) if len(found) < 20 else ""
            found.append(f"the label {key} is unknown to the launcher, which ignores it{nearest}")
    if clash := _clash(labels):
        found.append(clash)
    return found


def _clash(labels: Mapping[str, Json]) -> str:
    new = [key for key in _NEW_MONITORING if key in labels]
    if _OLD_MONITORING not in labels or not new:
        return ""
    return f"the label {_OLD_MONITORING} clashes with {' and '.join(new)}: only one way may be used"


def _expected(key: str, value: str) -> str:
    return f"the label {key} has the value {value!r}, expected {_GRAMMAR[key].expected}"


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _media_type(media_type: Json) -> str:
    if media_type in (OCI_CONFIG, DOCKER_CONFIG):
        return ""
    return f"the config has the media type {media_type!r}, the launcher takes OCI's and Docker's"


def _misfit(value: object, shape: _Shape, place: str) -> str:
    """The first part of VALUE with which Go's encoding/json fails, so that the launcher cannot read the config; null never is one."""
    if value is None:
        return ""
    if isinstance(shape, list):
        if isinstance(value, list):
            return next(filter(None, (_misfit(item, shape[0], f"{place}[{i}]") for i, item in enumerate(value))), "")
        expected = "a list"
    elif isinstance(shape, dict):
        if isinstance(value, dict):
            fields = ((key, item, shape.get(key) or shape.get("")) for key, item in value.items())
            return next(filter(None, (_misfit(item, kind, f"{place}.{key}") for key, item, kind in fields if kind is not None)), "")
        expected = "an object"
    elif isinstance(shape, re.Pattern):
        if isinstance(value, str) and _is_time(value):
            return ""
        expected = "a time of RFC 3339"
    else:
        if isinstance(value, shape):
            return ""
        expected = "a string" if shape is str else "a boolean"
    return f"{place} is not {expected}: the launcher cannot read it"


def _is_time(value: str) -> bool:
    match = _TIME.fullmatch(value)
    if not match:
        return False
    import datetime as dt

    try:
        # Go has a year 0; the calendar repeats every 400 years.
        dt.date(2000 + int(match["year"]) % 400, int(match["month"]), int(match["day"]))
    except ValueError:
        return False
    return True


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


def _port_number(text: str) -> int | None:
    """The number as strconv.ParseUint of Go reads it with 16 bits: leading zeros are allowed."""
    digits = text.lstrip("0") or text[:1]
    return int(digits) if text.isascii() and text.isdigit() and len(digits) <= 5 and int(digits) < 1 << 16 else None


def _port(port: str) -> str:
    number, _, protocol = port.partition("/")
    if _port_number(number) and number[0] != "0" and protocol in ("tcp", "udp"):
        return ""
    return f"the exposed port {port!r} is not a number from 1 to 65535 with /tcp or /udp"


class _Grammar(NamedTuple):
    """How the value of a label is read.

    Attributes:
        read: to what the launcher makes of it; None if it refuses it.
        is_canonical: whether a value that was read so needs no reader that trims, drops or folds.
        expected: the canonical form, for messages.
    """

    read: Callable[[str], object]
    is_canonical: Callable[[Any, str], bool]
    expected: str


def _same(meaning: str, value: str) -> bool:
    return meaning == value


def _read_when(value: str) -> str | None:
    word = value.lower().strip(_SPACE)
    return word if word in _WHEN else None


def _read_what(value: str) -> str | None:
    word = value.lower()
    return word if word in _WHAT else None


def _read_paths(value: str) -> tuple[str, ...]:
    # filepath.Clean of Go; POSIX lets normpath keep two slashes.
    return tuple(re.sub("^//", "/", posixpath.normpath(path)) for path in value.split(":") if path)


def _are_names(names: tuple[str, ...], value: str) -> bool:
    return bool(names) and ",".join(names) == value and all(map(_is_name, names)) and len(set(names)) == len(names)


def _are_paths(paths: tuple[str, ...], value: str) -> bool:
    return bool(paths) and ":".join(paths) == value and all(path.startswith("/") for path in paths)


_BOOLEAN = _Grammar(
    lambda value: value in _TRUE if value in _TRUE + _FALSE else None,
    lambda *_: True,
    "a boolean of Go: " + ", ".join(_TRUE + _FALSE),
)
_NAMES = _Grammar(
    lambda value: tuple(name for name in value.split(",") if name),
    _are_names,
    "names of environment variables with commas between them, without blanks, each once",
)
_PATHS = _Grammar(
    _read_paths,
    _are_paths,
    "absolute paths with colons between them, without . and .. and double or final slashes",
)
_MACHINES = _Grammar(_read_when, _same, "one of " + ", ".join(_WHEN))
_METRICS = _Grammar(_read_what, _same, "one of " + ", ".join(_WHAT))
_GRAMMAR = {
    _PREFIX + "allow_cmd_override": _BOOLEAN,
    _PREFIX + "allow_env_override": _NAMES,
    _PREFIX + "log_redirect": _MACHINES,
    _OLD_MONITORING: _MACHINES,
    _NEW_MONITORING[0]: _METRICS,
    _NEW_MONITORING[1]: _METRICS,
    _PREFIX + "allow_mount_destinations": _PATHS,
    _PREFIX + "allow_capabilities": _BOOLEAN,
    _PREFIX + "allow_cgroups": _BOOLEAN,
}


def _means_policy(key: str) -> bool:
    """Whether KEY is in the launcher's name space, or looks like a slip of somebody who meant to be."""
    plain = key.lower().replace("-", "_")
    return plain.startswith(("tee.", "tee_")) or plain == "tee" or "launch_policy" in plain or "launchpolicy" in plain


def _nearest(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key.lower().replace("-", "_"), _GRAMMAR, 1)
    return f" (did you mean {close[0]}?)" if close else ""
