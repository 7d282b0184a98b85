"""Programs for `bazel run` that are Python scripts of ours, started with the toolchain's interpreter; what oci_push is made with.

Usage:

    load("@rules_oci//oci:python_launcher.bzl", "PYTHON_LAUNCHER_ATTRS", "python_launcher", "runfiles_path")

    my_rule = rule(
        attrs = {"_main": attr.label(default = ":publish.py", allow_single_file = True)} | PYTHON_LAUNCHER_ATTRS,
        executable = True,
        ...
    )

The script may import ocilib, and the standard library of the toolchain.
"""

load(
    "//oci/private:python_launcher.bzl",
    _PYTHON_LAUNCHER_ATTRS = "PYTHON_LAUNCHER_ATTRS",
    _python_launcher = "python_launcher",
    _runfiles_path = "runfiles_path",
)

PYTHON_LAUNCHER_ATTRS = _PYTHON_LAUNCHER_ATTRS
python_launcher = _python_launcher
runfiles_path = _runfiles_path
