"""Packages that are in another version, and which files they brought: those differ for that one cause.

Sources: Debian's dpkg database (/var/lib/dpkg/status and info/*.list; status.d/ of images made from single packages, with *.md5sums), the
.dist-info folders of Python's packaging (Recording installed projects), and names of jars in a Maven repository.
"""

import dataclasses
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from image_hash import causes
from image_hash.comparison.tars import Entry
from image_hash.differences import Difference

# A status file of a full Debian installation has some 3 MB.
_MAX_DATABASE = 32 << 20
_STATUS = "var/lib/dpkg/status"
_STATUS_FOLDER = "var/lib/dpkg/status.d/"
_INFO_FOLDER = "var/lib/dpkg/info/"
_DIST_INFO = re.compile(r"(?P<folder>.*/)?(?P<name>[^/-]+)-(?P<version>[^/-]+)\.dist-info/(?P<file>METADATA|RECORD)")
# The layer of one package, as toolchains/debian names it.
_PACKAGE_LAYER = re.compile(r".*:(?P<name>[^:/]+)_[a-z0-9]+\.tar")
_ARCHIVE = re.compile(r"(?P<name>(?:.*/)?[A-Za-z0-9_.+-]*?[A-Za-z0-9])-(?P<version>\d[^/]*)\.(?:jar|whl)")


@dataclasses.dataclass(frozen=True)
class Moved:
    """A package in two versions.

    Attributes:
        name: as its own kind of package names it.
        left: version in the first image.
        right: version in the second one.
        owns: tells whether a path of the layer is of this package.
    """

    name: str
    left: str
    right: str
    owns: Callable[[str], bool]


def is_database(entry: Entry) -> bool:
    """Whether the data of an entry tell versions or files of packages."""
    if entry.member.kind != "file" or entry.member.size > _MAX_DATABASE:
        return False
    path = entry.path
    if path == _STATUS or path.startswith(_STATUS_FOLDER):
        return True
    return (path.startswith(_INFO_FOLDER) and path.endswith(".list")) or bool(_DIST_INFO.fullmatch(path))


def moved(left: Mapping[str, bytes], right: Mapping[str, bytes], layer_target: str) -> list[Moved]:
    """Packages that are in both layers, in other versions.

    Args:
        left: path -> data of the entries for which `is_database` holds.
        right: likewise, of the second image.
        layer_target: label of the layer's target; may be empty.
    """
    found = []
    versions = [_debian_versions(side) for side in (left, right)]
    of_layer = _PACKAGE_LAYER.fullmatch(layer_target)
    for name in sorted(versions[0].keys() & versions[1].keys()):
        if versions[0][name] != versions[1][name]:
            everything = of_layer is not None and of_layer["name"] == name
            paths = frozenset(path for side in (left, right) for path in _debian_files(side, name))
            found.append(Moved(name, versions[0][name], versions[1][name], (lambda _: True) if everything else paths.__contains__))
    projects = [_python_projects(side) for side in (left, right)]
    for key in sorted(projects[0].keys() & projects[1].keys()):
        (old, old_files), (new, new_files) = projects[0][key], projects[1][key]
        if old != new:
            found.append(Moved(key[1], old, new, (old_files | new_files).__contains__))
    return found


def fold_archives(differences: Sequence[Difference]) -> list[Difference]:
    """Replaces "removed" and "added" of archives with the same name and another version, in one folder, by the move of that version."""
    gone: dict[tuple[object, ...], list[tuple[int, str]]] = {}
    new: dict[tuple[object, ...], list[tuple[int, str]]] = {}
    for number, difference in enumerate(differences):
        sides = {causes.FILE_REMOVED: gone, causes.FILE_ADDED: new}.get(difference.cause)
        match = _ARCHIVE.fullmatch(difference.place[-1]) if sides is not None else None
        if sides is not None and match:
            sides.setdefault((*difference.place[:-1], match["name"]), []).append((number, match["version"]))
    replaced: dict[int, Difference | None] = {}
    for key, (old, *more) in gone.items():
        # Several versions beside each other: which moved to which cannot be told.
        if not more and len(new.get(key, ())) == 1:
            (added, version) = new[key][0]
            before = differences[old[0]]
            replaced[old[0]] = dataclasses.replace(
                before, place=(*before.place[:-1], str(key[-1])), cause=causes.PACKAGE_MOVED, left=old[1], right=version
            )
            replaced[added] = None
    kept = (replaced.get(number, difference) for number, difference in enumerate(differences))
    return [difference for difference in kept if difference]


def _debian_versions(files: Mapping[str, bytes]) -> dict[str, str]:
    versions = {}
    for path, data in files.items():
        if path == _STATUS or (path.startswith(_STATUS_FOLDER) and not path.endswith(".md5sums")):
            for stanza in data.decode("utf-8", "replace").split("\n\n"):
                fields = dict(line.split(": ", 1) for line in stanza.splitlines() if re.match(r"(Package|Version|Status): ", line))
                if {"Package", "Version"} <= fields.keys() and fields.get("Status", "installed").endswith("installed"):
                    versions[fields["Package"]] = fields["Version"]
    return versions


def _debian_files(files: Mapping[str, bytes], name: str) -> Iterable[str]:
    yield _STATUS
    yield f"{_STATUS_FOLDER}{name}"
    sums = f"{_STATUS_FOLDER}{name}.md5sums"
    yield sums
    for line in files.get(sums, b"").decode("utf-8", "replace").splitlines():
        yield line.partition("  ")[2]
    for path, data in files.items():
        if path.startswith(_INFO_FOLDER) and path.removeprefix(_INFO_FOLDER).removesuffix(".list").partition(":")[0] == name:
            stem = path.removesuffix(".list")
            yield from (f"{stem}.{kind}" for kind in ("list", "md5sums", "conffiles", "postinst", "preinst", "prerm", "postrm", "triggers"))
            yield from (line.strip("/") for line in data.decode("utf-8", "replace").splitlines())


def _python_projects(files: Mapping[str, bytes]) -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    """(folder, name) -> version and files, of what is there in one version."""
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for path, data in files.items():
        match = _DIST_INFO.fullmatch(path)
        if not match:
            continue
        folder = match["folder"] or ""
        # Names are equal after normalization (PEP 503).
        key = folder, re.sub(r"[-_.]+", "-", match["name"]).lower()
        own = found.setdefault(key, {}).setdefault(match["version"], set())
        own.add(path)
        if match["file"] == "RECORD":
            # path,hash,size
            rows = (line.rsplit(",", 2)[0].strip('"') for line in data.decode("utf-8", "replace").splitlines())
            own.update(posixpath.normpath(folder + row) for row in rows)
    return {key: (version, frozenset(own)) for key, versions in found.items() if len(versions) == 1 for version, own in versions.items()}
