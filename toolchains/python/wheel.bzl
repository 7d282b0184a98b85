"""PyPI packages: one repository per wheel, and one that has an alias for each."""

load(":fetch.bzl", "fetch", "run")

_BUILD = """\
load("@rules_python//python:defs.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

exports_files(
    glob(
        [
            "bin/*",
            "site-packages/*/data/bin/*",
        ],
        allow_empty = True,
    ) + ["site-packages"],
)

# The package is one directory: one input of an action instead of thousands, and file names that labels cannot have.
py_library(
    name = "pkg",
    data = ["site-packages"],
    imports = ["site-packages"],
    deps = {deps},
)
"""

# PEP 491: the parts of a wheel that do not lie at its root, and where they are installed to.
_DATA_FOLDERS = {
    "platlib": "site-packages",
    "purelib": "site-packages",
    "scripts": "bin",
}

def repository_name(package):
    """The repository of a PyPI package."""
    return "pypi_" + target_name(package)

def target_name(package):
    """The target of a PyPI package in the hub."""
    return package.replace("-", "_").replace(".", "_").lower()

def _wheel_impl(rctx):
    what = "PyPI package %s %s" % (rctx.attr.package, rctx.attr.version)

    def from_pypi(why):
        rctx.file("_pip/requirements.txt", "%s==%s --hash=sha256:%s\n" % (rctx.attr.package, rctx.attr.version, rctx.attr.sha256), executable = False)

        # pip brings authorities of its own; those of the machine are meant, unless the configuration of pip names others.
        authorities = "/etc/ssl/certs/ca-certificates.crt"
        environment = {}
        if not rctx.getenv("REQUESTS_CA_BUNDLE") and rctx.path(authorities).exists:
            environment["REQUESTS_CA_BUNDLE"] = authorities
        pip = [file for file in rctx.path(rctx.attr._python).dirname.dirname.get_child("lib/python3.10/ensurepip/_bundled").readdir() if file.basename.startswith("pip-")][0]
        run(rctx, why, [
            rctx.path(rctx.attr._python),
            "-I",
            "-B",
            "%s/pip" % pip,
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-cache-dir",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--dest=_pip",
            "--requirement=_pip/requirements.txt",
        ], environment = environment)
        return rctx.path("_pip/" + rctx.attr.file)

    fetch(rctx, what, rctx.attr.sha256, from_pypi, output = "site-packages", type = "zip")
    rctx.delete("_pip")
    for folder in rctx.path("site-packages").readdir():
        if folder.basename.endswith(".data"):
            for part in folder.readdir():
                if part.basename not in _DATA_FOLDERS:
                    fail("%s: a folder %s/%s of the wheel is not supported, only %s" % (what, folder.basename, part.basename, ", ".join(_DATA_FOLDERS)))
                run(rctx, what, ["mkdir", "-p", _DATA_FOLDERS[part.basename]])
                run(rctx, what, ["cp", "-a", str(part) + "/.", _DATA_FOLDERS[part.basename]])
            rctx.delete(folder)
    build = _BUILD.format(deps = json.encode(["@%s//:pkg" % repository_name(d) for d in rctx.attr.deps]))
    if rctx.attr.additional_build_file:
        build += "\n" + rctx.read(rctx.attr.additional_build_file)
    rctx.file("BUILD.bazel", build, executable = False)

wheel_repo = repository_rule(
    implementation = _wheel_impl,
    doc = "One wheel, unpacked to the directory site-packages; programs of its own in bin. The library is :pkg.",
    attrs = {
        "additional_build_file": attr.label(doc = "Appended to the BUILD file."),
        "deps": attr.string_list(doc = "The PyPI packages that it needs."),
        "file": attr.string(mandatory = True),
        "package": attr.string(mandatory = True),
        "sha256": attr.string(mandatory = True),
        "version": attr.string(mandatory = True),
        "_python": attr.label(default = Label("@python3_10//:bin/python3.10")),
    },
)

_REPOSITORIES = """\
\"\"\"The repositories of the lock, for WORKSPACE, which cannot read the lock itself.\"\"\"

load("@@//toolchains/python:repositories.bzl", "locked_python_repositories")

def python_repositories_of_lock():
    locked_python_repositories(**{lock})
"""

def _hub_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr.lock))
    build = ['package(default_visibility = ["//visibility:public"])\n']
    for package in lock["wheels"]:
        build.append('alias(\n    name = "%s",\n    actual = "@%s//:pkg",\n)\n' % (target_name(package), repository_name(package)))
    rctx.file("BUILD.bazel", "\n".join(build), executable = False)
    rctx.file("repositories.bzl", _REPOSITORIES.format(lock = repr(lock)), executable = False)

hub_repo = repository_rule(
    implementation = _hub_impl,
    doc = "A target for every locked PyPI package, with `.` and `-` in its name written `_`; repositories.bzl for WORKSPACE.",
    attrs = {"lock": attr.label(mandatory = True, allow_single_file = True)},
)
