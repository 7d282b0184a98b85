"""Which Debian packages are layers of which image, in order: the lowest layer first.

Usage:

    load("//toolchains/debian:layers.bzl", "JNI_LAYERS")

    oci_image(
        name = "image",
        base = "//images/base:java17_debian12",
        tars = JNI_LAYERS + [":binary_tar"],
    )
"""

# As in distroless (static, base_nossl, java_build_base, java_base, java17): what changes seldom is below.
STATIC_PACKAGES = [
    "base-files",
    "netbase",
    "tzdata",
    "media-types",
]

JAVA17_PACKAGES = [
    "libc6",
    "zlib1g",
    "libjpeg62-turbo",
    "libpng16-16",
    "liblcms2-2",
    "libfreetype6",
    "fonts-dejavu-core",
    "fontconfig-config",
    "libexpat1",
    "libfontconfig1",
    "libuuid1",
    "libbrotli1",
    "libcrypt1",
    "gcc-12-base",
    "libstdc++6",
    "libgcc-s1",
    "libharfbuzz0b",
    "libgraphite2-3",
    "libglib2.0-0",
    "libpcre2-8-0",
    "openjdk-17-jre-headless",
]

# The shared libraries that CPython 3.10 with TensorFlow loads and does not bring along.
PYTHON_PACKAGES = [
    "libc6",
    "zlib1g",
    "libbz2-1.0",
    "libuuid1",
    "libcrypt1",
    "gcc-12-base",
    "libstdc++6",
    "libgcc-s1",
]

# What the JNI libraries are linked against. Four of them are in java17_debian12, too, from the same targets.
JNI_PACKAGES = [
    "libc++1-16",
    "libc++abi1-16",
    "libc6",
    "libunwind-16",
    "libgcc-s1",
    "gcc-12-base",
]

# In no image as it is: its certificates go into trust stores.
_TRUST_STORE_PACKAGES = ["ca-certificates"]

ALL_PACKAGES = sorted({
    package: None
    for package in STATIC_PACKAGES + JAVA17_PACKAGES + PYTHON_PACKAGES + JNI_PACKAGES + _TRUST_STORE_PACKAGES
})

def layers(packages):
    """Returns the labels of the layers of packages, in their order."""
    return ["//toolchains/debian:%s_amd64.tar" % package for package in packages]

JNI_LAYERS = layers(JNI_PACKAGES)
