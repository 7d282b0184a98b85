"""pytest under `bazel test`.

Usage:

    load("//toolchains/python:pytest.bzl", "pytest_test")

    pytest_test(
        name = "options_test",
        srcs = ["options_test.py"],
        deps = [":options"],
    )
"""

load("@rules_python//python:defs.bzl", "py_test")

def pytest_test(name, srcs, deps = [], data = [], args = [], **kwargs):
    """A test that runs pytest on files; no test in them is a failure.

    `bazel test --test_filter=EXPRESSION` is pytest's -k. Modules are imported by their path in the repository.

    Args:
        name: of the test.
        srcs: the files with tests; conftest.py files and helpers belong into a py_library in deps.
        deps: what they import, without pytest.
        data: files that they read.
        args: more options of pytest.
        **kwargs: what else py_test takes (size, env, tags, ...).
    """
    py_test(
        name = name,
        srcs = srcs + [Label("//toolchains/python:pytest_main.py")],
        args = args + ["$(rootpath %s)" % src for src in srcs],
        data = data + [Label("//:pyproject.toml")],
        main = Label("//toolchains/python:pytest_main.py"),
        deps = deps + [Label("@pypi//:pytest")],
        **kwargs
    )
