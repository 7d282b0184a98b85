"""Runs a Python script of ours in an action: the exec toolchain's interpreter, isolated, without a launcher.

Usage:

    load("@rules_oci//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

    my_rule = rule(
        attrs = {"_main": attr.label(default = ":pack.py", allow_single_file = True)} | PYTHON_ACTION_ATTRS,
        ...
    )

The script may import ocilib, and the standard library of the toolchain; nothing of the machine.
"""

load("//oci/private:exec_python.bzl", "ExecPythonInfo")

PYTHON_ACTION_ATTRS = {
    "_exec_python": attr.label(
        default = Label("//oci/private:exec_python"),
        cfg = "exec",
    ),
    "_ocilib": attr.label(
        default = Label("//ocilib:for_actions"),
        cfg = "exec",
    ),
    "_ocilib_run": attr.label(
        default = Label("//ocilib:run.py"),
        allow_single_file = True,
        cfg = "exec",
    ),
}

def python_action(ctx, main, arguments, inputs, outputs, **kwargs):
    """Registers an action that runs a Python script.

    Args:
        ctx: the context of a rule that has PYTHON_ACTION_ATTRS.
        main: File, the script.
        arguments: list of strings or Args. An Args may use a param file, with the format "@%s", if it is the only element.
        inputs: depset or list of Files, without the interpreter and ocilib, which are added.
        outputs: list of Files.
        **kwargs: what else ctx.actions.run takes (mnemonic, progress_message, tools, ...).
    """
    python = ctx.attr._exec_python[ExecPythonInfo]
    direct = [main, ctx.file._ocilib_run]
    transitive = [ctx.attr._ocilib[DefaultInfo].files, python.files]
    if type(inputs) == "list":
        direct = direct + inputs
    else:
        transitive.append(inputs)
    ctx.actions.run(
        executable = python.path,
        # Isolated, without site, without writing bytecode, UTF-8 whatever the locale.
        arguments = ["-I", "-S", "-B", "-X", "utf8", ctx.file._ocilib_run.path, main.path] + arguments,
        inputs = depset(direct, transitive = transitive),
        outputs = outputs,
        toolchain = None,
        **kwargs
    )
