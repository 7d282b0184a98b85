"""Checks that the documentation names only what exists: links, headings that links lead to, files, and labels.

    bazel run //docs:check

Every *.md file of the checkout counts. Labels are asked of Bazel itself. What holds a placeholder, such as <service>, is skipped.
Exit codes: see tools/image_hash/image_hash/errors.py.
"""

import os
import pathlib
import re
import subprocess
from collections.abc import Iterable, Iterator

from image_hash import errors

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A label of the main repository; not a URL, and not one of another repository.
_LABEL = re.compile(r"(?<![\w:@/.])//[\w./-]*[\w](?::[\w.+-]*\w)?(?![\w:/]*[<*])")
# A path from the root of the checkout to a file or a folder.
_PATH = re.compile(
    r"(?<![\w/@:.<>-])(?:\./)?((?:benchmarks|docs|images|releases|rules|scripts|shuffler|toolchains|tools)/[\w./+-]*\w)(?![\w/]*[<*{])"
)
_HEADING = re.compile(r"^#+\s+(.+?)\s*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a Markdown text, as forges make them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(_FENCED.sub("", text))}


def dead_links(root: pathlib.Path, page: pathlib.Path) -> Iterator[str]:
    """Yields what a page links to and is not there: a line each."""
    for target in _LINK.findall(page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / path).resolve() if path else page.resolve()
        if not file.is_relative_to(root.resolve()) or not file.exists():
            yield f"{page.relative_to(root)}: the link {target} leads to no file of this repository"
        elif anchor and anchor not in anchors(file.read_text("utf-8")):
            yield f"{page.relative_to(root)}: the link {target} leads to no heading of {file.name}"


def dead_paths(root: pathlib.Path, page: pathlib.Path) -> Iterator[str]:
    """Yields the paths that a page names and that are not there: a line each. A path may be from the root or from the page's folder."""
    text = _LABEL.sub("", _LINK.sub("", page.read_text("utf-8")))
    for path in sorted(set(_PATH.findall(text))):
        if not (root / path).exists() and not (page.parent / path).exists():
            yield f"{page.relative_to(root)}: {path} does not exist"


def labels(text: str) -> set[str]:
    """The labels of the main repository that a text names."""
    return set(_LABEL.findall(text))


def unknown_labels(root: pathlib.Path, named: Iterable[str]) -> set[str]:
    """Asks Bazel which labels name nothing.

    Raises:
        errors.CheckError: Bazel does not answer.
    """
    wanted = sorted(named)
    # Each an operand of its own: set(...) gives nothing at all if one is missing.
    query = " + ".join(f"'{label}'" for label in wanted)
    command = ["bazel", "query", "--keep_going", "--noshow_progress", "--output=label", query]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    # 3: some of it is not there; https://bazel.build/run/scripts#exit-codes
    if done.returncode not in (0, 3):
        raise errors.CheckError(f"bazel query failed with exit code {done.returncode}: {done.stderr.strip()}")
    found = set(done.stdout.split())
    return {label for label in wanted if _with_target(label) not in found and not _is_file_or_package(root, label)}


def _with_target(label: str) -> str:
    return label if ":" in label else f"{label}:{label.rpartition('/')[2]}"


def _is_file_or_package(root: pathlib.Path, label: str) -> bool:
    """Whether a label means a package, as a folder of targets, or a .bzl file, which is no target."""
    package, colon, name = label.removeprefix("//").partition(":")
    if colon:
        return name.endswith(".bzl") and (root / package / name).is_file()
    return (root / package / "BUILD.bazel").is_file()


def pages(root: pathlib.Path) -> list[pathlib.Path]:
    """Every *.md file that git knows or would take.

    Raises:
        errors.CheckError: this is no git checkout.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise errors.CheckError(f"expected a git checkout at {root}: {done.stderr.strip()}")
    return sorted(root / name for name in set(done.stdout.splitlines()) if (root / name).exists())


def main(argv: list[str]) -> None:
    """Checks the workspace that `bazel run` was called in."""
    if argv:
        raise errors.UsageError(f"bazel run //docs:check; it takes no arguments, found {argv[0]!r}")
    root = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    found: list[str] = []
    named: dict[str, pathlib.Path] = {}
    all_pages = pages(root)
    for page in all_pages:
        found += dead_links(root, page)
        # Modules below rules/ stand alone: their labels and paths are seen from their own root.
        if page.relative_to(root).parts[0] != "rules":
            found += dead_paths(root, page)
            named |= dict.fromkeys(labels(page.read_text("utf-8")), page)
    found += [f"{named[label].relative_to(root)}: {label} is no target" for label in sorted(unknown_labels(root, named))]
    for line in found:
        print(line)
    if found:
        raise errors.MismatchError(f"{len(found)} things that the documentation names do not exist")
    print(f"{len(all_pages)} pages name only what exists: {len(named)} labels, all links and paths")


if __name__ == "__main__":
    errors.run(main)
