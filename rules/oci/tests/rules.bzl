"""Small rules for the tests."""

load("//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

def _named_copy_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = output, target_file = ctx.file.src)
    return [DefaultInfo(files = depset([output]))]

named_copy = rule(
    implementation = _named_copy_impl,
    doc = "A file under another label.",
    attrs = {"src": attr.label(allow_single_file = True, mandatory = True)},
)

def _folder_impl(ctx):
    output = ctx.actions.declare_directory(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add_all([output], expand_directories = False)
    arguments.add(ctx.label.package + "/" + ctx.attr.strip_prefix)
    arguments.add_all(ctx.files.srcs)
    python_action(
        ctx,
        main = ctx.file._main,
        arguments = [arguments],
        inputs = ctx.files.srcs,
        outputs = [output],
        mnemonic = "CopyFolder",
    )
    return [DefaultInfo(files = depset([output]))]

folder = rule(
    implementation = _folder_impl,
    doc = "Files as one folder.",
    attrs = PYTHON_ACTION_ATTRS | {
        "srcs": attr.label_list(allow_files = True),
        "strip_prefix": attr.string(doc = "What of the files' paths, within this package, is not part of the folder."),
        "_main": attr.label(
            default = ":copy_folder.py",
            allow_single_file = True,
            cfg = "exec",
        ),
    },
)
