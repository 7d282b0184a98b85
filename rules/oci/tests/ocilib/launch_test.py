"""Tests of ocilib.launch: each rule by an image that keeps it and one that breaks it."""

import json
import pathlib
import unittest
from typing import Any

from ocilib import image, launch

_OCI = "application/vnd.oci.image.config.v1+json"
_MANIFEST: dict[str, Any] = {"config": {"mediaType": _OCI}}
_P = "tee.launch_policy."
# What Go 1.26.8 makes of values, by the functions that the launcher calls: [value, meaning], null or false where it fails. "names" to
# "when": strings and path/filepath as in GetLaunchPolicy; "port": as in openPorts; "config": encoding/json into v1.Image.
_GO = json.loads((pathlib.Path(__file__).parent / "launch_go.json").read_text())


def _problems(**settings: object) -> list[str]:
    config: dict[str, Any] = {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/run"], **settings}}
    return launch.problems(_OCI, config)


class LaunchTest(unittest.TestCase):
    def assert_problem(self, found: list[str], message: str) -> None:
        """FOUND is exactly one problem, and says MESSAGE."""
        self.assertEqual(len(found), 1, found)
        self.assertIn(message, found[0])

    def test_a_good_image_has_no_problems(self) -> None:
        self.assertEqual(
            _problems(
                Env=["PATH=/bin", "JDK_JAVA_OPTIONS=-XX:MaxRAMPercentage=70", "_x1="],
                ExposedPorts={"8080/tcp": {}, "53/udp": {}},
                Labels={
                    "org.opencontainers.image.title": "a title",
                    _P + "allow_env_override": "FCP_OPTS,B",
                    _P + "log_redirect": "always",
                    _P + "hardened_monitoring": "none",
                    _P + "debug_monitoring": "all",
                    _P + "allow_cmd_override": "False",
                    _P + "allow_mount_destinations": "/tmp/x:/y",
                },
                WorkingDir="/",
            ),
            [],
        )

    def test_ports_need_number_and_protocol(self) -> None:
        for port in (
            "8080",
            "8080/sctp",
            "8080/TCP",
            "0/tcp",
            "65536/tcp",
            "08/tcp",
            "8080/tcp\n",
            "/tcp",
            "a/tcp",
            "1-2/tcp",
            "٨/tcp",
            "",
        ):
            with self.subTest(port=port):
                self.assert_problem(_problems(ExposedPorts={port: {}}), f"the exposed port {port!r}")

    def test_environment_has_names_and_lines(self) -> None:
        for entry, message in (
            ("NOVALUE", "expected NAME=value"),
            ("=x", "expected NAME=value"),
            (" A=x", "expected NAME=value"),
            ("A =x", "expected NAME=value"),
            ("1A=x", "expected NAME=value"),
            ("A-B=x", "expected NAME=value"),
            ("A=x\ny", "expected one line"),
            ("A=x\r", "expected one line"),
        ):
            with self.subTest(entry=entry):
                self.assert_problem(_problems(Env=[entry]), message)
        self.assert_problem(_problems(Env=["A=1", "A=2"]), "A is set twice")

    def test_values_of_the_policy_follow_its_grammar(self) -> None:
        for key, values in (
            ("allow_cmd_override", ("", "yes", "TrUe", " true", "2")),
            ("allow_capabilities", ("on",)),
            ("allow_cgroups", ("",)),
            ("allow_env_override", ("", "A, B", "A,,B", "A,", "A,A", "a-b")),
            ("log_redirect", ("", "Always", " always", "debug")),
            ("monitoring_memory_allow", ("true",)),
            ("hardened_monitoring", ("", "memory", "ALL", " none")),
            ("debug_monitoring", ("always",)),
            ("allow_mount_destinations", ("", "tmp", "/a:", "/a/../b", "/a//b", "/a/", "/a,/b:c")),
        ):
            for value in values:
                with self.subTest(key=key, value=value):
                    self.assert_problem(_problems(Labels={_P + key: value}), f"{_P}{key} has the value {value!r}, expected")

    def test_unknown_and_mistyped_policy_labels_are_found(self) -> None:
        for key, near in (
            ("tee.launch_policy.allow_env_overide", "allow_env_override"),
            ("tee.launch-policy.log_redirect", "log_redirect"),
            ("Tee.launch_policy.log_redirect", "log_redirect"),
            ("TEE.LAUNCH_POLICY.LOG_REDIRECT", "log_redirect"),
            ("tee_launch_policy.log_redirect", "log_redirect"),
            ("te.launch_policy.log_redirect", "log_redirect"),
            ("launch_policy.log_redirect", "log_redirect"),
        ):
            with self.subTest(key=key):
                self.assert_problem(_problems(Labels={key: "always"}), f"did you mean {_P}{near}?")
        self.assert_problem(_problems(Labels={"tee.other": "x"}), "the label tee.other is unknown to the launcher")
        self.assertEqual(_problems(Labels={"teehouse": "x", "com.tee": "y"}), [])

    def test_label_names_and_values_are_clean(self) -> None:
        for key in ("", " a", "a ", "a b", "a\nb", "a\tb"):
            with self.subTest(key=key):
                self.assert_problem(_problems(Labels={key: "x"}), f"the label name {key!r}")
        for value in ("a\nb", "a\r", "a\0", None):
            with self.subTest(value=value):
                self.assert_problem(_problems(Labels={"a": value}), "expected a string of one line")

    def test_monitoring_has_one_way(self) -> None:
        for new in ("hardened_monitoring", "debug_monitoring"):
            self.assert_problem(_problems(Labels={_P + "monitoring_memory_allow": "always", _P + new: "all"}), "clashes with")

    def test_the_entrypoint_is_there(self) -> None:
        for entrypoint in (None, [], [""]):
            with self.subTest(entrypoint=entrypoint):
                self.assert_problem(_problems(Entrypoint=entrypoint), "the entrypoint is empty")

    def test_labels_are_read_as_by_go(self) -> None:
        for kind, field in (
            ("boolean", "allow_cmd_override"),
            ("boolean", "allow_capabilities"),
            ("boolean", "allow_cgroups"),
            ("names", "allow_env_override"),
            ("paths", "allow_mount_destinations"),
            ("what", "hardened_monitoring"),
            ("what", "debug_monitoring"),
            ("when", "log_redirect"),
        ):
            for value, meaning in _GO[kind]:
                with self.subTest(field=field, value=value):
                    expected: Any = tuple(meaning) if isinstance(meaning, list) else meaning
                    if meaning is None:
                        with self.assertRaisesRegex(launch.LaunchError, f"the label {_P}{field} has the value"):
                            launch.read_policy({_P + field: value})
                    else:
                        self.assertEqual(launch.read_policy({_P + field: value}), launch.Policy(**{field: expected}))

    def test_the_old_monitoring_label_stands_for_the_new_ones(self) -> None:
        for value, hardened, debug in (
            ("always", "memoryonly", "memoryonly"),
            (" Never", "none", "none"),
            ("debugonly", "none", "memoryonly"),
        ):
            policy = launch.read_policy({_P + "monitoring_memory_allow": value})
            self.assertEqual(policy, launch.Policy(hardened_monitoring=hardened, debug_monitoring=debug))
        for value, _ in [pair for pair in _GO["when"] if pair[1] is None]:
            with self.subTest(value=value), self.assertRaisesRegex(launch.LaunchError, "monitoring_memory_allow has the value"):
                launch.read_policy({_P + "monitoring_memory_allow": value})

    def test_the_first_refusal_of_labels_is_told(self) -> None:
        labels = {
            _P + "allow_cgroups": "",
            _P + "hardened_monitoring": "all",
            _P + "monitoring_memory_allow": "?",
            _P + "log_redirect": "?",
            _P + "allow_cmd_override": "",
        }
        for key, message in (
            ("allow_cmd_override", "a boolean"),
            ("log_redirect", "one of always"),
            ("hardened_monitoring", "clashes with"),
            ("monitoring_memory_allow", "one of always"),
            ("allow_cgroups", "a boolean"),
        ):
            with self.assertRaisesRegex(launch.LaunchError, message):
                launch.read_policy(labels)
            del labels[_P + key]
        self.assertEqual(launch.read_policy(labels), launch.Policy())

    def test_configs_are_readable_as_for_go(self) -> None:
        for text, readable in _GO["config"]:
            with self.subTest(config=text):
                refusal = launch.refusal(_OCI, json.loads(text))
                self.assertEqual("the launcher cannot read it" not in refusal, readable, refusal)
                if not readable:
                    self.assertIn(refusal, launch.problems(_OCI, json.loads(text)))

    def test_ports_are_opened_as_by_go(self) -> None:
        for port, is_open in _GO["port"]:
            with self.subTest(port=port):
                refusal = launch.refusal(_OCI, {"config": {"Cmd": ["/run"], "ExposedPorts": {port: {}}}})
                self.assertEqual(not refusal, is_open, refusal)

    def test_something_has_to_be_started(self) -> None:
        cases: list[tuple[dict[str, Any], str]]
        cases = [({}, "nothing to start"), ({"Cmd": ["/run"]}, ""), ({"Entrypoint": ["/run"]}, "")]
        for settings, refusal in cases:
            self.assertRegex(launch.refusal(_OCI, {"config": settings}), f"{refusal}$")
        self.assertIn("media type 'x'", launch.refusal("x", {"config": {"Cmd": ["/run"]}}))
        self.assertIn("log_redirect", launch.refusal(_OCI, {"config": {"Cmd": ["/run"], "Labels": {_P + "log_redirect": ""}}}))

    def test_the_rest_of_the_config_is_there(self) -> None:
        self.assert_problem(_problems(WorkingDir="app"), "not absolute")
        self.assertEqual(len(launch.problems("x", {})), 4)

    def _check(self, base_labels: list[str], **values: bytes) -> None:
        options = image.Options()
        for name, value in values.items():
            setattr(options, name, value)
        config: dict[str, Any] = {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/run"]}}
        launch.check_image("//a:b", _MANIFEST, config, base_labels, options)

    def test_labels_of_the_base_have_to_be_set_again(self) -> None:
        with self.assertRaisesRegex(launch.LaunchError, "^//a:b .*the label x comes from the base image"):
            self._check(["x", "y"], labels=b"y=1")
        self._check(["y"], labels=b"y=1")

    def test_lines_of_files_are_checked_before_they_are_split(self) -> None:
        for values, message in (
            ({"labels": b"a=1\nb"}, 'no "="'),
            ({"env": b"A=1\n\nB=2"}, 'no "="'),
            ({"env": b"A=1\r\n"}, "carriage return"),
            ({"labels": b" a=1"}, "blanks around it"),
            ({"env": b"A =1"}, "blanks around it"),
        ):
            with self.subTest(values=values), self.assertRaisesRegex(launch.LaunchError, message):
                self._check([], **values)
        self._check([], labels=b"a=1\n", env=b"A=1\n")

    def test_all_problems_come_at_once(self) -> None:
        with self.assertRaises(launch.LaunchError) as caught:
            self._check(["x"], env=b"A")
        for message in ("comes from the base", 'no "="'):
            self.assertIn(message, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
