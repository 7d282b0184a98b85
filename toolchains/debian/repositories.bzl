"""Debian packages of the images, and the programs that unpack them."""

load(":packages.bzl", "debian_packages", "debian_tree")

def debian_repositories():
    """Declares debian12, the .deb files for the images, and debian12_tools, their decompressors."""
    debian_packages(
        name = "debian12",
        locks = [Label("//toolchains/debian:images.lock.json")],
    )
    debian_tree(
        name = "debian12_tools",
        build_file = Label("//toolchains/debian:tools.BUILD.bazel"),
        locks = [Label("//toolchains/debian:build_tools.lock.json")],
    )
