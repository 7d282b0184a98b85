"""Tests of ocilib.layout."""

import json
import os
import pathlib
import tempfile
import unittest

from ocilib import layout
from ocilib.digest import digest_of
from ocilib.errors import Error


class LayoutTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def _write(self, *, copy: bool) -> str:
        """A layout with one layer; its path."""
        blob = self.root / "layer.tar"
        blob.write_bytes(b"layer")
        path = str(self.root / f"image_{copy}")
        writer = layout.LayoutWriter(path, copy=copy)
        config = writer.blob(b'{"config":{"Labels":{"a":"1"}}}')
        layer = digest_of(b"layer")
        writer.link(str(blob), layer)
        manifest = writer.blob(json.dumps({"config": {"digest": config}, "layers": [{"digest": layer}]}).encode())
        writer.index({"manifests": [{"digest": manifest}]}, "{}")
        return path

    def test_what_is_written_is_read(self) -> None:
        for copy in (False, True):
            path = self._write(copy=copy)
            image = layout.Image(path)
            self.assertEqual(image.labels(), ["a"])
            ((blob, digest),) = image.layers()
            self.assertEqual(pathlib.Path(blob).read_bytes(), b"layer")
            self.assertEqual(digest, digest_of(b"layer"))
            self.assertEqual(os.path.islink(blob), not copy)
            self.assertEqual(len(list(layout.blobs(path))), 3)

    def test_links_are_relative(self) -> None:
        ((blob, _),) = layout.Image(self._write(copy=False)).layers()
        self.assertEqual(os.readlink(blob), "../../../layer.tar")

    def test_damaged_layouts_are_named(self) -> None:
        path = pathlib.Path(self._write(copy=False))
        with self.assertRaisesRegex(layout.LayoutError, "index.json is missing: is it the folder of an OCI layout"):
            layout.Image(str(self.root))
        manifest = json.loads((path / "index.json").read_bytes())["manifests"][0]
        for index, message in (
            ({}, "lists no manifest"),
            ({"manifests": []}, "lists no manifest"),
            ({"manifests": [{"digest": "sha256:../../../../etc/passwd"}]}, "expected a descriptor with a digest"),
            ({"manifests": [{"digest": "sha256:00"}]}, "blobs/sha256/00 is missing: the layout is incomplete"),
        ):
            (path / "index.json").write_text(json.dumps(index))
            with self.subTest(message=message), self.assertRaisesRegex(layout.LayoutError, message):
                layout.Image(str(path))
        (path / "index.json").write_text("{")
        with self.assertRaisesRegex(Error, "index.json: truncated JSON"):
            layout.Image(str(path))
        (path / "blobs" / manifest["digest"].replace(":", "/")).write_text('{"mediaType": "an index", "manifests": []}')
        (path / "index.json").write_text(json.dumps({"manifests": [manifest]}))
        with self.assertRaisesRegex(layout.LayoutError, "expected the manifest of an image, found an index"):
            layout.Image(str(path))


if __name__ == "__main__":
    unittest.main()
