"""Publishing the images of services: where to is configured once for all seven, by the build settings //shuffler/services:registry,
:repository_prefix and :tag. See docs/publishing.md.
"""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_oci//oci:defs.bzl", "oci_load")
load("@rules_oci//oci:python_launcher.bzl", "PYTHON_LAUNCHER_ATTRS", "python_launcher", "runfiles_path")

def _publish_impl(ctx):
    images = [
        struct(
            layout = runfiles_path(ctx, target[DefaultInfo].files.to_list()[0]),
            name = target.label.name,
        )
        for target in ctx.attr.images
    ]
    config = struct(
        images = images,
        registry = ctx.attr._registry[BuildSettingInfo].value,
        repository_prefix = ctx.attr._repository_prefix[BuildSettingInfo].value,
        tag = ctx.attr._tag[BuildSettingInfo].value,
    )
    runfiles = ctx.runfiles(files = ctx.files.images + [ctx.file._drift])
    runfiles = runfiles.merge_all([target[DefaultInfo].default_runfiles for target in ctx.attr.images])
    return [python_launcher(ctx, ctx.file._main, config, runfiles)]

publish = rule(
    implementation = _publish_impl,
    attrs = PYTHON_LAUNCHER_ATTRS | {
        "images": attr.label_list(mandatory = True, doc = "Images; their repositories have the names of these targets."),
        "_drift": attr.label(default = Label("//tools/image_hash:image_hash/drift.py"), allow_single_file = True),
        "_main": attr.label(default = Label("//tools/release:push.py"), allow_single_file = True),
        "_registry": attr.label(default = Label("//shuffler/services:registry")),
        "_repository_prefix": attr.label(default = Label("//shuffler/services:repository_prefix")),
        "_tag": attr.label(default = Label("//shuffler/services:tag")),
    },
    doc = "Pushes images to the configured repositories when it is run.",
    executable = True,
)

def publish_targets(name):
    """Defines `[name]_publish` and `[name]_load`.

    Args:
        name: of an image in this package.
    """
    publish(
        name = name + "_publish",
        images = [name],
        visibility = ["//visibility:public"],
    )
    oci_load(
        name = name + "_load",
        image = name,
        repo_tags = [name + ":latest"],
        tags = ["manual"],
        visibility = ["//visibility:public"],
    )
