"""Debian packages of the images, the programs that unpack them, and those that tests run."""

load(":packages.bzl", "debian_packages", "debian_tree")

def debian_repositories():
    """Declares debian12, the .deb files for the images; debian12_tools, their decompressors; and what tests run.

    Those are debian12_chromium, debian12_machine (Docker and Podman) and debian12_registry_tools.
    """
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
        name = "debian12_machine",
        build_file = Label("//toolchains/debian:machine.BUILD.bazel"),
        exclude = [
            "usr/share/doc",
            "usr/share/info",
            "usr/share/locale",
            "usr/share/man",
        ],
        # As the packages' maintainer scripts do.
        links = {"usr/bin/awk": "mawk"} | {
            "usr/sbin/%s%s" % (table, suffix): "xtables-nft-multi"
            for table in ["iptables", "ip6tables"]
            for suffix in ["", "-restore", "-save"]
        },
        locks = [Label("//toolchains/debian:machine.lock.json")],
    )
    debian_tree(
        name = "debian12_registry_tools",
        build_file = Label("//toolchains/debian:registry_tools.BUILD.bazel"),
        locks = [Label("//toolchains/debian:registry_tools.lock.json")],
    )
