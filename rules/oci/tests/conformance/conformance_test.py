"""conformance_test.py CASE...: the layout of every CASE has the bytes that upstream's rules_oci gave it (expected/CASE)."""

import hashlib
import pathlib
import sys
import unittest

_HERE = pathlib.Path("tests/conformance")


class ConformanceTest(unittest.TestCase):
    """Set up with a method for each case, by main."""

    def check(self, case: str) -> None:
        """Compares what is built with what is expected, byte for byte."""
        expected = _HERE / "expected" / case
        layout = _HERE / case
        self.assertEqual((expected / "digest.txt").read_bytes(), (_HERE / f"{case}.json.sha256").read_bytes())
        for name in ("index.json", "oci-layout"):
            self.assertEqual((expected / name).read_bytes(), (layout / name).read_bytes(), name)
        blobs = {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}
        for digest, content in blobs.items():
            self.assertEqual(hashlib.sha256(content).hexdigest(), digest)
        documents = [path.read_bytes() for path in expected.glob("*.json") if path.name != "index.json"]
        self.assertGreaterEqual(len(documents), 2)
        for document in documents:
            self.assertIn(document, blobs.values())
        layers = {layer for document in documents for layer in _layers(document)}
        own = {hashlib.sha256(document).hexdigest() for document in documents}
        self.assertEqual(layers | own, set(blobs), "exactly the blobs that are referenced")

    def test_load(self) -> None:
        """The archive of oci_load for the image scratch: sha256 as tests/conformance/README.md states it."""
        archive = _HERE / "load/tarball.tar"
        self.assertEqual(
            hashlib.sha256(archive.read_bytes()).hexdigest(), "7e7e7708bcfda183f8a65873cef77cac48dad8e3aa458739028bc38500135168"
        )


def _layers(document: bytes) -> list[str]:
    import json

    return [layer["digest"].removeprefix("sha256:") for layer in json.loads(document).get("layers", ())]


def main() -> None:
    """Runs a test for every case that is named."""
    cases = sys.argv[1:]
    assert cases, "no case"
    for case in cases:
        setattr(ConformanceTest, f"test_{case}", lambda self, case=case: self.check(case))
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
