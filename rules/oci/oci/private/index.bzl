"""The rule behind the macro oci_image_index."""

load("//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

_DOC = """Images for several platforms under one digest: an OCI image index.

Name one image for each platform, or one image and the `platforms` to build it for. The default output is the folder of an OCI layout with
copies of all blobs.
"""

def _platforms_impl(_settings, attr):
    return [{"//command_line_option:platforms": str(platform)} for platform in attr.platforms]

_platforms = transition(
    implementation = _platforms_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _oci_image_index_impl(ctx):
    if ctx.attr.platforms and len(ctx.attr.images) != len(ctx.attr.platforms):
        fail("platforms can only be specified when there is exactly one image in the images attribute.")
    layout = ctx.actions.declare_directory(ctx.label.name)
    digest = ctx.outputs.digest or ctx.actions.declare_file(ctx.label.name + ".json.sha256")
    inputs = list(ctx.files.images)
    arguments = ctx.actions.args()
    arguments.add_all([layout, digest], expand_directories = False)
    if ctx.file.annotations:
        arguments.add(ctx.file.annotations, format = "--annotations=%s")
        inputs.append(ctx.file.annotations)
    arguments.add_all(ctx.files.images, expand_directories = False)
    python_action(
        ctx,
        main = ctx.file._assemble,
        arguments = [arguments],
        inputs = depset(inputs, transitive = [image[DefaultInfo].default_runfiles.files for image in ctx.attr.images]),
        outputs = [layout, digest],
        mnemonic = "OCIIndex",
        progress_message = "OCI Index %{label}",
    )
    return [DefaultInfo(files = depset([layout]))]

oci_image_index = rule(
    implementation = _oci_image_index_impl,
    attrs = PYTHON_ACTION_ATTRS | {
        "annotations": attr.label(
            allow_single_file = True,
            doc = "Annotations of the index: a line each, `name=value`.",
        ),
        "digest": attr.output(doc = "The file for the index's digest; the macro names it `<name>.json.sha256`."),
        "images": attr.label_list(
            cfg = _platforms,
            doc = "The images, in the order of the index.",
            mandatory = True,
        ),
        "platforms": attr.label_list(
            doc = "Platforms to build the one image for. Experimental, as in upstream's rule.",
            providers = [platform_common.PlatformInfo],
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
        "_assemble": attr.label(
            default = Label("//oci/private:assemble_index.py"),
            allow_single_file = True,
            cfg = "exec",
        ),
    },
    doc = _DOC,
)
