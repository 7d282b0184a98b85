"""Tests of a service's image: its content is started and asked."""

load("//toolchains/debian:layers.bzl", "JAVA17_PACKAGES", "JNI_PACKAGES", "PYTHON_PACKAGES", "layers")
load("//toolchains/python:pytest.bzl", "pytest_test")

_DEBIAN_LAYERS = layers(sorted({
    package: None
    for package in JAVA17_PACKAGES + JNI_PACKAGES + PYTHON_PACKAGES
}))

def image_test(name, srcs, image, env = {}, data = [], deps = [], **kwargs):
    """Runs tests against the content of one image. One target an image: it is unpacked once, and cached apart from the others.

    Args:
        name: of the test; without `_test` the name of the service.
        srcs: files with tests, which see the fixtures of conftest.py.
        image: label of an OCI layout.
        env: more variables for the tests.
        data: more files for the tests.
        deps: what the tests import beside containers, pytest and what all here share.
        **kwargs: what pytest_test takes.
    """
    pytest_test(
        name = name,
        # The whole of it: a cold start of TensorFlow, with a linker that logs, on a slow machine.
        timeout = "long",
        srcs = srcs,
        data = data + [image] + _DEBIAN_LAYERS,
        env = env | {
            "DEBIAN_LAYERS": " ".join(["$(rlocationpath %s)" % layer for layer in _DEBIAN_LAYERS]),
            "IMAGE": "$(rlocationpath %s)" % image,
            "SERVICE": name.removesuffix("_test"),
        },
        # Namespaces and mounts of its own are what a sandbox does not give.
        tags = [
            "local",
            "no-sandbox",
        ],
        deps = deps + [":e2e"],
        **kwargs
    )
