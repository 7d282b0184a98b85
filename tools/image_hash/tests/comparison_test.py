"""Tests of the parts of a comparison: which layers answer to each other, whose targets and packages hold what."""

import io
import json
import threading
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import hypothesis
import pytest
from hypothesis import strategies
from image_hash import causes
from image_hash.comparison import engine, layers, matching, origin, packages, tars
from image_hash.comparison.ahead import Ahead
from image_hash.comparison.tars import read_index
from image_hash.differences import Difference
from image_hash.formats.content import Content
from image_hash.image import Descriptor, Document, Image, Layer
from tests import images


def _stack(*layers: tuple[str, str]) -> list[Layer]:
    """Layers of a diff id and a command each."""

    def closed() -> io.BytesIO:
        raise AssertionError("a layer was opened")

    return [Layer(position, diff_id, None, created_by, closed, closed) for position, (diff_id, created_by) in enumerate(layers)]


def _matched(
    left: Sequence[tuple[str, str]], right: Sequence[tuple[str, str]], paths: Mapping[str, str] | None = None
) -> dict[str, list[object]]:
    """The matching, as positions; PATHS has a letter for each file of a diff id."""
    found = matching.match(_stack(*left), _stack(*right), lambda layer: frozenset((paths or {})[layer.diff_id]))
    parts: dict[str, list[object]] = {
        "equal": [(a.position, b.position) for a, b in found.equal],
        "moved": [(a.position, b.position) for a, b in found.moved],
        "changed": [(a.position, b.position) for a, b in found.changed],
        "removed": [layer.position for layer in found.removed],
        "added": [layer.position for layer in found.added],
        "base": [[layer.position for layer in side] for side in found.base or ()],
    }
    return {name: values for name, values in parts.items() if values}


def test_layers_with_one_diff_id_are_equal_also_if_it_comes_twice() -> None:
    stack = [("a", "x"), ("b", "y"), ("a", "x")]
    assert _matched(stack, stack) == {"equal": [(0, 0), (1, 1), (2, 2)]}


def test_layers_of_one_command_are_compared_around_what_was_added_or_removed() -> None:
    assert _matched([("a", "x"), ("b", "y")], [("n", "new"), ("a", "x"), ("c", "y")]) == {
        "equal": [(0, 1)],
        "changed": [(1, 2)],
        "added": [0],
    }
    assert _matched([("a", "x"), ("o", "old"), ("b", "y")], [("c", "x"), ("b", "y")]) == {
        "equal": [(2, 1)],
        "changed": [(0, 0)],
        "removed": [1],
    }


def test_layers_of_unknown_commands_are_compared_if_they_share_most_paths() -> None:
    left = [("a", ""), ("b", ""), ("c", "")]
    right = [("a", ""), ("n", ""), ("m", ""), ("c", "")]
    assert _matched(left, right, {"b": "1234", "n": "5678", "m": "1239"}) == {
        "equal": [(0, 0), (2, 3)],
        "changed": [(1, 2)],
        "added": [1],
    }


def test_layers_with_little_in_common_are_removed_and_added() -> None:
    assert _matched([("a", "x")], [("b", "y")], {"a": "12", "b": "34"}) == {"removed": [0], "added": [0]}


def test_the_only_layer_in_a_place_is_compared_with_the_only_other_one() -> None:
    assert _matched([("a", ""), ("b", ""), ("c", "")], [("a", ""), ("n", ""), ("c", "")]) == {
        "equal": [(0, 0), (2, 2)],
        "changed": [(1, 1)],
    }


def test_hundreds_of_layers_that_nothing_connects_are_not_opened() -> None:
    left, right = ([(f"{side}{number}", "") for number in range(60)] for side in "ab")
    assert _matched(left, right) == {"removed": list(range(60)), "added": list(range(60))}


def test_a_layer_in_another_place_has_moved() -> None:
    assert _matched([("a", "x"), ("b", "y"), ("c", "z")], [("b", "y"), ("c", "z"), ("a", "x")]) == {
        "equal": [(1, 0), (2, 1)],
        "moved": [(0, 2)],
    }


def test_other_commands_below_what_is_the_same_are_another_base() -> None:
    own = ("o", "own")
    assert _matched([("a", "x"), ("b", "y"), own], [("c", "z"), own]) == {"equal": [(2, 1)], "base": [[0, 1], [0]]}
    assert _matched([("a", "x"), own], [("c", "z"), ("p", "own")]) == {"changed": [(1, 1)], "base": [[0], [0]]}


def test_other_layers_above_what_is_the_same_are_no_base() -> None:
    assert _matched([("a", "x"), ("b", "y")], [("a", "x"), ("c", "z")], {"b": "1", "c": "2"}) == {
        "equal": [(0, 0)],
        "removed": [1],
        "added": [1],
    }


@pytest.mark.parametrize(
    ("created_by", "label"),
    [
        ("bazel build //images/base:locale.tar", "//images/base:locale.tar"),
        ("bazel build @rules//x", "@rules//x"),
        ("bazel build @@rules~1//x:y", "@@rules~1//x:y"),
        ("bazel build //a && rm -rf /", ""),
        ("/bin/sh -c #(nop) CMD [java]", ""),
        ("", ""),
    ],
)
def test_a_layer_is_of_the_target_that_its_history_names(created_by: str, label: str) -> None:
    assert origin.layer_target(created_by) == label


def _jar(files: Mapping[str, str]) -> Content:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return Content.of(buffer.getvalue())


def test_a_jar_says_its_target() -> None:
    assert origin.jar_target(_jar({"build-data.properties": "build.target=//a:b\nmain.class=X\n"})) == "//a:b"
    assert origin.jar_target(_jar({"build-data.properties": "build.target=//a:b\nbuild.target=//a:c\n"})) == ""
    assert origin.jar_target(_jar({"other": "build.target=//a:b\n"})) == ""
    assert origin.jar_target(Content.of(b"PK\3\4 no jar")) == ""


@pytest.mark.parametrize(
    ("inside", "label"),
    [
        (["BOOT-INF/lib/shuffler/common/web/libweb.jar", "Health.class"], "//shuffler/common/web:web"),
        (["BOOT-INF/lib/spring-web-6.2.19.jar", "X.class"], "//a:b"),
        (["BOOT-INF/classes/X.class"], "//a:b"),
        ([], "//a:b"),
    ],
)
def test_jars_inside_of_a_jar_are_of_the_library_that_their_path_names(inside: list[str], label: str) -> None:
    assert origin.nested_target("//a:b", inside) == label


_STANZA = "Package: {}\nStatus: {}\nVersion: {}\nDescription: x\n Version: 9\n\n"


def _status(**versions: str) -> bytes:
    return "".join(_STANZA.format(name, "install ok installed", version) for name, version in versions.items()).encode()


def test_packages_of_dpkg_own_what_their_lists_name() -> None:
    left = {"var/lib/dpkg/status": _status(tar="1", bash="5"), "var/lib/dpkg/info/tar.list": b"/.\n/bin\n/bin/tar\n"}
    right = {"var/lib/dpkg/status": _status(tar="2", bash="5"), "var/lib/dpkg/info/tar:amd64.list": b"/.\n/usr/bin/tar\n"}
    (moved,) = packages.moved(left, right, "")
    assert (moved.name, moved.left, moved.right) == ("tar", "1", "2")
    owned = ["bin/tar", "usr/bin/tar", "var/lib/dpkg/status", "var/lib/dpkg/info/tar.md5sums"]
    assert [path for path in [*owned, "bin/bash", "etc/passwd"] if moved.owns(path)] == owned


def test_packages_that_were_removed_but_not_purged_are_in_no_version() -> None:
    left = {"var/lib/dpkg/status": _STANZA.format("tar", "deinstall ok config-files", "1").encode()}
    assert packages.moved(left, {"var/lib/dpkg/status": _status(tar="2")}, "") == []


def test_the_layer_of_one_package_is_its_own_as_a_whole() -> None:
    left = {"var/lib/dpkg/status.d/tar": _status(tar="1")}
    right = {"var/lib/dpkg/status.d/tar": _status(tar="2")}
    (moved,) = packages.moved(left, right, "//toolchains/debian:tar_amd64.tar")
    assert moved.owns("etc/whatever")
    (moved,) = packages.moved(left, right, "//toolchains/debian:everything.tar")
    assert not moved.owns("etc/whatever")


def test_distributions_of_python_own_what_their_record_names() -> None:
    left = {"x/a_b-1.0.dist-info/METADATA": b"", "x/a_b-1.0.dist-info/RECORD": b'a_b/old.py,sha256=x,1\n"../bin/a,b",,\n'}
    right = {"x/A.b-2.0.dist-info/METADATA": b"", "x/A.b-2.0.dist-info/RECORD": b"a_b/new.py,,\n"}
    (moved,) = packages.moved(left, right, "")
    assert (moved.name, moved.left, moved.right) == ("a-b", "1.0", "2.0")
    owned = ["x/a_b/old.py", "bin/a,b", "x/a_b/new.py", "x/a_b-1.0.dist-info/METADATA", "x/A.b-2.0.dist-info/RECORD"]
    assert [path for path in [*owned, "a_b/old.py", "x/c.py"] if moved.owns(path)] == owned


_SIGNS = {"+": causes.FILE_ADDED, "-": causes.FILE_REMOVED}


def _changes(*names: tuple[str, str]) -> list[Difference]:
    return [Difference(("layer 0", "app.jar", name), _SIGNS[sign], "1 byte", "") for sign, name in names]


def test_a_jar_in_another_version_is_one_difference() -> None:
    found = packages.fold_archives(_changes(("-", "lib/spring-web-6.2.19.jar"), ("-", "lib/x.jar"), ("+", "lib/spring-web-6.2.20.jar")))
    assert [(difference.cause.name, difference.place[-1], difference.left, difference.right) for difference in found] == [
        ("package version moved", "lib/spring-web", "6.2.19", "6.2.20"),
        ("file removed", "lib/x.jar", "1 byte", ""),
    ]


@pytest.mark.parametrize(
    "names",
    [
        [("-", "lib/a-1.jar"), ("+", "other/a-2.jar")],
        [("-", "lib/a-1.jar"), ("+", "lib/b-2.jar")],
        [("-", "lib/a-1.jar"), ("-", "lib/a-2.jar"), ("+", "lib/a-3.jar")],
        [("-", "lib/a-1.jar"), ("+", "lib/a-2.jar"), ("+", "lib/a-3.jar")],
        [("-", "lib/a-one.jar"), ("+", "lib/a-two.jar")],
    ],
)
def test_other_jars_are_no_other_version(names: list[tuple[str, str]]) -> None:
    changes = _changes(*names)
    assert packages.fold_archives(changes) == changes


def test_an_entry_is_a_database_of_packages_by_its_path_and_a_size_that_is_one() -> None:
    files = ["var/lib/dpkg/status", "var/lib/dpkg/status.d/tar", "a/x-1.dist-info/RECORD", "var/lib/dpkg/info/tar.list", "etc/passwd"]
    index = read_index(io.BytesIO(images.tar(dict.fromkeys(files, b"x"))), "x.tar")
    assert [packages.is_database(entry) for entry in index.entries] == [True, True, True, True, False]
    index.entries[0].member.size = 1 << 30
    assert not packages.is_database(index.entries[0])


_FILES = strategies.dictionaries(
    strategies.sampled_from("abcdef"), strategies.sampled_from([b"", b"1\n", b"2\n", b"3\n" * 900]), max_size=6
)
_ORDERED = _FILES.flatmap(lambda files: strategies.permutations(sorted(files.items())))


def _layer_of(tar: bytes) -> Layer:
    def opened() -> BinaryIO:
        return io.BytesIO(tar)

    return Layer(0, images.digest(tar), None, "", opened, opened)


@pytest.mark.parametrize("held", [16 << 20, 1000, 0])
def test_entries_that_differ_are_found_whatever_their_order(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "_IN_MEMORY", held)

    @hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
    @hypothesis.given(_ORDERED, _ORDERED)
    def check(left: Sequence[tuple[str, bytes]], right: Sequence[tuple[str, bytes]]) -> None:
        a, b = dict(left), dict(right)
        expected: Counter[tuple[str, ...]] = Counter({("layer 0", name) for name in a.keys() | b.keys() if a.get(name) != b.get(name)})
        common = [[name for name, _ in side if name in a and name in b] for side in (left, right)]
        expected[("layer 0",)] = int(common[0] != common[1])
        if left == right:
            return
        found = layers.tar_differences(_layer_of(images.tar(a)), _layer_of(images.tar(b)))
        assert Counter(difference.place for difference in found) == +expected
        names = {difference.place[1]: difference.cause.name for difference in found if len(difference.place) > 1}
        assert {name for name, cause in names.items() if cause == "file removed"} == a.keys() - b.keys()
        assert {name for name, cause in names.items() if cause == "file added"} == b.keys() - a.keys()

    check()


_WORDS = strategies.sampled_from(["", "a", "b"])
_TEXTS = strategies.dictionaries(_WORDS.filter(bool), _WORDS, max_size=2)
_Json = strategies.SearchStrategy[dict[str, Any]]
_STEP: _Json = strategies.fixed_dictionaries({}, optional={"created_by": _WORDS, "created": _WORDS, "empty_layer": strategies.booleans()})
_CONFIG: _Json = strategies.fixed_dictionaries(
    {"rootfs": strategies.just({"type": "layers", "diff_ids": [images.digest(b"tar")]})},
    optional={
        "author": _WORDS,
        "created": _WORDS,
        "variant": _WORDS,
        "history": strategies.lists(_STEP, max_size=3),
        "config": strategies.fixed_dictionaries(
            {},
            optional={
                "Env": strategies.lists(strategies.sampled_from(["A=1", "A=2", "B=1"]), max_size=3),
                "Labels": _TEXTS,
                "User": _WORDS,
                "ArgsEscaped": strategies.booleans(),
                "Healthcheck": strategies.one_of(strategies.none(), strategies.dictionaries(_WORDS, strategies.floats(0, 2), max_size=1)),
            },
        ),
    },
)
_POINTER: _Json = strategies.fixed_dictionaries(
    {}, optional={"annotations": _TEXTS, "artifactType": _WORDS, "urls": strategies.lists(_WORDS)}
)
_MANIFEST: _Json = strategies.fixed_dictionaries(
    {"config": _POINTER, "layers": _POINTER.map(lambda layer: [layer])}, optional={"annotations": _TEXTS, "artifactType": _WORDS}
)
_OTHERS: strategies.SearchStrategy[list[dict[str, Any]]] = strategies.lists(
    strategies.fixed_dictionaries({"digest": _WORDS}, optional={"platform": strategies.just({"os": "linux", "architecture": "amd64"})}),
    max_size=3,
)
_DUMPS: _Json = strategies.sampled_from([{"indent": 2}, {"sort_keys": True}, {}])


def _document(content: Mapping[str, Any], form: Mapping[str, Any]) -> Document:
    data = json.dumps(content, **form).encode()
    return Document("", images.digest(data), data, content)


@strategies.composite
def _images(draw: strategies.DrawFn) -> Image:
    """An image of one layer, which is never opened, with documents of all kinds."""
    layer = Layer(0, images.digest(b"tar"), Descriptor("", images.digest(b"tar"), 3), "", io.BytesIO, io.BytesIO)
    config = _document(draw(_CONFIG), draw(_DUMPS))
    content = draw(_MANIFEST)
    content["config"] |= {"digest": config.digest}
    content["layers"][0] |= {"digest": layer.diff_id}
    manifest = _document(content, draw(_DUMPS))
    entries = [{"digest": manifest.digest}, *draw(_OTHERS)]
    index = _document({"manifests": draw(strategies.permutations(entries))}, draw(_DUMPS)) if draw(strategies.booleans()) else None
    return Image("image", "layout", index, manifest, config, (layer,))


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(_images(), _images())
def test_documents_differ_exactly_if_a_difference_is_found(left: Image, right: Image) -> None:
    comparison = engine.compare(left, right)
    assert comparison.same == (left.image_hash == right.image_hash) == (not comparison.differences)
    assert all(difference.left != difference.right or difference.cause in _ALIKE for difference in comparison.differences)


# Whose both sides may read alike: sizes, and what is not told.
_ALIKE = (causes.JSON_FORMATTING, causes.INDEX_ENTRY)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(strategies.binary(min_size=1, max_size=40), strategies.integers(0, 4000), strategies.booleans())
def test_damaged_tars_are_compared_or_refused_but_never_break(noise: bytes, offset: int, longer: bool) -> None:
    data = images.tar({"a": b"1" * 600, "b": b"2"})
    other = data[:offset] + noise + data[offset + (0 if longer else len(noise)) :]
    if other == data:
        return
    first, second = _layer_of(data), _layer_of(other)
    assert layers.tar_differences(first, second)
    assert layers.tar_differences(second, first)


def test_what_reads_ahead_gives_all_bytes_in_any_portions() -> None:
    data = bytes(range(256)) * 20_000
    with Ahead(io.BytesIO(data)) as ahead:
        assert ahead.read(10) + ahead.read(3_000_000) + ahead.read(0) + ahead.read(10_000_000) == data
        assert ahead.read(1) == b""


def test_what_reads_ahead_raises_what_the_stream_raises_and_ends_its_thread() -> None:
    class Broken(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError("broken")

    before = threading.active_count()
    with Ahead(Broken()) as ahead:
        for _ in range(2):
            with pytest.raises(OSError, match="broken"):
                ahead.read(1)
    with Ahead(io.BytesIO(bytes(50 << 20))) as ahead:
        ahead.read(1)
    assert threading.active_count() == before
