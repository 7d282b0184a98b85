"""Tests of the command compare: verdicts, exit codes, reports; and of what the comparison says besides a cause."""

import json
import os
import pathlib
import re

import pytest
from absl.testing import flagsaver
from image_hash import causes, errors, main, releases
from image_hash.commands import compare as command
from image_hash.comparison import engine, expected, tars
from image_hash.differences import Comparison
from image_hash.report import text
from image_hash.sources import open_image
from ocilib import archive
from tests.rewritten_image import Rewritten


@pytest.fixture(scope="module")
def original() -> pathlib.Path:
    return pathlib.Path(os.environ["IMAGE"])


@pytest.fixture
def changed(original: pathlib.Path, tmp_path: pathlib.Path) -> Rewritten:
    return Rewritten(original, tmp_path / "changed")


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of the command line."""
    monkeypatch.setattr("sys.argv", ["image_hash", *map(str, arguments)])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as ended:
        main.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _compare(left: pathlib.Path, right: pathlib.Path) -> Comparison:
    with open_image(str(left)) as a, open_image(str(right)) as b:
        return engine.compare(a, b)


def _release(path: pathlib.Path, images: object, schema: int = 1) -> pathlib.Path:
    path.write_text(json.dumps({"schema": schema, "build_settings": {}, "images": images}))
    return path


def _hashes(layout: pathlib.Path) -> dict[str, str]:
    with open_image(str(layout)) as image:
        assert image.image_hash
        return {"image_hash": image.image_hash, "config_digest": image.config.digest}


def _as_entry(layout: pathlib.Path) -> releases.Image:
    """What a release would record of an image."""
    with open_image(str(layout)) as image:
        assert image.image_hash
        settings = image.config.content["config"]
        layers = [
            releases.Layer(layer.descriptor.digest, layer.diff_id, layer.descriptor.size) for layer in image.layers if layer.descriptor
        ]
        return releases.Image(
            image.image_hash, image.config.digest, tuple(layers), settings.get("Labels") or {}, tuple(settings["Entrypoint"])
        )


def test_an_image_matches_itself_without_a_layer_being_read(
    original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = changed.save()
    for blob in (copy / "blobs/sha256").iterdir():
        if blob.is_symlink() and blob.stat().st_size > 1 << 20:
            blob.unlink()
    assert _call(monkeypatch, "compare", original, copy) == errors.MATCH
    assert capsys.readouterr().out.startswith("match: ")


def test_layers_that_are_equal_are_not_read_when_others_differ(
    original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    position = changed.layer("system_files")
    tar = changed.tar(position)
    tar["etc/passwd"].replace(b"root:x:0:0::/root:/sbin/nologin\n")
    changed.set_tar(position, tar.bytes())
    copy = changed.save()
    for blob in (copy / "blobs/sha256").iterdir():
        if blob.is_symlink() and blob.stat().st_size > 1 << 20:
            blob.unlink()
    assert _call(monkeypatch, "compare", original, copy) == errors.MISMATCH
    out, err = capsys.readouterr()
    first, *lines = out.splitlines()
    assert first == f"mismatch: {original} and {copy} differ by text content"
    assert f"  layer {position} > etc/passwd" in lines
    assert "  made by //images/base:system_files" in lines
    assert err == f"MISMATCH: {original} and {copy} differ\n"


def test_json_has_every_difference(
    original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed.config["config"]["Labels"] = {f"label{number}": "x" for number in range(50)}
    assert _call(monkeypatch, "compare", "--json", original, changed.save()) == errors.MISMATCH
    report = json.loads(capsys.readouterr().out)
    (comparison,) = report["comparisons"]
    assert (report["same"], comparison["same"]) == (False, False)
    assert [(group["cause"], group["count"]) for group in comparison["causes"]] == [("label", 50)]
    assert comparison["differences"][0] == {
        "place": ["config", "config", "Labels", "label0"],
        "cause": "label",
        "left": "not set",
        "right": "x",
        "layer": None,
        "target": "",
    }
    assert len(comparison["differences"]) == 50


def test_a_page_is_written_on_demand(
    original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    changed.config["config"]["User"] = "0"
    page = tmp_path / "report.html"
    assert _call(monkeypatch, "compare", "--html", page, original, changed.save()) == errors.MISMATCH
    assert "The user that the image runs as differs." in page.read_text()


def test_what_the_image_says_reaches_the_terminal_escaped(
    original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed.config["config"]["Labels"] = {"\x1b[2J": "\u202e" + "x" * 2_000_000}
    assert _call(monkeypatch, "compare", original, changed.save()) == errors.MISMATCH
    out = capsys.readouterr().out
    assert "\\x1b[2J" in out
    assert "\\u202exxx" in out
    assert re.fullmatch(r"[\x20-\x7e\n]*", out)
    assert len(out) < 3000


def test_the_same_image_in_a_docker_archive_is_compared_by_its_config(
    original: pathlib.Path, changed: Rewritten, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    position = changed.layer("system_files")
    changed.keep([position])
    small = changed.save()
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        archive.write(str(small), "docker", ["app:latest"], file)
    assert _call(monkeypatch, "compare", small, saved) == errors.MATCH
    other = Rewritten(original, tmp_path / "other")
    other.keep([position])
    other.config["config"]["User"] = "0"
    assert _call(monkeypatch, "compare", other.save(), saved) == errors.MISMATCH
    assert "differ by user\n" in capsys.readouterr().out


def test_many_files_with_one_cause_are_one_paragraph(original: pathlib.Path, changed: Rewritten) -> None:
    position = changed.layer("tzdata_amd64.tar")
    tar = changed.tar(position)
    for entry in tar.entries:
        entry.number(136, 12, 1_700_000_000)
    changed.set_tar(position, tar.bytes())
    report = text.render([_compare(original, changed.save())])
    assert f"mtime, {len(tar.entries)} times: The modification time of an entry differs." in report
    assert f"  and {len(tar.entries) - 3} more\n" in report
    assert len(report.splitlines()) < 16


def test_several_causes_stand_in_the_order_from_the_outside_in(original: pathlib.Path, changed: Rewritten) -> None:
    changed.manifest["annotations"] = {"a": "b"}
    changed.config["config"]["User"] = "0"
    position = changed.layer("system_files")
    tar = changed.tar(position)
    tar["etc/passwd"].number(100, 8, 0o600)
    tar["etc/passwd"].number(136, 12, 5)
    changed.set_tar(position, tar.bytes())
    found = _compare(original, changed.save()).differences
    assert [difference.cause.name for difference in found] == ["annotation", "user", "mode", "mtime"]
    assert [difference.place for difference in found[1:]] == [("config", "config", "User"), *[(f"layer {position}", "etc/passwd")] * 2]
    assert [(difference.left, difference.right) for difference in found[2:]] == [
        ("0644", "0600"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:05Z"),
    ]
    assert {(difference.layer, difference.target) for difference in found[2:]} == {(position, "//images/base:system_files")}


def test_layers_around_a_new_one_are_compared_with_their_own(original: pathlib.Path, changed: Rewritten) -> None:
    position = changed.layer("system_files")
    tar = changed.tar(position)
    tar["etc/passwd"].number(100, 8, 0o600)
    changed.set_tar(position, tar.bytes())
    changed.insert(2, changed.tar(position).bytes() + bytes(512), "bazel build //images/base:more_files")
    found = _compare(original, changed.save()).differences
    assert [(difference.cause.name, difference.layer, difference.target) for difference in found] == [
        ("layer added", 2, "//images/base:more_files"),
        ("mode", position, "//images/base:system_files"),
    ]


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_differing_layer_that_is_damaged_could_not_be_checked(
    damage: str, original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    position = changed.layer("system_files")
    tar = changed.tar(position).bytes() + bytes(512)
    changed.set_tar(position, tar)
    copy = changed.save()
    blob = copy / "blobs" / changed.manifest["layers"][position]["digest"].replace(":", "/")
    if damage == "missing":
        blob.unlink()
    else:
        blob.write_bytes(tar[:-1000] if damage == "truncated" else tar[:600] + b"x" + tar[601:])
    assert _call(monkeypatch, "compare", original, copy) == errors.COULD_NOT_CHECK
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("could not check: ")
    assert err.count("\n") == 1


def test_a_layer_that_is_no_tar_differs_and_says_why_it_was_not_opened(original: pathlib.Path, changed: Rewritten) -> None:
    changed.set_tar(changed.layer("system_files"), b"no tar" * 1000)
    (difference,) = _compare(original, changed.save()).differences
    assert difference.cause is causes.UNKNOWN
    assert "not a tar: the first 512 bytes are no tar header" in difference.right


def test_a_layer_of_too_many_entries_could_not_be_checked(
    original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = changed.layer("system_files")
    changed.set_tar(position, changed.tar(position).bytes() + bytes(512))
    monkeypatch.setattr("image_hash.limits.MAX_ENTRIES", 3)
    with pytest.raises(errors.CheckError, match="layer 4: expected at most 3 entries, found more"):
        _compare(original, changed.save())


def test_whatever_breaks_inside_is_no_mismatch(
    original: pathlib.Path, changed: Rewritten, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed.set_tar(4, changed.tar(4).bytes() + bytes(512))

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(tars, "read_pair", broken)
    assert _call(monkeypatch, "compare", original, changed.save()) == errors.COULD_NOT_CHECK
    assert capsys.readouterr().err.endswith("could not check: unexpected error, see above; please report it\n")


@pytest.mark.parametrize("arguments", [(), ("a",), ("a", "b", "c"), ("--expected", "x.json"), ("--color", "a", "b")])
def test_wrong_usage_is_64(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(monkeypatch, "compare", *arguments) == errors.USAGE
    assert capsys.readouterr().err.startswith("usage: ")


def test_the_help_says_the_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(monkeypatch, "compare", "--help") == errors.MATCH
    out = capsys.readouterr().out
    assert errors.EXIT_CODES in out
    assert (command.__doc__ or "").strip() in out
    assert "--expected" in out


def test_the_expected_image_matches(
    original: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _release(tmp_path / "current.json", {"collector": _hashes(original)})
    assert _call(monkeypatch, "compare", "--expected", file, f"collector={original}") == errors.MATCH
    assert capsys.readouterr().out.startswith("match: collector of current and ")


def test_another_image_than_expected_is_a_mismatch_that_says_what_is_known(
    original: pathlib.Path, changed: Rewritten, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed.config["config"]["User"] = "0"
    file = _release(tmp_path / "current.json", {"collector": _hashes(original)})
    assert _call(monkeypatch, "compare", "--expected", file, f"collector={changed.save()}") == errors.MISMATCH
    out, err = capsys.readouterr()
    assert "differ by digest only" in out
    assert err.endswith(": not as expected\n")


def test_of_an_expected_release_labels_entrypoint_and_layers_are_compared(original: pathlib.Path, changed: Rewritten) -> None:
    release = releases.Release("v1.0.0", {}, {"collector": _as_entry(original)})
    changed.config["config"]["Labels"] = {"a": "b"}
    changed.config["config"]["Entrypoint"].append("--debug")
    changed.set_tar(4, changed.tar(4).bytes() + bytes(512))
    with open_image(str(changed.save())) as image:
        comparison = expected.compare("collector", release, image)
    assert [(difference.cause.name, difference.place) for difference in comparison.differences] == [
        ("label", ("config", "config", "Labels", "a")),
        ("entrypoint", ("config", "config", "Entrypoint")),
        ("digest only", ("layer 4",)),
        ("digest only", ("config",)),
    ]
    assert [layer.position for layer in comparison.left_layers if not layer.equal] == [4]


def test_with_expected_hashes_every_blob_is_hashed(
    original: pathlib.Path, changed: Rewritten, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = changed.save()
    blob = copy / "blobs" / changed.manifest["layers"][4]["digest"].replace(":", "/")
    data = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(data[:-1] + b"x")
    file = _release(tmp_path / "current.json", {"collector": _hashes(original)})
    assert _call(monkeypatch, "compare", "--expected", file, f"collector={copy}") == errors.COULD_NOT_CHECK
    assert "it is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"schema": 1, "build_settings": {}, "images": {}}', "at least one image"),
        ('{"schema": 1, "build_settings": {}, "images": {"other": OWN}}', "has no image 'collector'"),
        ('{"schema": 1, "build_settings": {}, "images": {"collector": OWN, "collector": OWN}}', "comes twice"),
        ('{"schema": 1, "build_settings": {}, "images": {"collector": OWN, "other": OWN}}', "the same image_hash"),
        ('{"schema": 1, "build_settings": {}, "images": {"collector": SHORT}}', "64 hexadecimal digits"),
        ("", "expected a JSON object"),
    ],
)
def test_a_list_that_cannot_be_trusted_is_no_match(
    content: str,
    problem: str,
    original: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = json.dumps(_hashes(original))
    file = tmp_path / "list.json"
    file.write_text(content.replace("OWN", own).replace("SHORT", re.sub("sha256:.", "sha256:", own)))
    assert _call(monkeypatch, "compare", "--expected", file, f"collector={original}") == errors.COULD_NOT_CHECK
    assert problem in capsys.readouterr().err


def test_an_archive_without_its_manifest_could_not_be_checked_against_expected_hashes(
    changed: Rewritten, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed.keep([changed.layer("system_files")])
    small = changed.save()
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        archive.write(str(small), "docker", [], file)
    expected = _release(tmp_path / "current.json", {"collector": _hashes(small)})
    assert _call(monkeypatch, "compare", "--expected", expected, f"collector={saved}") == errors.COULD_NOT_CHECK
    assert "which keeps none, so no image hash" in capsys.readouterr().err
