"""Which Bazel target's output holds what is in an image of ours.

A layer's target stands in the config's history, as oci_image writes it. A jar of rules_spring says its own in build-data.properties, and
has the jars of java_library below BOOT-INF/lib by their path in the workspace, `<package>/lib<name>.jar`.
"""

import re
import zipfile
import zlib
from collections.abc import Sequence

from image_hash.formats.content import Content

_CREATED_BY = "bazel build "
_BUILD_DATA = "build-data.properties"
_BUILD_DATA_SIZE = 4096
_LIBRARY = re.compile(r"BOOT-INF/lib/(?P<package>.+)/lib(?P<name>[^/]+)\.jar")


def layer_target(created_by: str) -> str:
    """Label of the target whose output the layer is; empty if the history does not say one."""
    label = created_by.removeprefix(_CREATED_BY).strip()
    return label if label != created_by and re.fullmatch(r"@{0,2}[^/\s]*//\S*", label) else ""


def jar_target(jar: Content) -> str:
    """Label that a jar says of itself; empty if it says none, or is no jar."""
    try:
        with zipfile.ZipFile(jar.file()) as archive, archive.open(_BUILD_DATA) as file:
            text = file.read(_BUILD_DATA_SIZE).decode("utf-8", "replace")
    # All that a stranger's file can make of zipfile.
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, zlib.error):
        return ""
    labels = [line.removeprefix("build.target=") for line in text.splitlines() if line.startswith("build.target=")]
    return labels[0] if len(labels) == 1 else ""


def nested_target(jar_label: str, inside: Sequence[str]) -> str:
    """Label of the target that made what is INSIDE the jar of the target JAR_LABEL."""
    library = _LIBRARY.fullmatch(inside[0]) if inside else None
    return f"//{library['package']}:{library['name']}" if library else jar_label
