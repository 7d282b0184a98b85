"""Tests of image_hash's command line: exit codes of all commands, and what they do when something unexpected happens."""

import os
import pathlib
import subprocess
import sys

import pytest
from image_hash import main
from tests import images

_DIGEST = "sha256:" + "a" * 64
# For each command: arguments with which it gets to its work, with {image} for an image and {folder} for an empty folder.
_ARGUMENTS = {
    "compare": ["{image}", "{image}"],
    "compute": ["{image}"],
    "lint": ["{image}"],
    "publish": ["--release", "v1.0.0"],
    "verify": ["--release", "v1.0.0", "--releases", "{folder}"],
    "which": [_DIGEST, "--releases", "{folder}"],
}


def _run(
    *arguments: str, before: str = "", stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, after the statements BEFORE."""
    program = f"{before}\nfrom image_hash.main import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
        stdout=stdout,
        stderr=stderr,
        text=True,
        check=False,
    )


def _arguments(command: str, folder: pathlib.Path) -> list[str]:
    layout = images.Layout(folder / "image")
    image = layout.finish(layout.image([images.tar({"a": b"b"})]))
    (folder / "empty").mkdir()
    return [command, *(word.format(image=image, folder=folder / "empty") for word in _ARGUMENTS[command])]


def test_every_command_is_in_these_tests_and_in_the_overview() -> None:
    assert _ARGUMENTS.keys() == main.COMMANDS.keys()
    overview = _run("--help")
    assert overview.returncode == 0
    assert "Exit codes: 0 match or success, 1 mismatch, 2 could not check" in overview.stdout
    for command in main.COMMANDS:
        assert f"\n  {command}" in overview.stdout


@pytest.mark.parametrize("command", sorted(_ARGUMENTS))
def test_help_says_what_the_command_takes_and_how_it_ends(command: str) -> None:
    done = _run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"image_hash {command}" in done.stdout
    assert "Exit codes: 0 match or success, 1 mismatch, 2 could not check (any other failure too), 64 wrong usage." in done.stdout


@pytest.mark.parametrize("command", sorted(_ARGUMENTS))
def test_an_unknown_flag_is_usage(command: str, tmp_path: pathlib.Path) -> None:
    done = _run(*_arguments(command, tmp_path), "--nonsense")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Unknown command line flag 'nonsense'; see --help\n"


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["--nonsense"], ["compute"], ["compute", "x", "--platform=amd64"], ["lint"], ["which"]]
)
def test_wrong_usage_is_64_and_one_line(arguments: list[str]) -> None:
    done = _run(*arguments)
    assert done.returncode == 64
    assert done.stderr.startswith("usage: ")
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_read_is_2_and_one_line(tmp_path: pathlib.Path) -> None:
    for name in ("nothing", "\x1b[31mred\n"):
        done = _run("compute", str(tmp_path / name))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("could not check: ")
        assert done.stderr.count("\n") == 1
        assert "\x1b" not in done.stderr


# Where all commands come by: every fault that is injected there is unexpected.
_FAULT = """
import builtins, sys
from absl import flags
from image_hash import errors
def fault(*_, **__):
    raise {fault}
from image_hash import {module}
{module}.{name} = fault
"""
_PLACES = {
    "compare": ("strict_json", "parse_object"),
    "compute": ("strict_json", "parse_object"),
    "lint": ("lint", "lint"),
    "publish": ("drift", "drift"),
    "verify": ("releases", "content"),
    "which": ("releases", "read_all"),
}


@pytest.mark.parametrize("fault", ["ZeroDivisionError", "SystemExit(1)", "SystemExit(0)", "RecursionError"])
@pytest.mark.parametrize("command", sorted(_ARGUMENTS))
def test_a_fault_in_the_library_is_2_and_never_1(command: str, fault: str, tmp_path: pathlib.Path) -> None:
    module, name = _PLACES[command]
    done = _run(*_arguments(command, tmp_path), before=_FAULT.format(fault=fault, module=module, name=name))
    assert done.returncode == 2, done
    assert done.stderr.endswith("could not check: unexpected error, see above; please report it\n")


@pytest.mark.parametrize("package", ["absl", "image_hash.commands.compute", "zstandard"])
def test_a_package_that_is_missing_is_2(package: str, tmp_path: pathlib.Path) -> None:
    done = _run(*_arguments("compute", tmp_path), before=f"import sys; sys.modules['{package}'] = None")
    assert (done.returncode, done.stdout) == (2, "")


def test_an_interrupt_is_2_and_one_line(tmp_path: pathlib.Path) -> None:
    before = _FAULT.format(fault="KeyboardInterrupt", module="strict_json", name="parse_object")
    done = _run(*_arguments("compute", tmp_path), before=before)
    assert (done.returncode, done.stderr) == (2, "could not check: interrupted\n")


def test_output_that_nobody_takes_is_2(tmp_path: pathlib.Path) -> None:
    arguments = _arguments("compute", tmp_path)
    with open("/dev/full", "w") as full:
        done = _run(*arguments, stdout=full.fileno())
        assert (done.returncode, done.stderr) == (2, "could not check: [Errno 28] No space left on device\n")
        # Nor can it be said what is wrong.
        assert _run(*arguments, stdout=full.fileno(), stderr=full.fileno()).returncode == 2
        assert _run("compute", "nothing", stderr=full.fileno()).returncode == 2
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = _run(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (2, "could not check: [Errno 32] Broken pipe\n")


def test_closed_outputs_leave_the_exit_code(tmp_path: pathlib.Path) -> None:
    arguments = _arguments("compute", tmp_path)
    close = "import os, sys; os.close(1); os.close(2); sys.stdout = sys.stderr = None"
    assert _run(*arguments, before=close).returncode == 0
    assert _run("compute", "nothing", before=close).returncode == 2
    assert _run("nonsense", before=close).returncode == 64


def test_characters_that_the_terminal_has_not_are_escaped(tmp_path: pathlib.Path) -> None:
    layout = images.Layout(tmp_path / "image")
    image = layout.finish(layout.image([], {"Labels": {"x": "\u00e9\U0001f600"}}))
    done = _run("compute", image, before="import sys; sys.stdout.reconfigure(encoding='ascii')")
    assert (done.returncode, done.stderr) == (0, "")
    assert "labels           x=\\xe9\\U0001f600\n" in done.stdout


def test_only_what_a_command_needs_is_imported(tmp_path: pathlib.Path) -> None:
    arguments = _arguments("compute", tmp_path)
    done = _run(*arguments, before="import atexit, sys; atexit.register(lambda: print('MODULES', *sorted(sys.modules), file=sys.stderr))")
    assert done.returncode == 0
    loaded = done.stderr.split()
    assert "image_hash.commands.compute" in loaded
    # The slow ones: of other commands, and of sources that are not used.
    assert not {"cryptography", "image_hash.commands.compare", "image_hash.sources.archive", "image_hash.sources.registry"} & {*loaded}
