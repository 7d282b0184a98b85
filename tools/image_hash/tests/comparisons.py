"""Comparisons made up for the tests of reports, with the layers of a real image."""

import hashlib
from collections.abc import Sequence

from image_hash import causes
from image_hash.differences import Comparison, Difference, LayerSize

# Layers of collector_image below its own: what made them, and bytes.
_LAYERS = (
    ("//toolchains/debian:base-files_amd64.tar", 332_800),
    ("//toolchains/debian:netbase_amd64.tar", 40_448),
    ("//toolchains/debian:tzdata_amd64.tar", 2_411_520),
    ("//toolchains/debian:media-types_amd64.tar", 98_816),
    ("//images/base:system_files", 10_240),
    ("//images/base:ca_certificates.tar", 245_760),
    ("//images/base:locale.tar", 410_112),
    ("//images/base:java_keystore.tar", 174_080),
    ("//images/base:java_command", 10_240),
    ("//toolchains/debian:libc6_amd64.tar", 13_064_704),
    ("//toolchains/debian:zlib1g_amd64.tar", 171_520),
    ("//toolchains/debian:libjpeg62-turbo_amd64.tar", 691_200),
    ("//toolchains/debian:libpng16-16_amd64.tar", 432_128),
    ("//toolchains/debian:liblcms2-2_amd64.tar", 426_496),
    ("//toolchains/debian:libfreetype6_amd64.tar", 904_704),
    ("//toolchains/debian:fonts-dejavu-core_amd64.tar", 3_035_648),
    ("//toolchains/debian:fontconfig-config_amd64.tar", 475_648),
    ("//toolchains/debian:libexpat1_amd64.tar", 394_240),
    ("//toolchains/debian:libfontconfig1_amd64.tar", 588_800),
    ("//toolchains/debian:libuuid1_amd64.tar", 83_968),
    ("//toolchains/debian:libbrotli1_amd64.tar", 801_280),
    ("//toolchains/debian:libcrypt1_amd64.tar", 242_176),
    ("//toolchains/debian:gcc-12-base_amd64.tar", 109_568),
    ("//toolchains/debian:libstdc++6_amd64.tar", 2_334_208),
    ("//toolchains/debian:libgcc-s1_amd64.tar", 141_824),
    ("//toolchains/debian:libharfbuzz0b_amd64.tar", 2_658_816),
    ("//toolchains/debian:libgraphite2-3_amd64.tar", 198_656),
    ("//toolchains/debian:libglib2.0-0_amd64.tar", 4_060_672),
    ("//toolchains/debian:libpcre2-8-0_amd64.tar", 702_464),
    ("//toolchains/debian:openjdk-17-jre-headless_amd64.tar", 192_957_952),
)


def digest(text: str) -> str:
    """A digest that stands for TEXT."""
    return "sha256:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def layers(*top: tuple[str, int, bool]) -> list[LayerSize]:
    """The layers of a base, and above them TOP: what made the layer, bytes, and whether the other image has it."""
    stack = [(f"bazel build {target}", size, True) for target, size in _LAYERS] + list(top)
    return [LayerSize(position, digest(f"{made}{size}{equal}"), size, made, equal) for position, (made, size, equal) in enumerate(stack)]


_TAR = "bazel build //shuffler/services/collector:binary_tar.tar"
_JAR = "collector_application.jar"


def same(name: str = "collector_image") -> Comparison:
    """A match."""
    stack = layers((_TAR, 26_398_720, True))
    return Comparison(name, f"{name} in releases/v1.2.0.json", digest(name), digest(name), True, (), stack, stack)


def different(name: str = "collector_image") -> Comparison:
    """A mismatch of several causes, as when somebody has rebuilt with another tool for archives."""
    target = "//shuffler/services/collector:binary_tar.tar"
    place = ("layer 30", _JAR)
    differences = [
        Difference(
            (*place, f"BOOT-INF/classes/com/google/collector/Part{number:03}.class"),
            causes.ZIP_TIMESTAMP,
            "2010-01-01 00:00:00",
            "2026-11-23 18:12:04",
            30,
            target,
        )
        for number in range(312)
    ]
    differences.append(Difference((*place, "META-INF/MANIFEST.MF", "line 4"), causes.TEXT_CONTENT, "", "Built-By: root", 30, target))
    differences.append(
        Difference(("config", "Env", "TZ"), causes.ENV, "", "Europe/Zurich", None, "//shuffler/services/collector:collector_image")
    )
    return _mismatch(name, differences, 26_398_720, 26_405_376)


def mismatch(differences: Sequence[Difference], name: str = "collector_image") -> Comparison:
    """A mismatch with these differences."""
    return _mismatch(name, differences, 26_398_720, 26_398_720)


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
