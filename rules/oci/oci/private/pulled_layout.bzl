"""The layout of a pulled image as one folder, which oci_image takes as its base."""

load("//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

def _pulled_layout_impl(ctx):
    # Upstream's name.
    layout = ctx.actions.declare_directory("layout")
    arguments = ctx.actions.args()
    arguments.use_param_file("@%s")
    arguments.set_param_file_format("multiline")
    arguments.add_all([layout], expand_directories = False)
    arguments.add_all(ctx.files.srcs)
    python_action(
        ctx,
        main = ctx.file._copy,
        arguments = [arguments],
        inputs = ctx.files.srcs,
        outputs = [layout],
        mnemonic = "OCIPulledLayout",
        progress_message = "OCI Pulled Layout %{label}",
    )
    return [DefaultInfo(files = depset([layout]), runfiles = ctx.runfiles([layout]))]

pulled_layout = rule(
    implementation = _pulled_layout_impl,
    attrs = PYTHON_ACTION_ATTRS | {
        "srcs": attr.label_list(
            allow_files = True,
            doc = "The files of the layout.",
            mandatory = True,
        ),
        "_copy": attr.label(
            default = Label("//oci/private:copy_layout.py"),
            allow_single_file = True,
            cfg = "exec",
        ),
    },
    doc = "Copies: links to files of another repository would break when that is fetched again.",
)
