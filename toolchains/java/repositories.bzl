"""JDK 17: Debian 12's."""

load("//toolchains/debian:packages.bzl", "debian_tree")

_HOME = "usr/lib/jvm/java-17-openjdk-amd64/"

_TOOLCHAINS = """\
package(default_visibility = ["//visibility:public"])

alias(
    name = "toolchain",
    actual = "@@//toolchains/java:runtime",
)

alias(
    name = "bootstrap_runtime_toolchain",
    actual = "@@//toolchains/java:bootstrap_runtime",
)
"""

def _toolchain_aliases_impl(rctx):
    rctx.file("BUILD.bazel", _TOOLCHAINS, executable = False)

_toolchain_aliases = repository_rule(
    implementation = _toolchain_aliases_impl,
    doc = "Our toolchains, under the names that Bazel's WORKSPACE mode registers by itself for a JDK of this name.",
)

def java_repositories():
    """Declares remotejdk17_linux; remotejdk17.BUILD.bazel says what is in it."""
    _toolchain_aliases(name = "remotejdk17_linux_toolchain_config_repo")
    debian_tree(
        name = "remotejdk17_linux",
        build_file = Label("//toolchains/java:remotejdk17.BUILD.bazel"),
        # Of use only to jlink, and larger than all the rest.
        exclude = [
            _HOME + "jmods",
            "usr/lib/debug",
            "usr/share",
        ],
        # Debian's JDK takes these from the system. It looks in its own folder first (RPATH $ORIGIN/../lib), so the bytes of a jar do not
        # depend on the machine's zlib, and only the C library is the machine's.
        links = {
            _HOME + "lib/libgcc_s.so.1": "../../../../../lib/x86_64-linux-gnu/libgcc_s.so.1",
            _HOME + "lib/libstdc++.so.6": "../../../x86_64-linux-gnu/libstdc++.so.6",
            _HOME + "lib/libz.so.1": "../../../../../lib/x86_64-linux-gnu/libz.so.1",
        },
        locks = [Label("//toolchains/debian:jdk17.lock.json")],
    )
