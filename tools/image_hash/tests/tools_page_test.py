"""docs/image-hash-tools.md: every key of the JSON that commands print is there, and no other."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from tests import images

PAGE = pathlib.Path(__file__).parents[3] / "docs/image-hash-tools.md"
# Objects whose keys come from the image, or that the page describes in one row.
_WHOLE = {"images[].claims", "images[].launch_policy", "images[].labels"}


def _keys(value: object, place: str = "") -> set[str]:
    """The places of all values, as the page writes them."""
    if place in _WHOLE:
        return {place}
    if isinstance(value, dict):
        return {found for key, item in value.items() for found in _keys(item, f"{place}.{key}".lstrip("."))}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {found for item in value for found in _keys(item, f"{place}[]")}
    return {place}


def _documented(command: str) -> set[str]:
    """The keys of the table "JSON of COMMAND", without objects that have rows of their own."""
    section = PAGE.read_text("utf-8").partition(f"### JSON of {command}\n")[2].partition("\n#")[0]
    keys = {key for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for key in re.findall(r"`([^`]+)`", row)}
    return {key for key in keys if not any(other.startswith(f"{key}.") for other in keys)}


@pytest.mark.parametrize("command", ["compute", "compare", "lint"])
def test_the_page_has_the_keys_of_the_json(command: str, tmp_path: pathlib.Path) -> None:
    paths = []
    for name in ("a", "b"):
        layout = images.Layout(tmp_path / name)
        settings = {"Entrypoint": ["/app"], "Labels": {"x": name}}
        paths.append(layout.finish(layout.image([images.tar({"app": name.encode()})], settings)))
    done = subprocess.run(
        [sys.executable, "-m", "image_hash.main", command, "--json", *paths[: 2 if command == "compare" else 1]],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == (1 if command == "compare" else 0), done.stderr
    document = json.loads(done.stdout)
    assert document.pop("schema") == 1
    assert _keys(document) == _documented(command)
