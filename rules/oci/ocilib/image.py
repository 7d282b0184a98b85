"""Config and manifest of an image, byte for byte as upstream's rules_oci 2.3.2 makes them.

Upstream edits the JSON of the base with jq, so key order and unknown fields of the base survive, its formatting does not; what is odd here
(a final newline that stays, an empty line that becomes "=") is odd there.
"""

from __future__ import annotations

from ocilib import jsontext
from ocilib.digest import digest_of
from ocilib.errors import Error
from ocilib.layout import OCI_CONFIG, OCI_MANIFEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocilib.jsontext import Json
    from ocilib.layer import Layer

_EPOCH = "1970-01-01T00:00:00Z"
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class ImageError(Error):
    """A base that cannot be built upon."""


class Options:
    """What an image sets: contents of files as the rule's attributes say, None for an attribute that is not set."""

    created: bytes | None = None
    entrypoint: bytes | None = None
    cmd: bytes | None = None
    exposed_ports: bytes | None = None
    volumes: bytes | None = None
    env: bytes | None = None
    labels: bytes | None = None
    annotations: bytes | None = None
    user: str | None = None
    workdir: str | None = None


def scratch(os: str, architecture: str, variant: str) -> tuple[dict[str, Json], dict[str, Json]]:
    """Manifest and config without a base."""
    manifest: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        # The digest comes after the size, since it is added by `build`.
        "config": {"mediaType": OCI_CONFIG, "size": 0},
        "layers": [],
    }
    config: dict[str, Json] = {
        "created": _EPOCH,
        "config": {},
        "history": [],
        "rootfs": {"type": "layers", "diff_ids": []},
        "architecture": architecture,
        "os": os,
    }
    if variant:
        config["variant"] = variant
    return manifest, config


def build(manifest: dict[str, Json], config: dict[str, Json], layers: list[tuple[Layer, str]], options: Options) -> tuple[bytes, bytes]:
    """Adds LAYERS, each with the label of its owner, and OPTIONS to MANIFEST and CONFIG, which it changes; the bytes of both.

    Raises:
        ImageError: the base has something of another type than it has to be.
    """
    docker = str(manifest.get("mediaType")).startswith("application/vnd.docker.")
    media_type = "application/vnd.docker.image.rootfs.diff.tar" if docker else "application/vnd.oci.image.layer.v1.tar"
    for layer, owner in layers:
        _list(_object(config, "rootfs"), "diff_ids").append(layer.diff_id)
        _list(config, "history").append({"created": _EPOCH, "created_by": f"bazel build {owner}"})
        compression = ("." if docker else "+") + layer.compression if layer.compression else ""
        _list(manifest, "layers").append({"size": layer.size, "digest": layer.digest, "mediaType": media_type + compression})
    if options.annotations is not None:
        _object(manifest, "annotations").update(pairs(options.annotations))
    _merge(config, _patch(config, options))
    settings = config.get("config")
    if isinstance(settings, dict) and settings.get("Cmd", "") is None:
        del settings["Cmd"]
    config_bytes = jsontext.dumps(config).encode()
    descriptor = _object(manifest, "config")
    descriptor["digest"] = digest_of(config_bytes)
    descriptor["size"] = len(config_bytes)
    # A base may embed its config; that of another image would be wrong here.
    descriptor.pop("data", None)
    return (jsontext.dumps(manifest) + "\n").encode(), config_bytes


def platform(config: dict[str, Json]) -> dict[str, Json]:
    """The platform of CONFIG as an index states it."""
    keys = ("os", "architecture", "variant", "os.version", "os.features")
    return {key: config[key] for key in keys if config.get(key) is not None}


def pairs(data: bytes) -> dict[str, Json]:
    """The lines `key=value` of a file of labels or annotations; empty ones do not count."""
    result: dict[str, Json] = {}
    for line in jsontext.decode(data).split("\n"):
        if line:
            key, _, value = line.partition("=")
            result[key] = value
    return result


def _patch(config: dict[str, Json], options: Options) -> dict[str, Json]:
    """What is merged into CONFIG, in upstream's order of keys."""
    patch: dict[str, Json] = {}
    settings: dict[str, Json] = {}
    if options.created is not None:
        patch["created"] = jsontext.decode(options.created)
    if options.entrypoint is not None:
        # As in a Dockerfile, the arguments for another entrypoint go.
        settings["Cmd"] = None
        settings["Entrypoint"] = _lines(options.entrypoint)
    if options.cmd is not None:
        settings["Cmd"] = _lines(options.cmd)
    if options.exposed_ports is not None:
        settings["ExposedPorts"] = _keys(options.exposed_ports)
    if options.volumes is not None:
        settings["Volumes"] = _keys(options.volumes)
    if options.env is not None:
        settings["Env"] = _environment(config, options.env)
    if options.labels is not None:
        settings["Labels"] = pairs(options.labels)
    if options.user is not None:
        settings["User"] = options.user
    if options.workdir is not None:
        settings["WorkingDir"] = options.workdir
    if settings:
        patch["config"] = settings
    return patch


def _merge(target: dict[str, Json], patch: dict[str, Json]) -> None:
    """Does what jq's `target * patch` does: objects are merged, the rest is replaced in its place."""
    for key, value in patch.items():
        own = target.get(key)
        if isinstance(own, dict) and isinstance(value, dict):
            _merge(own, value)
        else:
            target[key] = value


def _lines(data: bytes) -> list[Json]:
    # The macro escapes a newline within an element, so that a line is an element.
    return [line.replace("%5Cn", "\n") for line in jsontext.decode(data).split("\n") if line]


def _keys(data: bytes) -> dict[str, Json]:
    text = jsontext.decode(data)
    return {key: {} for key in text.split(",")} if text else {}


def _environment(config: dict[str, Json], data: bytes) -> list[Json]:
    """The environment of the base with the lines of DATA; a line may name variables of what came before it."""
    entries: list[tuple[str, str]] = []
    settings = config.get("config") or {}
    base = settings.get("Env") if isinstance(settings, dict) else None
    for entry in base if isinstance(base, list) else []:
        if not isinstance(entry, str):
            raise ImageError(f"the base's environment has the entry {entry!r}, which is no string")
        key, _, value = entry.partition("=")
        # jq splits an empty string into nothing, whose key it then prints as null.
        entries.append((key if entry else "null", value))
    # The shell that reads the file drops NULs.
    lines = data.replace(b"\0", b"").split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        key, _, value = (jsontext.decode(part) for part in line.partition(b"="))
        new = (key, _expand(value, entries))
        for index, (old, _) in enumerate(entries):
            if old == key:
                entries[index] = new
                break
        else:
            entries.append(new)
    return [f"{key}={value}" for key, value in entries]


def _expand(text: str, entries: list[tuple[str, str]]) -> str:
    r"""Replaces what matches `\$\{?([a-zA-Z0-9_]+)\}?`: braces need not match, and "$$" is no escape."""
    parts = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        start = dollar + (2 if text.startswith("{", dollar + 1) else 1)
        end = start
        while end < len(text) and text[end] in _WORD:
            end += 1
        parts.append(text[position:dollar])
        if end == start:
            parts.append("$")
            position = dollar + 1
            continue
        # A base may have a variable twice; both values come then.
        parts += [value for key, value in entries if key == text[start:end]]
        position = end + 1 if text.startswith("}", end) else end
    return "".join(parts) + text[position:]


def _object(parent: dict[str, Json], key: str) -> dict[str, Json]:
    value = parent.get(key)
    if value is None:
        value = parent[key] = {}
    if not isinstance(value, dict):
        raise ImageError(f"{key} of the base is no object")
    return value


def _list(parent: dict[str, Json], key: str) -> list[Json]:
    value = parent.get(key)
    if value is None:
        value = parent[key] = []
    if not isinstance(value, list):
        raise ImageError(f"{key} of the base is no list")
    return value
