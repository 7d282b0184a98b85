"""The proofs can fail: each finding is made to happen on a small example."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import types
from collections.abc import Iterator

import pytest
from image_hash import errors

from tools.inputs import locks
from tools.proof import bazel, checkout, comparison, conditions, hermeticity, offline, remote_cache

GRAPH = {
    "pathFragments": [
        {"id": 1, "label": "external"},
        {"id": 2, "label": "llvm16", "parentId": 1},
        {"id": 3, "label": "clang", "parentId": 2},
        {"id": 4, "label": "out.o"},
        {"id": 5, "label": "image"},
        {"id": 6, "label": "src.jar"},
    ],
    "artifacts": [{"id": n, "pathFragmentId": n + 2} for n in range(1, 5)],
    "targets": [{"id": 1, "label": "//native:a"}],
    "depSetOfFiles": [{"id": 2, "transitiveDepSetIds": [1]}, {"id": 1, "directArtifactIds": [1]}, {"id": 3, "directArtifactIds": [2]}],
    "actions": [
        {
            "mnemonic": "CppCompile",
            "targetId": 1,
            "arguments": ["external/llvm16/clang", "-c"],
            "paramFiles": [{"arguments": ["-O2"]}],
            "outputIds": [2],
            "inputDepSetIds": [2],
        },
        {"mnemonic": "JavaSourceJar", "outputIds": [4], "inputDepSetIds": [1]},
        {"mnemonic": "OCIImage", "outputIds": [3], "inputDepSetIds": [3]},
    ],
}


def action(*arguments: str, mnemonic: str = "CppCompile", inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ("o",)) -> bazel.Action:
    return bazel.Action(mnemonic, "//a:b", arguments, inputs, outputs)


def test_the_actions_that_an_image_needs_are_read_and_no_others() -> None:
    assert bazel.ActionGraph(GRAPH).actions == [
        bazel.Action("OCIImage", "", (), ("out.o",), ("image",)),
        bazel.Action("CppCompile", "//native:a", ("external/llvm16/clang", "-c", "-O2"), ("external/llvm16/clang",), ("out.o",)),
    ]


@pytest.mark.parametrize(
    "argument",
    ["/usr/bin/gcc", "--sysroot=/usr/lib/gcc", "-I/usr/include", "/bin/sh", "-Djdk=/usr/lib/jvm/java-25", "PATH:/usr/local/bin/python3"],
)
def test_a_tool_of_the_machine_in_a_command_line_is_found(argument: str) -> None:
    argument = argument.replace("-I/", "-I=/")
    assert hermeticity.findings([action("external/llvm16/clang", argument)])


@pytest.mark.parametrize("repository", ["external/local_config_cc", "external/rules_java~~toolchains~local_jdk/bin/java", "/usr/lib/x"])
def test_an_input_of_the_machine_is_found(repository: str) -> None:
    assert hermeticity.findings([action("external/x/clang", inputs=(repository,))])


def test_paths_of_inputs_that_only_look_like_the_machine_are_fine() -> None:
    fine = [
        action(
            "external/remotejdk17_linux/usr/lib/jvm/java-17/bin/java",
            "external/llvm16/usr/lib/llvm-16/bin/clang",
            inputs=("external/llvm16/x",),
        ),
        action("external/python3_10/bin/python3.10", "/usr/bin/java", mnemonic="OCILayer"),
    ]
    assert hermeticity.findings(fine) == []


def test_a_packer_that_is_run_by_the_machines_python_is_found() -> None:
    assert hermeticity.findings([action("/usr/bin/python3", "x", mnemonic="OCILayer")])


def entry(path: str, hit: bool) -> dict[str, object]:
    return {"listedOutputs": [path], "cacheHit": hit}


def test_a_cache_hit_and_an_action_that_did_not_run_are_found() -> None:
    actions = [action("x", outputs=("ran",)), action("x", outputs=("hit",)), action("x", outputs=("absent",)), action(mnemonic="FileWrite")]
    lines = comparison.not_executed(actions, [entry("ran", False), entry("hit", True)])
    assert lines == ["CppCompile of //a:b did not run (absent)", "CppCompile of //a:b was a cache hit"]


def test_the_execution_log_is_a_row_of_json_objects() -> None:
    text = json.dumps({"a": 1}, indent=2) + json.dumps({"b": "}{"}) + "\n"
    assert list(comparison.log_entries(text)) == [{"a": 1}, {"b": "}{"}]


def test_different_hashes_are_named() -> None:
    assert comparison.different({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "x", "d": "4"}) == ["b", "c", "d"]


def test_the_canary_changes_one_byte_of_a_string(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "A.java"
    source.write_text('package a;\n@Value("name")\n// "comment"\nclass A { String s = "xyz"; }\n')
    comparison.flip_byte(source)
    assert source.read_text() == 'package a;\n@Value("name")\n// "comment"\nclass A { String s = "yyz"; }\n'


def test_a_canary_without_a_place_to_sit_cannot_check(tmp_path: pathlib.Path) -> None:
    (tmp_path / "A.java").write_text("class A {}\n")
    for name in ("A.java", "B.java"):
        with pytest.raises(errors.CheckError, match="canary needs"):
            comparison.flip_byte(tmp_path / name)


def test_a_copy_has_what_git_would_commit_and_nothing_else(tmp_path: pathlib.Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    subprocess.run(["git", "init", "--quiet", str(first)], check=True)
    (first / ".gitignore").write_text("ignored\n")
    (first / "ignored").write_text("x")
    (first / "sub").mkdir()
    (first / "sub" / "run").write_text("#!")
    (first / "sub" / "run").chmod(0o755)
    (first / "link").symlink_to("sub/run")
    checkout.copy(first, tmp_path / "second")
    copied = sorted(str(p.relative_to(tmp_path / "second")) for p in (tmp_path / "second").rglob("*"))
    assert copied == [".gitignore", "link", "sub", "sub/run"]
    assert (tmp_path / "second" / "sub" / "run").stat().st_mode & 0o111
    assert (tmp_path / "second" / "link").is_symlink()


def test_no_checkout_cannot_be_copied(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.CheckError, match="expected a git checkout"):
        checkout.copy(tmp_path, tmp_path / "second")


def test_two_builds_part_at_an_output_whose_inputs_are_equal() -> None:
    actions = [
        action(mnemonic="Last", inputs=("a/tree", "a/first.o"), outputs=("a/image",)),
        action(mnemonic="Pack", inputs=("a/first.o",), outputs=("a/tree",)),
        action(mnemonic="Compile", inputs=("a/x.c",), outputs=("a/first.o", "a/first.d")),
        # What differs, and reaches nothing that differs.
        action(mnemonic="List", outputs=("a/list",)),
        action(mnemonic="Last", inputs=("a/list",), outputs=("a/other",)),
    ]
    before = {"a/first.o": "1", "a/tree/file": "2", "a/image/index.json": "3", "a/list": "4", "a/other/index.json": "5", "only/here": "6"}
    after = {"a/first.o": "1", "a/tree/file": "x", "a/image/index.json": "y", "a/list": "z", "a/other/index.json": "5"}
    assert [str(parting) for parting in comparison.partings("a/image", actions, before, after)] == ["a/tree/file, by Pack of //a:b"]
    assert comparison.partings("a/other", actions, before, after) == []
    compiled = {**after, "a/first.o": "z", "a/first.d": "z"}
    (parting,) = comparison.partings("a/image", actions, {**before, "a/first.d": "1"}, compiled)
    assert parting == comparison.Parting("a/first.d", "Compile", "//a:b")
    assert comparison.partings("a/image", actions, before, before) == []


class _Builds:
    """Stands for the builds of guilty(): which services exist, which condition changes which of them, and what was built."""

    def __init__(self, causes: dict[str, str]) -> None:
        self.causes = causes
        self.built: list[tuple[str, ...]] = []

    def image(self, service: str, condition: str) -> str:
        return "x" if self.causes[service] == condition else "1"


def _guilty(monkeypatch: pytest.MonkeyPatch, kinds: dict[str, str], causes: dict[str, str]) -> tuple[dict[str, str], list[tuple[str, ...]]]:
    """Runs guilty() with services that part at actions of KINDS, and that the conditions of CAUSES change."""
    builds = _Builds(causes)

    @contextlib.contextmanager
    def under(few: bazel.Workspace, chosen: list[conditions.Condition], *_: object) -> Iterator[bazel.Workspace]:
        yield dataclasses.replace(few, options=(chosen[0].name,))

    def build(workspace: bazel.Workspace, *_: str) -> dict[str, str]:
        builds.built.append((*workspace.options, *workspace.images))
        return {service: builds.image(service, workspace.options[0]) for service in workspace.images}

    def parted(_first: bazel.Workspace, second: bazel.Workspace, _before: object) -> dict[str, list[comparison.Parting]]:
        changed = {service for service in second.images if builds.image(service, second.options[0]) != "1"}
        return {service: [comparison.Parting("f", kinds[service], "//t")] if service in changed else [] for service in second.images}

    monkeypatch.setattr(conditions, "under", under)
    monkeypatch.setattr(bazel.Workspace, "build", build)
    monkeypatch.setattr(bazel.Workspace, "hashes", lambda workspace: dict.fromkeys(workspace.images, "1"))
    monkeypatch.setattr(comparison, "partings_of_all", parted)
    # The first services have the most to do.
    layers = [action(mnemonic="Layer", outputs=(f"layer{number}",)) for number in range(len(kinds))]
    names = [f"bazel-out/k8-opt/bin/{service}/{service}_image" for service in kinds]
    made = [
        action(mnemonic="OCIImage", inputs=tuple(f"layer{n}" for n in range(len(kinds) - k)), outputs=(name,))
        for k, name in enumerate(names)
    ]
    monkeypatch.setattr(bazel.Workspace, "actions", lambda _: types.SimpleNamespace(actions=layers + made))
    monkeypatch.setattr(comparison, "shims", pathlib.Path)
    first = bazel.Workspace(pathlib.Path(), images={service: f"//{service}:{service}_image" for service in kinds})
    together = {service: [comparison.Parting("f", kind, "//t")] for service, kind in kinds.items()}
    chosen = [conditions.Condition(name) for name in ("one", "two", "three")]
    found = comparison.guilty(first, together, {}, chosen, pathlib.Path())
    return {service: cause.condition for service, cause in found.items()}, builds.built


def test_of_images_that_part_alike_one_is_built_until_its_condition_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found, built = _guilty(monkeypatch, {"a": "Jar", "b": "Jar", "c": "Layer"}, {"a": "two", "b": "two", "c": "one"})
    assert found == {"a": "two", "b": "two", "c": "one"}
    assert built == [("one", "c", "b"), ("one", "c"), ("two", "b"), ("two", "b", "a")]


def test_images_that_part_alike_for_different_reasons_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    found, built = _guilty(monkeypatch, {"a": "Jar", "b": "Jar"}, {"a": "two", "b": "one"})
    assert found == {"a": "two", "b": "one"}
    assert built == [("one", "b"), ("one", "b", "a"), ("one", "a"), ("two", "a"), ("two", "a")]


def test_what_no_condition_changes_alone_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    found, built = _guilty(monkeypatch, {"a": "Jar", "b": "Layer"}, {"a": "none", "b": "three"})
    assert found == {"b": "three"}
    assert built[-3:] == [("one", "a"), ("two", "a"), ("three", "a")]


def test_each_condition_is_set_up_once_and_preloads_come_last(tmp_path: pathlib.Path) -> None:
    lines = conditions.script(conditions.ALL, {tmp_path / "a b": pathlib.Path("/b")}, tmp_path).splitlines()
    assert f"mount --bind '{tmp_path}/a b' /b" in lines
    assert lines.count("hostname another-host.example") == 1
    assert lines[-3].endswith("/etc/ld.so.preload")
    assert lines[-2:] == ["echo ready", "exec sleep infinity"]
    assert "preload" not in conditions.script([conditions.USER], {}, tmp_path)


def test_without_root_only_what_needs_no_namespaces_is_varied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    names = [condition.name for condition in conditions.possible()]
    assert names == ["workspace path", "output base", "jobs", "inputs from the archive", "WORKSPACE mode"]


def test_of_each_kind_of_repository_the_smallest_inputs_are_spoiled() -> None:
    def deb(name: str, size: int, *places: str) -> locks.Input:
        return locks.Input(locks.DEB, name, "1", name * 64, size, places)

    a, b, c = deb("a", 3, "tree"), deb("b", 2, "tree", "files b.deb"), deb("c", 1, "tree")
    wheels = [locks.Input(locks.WHEEL, name, "1", name * 64, size, (f"pypi_{name}",)) for name, size in (("d", 9), ("e", 8))]
    assert offline.samples([a, b, c, *wheels, deb("f", 1, locks.ENVIRONMENT)]) == [
        ("files", {b: offline._REMOVED}),
        ("files", {b: offline._DAMAGED}),
        ("pypi_d", {wheels[0]: offline._REMOVED}),
        ("pypi_d", {wheels[0]: offline._DAMAGED}),
        ("tree", {c: offline._REMOVED, b: offline._DAMAGED}),
    ]


def test_an_error_must_name_exactly_what_is_spoiled() -> None:
    gone = locks.Input(locks.DEB, "libc6", "2.36-9+deb12u13", "a" * 64, 1, ("debian12",))
    bad = locks.Input(locks.MAVEN, "g:a:exe:linux", "1.0", "b" * 64, 1, ("maven",))
    spoiled = {gone: offline._REMOVED, bad: offline._DAMAGED}
    libc = f"Debian package libc6 2.36-9+deb12u13, sha256 {'a' * 64}: not in Bazel's repository cache, nor in the input archive /x"
    exe = f"Maven artifact g:a:exe:linux:1.0, sha256 {'b' * 64}: not in Bazel's repository cache, and damaged in the input archive /x"
    way = "Ways out: INPUT_ARCHIVE=<...>; bazel run //x:lock -- update"
    assert offline.unnamed(f"ERROR: somewhere\nError in fail: {libc}; {exe}. {way}\n", spoiled) == []
    assert offline.unnamed(f"Error in fail: {libc}. {way}", spoiled) == [
        "maven g:a:exe:linux 1.0 is not named as 'and damaged in the input archive'"
    ]
    third = libc.replace("a" * 64, "c" * 64)
    assert offline.unnamed(f"Error in fail: {libc}; {third}; {exe}.", spoiled) == [
        f"named too, but whole: {'c' * 64}",
        "the ways out are not named",
    ]


def test_of_an_execution_log_hits_are_counted_and_what_ran_is_named() -> None:
    hit = {"mnemonic": "Javac", "runner": "remote cache hit", "cacheHit": True}
    ran = {"mnemonic": "OCILayer", "runner": "linux-sandbox", "targetLabel": "//a:b"}
    disk = {"mnemonic": "Javac", "runner": "disk cache hit", "targetLabel": "//a:c", "cacheHit": True}
    hits, others = remote_cache.from_cache([hit, ran, hit, disk])
    assert hits == {"Javac": 2}
    assert others == ["Javac of //a:c ran: disk cache hit", "OCILayer of //a:b ran: linux-sandbox"]


def test_a_blob_of_the_store_is_found_by_its_digest(tmp_path: pathlib.Path) -> None:
    store = remote_cache.Store(tmp_path, "", "")
    digest = "ab" + "c" * 62
    with pytest.raises(errors.CheckError, match=f"expected one file of the blob {digest} in the store, found 0"):
        store.blob(digest)
    for name in (f"cas.v2/ab/{digest}-1.v1", f"ac.v2/ab/{digest}-2", "ac.v2/cd/other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\x12\x40" + digest.encode() if name.endswith("other") else b"")
    assert store.blob(digest) == tmp_path / f"cas.v2/ab/{digest}-1.v1"
    assert store.results_with(digest) == [tmp_path / "ac.v2/cd/other"]
