"""External inputs, as `bazel run //tools/inputs:list -- --json` prints them."""

import dataclasses
import re
import urllib.parse
from collections.abc import Sequence

from image_hash import errors, strict_json

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, order=True)
class Input:
    """One external file.

    Attributes:
        kind: deb, maven, npm, wheel or go.
        name: of the package; a Maven artifact's is group:artifact[:type:classifier].
        version: of the package.
        sha256: of the file, 64 hexadecimal digits.
        licence: SPDX expression, or what is known instead.
        contained_in: images that hold the file, or files out of it.
        used_for: images that it helps to make without being in them.
    """

    kind: str
    name: str
    version: str
    sha256: str
    licence: str
    contained_in: tuple[str, ...]
    used_for: tuple[str, ...]

    def purl(self, distribution: str = "") -> str:
        """The package URL (https://github.com/package-url/purl-spec); DISTRIBUTION is that of Debian packages, such as debian-12."""
        if self.kind == "maven":
            group, artifact, *rest = self.name.split(":")
            kind, classifier = rest or ("jar", "")
            return _purl("maven", (group, artifact), self.version, {"classifier": classifier, "type": "" if kind == "jar" else kind})
        if self.kind == "deb":
            return _purl("deb", ("debian", self.name), self.version, {"distro": distribution})
        if self.kind == "wheel":
            return _purl("pypi", (re.sub(r"[-_.]+", "-", self.name).lower(),), self.version, {})
        if self.kind == "npm":
            return _purl("npm", tuple(self.name.split("/")), self.version, {})
        if self.kind == "go":
            return _purl("golang", tuple(self.name.split("/")), self.version, {})
        raise errors.CheckError(f"{self.kind} {self.name}: no kind of package URL is known for it; tell image_hash/publish/inputs.py")


def parse(data: bytes) -> list[Input]:
    """Reads the output of //tools/inputs:list, sorted.

    Raises:
        errors.CheckError: it is not what that tool prints.
    """
    content = strict_json.parse_object(data, "the list of inputs")
    try:
        found = [
            Input(
                kind=entry["kind"],
                name=entry["name"],
                version=entry["version"],
                sha256=_sha256(entry["sha256"]),
                licence=entry["licence"],
                contained_in=tuple(entry["contained_in"]),
                used_for=tuple(entry["used_for"]),
            )
            for entry in content["inputs"]
        ]
    except (KeyError, TypeError) as error:
        raise errors.CheckError(f"expected the output of //tools/inputs:list, found {type(error).__name__}: {error}") from None
    if not found:
        raise errors.CheckError("expected the output of //tools/inputs:list, found no inputs")
    return sorted(found)


def of_image(inputs: Sequence[Input], image: str) -> list[Input]:
    """Those that are in an image."""
    return [item for item in inputs if image in item.contained_in]


def _sha256(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise TypeError(f"expected 64 hexadecimal digits, found {value!r}")
    return value


def _purl(kind: str, path: tuple[str, ...], version: str, qualifiers: dict[str, str]) -> str:
    def quoted(text: str) -> str:
        return urllib.parse.quote(text, safe=":")

    given = "&".join(f"{key}={quoted(value)}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{kind}/{'/'.join(map(quoted, path))}@{quoted(version)}{'?' if given else ''}{given}"
