"""Debian packages of the images, the programs that unpack them, and those that tests run."""

load(":packages.bzl", "debian_packages", "debian_tree")

def debian_repositories():
    """Declares debian12, the .deb files for the images, debian12_tools, their decompressors, and what tests run: debian12_chromium, debian12_registry_tools."""
    debian_packages(
        name = "debian12",
        locks = [Label("//toolchains/debian:images.lock.json")],
    )
    debian_tree(
        name = "debian12_tools",
        build_file = Label("//toolchains/debian:tools.BUILD.bazel"),
        locks = [Label("//toolchains/debian:build_tools.lock.json")],
    )
    debian_tree(
        name = "debian12_chromium",
        build_file = Label("//toolchains/debian:chromium.BUILD.bazel"),
        # With the fonts.
        exclude = [
            "usr/share/doc",
            "usr/share/lintian",
        ],
        locks = [Label("//toolchains/debian:chromium.lock.json")],
    )
    debian_tree(
        name = "debian12_registry_tools",
        build_file = Label("//toolchains/debian:registry_tools.BUILD.bazel"),
        locks = [Label("//toolchains/debian:registry_tools.lock.json")],
    )
