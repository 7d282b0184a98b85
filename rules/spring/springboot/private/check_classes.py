"""Fails if two jars hold the same class with different content: which one runs would depend on the order of the class path.

    check_classes.py PARAMETERS

PARAMETERS is a file of options, one word a line:

    --output FILE     made when all is well, empty
    --target LABEL    for messages
    --jar JAR         (repeated)
    --ignored FILE    names of jars that may repeat classes of others, one a line; # begins a comment (repeated)
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from collections.abc import Collection, Iterable


def ignored_names(text: str) -> set[str]:
    """Parses an ignore list."""
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return {line for line in lines if line}


def conflicts(jars: Iterable[str], ignored: Collection[str]) -> dict[tuple[str, ...], list[str]]:
    """Finds classes with different content.

    Contents are compared by size and CRC-32 as the archives state them: nothing is unpacked. module-info has one copy in each module.

    Returns:
        Class names (paths in the jars) by the names of the jars that hold them.
    """
    holders: dict[str, list[tuple[str, tuple[int, int]]]] = {}
    for path in jars:
        if os.path.basename(path) in ignored:
            continue
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".class") and os.path.basename(member.filename) != "module-info.class":
                    holders.setdefault(member.filename, []).append((os.path.basename(path), (member.file_size, member.CRC)))
    found: dict[tuple[str, ...], list[str]] = {}
    for name, copies in sorted(holders.items()):
        if len({content for _, content in copies}) > 1:
            found.setdefault(tuple(sorted(jar for jar, _ in copies)), []).append(name)
    return found


def main() -> None:
    """Checks; on failure prints one line for each set of jars and exits with 1."""
    parser = argparse.ArgumentParser(fromfile_prefix_chars="@", allow_abbrev=False)
    parser.add_argument("--output", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--jar", action="append", default=[])
    parser.add_argument("--ignored", action="append", default=[])
    options = parser.parse_args(["@" + sys.argv[1]])
    ignored: set[str] = set()
    for path in options.ignored:
        with open(path, encoding="utf-8") as file:
            ignored |= ignored_names(file.read())
    found = conflicts(options.jar, ignored)
    for jars, classes in sorted(found.items()):
        print(
            f"springboot {options.target}: {' and '.join(jars)} hold different {classes[0]}"
            f"{f' and {len(classes) - 1} more classes' if len(classes) > 1 else ''}:"
            " exclude one (deps_exclude_labels), or name it in dupeclassescheck_ignorelist",
            file=sys.stderr,
        )
    if found:
        sys.exit(1)
    with open(options.output, "w", encoding="utf-8"):
        pass


if __name__ == "__main__":
    main()
