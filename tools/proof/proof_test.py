"""The proofs can fail: each finding is made to happen on a small example."""

import json
import os
import pathlib
import subprocess

import pytest
from image_hash import errors

from tools.proof import bazel, checkout, comparison, conditions, hermeticity

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
        action(mnemonic="Compile", inputs=("a/x.c",), outputs=("a/first.o",)),
    ]
    before = {"a/first.o": "1", "a/tree/file": "2", "a/image/index.json": "3", "a/same": "4", "only/here": "5"}
    after = {"a/first.o": "1", "a/tree/file": "x", "a/image/index.json": "y", "a/same": "4"}
    assert comparison.parting(actions, before, after) == "a/tree/file, by Pack of //a:b"
    assert comparison.parting(actions, before, {**after, "a/first.o": "z"}) == "a/first.o, by Compile of //a:b"
    assert comparison.parting(actions, before, before).startswith("none")


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
