"""The layers of an image that runs a py_binary.

Usage:

    load("@rules_oci//oci:defs.bzl", "oci_image")
    load("@rules_python_layers//layers:defs.bzl", "py_image_layers")

    oci_image(
        name = "task_builder_image",
        base = "//images/base:python_debian12",
        entrypoint = ["/task_builder/task_builder"],
        tars = py_image_layers(
            name = "task_builder",
            binary = ":task_builder",
        ),
    )
"""

load("//layers/private:py_image_layers.bzl", "py_image_layers_rule")

def py_image_layers(name, binary):
    """Makes the layers of a py_binary for Linux on x86-64: the interpreter, the packages, and the application.

    Below `/<name>/<name>.runfiles/` the image has `python_x86_64-unknown-linux-gnu/` (the interpreter of the registered toolchain),
    `<repository>/site-packages/` (a folder for each repository of a package) and `<main repository>/` (sources and data), each called as
    users write them, not as Bazel does. `/<name>/<name>` starts the program; its interpreter is the bundled one, so that the base needs no
    shell and no Python. `/<name>/<name>.runfiles_manifest` lists every file. Modules are there as sources and compiled.

    One call makes files with fixed names, so a package can have one.

    Args:
        name: of the service: the folder, the start script and the target `<name>_layers`.
        binary: label of the py_binary.

    Returns:
        The labels of the layers, lowest first: `interpreter_layer.tar`, `packages_layer.tar`, `app_tar_manifest.tar`.
    """
    layers = ["interpreter_layer", "packages_layer", "app_tar_manifest"]
    py_image_layers_rule(
        name = name + "_layers",
        binary = binary,
        main_repository = native.module_name() or "",
        service = name,
        visibility = ["//visibility:private"],
        **{layer: layer + ".tar" for layer in layers}
    )
    return [":%s.tar" % layer for layer in layers]
