"""lint: what it says of images, and that this is what the launcher's code does (a model of it, written apart, stands beside)."""

import json
import os
import pathlib
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_hash import lint
from image_hash.image import Document, Image
from ocilib.layout import OCI_CONFIG
from tests import images

P = "tee.launch_policy."
BOOLEANS = {"1": True, "t": True, "T": True, "TRUE": True, "true": True, "True": True}
BOOLEANS |= {"0": False, "f": False, "F": False, "FALSE": False, "false": False, "False": False}
ORDER = ["none", "memoryonly", "all"]


def config(labels: dict[str, str] | None = None, **changes: object) -> dict[str, Any]:
    """A config that the launcher starts."""
    inner = {"Entrypoint": ["/app"], "ExposedPorts": {"8080/tcp": {}}, "Labels": labels or {}} | changes
    return {"architecture": "amd64", "os": "linux", "config": inner, "rootfs": {"type": "layers", "diff_ids": []}}


def image(content: dict[str, Any], name: str = "app", media_type: str = OCI_CONFIG) -> Image:
    data = json.dumps(content).encode()
    return Image(name, "layout", None, None, Document(media_type, "sha256:" + "0" * 64, data, content), ())


def found(labels: dict[str, str] | None = None, **changes: object) -> dict[str, Any]:
    return lint.lint(image(config(labels, **changes)))


def test_an_image_without_labels_gives_the_defaults() -> None:
    assert found() == {
        "name": "app",
        "image_hash": None,
        "refusal": None,
        "operator": {
            "command": False,
            "environment": [],
            "mounts": [],
            "capabilities": False,
            "cgroups": False,
            "log_redirect": {"hardened": False, "debug": True},
            "monitoring": {"hardened": "none", "debug": "memoryonly"},
        },
        "errors": [],
        "warnings": [],
    }


def test_text_of_an_image_that_allows_all() -> None:
    labels = {
        P + "allow_cmd_override": "True",
        P + "allow_env_override": "FCP_OPTS,LD_PRELOAD",
        P + "allow_mount_destinations": "/tmp:/run/x",
        P + "allow_capabilities": "1",
        P + "allow_cgroups": "t",
        P + "log_redirect": "always",
        P + "hardened_monitoring": "all",
    }
    assert (
        lint.table(found(labels))
        == """\
app  image hash not kept by this format
  the launcher starts it; what the operator can still change, and the claim that shows it:
    command           any                                      cmd_override
    environment       FCP_OPTS, LD_PRELOAD                     env_override
    mounts            /tmp, /run/x                             no claim
    capabilities      any                                      no claim
    cgroup namespace  yes                                      no claim
    container output  everywhere                               no claim
    monitoring        all; debug machines: memory              monitoring_enabled
    restart policy    any                                      restart_policy
    service accounts  any                                      google_service_accounts
    size of /dev/shm  any                                      no claim
  warning: the operator may replace the command: check cmd_override of the token
  warning: the operator may set LD_PRELOAD, and with it run what the image does not name: check env_override of the token
  warning: the operator may hide the image's files by mounts at or below /tmp, /run/x: no token shows it
  warning: the operator may add any Linux capability: no token shows it
  warning: the operator may give the container a cgroup namespace: no token shows it
  warning: the operator may measure more than memory, which the token shows as no monitoring
  0 errors, 6 warnings
"""
    )


def test_text_of_an_image_that_is_refused() -> None:
    labels = {P + "log_redirect": "yes", P + "allow_env_overide": "A", "TEE.x": "1"}
    assert (
        lint.table(found(labels, Entrypoint=[], ExposedPorts={"8080": {}}))
        == """\
app  image hash not kept by this format
  the launcher refuses it: the exposed port '8080' is not a number from 1 to 65535 with /tcp or /udp
  error: the entrypoint is empty: the launcher starts nothing else
  error: the exposed port '8080' is not a number from 1 to 65535 with /tcp or /udp
  error: the label tee.launch_policy.log_redirect has the value 'yes', expected one of always, never, debugonly
  error: the label tee.launch_policy.allow_env_overide is unknown to the launcher, which ignores it (did you mean \
tee.launch_policy.allow_env_override?)
  error: the label TEE.x is unknown to the launcher, which ignores it
  5 errors, 0 warnings
"""
    )


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        ({P + "log_redirect": ""}, {}, "expected one of always"),
        ({P + "allow_cmd_override": "yes"}, {}, "expected a boolean of Go"),
        ({P + "monitoring_memory_allow": "always", P + "debug_monitoring": "all"}, {}, "clashes with"),
        ({}, {"ExposedPorts": {"8080/tcp\n": {}}}, "the exposed port"),
        ({}, {"Entrypoint": None}, "nothing to start"),
        ({}, {"Env": "A=1"}, "Env is not a list"),
    ],
)
def test_what_the_launcher_refuses_is_an_error(labels: dict[str, str], changes: dict[str, object], message: str) -> None:
    result = found(labels, **changes)
    assert message in result["refusal"]
    assert result["errors"]
    assert result["operator"] is None
    assert result["warnings"] == []


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        ({"tee.launch_policy.log-redirect": "always"}, {}, "unknown to the launcher"),
        ({"Tee.launch_policy.log_redirect": "always"}, {}, "unknown to the launcher"),
        ({" tee.launch_policy.log_redirect": "always"}, {}, "has blanks"),
        ({P + "allow_env_override": "A, B"}, {}, "without blanks"),
        ({P + "log_redirect": " Always"}, {}, "expected one of always"),
        ({P + "allow_mount_destinations": "tmp"}, {}, "expected absolute paths"),
        ({}, {"Entrypoint": [], "Cmd": ["/app"]}, "the entrypoint is empty"),
        ({}, {"ExposedPorts": {"0080/tcp": {}}}, "the exposed port"),
    ],
)
def test_what_the_launcher_reads_otherwise_than_written_is_an_error(
    labels: dict[str, str], changes: dict[str, object], message: str
) -> None:
    result = found(labels, **changes)
    assert result["refusal"] is None
    assert len(result["errors"]) == 1
    assert message in result["errors"][0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({P + "allow_cmd_override": "t"}, "replace the command"),
        ({P + "allow_env_override": "PATH"}, "set PATH"),
        ({P + "allow_mount_destinations": "/"}, "mounts at or below /:"),
        ({P + "allow_capabilities": "TRUE"}, "any Linux capability"),
        ({P + "allow_cgroups": "true"}, "cgroup namespace"),
        ({P + "log_redirect": "never"}, "nobody can have the container's output"),
        ({P + "debug_monitoring": "all"}, "which the token shows as no monitoring"),
    ],
)
def test_what_weakens_is_a_warning(labels: dict[str, str], message: str) -> None:
    result = found(labels)
    assert result["errors"] == []
    assert len(result["warnings"]) == 1
    assert message in result["warnings"][0]


def test_huge_and_hostile_labels_make_short_printable_sentences() -> None:
    huge = "x\x1b\u202e" * 350_000
    for result in (
        found({huge: huge, P + "log_redirect": huge, "tee." + huge: huge}),
        found({P + "allow_mount_destinations": "/" + huge, P + "allow_env_override": huge}),
    ):
        for text in (lint.table(result), *result["errors"], *result["warnings"]):
            assert len(text) < 8000
            assert all(c.isprintable() or c == "\n" for c in text)


def test_many_errors_are_cut_in_the_text_and_take_no_time() -> None:
    result = found({f"tee.launch_policy.x{number}": "" for number in range(50_000)})
    assert len(result["errors"]) == 50_000
    lines = lint.table(result).splitlines()
    assert len(lines) < 80
    assert "  and 49950 more errors; --json has all" in lines


# The launcher's code again, statement by statement, with none of ours: GetLaunchPolicy, Verify and what they call.


class GoError(Exception):
    """An error that the Go code returns."""


def trim_space(s: str) -> str:
    """strings.TrimSpace; White_Space of Unicode by its definition (UAX 44) instead of a list."""

    def is_space(c: str) -> bool:
        return unicodedata.category(c) in ("Zs", "Zl", "Zp") or c in "\t\n\v\f\r\x85"

    while s and is_space(s[0]):
        s = s[1:]
    while s and is_space(s[-1]):
        s = s[:-1]
    return s


def clean(path: str) -> str:
    """filepath.Clean, by its four rules."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part == ".." and path.startswith("/"):
            pass
        elif part not in ("", "."):
            parts.append(part)
    return ("/" if path.startswith("/") else "") + "/".join(parts) or "."


def to_policy(s: str) -> str:
    s = trim_space(s.lower())
    if s not in ("always", "never", "debugonly"):
        raise GoError
    return s


def get_launch_policy(labels: dict[str, str]) -> dict[str, Any]:
    p: dict[str, Any] = {"env": [], "cmd": False, "log": "debugonly", "hardened": "none", "debug": "memoryonly", "mounts": []}
    p |= {"caps": False, "cgroups": False}
    if P + "allow_env_override" in labels:
        p["env"] = [name for name in labels[P + "allow_env_override"].split(",") if name != ""]
    for key, field in (("allow_cmd_override", "cmd"), ("allow_capabilities", "caps"), ("allow_cgroups", "cgroups")):
        if P + key in labels:
            if labels[P + key] not in BOOLEANS:
                raise GoError
            p[field] = BOOLEANS[labels[P + key]]
    if P + "log_redirect" in labels:
        p["log"] = to_policy(labels[P + "log_redirect"])
    if P + "monitoring_memory_allow" in labels:
        if P + "hardened_monitoring" in labels or P + "debug_monitoring" in labels:
            raise GoError
        memory = to_policy(labels[P + "monitoring_memory_allow"])
        p["hardened"], p["debug"] = {
            "always": ("memoryonly", "memoryonly"),
            "never": ("none", "none"),
            "debugonly": ("none", "memoryonly"),
        }[memory]
    for key, field in (("hardened_monitoring", "hardened"), ("debug_monitoring", "debug")):
        if P + key in labels:
            if labels[P + key].lower() not in ORDER:
                raise GoError
            p[field] = labels[P + key].lower()
    if P + "allow_mount_destinations" in labels:
        p["mounts"] = [clean(path) for path in labels[P + "allow_mount_destinations"].split(":") if path != ""]
    return p


def verify(p: dict[str, Any], spec: dict[str, Any]) -> bool:
    def mount(path: str) -> bool:
        path = clean(path)
        for allowed in p["mounts"]:
            if not allowed.startswith("/"):
                return False
            relative = os.path.relpath(path, allowed)
            if relative != ".." and not relative.startswith("../"):
                return True
        return False

    if any(name not in p["env"] for name in spec["env"]) or (spec["cmd"] and not p["cmd"]):
        return False
    if spec["log"] and (p["log"] == "never" or (p["log"] == "debugonly" and spec["hardened"])):
        return False
    if ORDER.index(spec["monitoring"]) > ORDER.index(p["hardened" if spec["hardened"] else "debug"]):
        return False
    if not all(mount(path) for path in spec["mounts"]):
        return False
    return not (spec["caps"] and not p["caps"]) and not (spec["cgroups"] and not p["cgroups"])


def spoiled(*words: str) -> st.SearchStrategy[str]:
    """The words, as people and programs write them: other case, blanks around, something between."""
    blank = st.sampled_from(["", "", "", " ", "\n", "\t", "\u00a0", "\u2003", "\x1c", "\x1f", "\u200b", "\ufeff"])
    change = st.sampled_from([str, str, str, str.upper, str.title, str.swapcase, lambda s: s + s, lambda s: s[1:]])
    word = st.builds(lambda a, w, f, b: a + f(w) + b, blank, st.sampled_from(words), change, blank)
    return st.one_of(st.sampled_from(words), word, st.text(max_size=4))


NAMES = ["A", "B", "FCP_OPTS", "LD_PRELOAD"]
PATHS = ["/", "/a", "/a/b", "/a/b/..", "//a", "a", "..", "/..", "/a/./b/", "/ab", ""]
VALUES = {
    "allow_cmd_override": spoiled(*BOOLEANS),
    "allow_capabilities": spoiled(*BOOLEANS),
    "allow_cgroups": spoiled(*BOOLEANS),
    "allow_env_override": st.lists(spoiled(*NAMES, ""), max_size=4).map(",".join),
    "allow_mount_destinations": st.lists(spoiled(*PATHS), max_size=4).map(":".join),
    "log_redirect": spoiled("always", "never", "debugonly"),
    "monitoring_memory_allow": spoiled("always", "never", "debugonly"),
    "hardened_monitoring": spoiled(*ORDER),
    "debug_monitoring": spoiled(*ORDER),
}
LABELS = st.dictionaries(st.sampled_from(sorted(VALUES)), st.just(""), max_size=4).flatmap(
    lambda chosen: st.fixed_dictionaries({P + key: VALUES[key] for key in sorted(chosen)})
)
GOOD = st.fixed_dictionaries(
    {},
    optional={
        P + "allow_cmd_override": st.sampled_from(sorted(BOOLEANS)),
        P + "allow_capabilities": st.sampled_from(sorted(BOOLEANS)),
        P + "allow_cgroups": st.sampled_from(sorted(BOOLEANS)),
        P + "allow_env_override": st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(",".join),
        P + "allow_mount_destinations": st.lists(st.sampled_from(["/", "/a", "/a/b", "/c"]), min_size=1).map(":".join),
        P + "log_redirect": st.sampled_from(["always", "never", "debugonly"]),
        P + "hardened_monitoring": st.sampled_from(ORDER),
        P + "debug_monitoring": st.sampled_from(ORDER),
    },
)
SPECS = st.fixed_dictionaries(
    {
        "env": st.lists(st.sampled_from(NAMES), max_size=2),
        "cmd": st.booleans(),
        "log": st.booleans(),
        "hardened": st.booleans(),
        "monitoring": st.sampled_from(ORDER),
        "mounts": st.lists(st.sampled_from(["/", "/a", "/a/b/c", "/ab", "/c/../a", "/d"]), max_size=2),
        "caps": st.booleans(),
        "cgroups": st.booleans(),
    }
)


@settings(max_examples=300, deadline=None)
@given(LABELS)
def test_labels_are_read_as_by_the_launcher(labels: dict[str, str]) -> None:
    result = found(labels)
    try:
        model = get_launch_policy(labels)
    except GoError:
        assert result["refusal"]
        assert result["operator"] is None
        assert result["errors"]
        return
    assert result["refusal"] is None
    assert result["operator"] == {
        "command": model["cmd"],
        "environment": model["env"],
        "mounts": model["mounts"],
        "capabilities": model["caps"],
        "cgroups": model["cgroups"],
        "log_redirect": {"hardened": model["log"] == "always", "debug": model["log"] in ("always", "debugonly")},
        "monitoring": {"hardened": model["hardened"], "debug": model["debug"]},
    }


@settings(max_examples=300, deadline=None)
@given(GOOD, SPECS)
def test_the_operator_can_do_what_lint_says_and_nothing_else(labels: dict[str, str], spec: dict[str, Any]) -> None:
    result = found(labels)
    assert result["errors"] == []
    operator = result["operator"]
    machine = "hardened" if spec["hardened"] else "debug"
    allowed = (
        {*spec["env"]} <= {*operator["environment"]}
        and (operator["command"] or not spec["cmd"])
        and (operator["capabilities"] or not spec["caps"])
        and (operator["cgroups"] or not spec["cgroups"])
        and (operator["log_redirect"][machine] or not spec["log"])
        and ORDER.index(spec["monitoring"]) <= ORDER.index(operator["monitoring"][machine])
        and all(any(pathlib.PurePath(clean(path)).is_relative_to(folder) for folder in operator["mounts"]) for path in spec["mounts"])
    )
    assert allowed == verify(get_launch_policy(labels), spec)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda c: st.lists(c) | st.dictionaries(st.text(max_size=8), c)
    )
)
def test_any_json_in_the_config_gets_an_answer(value: Any) -> None:  # noqa: ANN401 (any JSON)
    for key in ("Labels", "Env", "ExposedPorts", "Entrypoint", "Cmd", "WorkingDir", "User"):
        content = config()
        content["config"][key] = value
        result = lint.lint(image(content))
        assert bool(result["refusal"]) == (result["operator"] is None)
        assert not result["refusal"] or result["errors"]
        lint.table(result)


def test_the_launcher_takes_two_media_types() -> None:
    assert lint.lint(image(config(), media_type="application/vnd.docker.container.image.v1+json"))["refusal"] is None
    assert "media type" in lint.lint(image(config(), media_type="application/json"))["refusal"]


def write(folder: pathlib.Path, labels: dict[str, str]) -> pathlib.Path:
    """Writes an image with labels as OCI layout."""
    layout = images.Layout(folder)
    layout.finish(layout.image([images.tar({"app": b""})], config(labels)["config"]))
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "image_hash.main", "lint", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_exit_codes(tmp_path: pathlib.Path) -> None:
    good = write(tmp_path / "good", {})
    bad = write(tmp_path / "bad", {"tee.x": "1"})
    weak = write(tmp_path / "weak", {P + "allow_capabilities": "1"})
    assert run(good, weak).returncode == 0
    result = run("--json", good, bad)
    assert (result.returncode, result.stderr) == (1, f"MISMATCH: not as Confidential Space takes it: {bad}\n")
    document = json.loads(result.stdout)
    assert document["schema"] == 1
    assert [len(one["errors"]) for one in document["images"]] == [0, 1]
    assert run().returncode == 64
    assert run("--unknown", good).returncode == 64
    result = run(good, tmp_path / "missing")
    assert (result.returncode, result.stdout) == (2, "")
    (bad / "index.json").write_text('{"manifests": 1}')
    assert run(good, bad).returncode == 2
