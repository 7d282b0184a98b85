"""What the rules build in cases that the conformance inputs do not have. Expected text is written by hand, after upstream's programs."""

import hashlib
import json
import pathlib
import tarfile
import unittest
from typing import Any

_HERE = pathlib.Path("tests/cases")

# Values of cmd lose their empty elements and keep their line breaks; those of labels are split at them; an unknown variable is empty.
_PLAIN_SETTINGS = """\
  "config": {
    "Cmd": [
      "two\\nlines",
      "é"
    ],
    "Env": [
      "A="
    ],
    "Labels": {
      "a": "x",
      "y": "",
      "b": ""
    }
  },
"""


def _blob(layout: pathlib.Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def _image(name: str) -> tuple[pathlib.Path, dict[str, Any], bytes]:
    """Layout, manifest and bytes of the config of the image NAME."""
    layout = _HERE / name
    (descriptor,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = json.loads(_blob(layout, descriptor["digest"]))
    return layout, manifest, _blob(layout, manifest["config"]["digest"])


class CasesTest(unittest.TestCase):
    def test_values_are_as_upstream_has_them(self) -> None:
        _, manifest, config = _image("plain")
        self.assertIn(_PLAIN_SETTINGS, config.decode())
        self.assertEqual(manifest["annotations"], {})

    def test_layers_bear_the_labels_of_their_owners(self) -> None:
        _, _, config = _image("plain")
        self.assertEqual(
            [entry["created_by"] for entry in json.loads(config)["history"]],
            [
                "bazel build //tests/conformance:inputs/layer1.tar",
                "bazel build //tests/cases:gen.tar",
                "bazel build @oci_test_ext//:layer.tar",
            ],
        )

    def test_one_layer_many_times_is_one_blob(self) -> None:
        layout, manifest, _ = _image("plain")
        self.assertEqual(len({layer["digest"] for layer in manifest["layers"]}), 1)
        self.assertEqual(len(manifest["layers"]), 3)
        self.assertEqual(len(list((layout / "blobs/sha256").iterdir())), 3)

    def test_the_digest_is_that_of_the_manifest(self) -> None:
        for name in ("plain", "service", "index"):
            (descriptor,) = json.loads((_HERE / name / "index.json").read_bytes())["manifests"]
            self.assertEqual((_HERE / f"{name}.json.sha256").read_text(), descriptor["digest"] + "\n")

    def test_packed_layers_are_in_the_image_as_they_are_on_disk(self) -> None:
        layout, manifest, config = _image("packed_image")
        tar = (_HERE / "packed.tar").read_bytes()
        digest = "sha256:" + hashlib.sha256(tar).hexdigest()
        self.assertEqual(
            manifest["layers"][-1], {"size": len(tar), "digest": digest, "mediaType": "application/vnd.oci.image.layer.v1.tar"}
        )
        self.assertEqual(json.loads(config)["rootfs"]["diff_ids"][-1], digest)
        self.assertEqual(json.loads(config)["history"][-1]["created_by"], "bazel build //tests/cases:packed")
        self.assertEqual(_blob(layout, digest), tar)

    def test_packed_entries_are_those_of_the_attributes(self) -> None:
        with tarfile.open(_HERE / "packed.tar") as tar:
            entries = [(member.name, oct(member.mode), member.uid, member.mtime, member.linkname) for member in tar.getmembers()]
        self.assertEqual(
            entries,
            [
                ("etc", "0o755", 0, 0, ""),
                ("etc/greeting", "0o600", 65532, 0, ""),
                ("hello", "0o777", 0, 0, "etc/greeting"),
                ("tmp", "0o1777", 0, 0, ""),
                ("usr", "0o755", 0, 0, ""),
                ("usr/share", "0o755", 0, 0, ""),
                ("usr/share/rules.bzl", "0o644", 0, 0, ""),
            ],
        )

    def test_a_packed_layer_has_these_bytes_everywhere(self) -> None:
        sha256 = hashlib.sha256((_HERE / "named.tar").read_bytes()).hexdigest()
        self.assertEqual(sha256, "1e45e1ae0b4f896720aff04329da2897b8f4ce6e235d852438448d269876abb2")

    def test_the_check_of_a_service_changes_no_byte(self) -> None:
        self.assertEqual((_HERE / "service.json.sha256").read_bytes(), (_HERE / "unchecked.json.sha256").read_bytes())

    def test_an_index_lists_its_images_with_platforms_and_holds_all_blobs(self) -> None:
        layout = _HERE / "index"
        self.assertEqual((layout / "oci-layout").read_bytes(), b'{"imageLayoutVersion": "1.0.0"}\n')
        (descriptor,) = json.loads((layout / "index.json").read_bytes())["manifests"]
        index = json.loads(_blob(layout, descriptor["digest"]))
        self.assertEqual(list(index), ["schemaVersion", "mediaType", "manifests", "annotations"])
        self.assertEqual(index["annotations"], {"a": "1"})
        self.assertEqual([list(entry) for entry in index["manifests"]], [["mediaType", "digest", "size", "platform"]] * 2)
        names = {path.name for path in (layout / "blobs/sha256").iterdir()}
        for entry in index["manifests"]:
            manifest = json.loads(_blob(layout, entry["digest"]))
            for blob in (manifest["config"], *manifest["layers"]):
                names.discard(blob["digest"].removeprefix("sha256:"))
                self.assertEqual("sha256:" + hashlib.sha256(_blob(layout, blob["digest"])).hexdigest(), blob["digest"])
            names.discard(entry["digest"].removeprefix("sha256:"))
        self.assertEqual(names, {descriptor["digest"].removeprefix("sha256:")})

    def test_an_index_builds_its_image_for_every_platform(self) -> None:
        layout = _HERE / "platforms_index"
        (descriptor,) = json.loads((layout / "index.json").read_bytes())["manifests"]
        index = json.loads(_blob(layout, descriptor["digest"]))
        self.assertEqual([entry["platform"] for entry in index["manifests"]], [{"os": "linux", "architecture": "amd64"}] * 2)
        self.assertNotIn("annotations", index)


if __name__ == "__main__":
    unittest.main()
