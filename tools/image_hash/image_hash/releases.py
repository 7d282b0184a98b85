"""The expected hashes: releases/current.json, of the commit that it is in, and releases/vX.Y.Z.json, of a release.

Both are JSON objects, sorted, one image a line. Digests are `sha256:<64 hexadecimal digits>`. A file that has anything else than this, or
less, is refused: whoever checks against it gets "could not check", never a match.

Schema 1, current.json:

    schema          1
    build_settings  {name: value} of the settings that reach image bytes
    images          {name: {image_hash, config_digest}}, at least one, each image_hash once

Schema 2, vX.Y.Z.json, has besides:

    schema          2
    release         vX.Y.Z, as in the name of the file
    commit          the commit that the images were built from, 40 or 64 hexadecimal digits
    rebuild         the command that builds them again, in a checkout of that commit
    locks           {path in the repository: digest} of every lock
    documents       {name: digest} of the files that were published with it: SBOMs, provenance
    images          {name: {image_hash, config_digest, layers: [{digest, diff_id, size}], labels: {name: value}, entrypoint: [word]}};
                    layers from the lowest, size in bytes of the blob
"""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from image_hash import errors, strict_json

CURRENT = "current"
"""Name of the list that is not of a release."""

_SHORT_SCHEMA = 1
_FULL_SCHEMA = 2
_MAX_BYTES = 16 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_VERSION = re.compile(r"v(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Of a lock below the root of the repository, or of a document: plain words, no way out of the folder.
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of a released image.

    Attributes:
        digest: of the blob.
        diff_id: of the uncompressed tar.
        size: of the blob, in bytes.
    """

    digest: str
    diff_id: str
    size: int


@dataclasses.dataclass(frozen=True)
class Image:
    """What is recorded of an image.

    Attributes:
        image_hash: digest of the manifest.
        config_digest: digest of the config.
        layers: from the lowest; empty in current.json.
        labels: of the config; empty in current.json.
        entrypoint: of the config; empty in current.json.
    """

    image_hash: str
    config_digest: str
    layers: tuple[Layer, ...] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Release:
    """A list of expected hashes.

    Attributes:
        name: "current", or vX.Y.Z.
        build_settings: name -> value.
        images: name -> what is recorded of it.
        commit: what it was built from; empty in current.json.
        rebuild: command that builds it again; empty in current.json.
        locks: path -> digest; empty in current.json.
        documents: file name -> digest; empty in current.json.
    """

    name: str
    build_settings: Mapping[str, str]
    images: Mapping[str, Image]
    commit: str = ""
    rebuild: str = ""
    locks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    documents: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def name_of(self, reference: str) -> tuple[str, str]:
        """Finds out which image a reference is to be compared with.

        Args:
            reference: `NAME=REFERENCE`, or a reference whose last word is the image's name, with or without `_image` and an ending, such as
                bazel-bin/.../collector_image, collector.tar.gz or registry.example/collector_image:v1.

        Returns:
            The image's name, and the reference without it.

        Raises:
            errors.CheckError: the list does not have that image.
        """
        name, equals, rest = reference.partition("=")
        if equals and rest and _NAME.fullmatch(name):
            if name not in self.images:
                raise errors.CheckError(f"{self.name} has no image {name!r}; it has {', '.join(sorted(self.images))}")
            return name, rest
        word = re.split(r"[@:.]", reference.rstrip("/").rpartition("/")[2])[0].removesuffix("_image")
        if word not in self.images:
            raise errors.CheckError(
                f"which image of {self.name} is {reference!r}? Expected NAME={reference}, with one of {', '.join(sorted(self.images))}"
            )
        return word, reference

    def differences(self, found: "Release") -> list[str]:
        """What differs from the build FOUND in what decides: settings and hashes. One line each; none for a match."""
        lines = []
        if dict(self.build_settings) != dict(found.build_settings):
            lines.append(f"build settings: expected {_line(self.build_settings)}, found {_line(found.build_settings)}")
        for name in sorted({*self.images, *found.images}):
            expected, actual = self.images.get(name), found.images.get(name)
            if expected is None or actual is None or expected.image_hash != actual.image_hash:
                lines.append(f"{name}: expected {_hash(expected)}, found {_hash(actual)}")
            elif expected.config_digest != actual.config_digest:
                lines.append(f"{name}: expected the config {expected.config_digest}, found {actual.config_digest}")
        return lines

    def text(self) -> str:
        """The content of the file."""
        head = [f'  "build_settings": {_line(self.build_settings)},']
        if self.name != CURRENT:
            head = [
                f'  "release": {json.dumps(self.name)},',
                f'  "commit": {json.dumps(self.commit)},',
                f'  "rebuild": {json.dumps(self.rebuild)},',
                *head,
                *_block("locks", self.locks),
                *_block("documents", self.documents),
            ]
        schema = _SHORT_SCHEMA if self.name == CURRENT else _FULL_SCHEMA
        images = [f'    "{name}": {json.dumps(_image_json(image, schema))}' for name, image in sorted(self.images.items())]
        return "\n".join(["{", f'  "schema": {schema},', *head, '  "images": {', ",\n".join(images), "  }", "}", ""])


@dataclasses.dataclass(frozen=True)
class Match:
    """Where a digest is recorded.

    Attributes:
        release: the list.
        image: name of the image; empty for what belongs to the whole release.
        kind: what it is the digest of, such as "image hash".
    """

    release: Release
    image: str
    kind: str


def check_version(text: str) -> str:
    """TEXT, if it is a version.

    Raises:
        errors.UsageError: it is none.
    """
    if not _VERSION.fullmatch(text):
        raise errors.UsageError(f"expected a release like v1.2.3, found {text!r}")
    return text


def find(lists: Sequence[Release], digest: str) -> list[Match]:
    """Every place where a digest is recorded, in the order of LISTS."""
    return [Match(release, image, kind) for release in lists for image, kind, value in _digests(release) if value == digest]


def parse(data: bytes, path: str, name: str | None = None) -> Release:
    """Reads a file's content.

    Args:
        data: the content.
        path: of the file, for messages.
        name: which list it has to be; None for any.

    Raises:
        errors.CheckError: it is not what the head of this module says, or another list.
    """
    release = _Reader(path).release(strict_json.parse_object(data, path))
    if name is not None and release.name != name:
        raise errors.CheckError(f"{path}: expected the list of {name}, found that of {release.name}")
    return release


def read(path: pathlib.Path) -> Release:
    """Reads a file.

    Raises:
        errors.CheckError: it cannot be read, or is not what the head of this module says.
    """
    return parse(content(path), str(path))


def read_named(folder: pathlib.Path, name: str) -> Release:
    """Reads the list NAME of a folder.

    Raises:
        errors.CheckError: it cannot be read, or is another one.
    """
    path = folder / f"{name}.json"
    return parse(content(path), str(path), name)


def content(path: pathlib.Path) -> bytes:
    """The bytes of a file of expected hashes, or of a document of a release.

    Raises:
        errors.CheckError: it cannot be read, or is too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise errors.CheckError(f"{path}: {error.strerror}; expected a file of a release") from None
    if len(data) > _MAX_BYTES:
        raise errors.CheckError(f"{path}: expected a file of a release, found more than {_MAX_BYTES} bytes")
    return data


def read_all(folder: pathlib.Path) -> list[Release]:
    """Reads all lists of a folder: the releases, the newest first, then the current one.

    Raises:
        errors.CheckError: there are none, or one is not what the head of this module says.
    """
    try:
        found = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".json"))
    except OSError as error:
        raise errors.CheckError(f"{folder}: {error.strerror}; expected the folder with the files of all releases") from None
    if not found:
        raise errors.CheckError(f"{folder}: expected files of releases, found none")
    return sorted((read_named(folder, name.removesuffix(".json")) for name in found), key=_age)


class _Reader:
    """Reads one file, and says of everything that is wrong where it is."""

    def __init__(self, path: str) -> None:
        self._path = path

    def release(self, top: Mapping[str, Any]) -> Release:
        schema = top.get("schema")
        if schema not in (_SHORT_SCHEMA, _FULL_SCHEMA) or isinstance(schema, bool):
            raise self._wrong("schema", f"{_SHORT_SCHEMA} or {_FULL_SCHEMA}", schema)
        full = schema == _FULL_SCHEMA
        keys = {"schema", "build_settings", "images"}
        self._keys(top, keys | {"release", "commit", "rebuild", "locks", "documents"} if full else keys, "")
        images = self._map(top["images"], "images", _NAME, lambda value, where: self._image(value, where, full=full))
        if not images:
            raise self._wrong("images", "at least one image", images)
        hashes: dict[str, str] = {}
        for name, image in images.items():
            other = hashes.setdefault(image.image_hash, name)
            if other != name:
                raise errors.CheckError(f"{self._path}: {other} and {name} have the same image_hash, {image.image_hash}: one must be wrong")
        settings = self._map(top["build_settings"], "build_settings", _NAME, self._text)
        if not full:
            return Release(CURRENT, settings, images)
        return Release(
            name=self._matching(top["release"], "release", _VERSION, "a version like v1.2.3"),
            build_settings=settings,
            images=images,
            commit=self._matching(top["commit"], "commit", _COMMIT, "the 40 or 64 hexadecimal digits of a commit"),
            rebuild=self._text(top["rebuild"], "rebuild"),
            locks=self._map(top["locks"], "locks", _PATH, self._digest),
            documents=self._map(top["documents"], "documents", _PATH, self._digest),
        )

    def _image(self, value: Any, where: str, *, full: bool) -> Image:  # noqa: ANN401 (JSON)
        keys = {"image_hash", "config_digest"}
        self._keys(value, keys | {"layers", "labels", "entrypoint"} if full else keys, where)
        image = Image(
            self._digest(value["image_hash"], f"{where}.image_hash"),
            self._digest(value["config_digest"], f"{where}.config_digest"),
        )
        if not full:
            return image
        return dataclasses.replace(
            image,
            layers=tuple(self._list(value["layers"], f"{where}.layers", self._layer)),
            labels=self._map(value["labels"], f"{where}.labels", re.compile(r".+", re.DOTALL), self._text),
            entrypoint=tuple(self._list(value["entrypoint"], f"{where}.entrypoint", self._text)),
        )

    def _layer(self, value: Any, where: str) -> Layer:  # noqa: ANN401 (JSON)
        self._keys(value, {"digest", "diff_id", "size"}, where)
        size = value["size"]
        if type(size) is not int or size < 0:
            raise self._wrong(f"{where}.size", "a number of bytes", size)
        return Layer(self._digest(value["digest"], f"{where}.digest"), self._digest(value["diff_id"], f"{where}.diff_id"), size)

    def _keys(self, value: Any, keys: set[str], where: str) -> None:  # noqa: ANN401 (JSON)
        if not isinstance(value, dict):
            raise self._wrong(where, "an object", value)
        if value.keys() != keys:
            wrong = min(value.keys() ^ keys)
            problem = f"{wrong!r} is missing" if wrong in keys else f"{wrong[:100]!r} is not known"
            raise errors.CheckError(f"{self._path}: {where or 'the file'}: {problem}")

    def _map(self, value: Any, where: str, names: re.Pattern[str], reader: Callable[[Any, str], _T]) -> dict[str, _T]:  # noqa: ANN401 (JSON)
        if not isinstance(value, dict):
            raise self._wrong(where, "an object", value)
        for name in value:
            if not names.fullmatch(name):
                raise self._wrong(where, f"names like {names.pattern}", name)
        return {name: reader(item, f"{where}.{name}") for name, item in sorted(value.items())}

    def _list(self, value: Any, where: str, reader: Callable[[Any, str], _T]) -> list[_T]:  # noqa: ANN401 (JSON)
        if not isinstance(value, list) or not value:
            raise self._wrong(where, "a list that is not empty", value)
        return [reader(item, f"{where}[{position}]") for position, item in enumerate(value)]

    def _text(self, value: Any, where: str) -> str:  # noqa: ANN401 (JSON)
        if not isinstance(value, str):
            raise self._wrong(where, "text", value)
        return value

    def _digest(self, value: Any, where: str) -> str:  # noqa: ANN401 (JSON)
        return self._matching(value, where, _DIGEST, "sha256: and 64 hexadecimal digits in lower case")

    def _matching(self, value: Any, where: str, pattern: re.Pattern[str], expected: str) -> str:  # noqa: ANN401 (JSON)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self._wrong(where, expected, value)
        return value

    def _wrong(self, where: str, expected: str, found: Any) -> errors.CheckError:  # noqa: ANN401 (JSON)
        return errors.CheckError(f"{self._path}: {where}: expected {expected}, found {ascii(found)[:100]}")


def _digests(release: Release) -> Iterator[tuple[str, str, str]]:
    """Image or "", kind and value of every digest of a release."""
    for name, image in release.images.items():
        yield name, "image hash", image.image_hash
        yield name, "config digest", image.config_digest
        for position, layer in enumerate(image.layers):
            if layer.digest == layer.diff_id:
                yield name, f"layer {position}", layer.digest
            else:
                yield name, f"layer {position}, compressed", layer.digest
                yield name, f"layer {position}, uncompressed (diff id)", layer.diff_id
    for path, digest in release.locks.items():
        yield "", f"lock {path}", digest
    for name, digest in release.documents.items():
        yield "", f"document {name}", digest


def _age(release: Release) -> tuple[int, ...]:
    version = _VERSION.fullmatch(release.name)
    return (0, *(-int(number) for number in version.groups())) if version else (1,)


def _hash(image: Image | None) -> str:
    return image.image_hash if image else "no such image"


def _line(values: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(values.items())))


def _block(key: str, values: Mapping[str, str]) -> list[str]:
    if not values:
        return [f'  "{key}": {{}},']
    lines = [f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(values.items())]
    return [f'  "{key}": {{', ",\n".join(lines), "  },"]


def _image_json(image: Image, schema: int) -> dict[str, Any]:
    short: dict[str, Any] = {"image_hash": image.image_hash, "config_digest": image.config_digest}
    if schema == _SHORT_SCHEMA:
        return short
    return short | {
        "labels": dict(sorted(image.labels.items())),
        "entrypoint": list(image.entrypoint),
        "layers": [{"digest": layer.digest, "diff_id": layer.diff_id, "size": layer.size} for layer in image.layers],
    }
