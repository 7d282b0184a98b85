"""xz and zstd for actions: locked, and run by the dynamic linker and the libraries of their own tree, so that nothing of the machine
takes part.
"""

DECOMPRESSOR_ATTRS = {
    "_libraries": attr.label(
        cfg = "exec",
        default = "@debian12_tools//:libraries",
    ),
    "_linker": attr.label(
        allow_single_file = True,
        cfg = "exec",
        default = "@debian12_tools//:lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    ),
    "_xz": attr.label(
        allow_single_file = True,
        cfg = "exec",
        default = "@debian12_tools//:usr/bin/xz",
    ),
    "_zstd": attr.label(
        allow_single_file = True,
        cfg = "exec",
        default = "@debian12_tools//:usr/bin/zstd",
    ),
}

def add_linker(ctx, arguments):
    """Adds --linker and --library_path to the arguments of a script that runs a decompressor.

    Args:
        ctx: the context of a rule that has DECOMPRESSOR_ATTRS.
        arguments: Args.

    Returns:
        The files that the action needs for it.
    """
    libraries = ctx.files._libraries
    arguments.add("--linker", ctx.file._linker)
    arguments.add_joined("--library_path", {library.dirname: None for library in libraries}.keys(), join_with = ":")
    return [ctx.file._linker] + libraries
