"""Shared libraries without what nobody reads at run time.

Usage:

    load("//toolchains/llvm:strip.bzl", "stripped_library")

    stripped_library(
        name = "libexample.so.2",
        library = "@example//:lib/libexample.so.2",
    )
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain", "use_cpp_toolchain")

def _impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    output = ctx.actions.declare_file(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add("--strip-all")
    arguments.add("-o", output)
    arguments.add(ctx.file.library)
    ctx.actions.run(
        executable = toolchain.strip_executable,
        arguments = [arguments],
        inputs = depset([ctx.file.library], transitive = [toolchain.all_files]),
        outputs = [output],
        mnemonic = "StripLibrary",
        progress_message = "Stripping %{output}",
    )
    return [DefaultInfo(files = depset([output]), runfiles = ctx.runfiles([output]))]

stripped_library = rule(
    implementation = _impl,
    doc = "A copy of a shared library without symbol table and debug information, by llvm-strip. The output has the name of the target.",
    attrs = {
        "library": attr.label(mandatory = True, allow_single_file = True, doc = "The library."),
    },
    toolchains = use_cpp_toolchain(),
)
