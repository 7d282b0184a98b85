"""Runs a Python script in an action: the interpreter of the exec toolchain, isolated, without a launcher or a shell."""

PYTHON_ACTION_ATTRS = {
    "_exec_python": attr.label(
        default = "//springboot/private:exec_python",
        cfg = "exec",
    ),
}

def python_action(ctx, main, arguments, inputs, outputs, **kwargs):
    """Registers an action that runs a script, which may import the standard library only.

    Args:
        ctx: the context of a rule that has PYTHON_ACTION_ATTRS.
        main: File, the script.
        arguments: list of strings or Args.
        inputs: list of Files, without the interpreter, which is added.
        outputs: list of Files.
        **kwargs: what else ctx.actions.run takes.
    """
    runtime = ctx.attr._exec_python[platform_common.ToolchainInfo].py3_runtime
    ctx.actions.run(
        executable = runtime.interpreter or runtime.interpreter_path,
        arguments = ["-I", "-S", "-B", main.path] + arguments,
        inputs = depset([main] + inputs, transitive = [runtime.files] if runtime.files else []),
        outputs = outputs,
        **kwargs
    )
