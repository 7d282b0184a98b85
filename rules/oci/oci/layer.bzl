"""For rules that make a layer: a tar that they have written becomes an OciLayerInfo.

Usage:

    load("@rules_oci//oci:layer.bzl", "LAYER_ATTRS", "layer_info")

    def _impl(ctx):
        tar = ctx.actions.declare_file(ctx.label.name + ".tar")
        python_action(...)  # writes it, with ocilib.tarwriter
        return [DefaultInfo(files = depset([tar])), layer_info(ctx, tar)]

    my_layer = rule(implementation = _impl, attrs = {...} | LAYER_ATTRS)

The target's default output stays the tar. Images that list the target take its digest from here, so that it is computed once for all of them,
and its compressed form if `--@rules_oci//oci:layer_compression` asks for one.
"""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//oci:providers.bzl", "OciLayerInfo")
load("//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

LAYER_ATTRS = PYTHON_ACTION_ATTRS | {
    "_compressors": attr.label(
        default = Label("//oci:compressors"),
        cfg = "exec",
    ),
    "_describe_layer": attr.label(
        default = Label("//oci/private:describe_layer.py"),
        allow_single_file = True,
        cfg = "exec",
    ),
    "_layer_compression": attr.label(default = Label("//oci:layer_compression")),
}

def layer_info(ctx, tar, descriptor = None, name = None):
    """Describes a tar as a layer.

    The tar is checked on the way: one that is truncated, is none, or has absolute or ".." paths fails the build.

    Args:
        ctx: the context of a rule that has LAYER_ATTRS.
        tar: File, a tar that is not compressed.
        descriptor: File, its descriptor, if the action that writes the tar has made that, too (`ocilib.layer.Layer.to_json`).
        name: what outputs are named after; the tar's name without it.

    Returns:
        OciLayerInfo.
    """
    name = name or tar.basename
    compression = ctx.attr._layer_compression[BuildSettingInfo].value
    if compression == "none":
        if not descriptor:
            descriptor = describe(ctx, tar, name, ["--strict"])
        return OciLayerInfo(blob = tar, descriptor = descriptor, tar = tar)
    blob = ctx.actions.declare_file("%s.%s" % (name, {"gzip": "gz", "zstd": "zst"}[compression]))
    descriptor = describe(ctx, tar, blob.basename, ["--compress=" + compression, blob.path], [blob])
    return OciLayerInfo(blob = blob, descriptor = descriptor, tar = tar)

def describe(ctx, tar, name, options, outputs = [], **kwargs):
    """Registers the action that describes a layer.

    Args:
        ctx: the context of a rule that has LAYER_ATTRS.
        tar: File, the layer.
        name: what the descriptor is named after.
        options: list of strings, options of describe_layer.py.
        outputs: Files that the options name as outputs.
        **kwargs: as for python_action.

    Returns:
        File, the descriptor.
    """
    descriptor = ctx.actions.declare_file(name + ".descriptor.json")
    libraries = ctx.files._compressors
    arguments = ctx.actions.args()
    arguments.add_all([tar, descriptor])
    arguments.add_all(options)
    arguments.add_all(libraries, format_each = "--library=%s")
    python_action(
        ctx,
        main = ctx.file._describe_layer,
        arguments = [arguments],
        inputs = [tar] + libraries,
        outputs = [descriptor] + outputs,
        mnemonic = "OCIDescriptor",
        progress_message = "OCI Descriptor " + tar.short_path,
        **kwargs
    )
    return descriptor
