"""The Python of the exec platform, as actions need it."""

ExecPythonInfo = provider(
    doc = "An interpreter that actions run.",
    fields = {
        "files": "depset of File: what the interpreter needs, itself too.",
        "interpreter": "File: the interpreter, or None if it is one of the machine.",
        "path": "string: how an action calls it.",
    },
)

_TOOLCHAIN = "@bazel_tools//tools/python:toolchain_type"

def _exec_python_impl(ctx):
    runtime = ctx.toolchains[_TOOLCHAIN].py3_runtime
    if not runtime.interpreter:
        return [ExecPythonInfo(files = depset(), interpreter = None, path = runtime.interpreter_path)]
    return [ExecPythonInfo(
        files = depset([runtime.interpreter], transitive = [runtime.files]),
        interpreter = runtime.interpreter,
        path = runtime.interpreter.path,
    )]

exec_python = rule(
    implementation = _exec_python_impl,
    doc = "Gives the Python 3 of the toolchain that fits this target's platform; actions depend on it with cfg = \"exec\".",
    toolchains = [_TOOLCHAIN],
)
