"""Tests of ocilib.archive."""

import hashlib
import io
import json
import pathlib
import tarfile
import tempfile
import unittest

from ocilib import archive
from ocilib.errors import Error
from tests.ocilib import fake_registry


class ArchiveTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def _members(self, layout: str, form: str, tags: list[str]) -> dict[str, bytes]:
        sink = io.BytesIO()
        archive.write(str(self.root / layout), form, tags, sink)
        sink.seek(0)
        found = {}
        with tarfile.open(fileobj=sink, format=tarfile.USTAR_FORMAT) as tar:
            for member in tar:
                self.assertEqual((member.uid, member.gid, member.mode, member.mtime), (0, 0, 0o755, 1672560000))
                file = tar.extractfile(member)
                assert file and member.name not in found
                found[member.name] = file.read()
        return found

    def test_dockers_form_names_config_layers_and_tags(self) -> None:
        fake_registry.write_layout(self.root / "image", [b"one", b"two", b"one"])
        members = self._members("image", "docker", ["a:1", "b:2"])
        (entry,) = json.loads(members["manifest.json"])
        self.assertEqual(entry["RepoTags"], ["a:1", "b:2"])
        self.assertEqual([members[layer] for layer in entry["Layers"]], [b"one", b"two", b"one"])
        self.assertEqual(json.loads(members[entry["Config"]]), {"name": "image"})
        self.assertEqual(len(members), 4)

    def test_an_index_is_a_layout_with_a_manifest_for_each_tag(self) -> None:
        fake_registry.write_layout(self.root / "one", [b"one"])
        fake_registry.write_layout(self.root / "two", [b"one", b"two"])
        digest = fake_registry.write_index(self.root / "index", [self.root / "one", self.root / "two"])
        (self.root / "index/oci-layout").write_text("{}")
        members = self._members("index", "oci", ["a:1", "b:2"])
        manifests = json.loads(members["index.json"])["manifests"]
        self.assertEqual([entry["digest"] for entry in manifests], [digest, digest])
        self.assertEqual([entry["annotations"]["org.opencontainers.image.ref.name"] for entry in manifests], ["a:1", "b:2"])
        blobs = {name: data for name, data in members.items() if name.startswith("blobs/")}
        self.assertEqual(len(blobs), 7)
        for name, data in blobs.items():
            self.assertEqual(name, f"blobs/sha256/{hashlib.sha256(data).hexdigest()}")

    def test_what_cannot_be_an_archive_is_one_line(self) -> None:
        fake_registry.write_layout(self.root / "image", [b"one"])
        with self.assertRaisesRegex(Error, "expected an image index for an archive of format oci; an image wants format docker"):
            self._members("image", "oci", [])
        fake_registry.write_index(self.root / "index", [self.root / "image"])
        with self.assertRaisesRegex(Error, "an index has several images"):
            self._members("index", "docker", [])
        with self.assertRaisesRegex(Error, "index.json is missing"):
            self._members("absent", "docker", [])


if __name__ == "__main__":
    unittest.main()
