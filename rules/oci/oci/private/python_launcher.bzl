"""Programs for `bazel run` that start Python scripts of ours with the toolchain's interpreter."""

load("//oci/private:exec_python.bzl", "ExecPythonInfo")

PYTHON_LAUNCHER_ATTRS = {
    # The machine that builds is the one that the program runs on.
    "_launcher_ocilib": attr.label(
        default = Label("//ocilib"),
        cfg = "exec",
    ),
    "_launcher_python": attr.label(
        default = Label("//oci/private:exec_python"),
        cfg = "exec",
    ),
    "_launcher_run": attr.label(
        default = Label("//ocilib:run.py"),
        allow_single_file = True,
        cfg = "exec",
    ),
}

# The machine's sh only finds the files; it makes no byte of any image.
_LAUNCHER = """\
#!/bin/sh
# Starts {main} with the Python of the toolchain.
set -eu
runfiles=$0.runfiles
# Without files of its own it is part of another program.
if [ ! -d "$runfiles" ]; then runfiles=${{RUNFILES_DIR:-$runfiles}}; fi
if [ ! -d "$runfiles" ]; then
    echo "error: $runfiles is missing: start this program by bazel run" >&2
    exit 1
fi
exec {python} -I -S -B -X utf8 "$runfiles"/{run} "$runfiles"/{main} "$runfiles" "$runfiles"/{config} "$@"
"""

def runfiles_path(ctx, file):
    """Where a file lies below the runfiles folder.

    Args:
        ctx: the context of a rule.
        file: File.

    Returns:
        string.
    """
    return file.short_path.removeprefix("../") if file.short_path.startswith("../") else ctx.workspace_name + "/" + file.short_path

def python_launcher(ctx, main, config, runfiles):
    """Makes a target's executable.

    The script MAIN is called with the runfiles folder, the path of a file with CONFIG as JSON, and the user's arguments. It may import ocilib.

    Args:
        ctx: the context of an executable rule that has PYTHON_LAUNCHER_ATTRS.
        main: File, the script.
        config: struct, whatever the script needs to know.
        runfiles: what else the script needs.

    Returns:
        DefaultInfo.
    """
    config_file = ctx.actions.declare_file(ctx.label.name + ".run.json")
    ctx.actions.write(config_file, json.encode_indent(config, indent = "  ") + "\n")
    python = ctx.attr._launcher_python[ExecPythonInfo]
    executable = ctx.actions.declare_file(ctx.label.name + ".sh")
    interpreter = repr(python.path)
    if python.interpreter:
        interpreter = '"$runfiles"/%r' % runfiles_path(ctx, python.interpreter)
    ctx.actions.write(
        executable,
        _LAUNCHER.format(
            config = repr(runfiles_path(ctx, config_file)),
            main = repr(runfiles_path(ctx, main)),
            python = interpreter,
            run = repr(runfiles_path(ctx, ctx.file._launcher_run)),
        ),
        is_executable = True,
    )
    files = ctx.runfiles(
        files = [config_file, main, ctx.file._launcher_run],
        transitive_files = depset(transitive = [python.files, ctx.attr._launcher_ocilib[DefaultInfo].files]),
    )
    return DefaultInfo(executable = executable, files = depset([executable]), runfiles = files.merge(runfiles))
