"""The wheel of image_hash, from its pyproject.toml, by the locked setuptools."""

load("@rules_oci//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

def _wheel_impl(ctx):
    wheel = ctx.actions.declare_file(ctx.attr.file)
    arguments = ctx.actions.args()
    arguments.add(wheel)
    arguments.add(ctx.file._setuptools.path)
    for file in ctx.files.srcs:
        arguments.add_all([file.path, file.short_path])
    for file in ctx.files._packed_ocilib:
        # Where it is in the repository, whatever Bazel calls the module.
        arguments.add_all([file.path, "rules/oci/ocilib/" + file.basename])
    arguments.use_param_file("@%s", use_always = True)
    arguments.set_param_file_format("multiline")
    python_action(
        ctx,
        main = ctx.file._build_wheel,
        arguments = [arguments],
        inputs = ctx.files.srcs + ctx.files._packed_ocilib + [ctx.file._setuptools],
        outputs = [wheel],
        mnemonic = "Wheel",
        progress_message = "Building %{output}",
    )
    return DefaultInfo(files = depset([wheel]))

image_hash_wheel = rule(
    implementation = _wheel_impl,
    doc = "Builds the wheel; ocilib is in it.",
    attrs = {
        "file": attr.string(doc = "Name of the wheel, as pyproject.toml has name and version.", mandatory = True),
        "srcs": attr.label_list(doc = "pyproject.toml, README.md and the package.", allow_files = True, mandatory = True),
        "_build_wheel": attr.label(default = ":build_wheel.py", allow_single_file = True),
        "_packed_ocilib": attr.label(default = "@rules_oci//ocilib"),
        "_setuptools": attr.label(default = "@pypi_setuptools//:site-packages", allow_single_file = True),
    } | PYTHON_ACTION_ATTRS,
)
