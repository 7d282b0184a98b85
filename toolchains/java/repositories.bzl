"""JDK 17 of Debian 12."""

load("//toolchains/debian:apt.bzl", "apt_tree")

def java_repositories():
    apt_tree(
        name = "remotejdk17_linux",
        build_file = Label("//toolchains/java:remotejdk17.BUILD.bazel"),
        lock = Label("//toolchains/debian:jdk17.lock.json"),
        suites = Label("//toolchains/debian:suites.txt"),
    )
