"""Each named cause of what differs around and between files: made in a real image, and found under exactly that name."""

import importlib.util
import io
import json
import marshal
import os
import pathlib
import struct
import zipfile
from collections.abc import Callable

import pytest
import zstandard
from image_hash import causes, limits
from image_hash.causes import Cause
from image_hash.comparison import engine
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


def _made(original: pathlib.Path, folder: pathlib.Path, change: Change, before: Change | None) -> tuple[pathlib.Path, pathlib.Path]:
    """The image, or what BEFORE makes of it, and what CHANGE makes of that."""
    left = original
    if before:
        first = Rewritten(original, folder / "left")
        before(first)
        left = first.save()
    second = Rewritten(original, folder / "right")
    if before:
        before(second)
    change(second)
    return left, second.save()


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


def _with_pax_time(text: str) -> Callable[[Entry], None]:
    def apply(entry: Entry) -> None:
        entry.headers = pax_header({"mtime": text}) + entry.headers[-512:]

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
    image.dump_manifest = lambda content: json.dumps(content).encode()


def _compact_config(image: Rewritten) -> None:
    image.dump_config = lambda content: json.dumps(content, sort_keys=True).encode()


def _without_empty(image: Rewritten) -> None:
    del image.config["config"]["Labels"]


_PASSWD = "etc/passwd"
_LIBRARY = "./lib/x86_64-linux-gnu/libz.so.1.2.13"
_CLASS = "BOOT-INF/classes/com/google/ondevicepersonalization/federatedcompute/shuffler/collector/CollectorApplication.class"


def _data(change: Callable[[bytes], bytes], path: str = _PASSWD, layer: str = _FILES) -> Change:
    """Changes the content of a file."""
    return _in_tar(lambda tar: tar[path].replace(change(tar[path].data)), layer)


def _as(data: bytes) -> Change:
    """Gives a file another content."""
    return _data(lambda _: data)


def _patched(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def _section(data: bytes, name: str) -> int:
    """Offset of a section of a 64-bit ELF file (System V ABI, "Section Header")."""
    headers, size, count, names = struct.unpack_from("<Q10xHHH", data, 0x28)
    rows = [struct.unpack_from("<I20xQQ", data, headers + number * size) for number in range(count)]
    (offset,) = (row[1] for row in rows if data[rows[names][1] + row[0] :].startswith(name.encode() + b"\0"))
    return int(offset)


def _in_section(name: str, value: bytes, behind: int = 0) -> Change:
    """Changes bytes BEHIND the start of a section of a library."""
    return _data(lambda data: _patched(data, _section(data, name) + behind, value), _LIBRARY, "zlib1g_amd64.tar")


Members = list[tuple[zipfile.ZipInfo, bytes]]


def _jar(change: Callable[[Members], object], before: bytes = b"") -> Change:
    """Writes the application's jar anew, with other members and with something BEFORE them."""

    def rewritten(data: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
        change(members)
        buffer = io.BytesIO()
        buffer.write(before)
        with zipfile.ZipFile(buffer, "w") as archive:
            for info, content in members:
                archive.writestr(info, content)
        return buffer.getvalue()

    return _data(rewritten, "collector_application.jar", "collector:binary_tar.tar")


_SAME_JAR = _jar(len)


def _member(change: Callable[[zipfile.ZipInfo, bytes], bytes], path: str = _CLASS) -> Change:
    def apply(members: Members) -> None:
        (number,) = (number for number, (info, _) in enumerate(members) if info.filename == path)
        info, content = members[number]
        members[number] = info, change(info, content)

    return _jar(apply)


def _timestamp(info: zipfile.ZipInfo, content: bytes) -> bytes:
    info.date_time = (2026, 11, 23, 18, 12, 4)
    return content


def _from_windows(info: zipfile.ZipInfo, content: bytes) -> bytes:
    info.create_system = 0
    return content


def _deflated(info: zipfile.ZipInfo, content: bytes) -> bytes:
    info.compress_type = zipfile.ZIP_DEFLATED
    return content


def _reversed(members: Members) -> None:
    members.reverse()


def _newer_spring(members: Members) -> None:
    for number, (info, content) in enumerate(members):
        if info.filename == "BOOT-INF/lib/spring-jcl-6.2.19.jar":
            info.filename = "BOOT-INF/lib/spring-jcl-6.2.20.jar"
            members[number] = info, content + b"x"


def _other_constants(_: zipfile.ZipInfo, content: bytes) -> bytes:
    """Name and value of the attribute SourceFile in the other order, and so the references to these constants (JVMS 4.7.10)."""
    kind, name = (struct.pack(">BH", 1, len(text)) + text for text in (b"SourceFile", b"CollectorApplication.java"))
    # The compiler numbers them one after the other.
    (number,) = (n for n in range(1, 1000) if struct.pack(">HIH", n, 2, n + 1) in content)
    attribute, other = struct.pack(">HIH", number, 2, number + 1), struct.pack(">HIH", number + 1, 2, number)
    return content.replace(kind + name, name + kind).replace(attribute, other)


_CODE = marshal.dumps(compile("def f(x):\n    return [x, 'word', 'word']\n", "f.py", "exec", optimize=0))


def _pyc(code: bytes, *, time: int = 0) -> Change:
    """A compiled file in place of a text (PEP 552)."""
    return _as(importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, time, 10) + code)


def _deep(line: bytes) -> Change:
    data = line
    for _ in range(limits.NESTED_DEPTH + 1):
        data = gzipped(data)
    return _as(data)


_OPPOSITE = {
    causes.LAYER_ADDED: causes.LAYER_REMOVED,
    causes.LAYER_REMOVED: causes.LAYER_ADDED,
    causes.FILE_ADDED: causes.FILE_REMOVED,
    causes.FILE_REMOVED: causes.FILE_ADDED,
}

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
    "time written in another way": (causes.PAX_HEADER, 1, _entry(_with_pax_time("0.00")), _entry(_with_pax_time("0.0"))),
    "ustar instead of GNU": (causes.TAR_FORMAT, 1, _entry(lambda entry: entry.patch(257, b"ustar\x0000")), None),
    "blanks in numbers": (causes.TAR_FORMAT, 1, _entry(lambda entry: entry.patch(108, b"     0 \0")), None),
    "paths with a dot": (causes.TAR_FORMAT, 1, _entry(lambda entry: entry.patch(0, b"./etc/passwd")), None),
    "no zeros behind data": (causes.TAR_PADDING, 1, _entry(_padded), None),
    "longer end of the tar": (causes.TAR_PADDING, 1, _in_tar(_longer_tail), None),
    "zstd with a check sum": (
        causes.ZSTD_HEADER,
        1,
        _stored(lambda data: zstandard.ZstdCompressor(3, write_checksum=True).compress(data), "zstd"),
        _stored(lambda data: zstandard.ZstdCompressor(3, write_checksum=False).compress(data), "zstd"),
    ),
    "zip timestamp": (causes.ZIP_TIMESTAMP, 1, _member(_timestamp), _SAME_JAR),
    "zip order": (causes.ZIP_ORDER, 1, _jar(_reversed), _SAME_JAR),
    "zip of another system": (causes.ZIP_HEADER, 1, _member(_from_windows), _SAME_JAR),
    "script before a jar": (causes.ZIP_PADDING, 1, _jar(len, b"#!/bin/sh\n"), _SAME_JAR),
    "member of a jar deflated": (causes.COMPRESSION_FORMAT, 1, _member(_deflated), _SAME_JAR),
    "jar of another version": (causes.PACKAGE_MOVED, 1, _jar(_newer_spring), _SAME_JAR),
    "code of a class": (causes.COMPILED_CODE, 1, _member(lambda _, data: data.replace(b"\tCollector", b"\tCollectoR")), _SAME_JAR),
    "version of a class": (causes.COMPILER_VERSION, 1, _member(lambda _, data: _patched(data, 7, b"\x3c")), _SAME_JAR),
    "source name of a class": (
        causes.DEBUG_INFORMATION,
        1,
        _member(lambda _, data: data.replace(b"CollectorApplication.java", b"CollectorApplicatiom.java")),
        _SAME_JAR,
    ),
    "order of constants": (causes.CONSTANT_ORDER, 1, _member(_other_constants), _SAME_JAR),
    "code of a library": (causes.COMPILED_CODE, 1, _in_section(".text", b"\xcc", 100), None),
    "build id": (causes.BUILD_ID, 1, _in_section(".note.gnu.build-id", b"\1\2\3\4", 16), None),
    "debug link": (causes.DEBUG_LINK, 1, _in_section(".gnu_debuglink", b"0123"), None),
    "time of a source in a .pyc": (causes.PYC_VALIDATION, 1, _pyc(_CODE, time=1), _pyc(_CODE)),
    "references in a .pyc": (causes.PYC_REFERENCES, 1, _pyc(marshal.dumps(marshal.loads(_CODE), 2)), _pyc(_CODE)),
    "path in a file": (causes.EMBEDDED_PATH, 1, _as(b"\0from /home/bob/src/app/main.c\0"), _as(b"\0from /home/alice/src/app/main.c\0")),
    "time in a file": (causes.EMBEDDED_TIME, 1, _as(b"\0built 2026-11-23 18:12:04\0"), _as(b"\0built 2026-11-22 08:02:14\0")),
    "time in a text": (causes.EMBEDDED_TIME, 1, _as(b"# Mon Nov 23 18:12:04 UTC 2026\n"), _as(b"# Tue Nov 24 19:22:05 UTC 2026\n")),
    "text": (causes.TEXT_CONTENT, 1, _data(lambda data: data + b"more:x:1:1::/:/bin/sh\n"), None),
    "order of lines": (causes.LINE_ORDER, 1, _data(lambda data: b"".join(reversed(data.splitlines(keepends=True)))), None),
    "line endings": (causes.LINE_ENDINGS, 1, _data(lambda data: data.replace(b"\n", b"\r\n")), None),
    "archives in archives": (causes.NOT_EXAMINED, 1, _deep(b"one\n"), _deep(b"two\n")),
    "noise": (causes.UNKNOWN, 1, _as(bytes(range(256))), _as(bytes(range(255, -1, -1)))),
}


def test_every_cause_is_made() -> None:
    # The history differs besides other things in another test; digests are compared alone with lists of expected hashes.
    assert {cause for cause, *_ in _CASES.values()} == set(causes.ALL) - {causes.HISTORY, causes.DIGEST_ONLY}


@pytest.mark.parametrize("case", _CASES)
def test_exactly_the_cause_is_named_whichever_image_comes_first(case: str, original: pathlib.Path, tmp_path: pathlib.Path) -> None:
    cause, count, change, before = _CASES[case]
    left, right = _made(original, tmp_path, change, before)
    with open_image(str(left)) as a, open_image(str(right)) as b:
        for first, second, expected in ((a, b, cause), (b, a, _OPPOSITE.get(cause, cause))):
            comparison = engine.compare(first, second)
            assert not comparison.same
            assert [difference.cause.name for difference in comparison.differences] == [expected.name] * count


def _nested(_: zipfile.ZipInfo, content: bytes) -> bytes:
    return _patched(content, 10, b"\1\1\1\1")


@pytest.mark.parametrize(
    ("change", "place", "target"),
    [
        (_member(_timestamp), _CLASS, "//shuffler/services/collector:collector_application"),
        (_member(_nested, "BOOT-INF/lib/shuffler/common/web/libweb.jar"), "META-INF/", "//shuffler/common/web:web"),
    ],
)
def test_inside_of_a_jar_the_target_is_that_of_its_part(
    change: Change, place: str, target: str, original: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    left, right = _made(original, tmp_path, change, _SAME_JAR)
    with open_image(str(left)) as a, open_image(str(right)) as b:
        found = engine.compare(a, b).differences
    assert {(difference.place[-1], difference.target) for difference in found} == {(place, target)}
