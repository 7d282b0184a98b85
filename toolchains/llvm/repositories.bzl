"""Clang + LLVM 16, the Debian 12 sysroot that it compiles for, and GoogleTest: all from locked Debian packages."""

load("//toolchains/debian:packages.bzl", "debian_tree")
load(":llvm_toolchain.bzl", "llvm_toolchain")

def llvm_repositories():
    """Declares @llvm16 (the compiler's packages), @llvm16_toolchain, @debian12_sysroot and @googletest."""
    debian_tree(
        name = "debian12_sysroot",
        build_file = Label("//toolchains/llvm:sysroot.BUILD.bazel"),
        locks = [Label("//toolchains/debian:sysroot.lock.json")],
    )
    debian_tree(
        name = "llvm16",
        build_file = Label("//toolchains/llvm:llvm16.BUILD.bazel"),
        locks = [Label("//toolchains/debian:llvm16.lock.json")],
    )
    llvm_toolchain(
        name = "llvm16_toolchain",
        build_file = Label("//toolchains/llvm:llvm16_toolchain.BUILD.bazel"),
        launcher = Label("//toolchains/llvm:launcher.c"),
        llvm = "@llvm16//:BUILD.bazel",
    )
    debian_tree(
        name = "googletest",
        build_file = Label("//toolchains/llvm:googletest.BUILD.bazel"),
        locks = [Label("//toolchains/debian:googletest.lock.json")],
    )
