"""Which inputs reach which images, as the lines of the rule image_inputs say."""

import pytest
from image_hash import errors

from tools.inputs import locks, reach


def _input(sha256: str, *places: str, name: str = "x") -> locks.Input:
    return locks.Input(locks.DEB, name, "1", sha256, 1, places)


def test_an_input_is_in_images_used_for_images_or_neither() -> None:
    inputs = [
        _input("libc", "debian12 libc6.deb", "debian12_sysroot"),
        _input("compiler", "llvm16"),
        _input("test", "googletest"),
        _input("bazel", locks.ENVIRONMENT, name="bazel-bootstrap"),
        _input("bash", locks.ENVIRONMENT, name="bash"),
    ]
    lines = [
        "a contains debian12 libc6.deb",
        "a uses debian12 libc6.deb",
        "b uses debian12_sysroot",
        "b uses llvm16",
        "b uses rules_java",
    ]
    assert reach.join(inputs, lines) == {
        "libc": reach.Reach(("a",), ("b",)),
        "compiler": reach.Reach((), ("b",)),
        "test": reach.Reach((), ()),
        "bazel": reach.Reach((), ("a", "b")),
        "bash": reach.Reach((), ()),
    }


def test_a_file_that_no_lock_names_must_not_reach_an_image() -> None:
    with pytest.raises(errors.CheckError, match="'debian12 new.deb' reaches a, b, but no lock names it"):
        reach.join([_input("libc", "debian12 libc6.deb")], ["a contains debian12 new.deb", "b contains debian12 new.deb"])
