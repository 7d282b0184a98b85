"""Programs that start the backend of one machine, from the seven images, by shuffler/e2e/backend_process.py."""

load("@rules_python//python:defs.bzl", "py_binary")
load("//shuffler/services:services.bzl", "IMAGES")
load("//toolchains/python:pytest.bzl", "pytest_test")

_DATA = [
    "//toolchains/postgresql",
    "//tools/containers:local_backend",
] + IMAGES.values()

_ENV = {
    "LOCAL_BACKEND": "$(rlocationpath //tools/containers:local_backend)",
    "POSTGRES": "$(rlocationpath //toolchains/postgresql)",
} | {
    "%s_IMAGE" % service.upper(): "$(rlocationpath %s)" % image
    for service, image in IMAGES.items()
}

_DEPS = ["//shuffler/e2e:backend_process"]

def backend_test(name, srcs, data = [], env = {}, deps = []):
    """A pytest test that starts backends.

    Args:
        name: of the target.
        srcs: test files.
        data: files beside those of a backend.
        env: variables beside those of a backend.
        deps: Python libraries.
    """
    pytest_test(
        name = name,
        # JVMs that start on a slow machine, about a dozen times.
        timeout = "eternal",
        srcs = srcs,
        data = data + _DATA,
        env = env | _ENV,
        # Containers need namespaces and mounts of their own, which a sandbox does not give.
        tags = [
            "exclusive",
            "local",
            "no-sandbox",
        ],
        deps = deps + _DEPS,
    )

def backend_binary(name, srcs, data = [], env = {}, deps = []):
    """A Python program that starts backends; not for `bazel build //...`, since its files are all images.

    Args:
        name: of the target.
        srcs: one file.
        data: files beside those of a backend.
        env: variables beside those of a backend.
        deps: Python libraries.
    """
    py_binary(
        name = name,
        testonly = True,
        srcs = srcs,
        data = data + _DATA,
        env = env | _ENV,
        tags = ["manual"],
        deps = deps + _DEPS,
    )
