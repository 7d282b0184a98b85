"""An image with another build setting."""

def _copied_impl(_settings, _attr):
    return {"//oci:copy_blobs": True}

_copied = transition(
    implementation = _copied_impl,
    inputs = [],
    outputs = ["//oci:copy_blobs"],
)

def _with_copied_blobs_impl(ctx):
    return [DefaultInfo(files = ctx.attr.image[0][DefaultInfo].files, runfiles = ctx.attr.image[0][DefaultInfo].default_runfiles)]

with_copied_blobs = rule(
    implementation = _with_copied_blobs_impl,
    attrs = {
        "image": attr.label(cfg = _copied, mandatory = True),
        "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
    },
)
