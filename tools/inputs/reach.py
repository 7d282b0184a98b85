"""Which inputs reach which images: the lines of images.bzl, joined with the locks."""

import dataclasses
from collections.abc import Iterable, Mapping

from image_hash import errors

from tools.inputs import locks

# Repositories without inputs of their own: our rules, what is made of other repositories, and what the build environment brings.
_NO_INPUTS = frozenset(
    {
        "bazel_skylib",
        "bazel_tools",
        "llvm16_toolchain",
        "local_config_platform",
        "platforms",
        "pypi",
        "remote_java_tools",
        "remote_java_tools_linux",
        "rules_cc",
        "rules_java",
        "rules_license",
        "rules_oci",
        "rules_python",
        "rules_python_layers",
        "rules_spring",
    }
)


@dataclasses.dataclass(frozen=True)
class Reach:
    """The images that an input reaches, sorted.

    Attributes:
        contained_in: those that hold the file, or files out of it.
        used_for: those that it helps to make without being in them: compilers, code generators, packers, Bazel itself.
    """

    contained_in: tuple[str, ...]
    used_for: tuple[str, ...]


def _is_bazel(item: locks.Input) -> bool:
    # Bazel, its rulesets and the tools of its Java rules: the packages of the environment whose bytes can reach an image.
    return item.name.startswith("bazel-") and locks.ENVIRONMENT in item.places


def join(inputs: Iterable[locks.Input], lines: Iterable[str]) -> dict[str, Reach]:
    """Says of each input which images it reaches.

    Args:
        inputs: of the locks.
        lines: what the rule image_inputs wrote.

    Returns:
        {sha256: images}.

    Raises:
        errors.CheckError: an image has a file that no lock names.
    """
    of_place: Mapping[str, dict[str, set[str]]] = {"contains": {}, "uses": {}}
    images = set()
    for line in lines:
        image, verb, place = line.split(" ", 2)
        images.add(image)
        of_place[verb].setdefault(place, set()).add(image)
    result = {}
    known = set(_NO_INPUTS)
    for item in inputs:
        known.update(item.places)
        contained = set().union(*(of_place["contains"].get(place, set()) for place in item.places))
        used = images if _is_bazel(item) else set().union(*(of_place["uses"].get(place, set()) for place in item.places))
        result[item.sha256] = Reach(tuple(sorted(contained)), tuple(sorted(used - contained)))
    for places in of_place.values():
        for place, reached in places.items():
            if place not in known:
                raise errors.CheckError(f"{place!r} reaches {', '.join(sorted(reached))}, but no lock names it; tell tools/inputs/locks.py")
    return result
