"""Each named cause of what differs around and between files: made in a real image, and found under exactly that name."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest
import zstandard
from image_hash import causes
from image_hash.causes import Cause
from image_hash.comparison import engine
from image_hash.differences import Comparison
from image_hash.sources import open_image
from tests.rewritten_image import Entry, Rewritten, Tar, gzipped, pax_header

_OCI = "application/vnd.oci.image"
_DOCKER = "application/vnd.docker"
_FILES = "system_files"
_FILES_LABEL = "//images/base:system_files"
_PACKAGE = "netbase_amd64.tar"
_PACKAGE_LABEL = "//toolchains/debian:netbase_amd64.tar"

Change = Callable[[Rewritten], None]


@pytest.fixture(scope="module")
def original() -> pathlib.Path:
    return pathlib.Path(os.environ["IMAGE"])


@contextlib.contextmanager
def _compared(left: pathlib.Path, right: pathlib.Path) -> Iterator[Comparison]:
    with open_image(str(left)) as a, open_image(str(right)) as b:
        yield engine.compare(a, b)


def _found(original: pathlib.Path, folder: pathlib.Path, change: Change, before: Change | None = None) -> Comparison:
    """Compares a copy of the image that CHANGE was applied to with the original, or with a copy that only BEFORE was applied to."""
    left = original
    if before:
        first = Rewritten(original, folder / "left")
        before(first)
        left = first.save()
    second = Rewritten(original, folder / "right")
    if before:
        before(second)
    change(second)
    with _compared(left, second.save()) as comparison:
        return comparison


def _settings(key: str, value: object) -> Change:
    return lambda image: image.config["config"].update({key: value})


def _top(key: str, value: object) -> Change:
    return lambda image: image.config.update({key: value})


def _manifest(key: str, value: object) -> Change:
    return lambda image: image.manifest.update({key: value})


def _in_tar(change: Callable[[Tar], None], layer: str = _FILES) -> Change:
    def apply(image: Rewritten) -> None:
        position = image.layer(layer)
        tar = image.tar(position)
        change(tar)
        image.set_tar(position, tar.bytes())

    return apply


def _entry(change: Callable[[Entry], None], path: str = "etc/passwd") -> Change:
    return _in_tar(lambda tar: change(tar[path]))


def _swap(tar: Tar) -> None:
    tar.entries[0], tar.entries[1] = tar.entries[1], tar.entries[0]


def _repeat(tar: Tar) -> None:
    tar.entries.append(tar["etc/passwd"].copy())


def _drop(tar: Tar) -> None:
    tar.entries.remove(tar["etc/passwd"])


def _add(tar: Tar) -> None:
    entry = tar["etc/passwd"].copy()
    entry.patch(0, b"etc/shadow")
    tar.entries.append(entry)


def _as_symlink(entry: Entry) -> None:
    entry.patch(156, b"2")
    entry.patch(157, b"/run/passwd")
    entry.replace(b"")


def _hard_linked(tar: Tar) -> None:
    """Two equal files, of which the second is a link to the first."""
    entry = tar["etc/shadow"]
    entry.patch(156, b"1")
    entry.patch(157, b"etc/passwd")
    entry.replace(b"")


def _as_fifo(entry: Entry) -> None:
    entry.patch(156, b"6")
    entry.replace(b"")


def _with_pax(entry: Entry) -> None:
    entry.headers = pax_header({"comment": "made on a Monday"}) + entry.headers


def _with_process_id(number: int) -> Callable[[Entry], None]:
    """GNU tar names pax headers after its own process."""

    def apply(entry: Entry) -> None:
        entry.headers = pax_header({"comment": "x"}, f"PaxHeaders.{number}/passwd") + entry.headers[-512:]

    return apply


def _as_device(number: int) -> Callable[[Entry], None]:
    def apply(entry: Entry) -> None:
        entry.patch(156, b"3")
        entry.replace(b"")
        entry.number(329, 8, 1)
        entry.number(337, 8, number)

    return apply


def _padded(entry: Entry) -> None:
    entry.padding = b"\xff"


def _longer_tail(tar: Tar) -> None:
    tar.tail += bytes(10240)


def _docker(image: Rewritten) -> None:
    """As `docker push` and skopeo convert a manifest."""
    image.manifest["mediaType"] = f"{_DOCKER}.distribution.manifest.v2+json"
    image.manifest["config"]["mediaType"] = f"{_DOCKER}.container.image.v1+json"
    for layer in image.manifest["layers"]:
        layer["mediaType"] = f"{_DOCKER}.image.rootfs.diff.tar"


def _wrapped(*others: dict[str, object]) -> Change:
    def apply(image: Rewritten) -> None:
        own = {"platform": {"architecture": "amd64", "os": "linux"}}
        image.index = lambda descriptor: {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.index.v1+json",
            "manifests": [descriptor | own, *others],
        }

    return apply


_ATTESTATION: dict[str, object] = {
    "mediaType": f"{_OCI}.manifest.v1+json",
    "digest": f"sha256:{'a' * 64}",
    "size": 1,
    "platform": {"architecture": "unknown", "os": "unknown"},
    "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
}


def _stored(compress: Callable[[bytes], bytes], suffix: str) -> Change:
    def apply(image: Rewritten) -> None:
        position = image.layer(_PACKAGE)
        image.set_blob(position, compress(image.tar(position).bytes()), f"{_OCI}.layer.v1.tar+{suffix}")

    return apply


def _gzip(level: int = 6, mtime: int = 0, name: bytes = b"") -> Change:
    return _stored(lambda data: gzipped(data, level, mtime=mtime, name=name), "gzip")


def _zstd(level: int) -> Change:
    return _stored(lambda data: zstandard.ZstdCompressor(level).compress(data), "zstd")


def _history(image: Rewritten) -> None:
    image.config["history"][image.layer(_FILES)]["created_by"] = "bazel build //images/base:renamed_files"


def _package_version(tar: Tar) -> None:
    status = tar["var/lib/dpkg/status.d/netbase"]
    status.replace(status.data.replace(b"Version: 6.4", b"Version: 6.5"))
    services = tar["./etc/services"]
    services.replace(services.data + b"fcp 8082/tcp\n")
    services.number(136, 12, 1_800_000_000)


def _base(image: Rewritten) -> None:
    """The own layer on two layers of somebody else."""
    tar = image.tar(image.layer(_FILES)).bytes()
    image.keep([len(image.config["history"]) - 1])
    image.insert(0, tar + bytes(512), "/bin/sh -c #(nop) ADD file:1 in /")
    image.insert(1, tar + bytes(1024), "/bin/sh -c install")


def _new_layer(image: Rewritten) -> None:
    image.insert(5, image.tar(4).bytes() + bytes(512), "bazel build //images/base:more_files")


def _without_layer(image: Rewritten) -> None:
    position = image.layer(_FILES)
    image.keep([number for number in range(len(image.config["history"])) if number != position])


def _other_order(image: Rewritten) -> None:
    numbers = list(range(len(image.config["history"])))
    numbers.insert(7, numbers.pop(4))
    image.keep(numbers)


def _compact(image: Rewritten) -> None:
    import json

    image.dump_manifest = lambda content: json.dumps(content).encode()


def _compact_config(image: Rewritten) -> None:
    import json

    image.dump_config = lambda content: json.dumps(content, sort_keys=True).encode()


def _without_empty(image: Rewritten) -> None:
    del image.config["config"]["Labels"]


_CASES: dict[str, tuple[Cause, int, Change, Change | None]] = {
    "index around the manifest": (causes.INDEX_WRAPPING, 1, _wrapped(), None),
    "attestation in the index": (causes.INDEX_ENTRY, 1, _wrapped(_ATTESTATION), _wrapped()),
    "manifest of Docker": (causes.MEDIA_TYPE, 33, _docker, None),
    "annotation": (causes.ANNOTATION, 1, _manifest("annotations", {"org.opencontainers.image.revision": "1"}), None),
    "field of the manifest": (causes.MANIFEST_FIELD, 1, _manifest("artifactType", "text/plain"), None),
    "white space of the manifest": (causes.JSON_FORMATTING, 1, _compact, None),
    "order of keys of the config": (causes.JSON_FORMATTING, 1, _compact_config, None),
    "nothing instead of something empty": (causes.JSON_FORMATTING, 1, _without_empty, None),
    "architecture": (causes.PLATFORM, 1, _top("variant", "v3"), None),
    "time of the image": (causes.CREATED_TIME, 1, _top("created", "2026-01-01T00:00:00Z"), None),
    "label": (causes.LABEL, 1, _settings("Labels", {"tee.launch_policy.log_redirect": "always"}), None),
    "env": (causes.ENV, 1, lambda image: image.config["config"]["Env"].append("DEBUG=1"), None),
    "order of env": (causes.ENV, 1, lambda image: image.config["config"]["Env"].reverse(), None),
    "entrypoint": (causes.ENTRYPOINT, 1, _settings("Entrypoint", ["java", "-jar", "other.jar"]), None),
    "command": (causes.COMMAND, 1, _settings("Cmd", ["--debug"]), None),
    "user": (causes.USER, 1, _settings("User", "0"), None),
    "working directory": (causes.WORKING_DIRECTORY, 1, _settings("WorkingDir", "/tmp"), None),
    "exposed port": (causes.EXPOSED_PORT, 1, lambda image: image.config["config"]["ExposedPorts"].update({"5005/tcp": {}}), None),
    "volume": (causes.VOLUME, 1, _settings("Volumes", {"/data": {}}), None),
    "stop signal": (causes.CONFIG_FIELD, 1, _settings("StopSignal", "SIGKILL"), None),
    "author": (causes.CONFIG_FIELD, 1, _top("author", "me"), None),
    "history": (causes.HISTORY_ONLY, 1, _history, None),
    "other base": (causes.BASE_MOVED, 1, _base, None),
    "version of a package": (causes.PACKAGE_MOVED, 1, _in_tar(_package_version, _PACKAGE), None),
    "layer added": (causes.LAYER_ADDED, 1, _new_layer, None),
    "layer removed": (causes.LAYER_REMOVED, 1, _without_layer, None),
    "layers in another order": (causes.LAYER_ORDER, 1, _other_order, None),
    "gzip instead of nothing": (causes.COMPRESSION_FORMAT, 1, _gzip(), None),
    "zstd instead of gzip": (causes.COMPRESSION_FORMAT, 1, _zstd(3), _gzip()),
    "gzip with a time": (causes.GZIP_HEADER, 1, _gzip(mtime=1), _gzip()),
    "gzip with a name": (causes.GZIP_HEADER, 1, _gzip(name=b"layer.tar"), _gzip()),
    "gzip of another level": (causes.COMPRESSION, 1, _gzip(1), _gzip()),
    "zstd of another level": (causes.COMPRESSION, 1, _zstd(19), _zstd(1)),
    "file added": (causes.FILE_ADDED, 1, _in_tar(_add), None),
    "file removed": (causes.FILE_REMOVED, 1, _in_tar(_drop), None),
    "entry order": (causes.ENTRY_ORDER, 1, _in_tar(_swap), None),
    "entry twice": (causes.DUPLICATE_ENTRY, 1, _in_tar(_repeat), None),
    "mtime": (causes.MTIME, 1, _entry(lambda entry: entry.number(136, 12, 1_700_000_000)), None),
    "owner": (causes.OWNER, 1, _entry(lambda entry: entry.number(108, 8, 1000)), None),
    "group": (causes.OWNER, 1, _entry(lambda entry: entry.number(116, 8, 1000)), None),
    "owner name": (causes.OWNER_NAME, 1, _entry(lambda entry: entry.patch(265, b"builder")), None),
    "mode": (causes.MODE, 1, _entry(lambda entry: entry.number(100, 8, 0o600)), None),
    "symlink instead of a file": (causes.SYMLINK_VS_FILE, 1, _entry(_as_symlink), None),
    "hard link instead of a file": (causes.HARD_LINK_VS_FILE, 1, _in_tar(_hard_linked), _in_tar(_add)),
    "fifo instead of a file": (causes.FILE_TYPE, 1, _entry(_as_fifo), None),
    "link elsewhere": (causes.LINK_TARGET, 1, _entry(lambda entry: entry.patch(157, b"/etc/other\0")), _entry(_as_symlink)),
    "device number": (causes.DEVICE_NUMBER, 1, _entry(_as_device(5)), _entry(_as_device(3))),
    "pax records": (causes.PAX_HEADER, 1, _entry(_with_pax), None),
    "process id in a pax header": (causes.PAX_HEADER, 1, _entry(_with_process_id(34)), _entry(_with_process_id(12))),
    "ustar instead of GNU": (causes.TAR_FORMAT, 1, _entry(lambda entry: entry.patch(257, b"ustar\x0000")), None),
    "blanks in numbers": (causes.TAR_FORMAT, 1, _entry(lambda entry: entry.patch(108, b"     0 \0")), None),
    "paths with a dot": (causes.TAR_FORMAT, 1, _entry(lambda entry: entry.patch(0, b"./etc/passwd")), None),
    "no zeros behind data": (causes.TAR_PADDING, 1, _entry(_padded), None),
    "longer end of the tar": (causes.TAR_PADDING, 1, _in_tar(_longer_tail), None),
}


@pytest.mark.parametrize("case", _CASES)
def test_exactly_the_cause_is_named(case: str, original: pathlib.Path, tmp_path: pathlib.Path) -> None:
    cause, count, change, before = _CASES[case]
    comparison = _found(original, tmp_path, change, before)
    assert not comparison.same
    assert [difference.cause.name for difference in comparison.differences] == [cause.name] * count


@pytest.mark.parametrize("case", _CASES)
def test_the_other_way_round_it_is_the_same_cause(case: str, original: pathlib.Path, tmp_path: pathlib.Path) -> None:
    cause, count, change, before = _CASES[case]
    opposite = {causes.LAYER_ADDED: causes.LAYER_REMOVED, causes.FILE_ADDED: causes.FILE_REMOVED}
    opposite |= {value: key for key, value in opposite.items()}
    left, right = Rewritten(original, tmp_path / "left"), Rewritten(original, tmp_path / "right")
    for image in (left, right) if before else ():
        assert before
        before(image)
    change(left)
    with _compared(left.save(), right.save()) as comparison:
        assert [difference.cause.name for difference in comparison.differences] == [opposite.get(cause, cause).name] * count
