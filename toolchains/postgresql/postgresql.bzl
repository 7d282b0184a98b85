"""PostgreSQL as a folder with bin, lib and share, out of a jar of io.zonky.test.postgres:embedded-postgres-binaries."""

load("@rules_oci//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

def _postgresql_impl(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    libraries = ctx.files._libraries
    arguments = ctx.actions.args()
    arguments.add("--jar", ctx.file.jar)
    arguments.add("--output", folder.path)
    arguments.add("--linker", ctx.file._linker)
    arguments.add_joined("--library_path", {library.dirname: None for library in libraries}.keys(), join_with = ":")
    arguments.add("--xz", ctx.file._xz)
    python_action(
        ctx,
        main = ctx.file._main,
        arguments = [arguments],
        inputs = [ctx.file.jar, ctx.file._linker, ctx.file._xz] + libraries,
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
        "_libraries": attr.label(
            cfg = "exec",
            default = "@debian12_tools//:libraries",
        ),
        "_linker": attr.label(
            allow_single_file = True,
            cfg = "exec",
            default = "@debian12_tools//:lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        ),
        "_main": attr.label(
            allow_single_file = True,
            default = ":unpack.py",
        ),
        "_xz": attr.label(
            allow_single_file = True,
            cfg = "exec",
            default = "@debian12_tools//:usr/bin/xz",
        ),
    } | PYTHON_ACTION_ATTRS,
)
