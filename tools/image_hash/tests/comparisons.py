"""Comparisons made up for the tests of reports, with the layers of a real image."""

import hashlib
from collections.abc import Sequence

from image_hash import causes
from image_hash.differences import Comparison, Difference, LayerSize

# Layers of collector_image: what made them, and bytes.
_LAYERS = (
    ("base-files", 399_360),
    ("netbase", 61_440),
    ("tzdata", 3_153_920),
    ("media-types", 143_360),
    ("libc6", 12_984_320),
    ("zlib1g", 174_080),
    ("libfreetype6", 1_003_520),
    ("fonts-dejavu-core", 2_979_840),
    ("libstdc++6", 2_437_120),
    ("libharfbuzz0b", 3_614_720),
    ("libglib2.0-0", 4_485_120),
    ("libpcre2-8-0", 686_080),
    ("openjdk-17-jre-headless", 171_520_000),
    ("trust_stores", 512_000),
)


def digest(text: str) -> str:
    """A digest that stands for TEXT."""
    return "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def layers(*top: tuple[str, int, bool]) -> list[LayerSize]:
    """The layers of a base, and above them TOP: what made the layer, bytes, and whether the other image has it."""
    stack = [(f"bazel build //toolchains/debian:{name}_amd64.tar", size, True) for name, size in _LAYERS] + list(top)
    return [LayerSize(position, digest(f"{made}{size}{equal}"), size, made, equal) for position, (made, size, equal) in enumerate(stack)]


_TAR = "bazel build //shuffler/services/collector:binary_tar"
_JAR = "collector_application.jar"


def same(name: str = "collector_image") -> Comparison:
    """A match."""
    stack = layers((_TAR, 50_124_800, True))
    return Comparison(name, f"{name} in releases/v1.2.0.json", digest(name), digest(name), True, (), stack, stack)


def different(name: str = "collector_image") -> Comparison:
    """A mismatch of several causes, as when somebody has rebuilt with another tool for archives."""
    target = "//shuffler/services/collector:binary_tar"
    place = ("layer 14", _JAR)
    differences = [
        Difference(
            (*place, f"BOOT-INF/classes/com/google/collector/Part{number:03}.class"),
            causes.ZIP_TIMESTAMP,
            "2010-01-01 00:00:00",
            "2026-11-23 18:12:04",
            14,
            target,
        )
        for number in range(312)
    ]
    differences.append(Difference((*place, "META-INF/MANIFEST.MF", "line 4"), causes.TEXT_CONTENT, "", "Built-By: root", 14, target))
    differences.append(
        Difference(("config", "Env", "TZ"), causes.ENV, "", "Europe/Zurich", None, "//shuffler/services/collector:collector_image")
    )
    return _mismatch(name, differences, 50_124_800, 50_131_456)


def mismatch(differences: Sequence[Difference], name: str = "collector_image") -> Comparison:
    """A mismatch with these differences."""
    return _mismatch(name, differences, 50_124_800, 50_124_800)


def _mismatch(name: str, differences: Sequence[Difference], left: int, right: int) -> Comparison:
    return Comparison(
        name,
        f"registry.example/fcp/{name}:rebuilt",
        digest(name),
        digest(name + " rebuilt"),
        False,
        differences,
        layers((_TAR, left, False)),
        layers((_TAR, right, False)),
    )
