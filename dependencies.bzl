"""Every external repository of this workspace, once: MODULE.bazel calls the extension, WORKSPACE the macro."""

load("//images/base:repositories.bzl", "base_repositories")
load("//toolchains/debian:repositories.bzl", "debian_repositories")
load("//toolchains/go:repositories.bzl", "go_repositories")
load("//toolchains/java:repositories.bzl", "java_repositories")
load("//toolchains/llvm:repositories.bzl", "llvm_repositories")
load("//toolchains/maven:repositories.bzl", "maven_repositories")
load("//toolchains/python:repositories.bzl", "python_repositories", "python_repositories_of_lock")

def dependencies():
    """Declares the repositories of all locks, without those that need the content of a lock: see python."""
    base_repositories()
    debian_repositories()
    go_repositories()
    java_repositories()
    llvm_repositories()
    maven_repositories()
    python_repositories()

def _inputs_impl(module_ctx):
    dependencies()
    python_repositories_of_lock(module_ctx)

inputs = module_extension(
    implementation = _inputs_impl,
    doc = "All external inputs, from the locks.",
)
