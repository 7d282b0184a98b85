"""The jar of golden_application, entry by entry.

After a change that is meant: python3 tests/golden_test.py bazel-bin/tests/golden_application.jar > tests/golden.txt
"""

from __future__ import annotations

import hashlib
import pathlib
import sys
import unittest
import zipfile

_HERE = pathlib.Path(__file__).parent


def listing(jar: pathlib.Path) -> str:
    """Returns the sha256 of the jar, a line for each entry (method, time, mode, size, name), and the texts."""
    lines = [f"sha256 {hashlib.sha256(jar.read_bytes()).hexdigest()}"]
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            method = {zipfile.ZIP_STORED: "stored"}.get(entry.compress_type, "compressed")
            time = "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*entry.date_time)
            lines.append(f"{method} {time} {entry.external_attr >> 16:06o} {entry.file_size:>4} {entry.filename}")
        for name in ("META-INF/MANIFEST.MF", "build-data.properties"):
            lines += ["", name, archive.read(name).decode().replace("\r\n", "\n").rstrip("\n")]
    return "\n".join(lines) + "\n"


class GoldenTest(unittest.TestCase):
    def test_the_jar_is_the_golden_one(self) -> None:
        self.maxDiff = None
        self.assertEqual((_HERE / "golden.txt").read_text(), listing(_HERE / "golden_application.jar"))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.stdout.write(listing(pathlib.Path(sys.argv[1])))
    else:
        unittest.main()
