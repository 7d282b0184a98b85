"""Reports of comparisons as text and JSON, letter by letter."""

import json

from image_hash import causes
from image_hash.differences import Comparison, Difference, LayerSize
from image_hash.report import json as json_report
from image_hash.report import text

_HASHES = (f"sha256:{'a' * 64}", f"sha256:{'b' * 64}")
_JAR = ("layer 1", "app.jar")
_LAYER = "//app:binary_tar"


def _side(mark: str, equal: bool) -> list[LayerSize]:
    base = LayerSize(0, f"sha256:{'0' * 64}", 10240, "bazel build //images/base:files", equal=True)
    return [base, LayerSize(1, f"sha256:{mark * 64}", 20480, f"bazel build {_LAYER}", equal)]


SAME = Comparison("one", "two", _HASHES[0], _HASHES[0], True, [], _side("1", True), _side("1", True))
DIFFERENT = Comparison(
    "one",
    "two\x1b[2J",
    *_HASHES,
    same=False,
    differences=[
        Difference(("config", "config", "Labels", "a"), causes.LABEL, "not set", "b" * 200),
        Difference((*_JAR, "A.class"), causes.ZIP_TIMESTAMP, "2010-01-01 00:00:00", "2026-11-23 18:12:04", 1, "//app:app"),
        Difference((*_JAR, "lib/liba.jar"), causes.ZIP_TIMESTAMP, "2010-01-01 00:00:00", "2026-11-23 18:12:04", 1, "//lib:a"),
        Difference((*_JAR, "\udcff\n"), causes.ZIP_TIMESTAMP, "2010-01-01 00:00:00", "2026-11-23 18:12:04", 1, "//app:app"),
        Difference((*_JAR, "D.class"), causes.ZIP_TIMESTAMP, "2010-01-01 00:00:00", "2026-11-23 18:12:04", 1, "//app:app"),
    ],
    left_layers=_side("1", False),
    right_layers=_side("2", False),
)
UNKEPT = Comparison("one.tar", "two", None, _HASHES[0], True, [], [], [])

_TEXT = f"""\
mismatch: one and two\\x1b[2J differ by label, zip timestamp
  first   {_HASHES[0]}, 1 of 2 layers are in the other, too
  second  {_HASHES[1]}, 1 of 2 layers are in the other, too

label: A label differs; the Confidential Space launch policy is made of labels.
  config > config > Labels > a
      not set -> {"b" * 80}... (200 characters)
  to do: Compare the labels of the image's target.

zip timestamp, 4 times: The time of an entry of a zip or jar differs.
  layer 1 > app.jar > A.class
      2010-01-01 00:00:00 -> 2026-11-23 18:12:04
  layer 1 > app.jar > lib/liba.jar
      2010-01-01 00:00:00 -> 2026-11-23 18:12:04
  layer 1 > app.jar > \\udcff\\n
      2010-01-01 00:00:00 -> 2026-11-23 18:12:04
  and 1 more
  made by //app:app, //lib:a
  to do: Give all entries one constant time.
"""


def test_text_of_a_mismatch() -> None:
    assert text.render([DIFFERENT]) == _TEXT


def test_text_of_a_match() -> None:
    assert text.render([SAME]) == f"match: one and two are the same image\n  {_HASHES[0]}\n"


def test_text_says_where_a_format_keeps_no_image_hash() -> None:
    assert text.render([UNKEPT]) == "match: one.tar and two are the same image\n  image hash: not kept in this format\n"


def test_several_comparisons_stand_below_each_other() -> None:
    assert text.render([SAME, DIFFERENT]) == f"{text.render([SAME])}\n{_TEXT}"


def test_json() -> None:
    assert json.loads(json_report.render([DIFFERENT])) == {
        "schema": 1,
        "same": False,
        "comparisons": [
            {
                "same": False,
                "left": {
                    "name": "one",
                    "image_hash": _HASHES[0],
                    "layers": [
                        {
                            "position": 0,
                            "diff_id": f"sha256:{'0' * 64}",
                            "size": 10240,
                            "created_by": "bazel build //images/base:files",
                            "equal": True,
                        },
                        {
                            "position": 1,
                            "diff_id": f"sha256:{'1' * 64}",
                            "size": 20480,
                            "created_by": "bazel build //app:binary_tar",
                            "equal": False,
                        },
                    ],
                },
                "right": {
                    "name": "two\x1b[2J",
                    "image_hash": _HASHES[1],
                    "layers": [
                        {
                            "position": 0,
                            "diff_id": f"sha256:{'0' * 64}",
                            "size": 10240,
                            "created_by": "bazel build //images/base:files",
                            "equal": True,
                        },
                        {
                            "position": 1,
                            "diff_id": f"sha256:{'2' * 64}",
                            "size": 20480,
                            "created_by": "bazel build //app:binary_tar",
                            "equal": False,
                        },
                    ],
                },
                "causes": [
                    {
                        "cause": "label",
                        "meaning": "A label differs; the Confidential Space launch policy is made of labels.",
                        "advice": "Compare the labels of the image's target.",
                        "count": 1,
                        "targets": [],
                    },
                    {
                        "cause": "zip timestamp",
                        "meaning": "The time of an entry of a zip or jar differs.",
                        "advice": "Give all entries one constant time.",
                        "count": 4,
                        "targets": ["//app:app", "//lib:a"],
                    },
                ],
                "differences": [
                    {
                        "place": ["config", "config", "Labels", "a"],
                        "cause": "label",
                        "left": "not set",
                        "right": "b" * 200,
                        "layer": None,
                        "target": "",
                    },
                    *(
                        {
                            "place": ["layer 1", "app.jar", name],
                            "cause": "zip timestamp",
                            "left": "2010-01-01 00:00:00",
                            "right": "2026-11-23 18:12:04",
                            "layer": 1,
                            "target": target,
                        }
                        for name, target in [
                            ("A.class", "//app:app"),
                            ("lib/liba.jar", "//lib:a"),
                            ("\udcff\n", "//app:app"),
                            ("D.class", "//app:app"),
                        ]
                    ),
                ],
            }
        ],
    }


def test_json_is_ascii_and_the_same_bytes_every_time() -> None:
    rendered = json_report.render([SAME, DIFFERENT])
    assert rendered.isascii()
    assert rendered.startswith('{\n  "schema": 1,\n  "same": false,\n  "comparisons": [\n')
    assert rendered == json_report.render([SAME, DIFFERENT])
