"""A package for the tests, laid out like an installed wheel: a directory site-packages in a repository of its own."""

def _package_repository_impl(rctx):
    rctx.file("site-packages/greeting/__init__.py", 'TEXT = "Hello, "\n', executable = False)
    rctx.file("site-packages/greeting/with blank.txt", "data\n", executable = False)
    rctx.file("site-packages/greeting/template.py", "{% not Python %}\n", executable = False)
    rctx.file("site-packages/greeting/tool", "#!/bin/sh\n", executable = False)
    rctx.file("site-packages/greeting/__pycache__/stale.cpython-310.pyc", "stale", executable = False)
    rctx.file("BUILD.bazel", """\
load("@rules_python//python:defs.bzl", "py_library")

py_library(
    name = "pkg",
    data = ["site-packages"],
    imports = ["site-packages"],
    visibility = ["//visibility:public"],
)
""", executable = False)

package_repository = repository_rule(implementation = _package_repository_impl)
