"""Writes and examines the locks of Debian packages: <set>.yaml (what is wanted) -> <set>.lock.json (what that is, by sha256).

    bazel run //toolchains/debian:lock -- update [SET...] [--channel=security]
    bazel run //toolchains/debian:lock -- report [SET...]

`update` resolves the manifests and rewrites the locks, and prints what changed. `report` prints which locked packages have a newer version,
in the suite itself (a point release) or in its security suite, and changes nothing.

apt resolves: the machine's own client with its mirrors, keys and proxies, but with a state of its own, in which nothing is installed. So
the index is authentic (apt checks the signature of the archive) and the machine's apt stays as it is. README.md describes both formats.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import pathlib
import re
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence

import yaml
from absl import app, flags

_CHANNEL = flags.DEFINE_enum(
    "channel",
    "main",
    ["main", "security"],
    "update only: main is the suite of the manifest, which only point releases change; security adds its security suite.",
)
_DIRECTORY = flags.DEFINE_string(
    "directory",
    None,
    "Folder of manifests and locks; the default is toolchains/debian of the workspace that `bazel run` was called in.",
)

_FORMAT = 1
_LOCK = ".lock.json"
_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
)
# 'URI' name_version_architecture.deb size SHA256:hash
_PRINTED_URI = re.compile(
    r"^'(?P<uri>[^']+)' (?P<name>[^_ ]+)_(?P<version>[^_ ]+)_(?P<architecture>[^_ ]+)\.deb (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})$"
)
_PRINTED_INDEX = re.compile(r"^'(?P<base>[^']+/)dists/(?P<suite>[^']+)/(?:In)?Release'")


class LockError(Exception):
    """A manifest, a lock or an answer of apt that cannot be used. `str()` is one line for the user."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a set wants: <set>.yaml."""

    suite: str
    architecture: str
    closure: bool
    """Whether the dependencies belong to the set, too; else it is exactly the packages that are named."""
    packages: tuple[str, ...]


@dataclasses.dataclass(frozen=True, order=True)
class Package:
    """One binary package of a lock."""

    name: str
    version: str
    architecture: str
    """amd64, or all."""
    suite: str
    """The suite that it was found in: a key of the lock's sources."""
    filename: str
    """Path below the root of an archive: pool/..."""
    size: int
    """Bytes of the .deb."""
    sha256: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A suite of an archive, at a time."""

    suite: str
    archive: str
    """Name of the archive as mirrors and the snapshot service use it: debian, debian-security."""
    snapshot: str
    """A time at which the archive had the packages: YYYYMMDDTHHMMSSZ."""


@dataclasses.dataclass(frozen=True)
class Lock:
    """<set>.lock.json."""

    sources: tuple[Source, ...]
    packages: tuple[Package, ...]

    @staticmethod
    def parse(text: str, name: str) -> Lock:
        """Reads the text of a lock; NAME is for messages.

        Raises:
            LockError: it is no lock of this format.
        """
        try:
            data = json.loads(text)
            if data["version"] != _FORMAT:
                raise LockError(
                    f"{name}: expected a lock of version {_FORMAT}, found version {data['version']}; update it with this commit's tool"
                )
            sources = tuple(Source(suite, **source) for suite, source in data["sources"].items())
            packages = tuple(Package(**package) for package in data["packages"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LockError(
                f"{name}: this is no lock of Debian packages ({type(error).__name__}: {error}); delete it and make it again with `update`"
            ) from error
        return Lock(sources, packages)

    def text(self) -> str:
        """The lock as it is committed: one package a line, so that a diff names what changed."""
        sources = {
            source.suite: {"archive": source.archive, "snapshot": source.snapshot}
            for source in sorted(self.sources, key=lambda source: source.suite)
        }
        lines = [json.dumps(dataclasses.asdict(package)) for package in sorted(self.packages)]
        return f'{{\n"version": {_FORMAT},\n"sources": {json.dumps(sources)},\n"packages": [\n' + ",\n".join(lines) + "\n]\n}\n"


def read_manifest(text: str, name: str) -> Manifest:
    """Reads the text of <set>.yaml; NAME is for messages.

    Raises:
        LockError: it is not what README.md describes.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LockError(f"{name}: not YAML: {' '.join(str(error).split())}") from error
    expected = {"suite": str, "architecture": str, "closure": bool, "packages": list}
    if not isinstance(data, dict) or set(data) != set(expected):
        found = ", ".join(map(str, data)) if isinstance(data, dict) else "no mapping"
        raise LockError(f"{name}: expected exactly the keys {', '.join(expected)}, found {found}")
    for key, kind in expected.items():
        if not isinstance(data[key], kind):
            raise LockError(f"{name}: {key} should be of type {kind.__name__}, found {data[key]!r}")
    packages = tuple(data["packages"])
    for package in packages:
        if not isinstance(package, str) or not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", package):
            raise LockError(f"{name}: {package!r} is no name of a Debian package")
    if not packages or len(set(packages)) != len(packages):
        raise LockError(f"{name}: packages should be a list of different names, at least one")
    return Manifest(data["suite"], data["architecture"], data["closure"], packages)


def archive_of(suite: str) -> str:
    """The archive that has a suite: security suites are in one of their own."""
    return "debian-security" if suite.endswith("-security") else "debian"


def find_mirror(printed_uris: str, suite: str) -> str:
    """Finds the mirror for a suite: URL of the archive's root with a final slash.

    Args:
        printed_uris: output of `apt-get update --print-uris`, which names the index of every suite that apt is configured with.
        suite: the suite wanted. apt may be configured with another one of the same archive, which serves as well.

    Raises:
        LockError: no mirror of this archive is configured.
    """
    configured = [(match["base"], match["suite"]) for match in map(_PRINTED_INDEX.match, printed_uris.splitlines()) if match]
    archive = archive_of(suite)
    candidates = [base for base, have in configured if have == suite]
    candidates += [base for base, _ in configured if base.endswith(f"/{archive}/")]
    # By convention a mirror has the archives side by side.
    candidates += [f"{base.removesuffix('/debian/')}/{archive}/" for base, _ in configured if base.endswith("/debian/")]
    if not candidates:
        raise LockError(f"no mirror of the archive {archive!r} (suite {suite}) among apt's sources; add one to /etc/apt/sources.list.d")
    return candidates[0]


def parse_uris(printed_uris: str, mirrors: Mapping[str, str]) -> tuple[Package, ...]:
    """Reads what `apt-get ... --print-uris` says would be fetched.

    Args:
        printed_uris: apt's output, made with Acquire::ForceHash=SHA256; lines of another form are apt's talk.
        mirrors: suite -> URL of its archive's root, with a final slash.

    Raises:
        LockError: a package comes from none of the mirrors.
    """
    packages = []
    for match in filter(None, map(_PRINTED_URI.match, printed_uris.splitlines())):
        suites = [suite for suite, mirror in mirrors.items() if match["uri"].startswith(mirror)]
        if not suites:
            raise LockError(f"apt would take {match['name']} from {match['uri']}, which is none of the suites {', '.join(mirrors)}")
        filename = urllib.parse.unquote(match["uri"].removeprefix(mirrors[suites[0]]))
        version = urllib.parse.unquote(match["version"])
        packages.append(Package(match["name"], version, match["architecture"], suites[0], filename, int(match["size"]), match["sha256"]))
    return tuple(sorted(packages))


def snapshot_time(release: str, name: str) -> str:
    """When the snapshot service surely had what a Release file lists: a day after the file's date.

    The service takes an archive several times a day and answers with its state at or before the time asked for; at the date itself the
    mirrors are still being fed. NAME is for messages.

    Raises:
        LockError: the file has no date.
    """
    match = re.search(r"^Date: (.+)$", release, re.MULTILINE)
    try:
        date = dt.datetime.strptime(match[1] if match else "", "%a, %d %b %Y %H:%M:%S UTC").replace(tzinfo=dt.timezone.utc)
    except ValueError as error:
        raise LockError(f"{name}: no `Date: <day>, <date> <time> UTC` in the Release file") from error
    return (date + dt.timedelta(days=1)).strftime("%Y%m%dT%H%M%SZ")


def changes(old: Lock | None, new: Lock, newer: Mapping[str, bool]) -> list[str]:
    """Says in one line a package what NEW has that OLD had not, and the reverse.

    Args:
        old: the lock before, None if there was none.
        new: the lock now.
        newer: for every package whose version differs, whether the new one is the higher.
    """
    before = {package.name: package for package in old.packages} if old else {}
    after = {package.name: package for package in new.packages}
    lines = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            lines.append(f"added     {name} {now.version}")
        elif was is not None and now is None:
            lines.append(f"removed   {name} {was.version}")
        elif was is not None and now is not None and was.version != now.version:
            lines.append(f"{'upgraded ' if newer[name] else 'lowered  '} {name} {was.version} -> {now.version} ({now.suite})")
        elif was is not None and now is not None and was.sha256 != now.sha256:
            lines.append(f"rebuilt   {name} {now.version}: the same version with other content (sha256 {was.sha256} -> {now.sha256})")
    return lines


class Apt:
    """The machine's apt client with an own state: the given suites, nothing installed."""

    def __init__(self, state: pathlib.Path, architecture: str, suites: Sequence[str]) -> None:
        configured = _run(["apt-get", "update", "--print-uris"], os.environ)
        self._state = state
        self.mirrors = {suite: find_mirror(configured, suite) for suite in suites}
        for directory in ("lists/partial", "cache/archives/partial", "etc"):
            (state / directory).mkdir(parents=True)
        (state / "status").touch()
        trust = _trust()
        (state / "etc/sources.list").write_text("".join(f"deb {trust}{mirror} {suite} main\n" for suite, mirror in self.mirrors.items()))
        (state / "apt.conf").write_text(
            f'Dir::State "{state}"; Dir::State::lists "{state}/lists"; Dir::State::status "{state}/status"; Dir::Cache "{state}/cache";\n'
            f'Dir::Etc::sourcelist "{state}/etc/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
            'Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";\n'
            f'APT::Architecture "{architecture}"; APT::Architectures "{architecture}"; APT::Install-Recommends "false";\n'
            'APT::Sandbox::User "root"; APT::Default-Release ""; Debug::NoLocking "true";\n'
            'Acquire::ForceHash "SHA256"; Acquire::Languages "none";\n'
            # A suite that is frozen has no new Release file, and the old one is past its date.
            'Acquire::Check-Valid-Until "false";\n'
        )
        self._environment = {**os.environ, "APT_CONFIG": str(state / "apt.conf"), "LC_ALL": "C"}
        _run(["apt-get", "-qq", "--error-on=any", "update"], self._environment)

    def resolve(self, manifest: Manifest) -> tuple[Package, ...]:
        """The packages of a manifest, each in the highest version that the suites have."""
        verb = ["install", "--yes"] if manifest.closure else ["download"]
        printed = _run(["apt-get", *verb, "--print-uris", *manifest.packages], self._environment)
        packages = parse_uris(printed, self.mirrors)
        missing = set(manifest.packages) - {package.name for package in packages}
        if missing:
            raise LockError(
                f"apt names no file for {', '.join(sorted(missing))}; is one of them virtual? Name the package that provides it"
            )
        return packages

    def sources(self) -> tuple[Source, ...]:
        """The suites with the time for the snapshot service."""
        sources = []
        for suite in self.mirrors:
            files = sorted((self._state / "lists").glob(f"*_dists_{suite}_*Release"))
            if not files:
                raise LockError(f"apt has no Release file of {suite} after its update")
            sources.append(Source(suite, archive_of(suite), snapshot_time(files[0].read_text(), files[0].name)))
        return tuple(sources)

    def versions(self, names: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
        """For every package the (version, suite) pairs that the suites have."""
        found: dict[str, list[tuple[str, str]]] = {}
        for line in _run(["apt-cache", "madison", *names], self._environment).splitlines():
            name, version, origin = (field.strip() for field in line.split("|"))
            # origin: <mirror> <suite>/<component> <architecture> Packages
            found.setdefault(name, []).append((version, origin.split()[1].split("/")[0]))
        return found


def _trust() -> str:
    """The option of a source that has Debian's keys, where they are not among those that apt trusts anyway."""
    keyring = next((path for path in _KEYRINGS if os.path.exists(path)), None)
    return f"[signed-by={keyring}] " if keyring else ""


def is_newer(version: str, than: str) -> bool:
    """Compares versions as dpkg does."""
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", than], check=False).returncode == 0


def conflicts(locks: Mapping[str, Lock]) -> list[str]:
    """Says which packages differ between locks (set -> lock): what is compiled against has to be what is in the images."""
    found: dict[str, dict[Package, list[str]]] = {}
    for name, lock in sorted(locks.items()):
        for package in lock.packages:
            found.setdefault(package.name, {}).setdefault(package, []).append(name)
    return [
        f"{name} is " + " but ".join(f"{package.version} in {', '.join(sets)}" for package, sets in by_package.items())
        for name, by_package in sorted(found.items())
        if len(by_package) > 1
    ]


def update(directory: pathlib.Path, sets: Sequence[str], channel: str) -> list[str]:
    """Rewrites the locks of SETS and returns what to print.

    Raises:
        LockError: something cannot be resolved, or the locks would contradict each other. No lock has changed then.
    """
    lines = []
    locks = {path.name.removesuffix(_LOCK): Lock.parse(path.read_text(), path.name) for path in sorted(directory.glob(f"*{_LOCK}"))}
    changed_sets = []
    with tempfile.TemporaryDirectory() as state:
        apts = _Apts(state)
        for name in sets:
            manifest = _manifest(directory, name)
            security = [f"{manifest.suite}-security"] if channel == "security" else []
            apt = apts.get(manifest.architecture, [manifest.suite, *security])
            packages = apt.resolve(manifest)
            used = {package.suite for package in packages}
            old, new = locks.get(name), Lock(tuple(source for source in apt.sources() if source.suite in used), packages)
            before = {package.name: package.version for package in old.packages} if old else {}
            newer = {package.name: is_newer(package.version, before[package.name]) for package in packages if package.name in before}
            changed = changes(old, new, newer)
            # A later snapshot of the same packages is no reason to touch a lock.
            if old is None or sorted(old.packages) != sorted(packages):
                locks[name] = new
                changed_sets.append(name)
            total = sum(package.size for package in packages)
            lines.append(f"{name}{_LOCK}: {len(packages)} packages, {total / 1e6:.1f} MB; {len(changed)} changed")
            lines += [f"  {line}" for line in changed]
    contradictions = conflicts(locks)
    if contradictions:
        raise LockError(
            f"the locks would contradict each other, so none was changed: {'; '.join(contradictions)}. Update these sets together"
        )
    for name in changed_sets:
        _replace(directory / f"{name}{_LOCK}", locks[name].text())
    return lines


def report(directory: pathlib.Path, sets: Sequence[str]) -> list[str]:
    """Returns one line for every locked package of SETS that has a newer version, and one that sums up."""
    lines = []
    checked = 0
    with tempfile.TemporaryDirectory() as state:
        apts = _Apts(state)
        for name in sets:
            manifest = _manifest(directory, name)
            lock_path = directory / f"{name}{_LOCK}"
            packages = Lock.parse(lock_path.read_text(), lock_path.name).packages
            checked += len(packages)
            available = apts.get(manifest.architecture, [manifest.suite, f"{manifest.suite}-security"]).versions(
                [package.name for package in packages]
            )
            for package in packages:
                for version, suite in available.get(package.name, []):
                    if is_newer(version, package.version):
                        lines.append(f"{name}: {package.name} {package.version} -> {version} ({suite})")
    return [*lines, f"{checked} locked packages in {len(sets)} sets; {len(lines)} newer versions"]


class _Apts:
    """One apt state for every combination of architecture and suites, since its indexes are large."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._apts: dict[tuple[str, ...], Apt] = {}

    def get(self, architecture: str, suites: Sequence[str]) -> Apt:
        key = (architecture, *suites)
        if key not in self._apts:
            self._apts[key] = Apt(pathlib.Path(self._directory, "-".join(key)), architecture, suites)
        return self._apts[key]


def _manifest(directory: pathlib.Path, name: str) -> Manifest:
    path = directory / f"{name}.yaml"
    return read_manifest(path.read_text(), path.name)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    try:
        result = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LockError(
            f"{command[0]} is not installed: locks of Debian packages are made with Debian's apt, so run this in the build environment"
        ) from error
    if result.returncode:
        complaint = " ".join(line for line in result.stderr.splitlines() if line.startswith(("E:", "W:"))) or result.stderr.strip()
        raise LockError(f"{' '.join(command[:3])} failed: {complaint}")
    return result.stdout


def _replace(path: pathlib.Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def main(argv: Sequence[str]) -> None:
    """Runs the command; exit code 1 and one line on stderr if it cannot be done."""
    if len(argv) < 2 or argv[1] not in ("update", "report"):
        raise app.UsageError("expected `update [SET...]` or `report [SET...]`")
    directory = pathlib.Path(_DIRECTORY.value or os.path.join(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."), "toolchains/debian"))
    known = sorted(path.stem for path in directory.glob("*.yaml"))
    sets = list(argv[2:]) or known
    unknown = sorted(set(sets) - set(known))
    if unknown or not known:
        raise app.UsageError(
            f"no manifest {', '.join(f'{name}.yaml' for name in unknown)} in {directory}; sets: {', '.join(known) or 'none'}"
        )
    try:
        lines = update(directory, sets, _CHANNEL.value) if argv[1] == "update" else report(directory, sets)
    except (LockError, OSError) as error:
        raise SystemExit(f"lock: {error}") from error
    print("\n".join(lines))


if __name__ == "__main__":
    app.run(main)
