"""PostgreSQL as a folder with bin, lib and share, out of a jar of io.zonky.test.postgres:embedded-postgres-binaries."""

load("@rules_oci//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")
load("//toolchains/debian:decompressors.bzl", "DECOMPRESSOR_ATTRS", "add_linker")

def _postgresql_impl(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add("--jar", ctx.file.jar)
    arguments.add("--output", folder.path)
    linker = add_linker(ctx, arguments)
    arguments.add("--xz", ctx.file._xz)
    python_action(
        ctx,
        main = ctx.file._main,
        arguments = [arguments],
        inputs = [ctx.file.jar, ctx.file._xz] + linker,
        mnemonic = "Postgresql",
        outputs = [folder],
    )
    return [DefaultInfo(files = depset([folder]), runfiles = ctx.runfiles([folder]))]

postgresql = rule(
    implementation = _postgresql_impl,
    doc = "Unpacks PostgreSQL's programs into a folder that is named like the target.",
    attrs = {
        "jar": attr.label(
            allow_single_file = [".jar"],
            mandatory = True,
        ),
        "_main": attr.label(
            allow_single_file = True,
            default = ":unpack.py",
        ),
    } | DECOMPRESSOR_ATTRS | PYTHON_ACTION_ATTRS,
)
