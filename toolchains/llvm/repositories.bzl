"""Clang + LLVM 16 and the Debian 12 sysroot."""

load("//toolchains/debian:apt.bzl", "apt_tree")

_WRAPPED = ["clang", "clang++", "clang-cpp", "ld.lld", "llvm-ar", "llvm-nm", "llvm-objcopy", "llvm-strip", "llvm-profdata", "llvm-dwp", "llvm-readelf"]

def llvm_repositories():
    apt_tree(
        name = "debian12_sysroot",
        build_file = Label("//toolchains/llvm:sysroot.BUILD.bazel"),
        lock = Label("//toolchains/debian:sysroot.lock.json"),
        suites = Label("//toolchains/debian:suites.txt"),
    )
    apt_tree(
        name = "llvm16",
        build_file = Label("//toolchains/llvm:llvm16.BUILD.bazel"),
        lock = Label("//toolchains/debian:llvm16.lock.json"),
        suites = Label("//toolchains/debian:suites.txt"),
        wrapped = _WRAPPED,
        wrapper = Label("//toolchains/llvm:wrapper.sh"),
    )
