"""The Python of the exec platform, as actions need it."""

ExecPythonInfo = provider(
    doc = "An interpreter that actions run.",
    fields = {
        "files": "depset of File: what the interpreter needs, itself too.",
        "path": "string: how an action calls it.",
    },
)

_TOOLCHAIN = "@bazel_tools//tools/python:toolchain_type"

def _exec_python_impl(ctx):
    runtime = ctx.toolchains[_TOOLCHAIN].py3_runtime
    if not runtime.interpreter:
        return [ExecPythonInfo(files = depset(), path = runtime.interpreter_path)]
    return [ExecPythonInfo(files = depset([runtime.interpreter], transitive = [runtime.files]), path = runtime.interpreter.path)]

exec_python = rule(
    implementation = _exec_python_impl,
    doc = "Gives the Python 3 of the toolchain that fits this target's platform; actions depend on it with cfg = \"exec\".",
    toolchains = [_TOOLCHAIN],
)
