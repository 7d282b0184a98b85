"""Tests of ocilib.image, case by case: what upstream's jq programs make of each attribute."""

import hashlib
import json
import unittest
from typing import Any

from ocilib import image
from ocilib.layer import Layer

Json = dict[str, Any]


def _options(**values: bytes | str) -> image.Options:
    options = image.Options()
    for name, value in values.items():
        setattr(options, name, value)
    return options


def _scratch(**values: bytes | str) -> tuple[Json, Json]:
    """Manifest and config of an image without base and layers."""
    manifest, config = image.build(*image.scratch("linux", "amd64", ""), [], _options(**values))
    return json.loads(manifest), json.loads(config)


def _settings(base: Json | None = None, **values: bytes | str) -> Json:
    """The object "config" of an image on a base with the given one."""
    manifest, config = image.scratch("linux", "amd64", "")
    config["config"] = base if base is not None else {}
    built: Json = json.loads(image.build(manifest, config, [], _options(**values))[1])
    settings: Json = built["config"]
    return settings


class ImageTest(unittest.TestCase):
    def test_order_of_keys_is_that_of_upstreams_options(self) -> None:
        settings = _settings(
            workdir="/w", user="u", labels=b"l=1", env=b"e=1", volumes=b"/v", exposed_ports=b"1/tcp", cmd=b"c", entrypoint=b"e"
        )
        self.assertEqual(list(settings), ["Cmd", "Entrypoint", "ExposedPorts", "Volumes", "Env", "Labels", "User", "WorkingDir"])

    def test_a_command_alone_keeps_the_entrypoint_of_the_base_and_an_entrypoint_unsets_its_command(self) -> None:
        base = {"Cmd": ["old"], "Entrypoint": ["base"]}
        self.assertEqual(_settings(dict(base), cmd=b"new"), {"Cmd": ["new"], "Entrypoint": ["base"]})
        self.assertEqual(_settings(dict(base), entrypoint=b"new"), {"Entrypoint": ["new"]})
        self.assertEqual(_settings(dict(base), entrypoint=b"e", cmd=b"c"), {"Cmd": ["c"], "Entrypoint": ["e"]})

    def test_a_null_command_of_the_base_goes_even_if_nothing_is_set(self) -> None:
        self.assertEqual(_settings({"Cmd": None, "User": "0"}), {"User": "0"})

    def test_empty_words_are_dropped_and_escaped_newlines_come_back(self) -> None:
        self.assertEqual(_settings(cmd=b"a\n\nb\n")["Cmd"], ["a", "b"])
        self.assertEqual(_settings(cmd=b"a%5Cnb%5Cn")["Cmd"], ["a\nb\n"])
        self.assertEqual(_settings(entrypoint=b"")["Entrypoint"], [])

    def test_empty_values_leave_empty_containers(self) -> None:
        manifest, config = _scratch(labels=b"", env=b"", annotations=b"", exposed_ports=b"", volumes=b"", cmd=b"")
        self.assertEqual(config["config"], {"Cmd": [], "ExposedPorts": {}, "Volumes": {}, "Env": [], "Labels": {}})
        self.assertEqual(manifest["annotations"], {})

    def test_environment_replaces_in_place_and_appends(self) -> None:
        base = {"Env": ["A=1", "B=2"]}
        self.assertEqual(_settings(base, env=b"C=3\nA=x=y")["Env"], ["A=x=y", "B=2", "C=3"])

    def test_variables_stand_for_what_the_base_and_earlier_lines_set(self) -> None:
        for text, expected in (
            ("$P", "base"),
            ("${P}", "base"),
            ("${P", "base"),
            ("$P}", "base"),
            ("a$P-b", "abase-b"),
            ("$PX", ""),
            ("$_1é", "oneé"),
            ("$$P", "$base"),
            ("$", "$"),
            ("${}", "${}"),
            ("$é", "$é"),
            ("€$P€", "€base€"),
            ("$P$P", "basebase"),
            ("$NEW", "new"),
        ):
            with self.subTest(text=text):
                self.assertEqual(_settings({"Env": ["P=base", "_1=one"]}, env=f"NEW=new\nX={text}".encode())["Env"][-1], "X=" + expected)

    def test_a_variable_that_the_base_has_twice_gives_both_values_and_is_set_at_its_first_place(self) -> None:
        self.assertEqual(_settings({"Env": ["P=1", "P=2"]}, env=b"X=<$P>\nP=3")["Env"], ["P=3", "P=2", "X=<12>"])

    def test_odd_lines_of_an_environment_file_are_as_the_shell_reads_them(self) -> None:
        self.assertEqual(_settings(env=b"A=1\r\n\nB\n=x\nC=\0d")["Env"], ["A=1\r", "=x", "B=", "C=d"])
        self.assertEqual(_settings(env=b"A=1\n\n")["Env"], ["A=1", "="])

    def test_entries_of_the_base_without_a_value_get_one_when_the_environment_is_set(self) -> None:
        self.assertEqual(_settings({"Env": ["LONE"]}, env=b"")["Env"], ["LONE="])
        self.assertEqual(_settings({"Env": ["LONE"]})["Env"], ["LONE"])

    def test_labels_and_annotations_override_in_place(self) -> None:
        self.assertEqual(list(_settings({"Labels": {"a": "1", "b": "2"}}, labels=b"c=3\na=x=y\n\nnoeq\n=e")["Labels"].items()),
                         [("a", "x=y"), ("b", "2"), ("c", "3"), ("noeq", ""), ("", "e")])  # fmt: skip
        self.assertEqual(_settings({"Labels": None}, labels=b"a=1")["Labels"], {"a": "1"})

    def test_annotations_are_only_in_the_manifest(self) -> None:
        manifest, config = _scratch(annotations=b"a=1\nb=2")
        self.assertEqual(manifest["annotations"], {"a": "1", "b": "2"})
        self.assertEqual(list(manifest), ["schemaVersion", "mediaType", "config", "layers", "annotations"])
        self.assertNotIn("annotations", config)

    def test_ports_and_volumes_are_split_at_commas_and_nothing_else(self) -> None:
        self.assertEqual(_settings(exposed_ports=b"1/tcp, 2,\n")["ExposedPorts"], {"1/tcp": {}, " 2": {}, "\n": {}})
        self.assertEqual(_settings({"ExposedPorts": {"9": {"x": 1}}}, exposed_ports=b"9,8")["ExposedPorts"], {"9": {"x": 1}, "8": {}})

    def test_the_time_is_taken_with_its_newline(self) -> None:
        self.assertEqual(_scratch(created=b"2024-02-03T04:05:06Z\n")[1]["created"], "2024-02-03T04:05:06Z\n")

    def test_base_keeps_unknown_fields_order_and_numbers(self) -> None:
        manifest: Json = {"config": {"data": "e30=", "digest": "sha256:0", "x": 1}, "layers": [], "y": 2, "schemaVersion": 2}
        config: Json = {"os": "linux", "config": {"Weird": 1, "User": "0"}, "z": None}
        manifest_bytes, config_bytes = image.build(manifest, config, [], _options(user="7"))
        self.assertEqual(config_bytes, b'{\n  "os": "linux",\n  "config": {\n    "Weird": 1,\n    "User": "7"\n  },\n  "z": null\n}')
        written = json.loads(manifest_bytes)
        self.assertEqual(list(written), ["config", "layers", "y", "schemaVersion"])
        self.assertEqual(
            written["config"], {"digest": "sha256:" + hashlib.sha256(config_bytes).hexdigest(), "x": 1, "size": len(config_bytes)}
        )
        self.assertTrue(manifest_bytes.endswith(b"}\n"))

    def test_sizes_are_of_bytes(self) -> None:
        manifest, config = image.build(*image.scratch("linux", "amd64", ""), [], _options(user="é"))
        self.assertEqual(json.loads(manifest)["config"]["size"], len(config))

    def test_media_types_follow_the_base(self) -> None:
        layers = [(Layer("sha256:1", "sha256:2", kind, 3), "//a:b") for kind in ("", "gzip", "zstd")]
        for media_type, expected in (
            (None, ["application/vnd.oci.image.layer.v1.tar" + suffix for suffix in ("", "+gzip", "+zstd")]),
            (
                "application/vnd.docker.distribution.manifest.v2+json",
                ["application/vnd.docker.image.rootfs.diff.tar" + suffix for suffix in ("", ".gzip", ".zstd")],
            ),
        ):
            manifest, config = image.scratch("linux", "amd64", "")
            manifest["mediaType"] = media_type
            written = json.loads(image.build(manifest, config, list(layers), _options())[0])
            self.assertEqual([layer["mediaType"] for layer in written["layers"]], expected)

    def test_a_base_without_lists_gets_them_at_the_end(self) -> None:
        config: Json = {"os": "linux"}
        image.build({"config": {}}, config, [(Layer("sha256:1", "sha256:2", "", 3), "//a:b")], _options())
        self.assertEqual(list(config), ["os", "rootfs", "history"])
        self.assertEqual(config["history"], [{"created": "1970-01-01T00:00:00Z", "created_by": "bazel build //a:b"}])

    def test_a_base_of_other_types_is_an_error(self) -> None:
        with self.assertRaisesRegex(image.ImageError, "history of the base is no list"):
            image.build({"config": {}}, {"history": {}}, [(Layer("", "", "", 1), "//a")], _options())
        with self.assertRaisesRegex(image.ImageError, "which is no string"):
            _settings({"Env": [1]}, env=b"A=1")

    def test_the_platform_of_an_index_has_what_is_known(self) -> None:
        config: Json = {"os.features": ["x"], "variant": None, "architecture": "arm64", "os": "linux", "other": 1}
        self.assertEqual(list(image.platform(config).items()), [("os", "linux"), ("architecture", "arm64"), ("os.features", ["x"])])


if __name__ == "__main__":
    unittest.main()
