"""The tools of a tree of LLVM packages as programs that run on any x86-64 Linux.

Debian's clang asks for the machine's dynamic linker and C library. Here each tool is a launcher (launcher.c): a static
program of 4 kB that executes the tool with the dynamic linker and libraries of the package tree. The launcher is
compiled by that same clang when the repository is made, so no binary is checked in and no compiler or shell of the
machine takes part.
"""

# The programs that actions and tests run.
_TOOLS = [
    "clang",
    "ld.lld",  # run by clang, which looks beside itself
    "llvm-ar",
    "llvm-cov",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-objdump",
    "llvm-profdata",
    "llvm-readelf",
    "llvm-strip",
    "llvm-symbolizer",  # run by the sanitizers
]

_LIBRARIES = ["usr/lib/llvm-16/lib", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]

def _impl(rctx):
    tree = str(rctx.path(rctx.attr.llvm).dirname)

    def run(program, arguments):
        result = rctx.execute([
            tree + "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "--inhibit-cache",
            "--argv0",
            program,
            "--library-path",
            ":".join([tree + "/" + library for library in _LIBRARIES]),
            tree + "/usr/lib/llvm-16/bin/" + program,
        ] + arguments, environment = {"LC_ALL": "C"})
        if result.return_code:
            fail("@%s: %s of @%s failed: %s" % (rctx.name, program, rctx.attr.llvm.workspace_name, result.stderr))

    # Beside each other under external/ in every sandbox; the name of the other repository depends on Bazel's mode.
    run("clang", [
        "--target=x86_64-linux-gnu",
        "--no-default-config",
        "-DTREE=\"../%s/\"" % rctx.attr.llvm.workspace_name,
        "-ffreestanding",
        "-fno-asynchronous-unwind-tables",
        "-fno-stack-protector",
        "-fno-pic",
        "-Os",
        "-c",
        str(rctx.path(rctx.attr.launcher)),
        "-o",
        "launcher.o",
    ])
    run("ld.lld", ["-static", "--strip-all", "-o", "clang", "launcher.o"])
    rctx.delete("launcher.o")
    for tool in _TOOLS:
        if tool != "clang":
            rctx.symlink("clang", tool)
    rctx.file("BUILD.bazel", rctx.read(rctx.attr.build_file), executable = False)

llvm_toolchain = repository_rule(
    implementation = _impl,
    doc = "One launcher per LLVM tool, and the cc_toolchain that uses them.",
    attrs = {
        "build_file": attr.label(mandatory = True, allow_single_file = True, doc = "The BUILD file."),
        "launcher": attr.label(mandatory = True, allow_single_file = True, doc = "launcher.c"),
        "llvm": attr.label(mandatory = True, allow_single_file = True, doc = "A file in the root of the tree of LLVM packages."),
    },
)
