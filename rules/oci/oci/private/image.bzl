"""The rule behind the macro oci_image."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//oci:layer.bzl", "LAYER_ATTRS", "describe", "layer_info")
load("//oci:providers.bzl", "OciImageInfo", "OciLayerInfo")
load("//oci:python_action.bzl", "python_action")
load("//oci/private:resource_set.bzl", "RESOURCE_SETS", "RESOURCE_SET_ATTRS")

_DOC = """An OCI image for one platform. Most users want the macro [oci_image](#oci_image), which takes lists and dicts, too.

The default output is the folder of an OCI layout. Blobs of the base and of the layers in it are relative symbolic links to where they lie
(copies with `--@rules_oci//oci:copy_blobs`); runfiles bring what they point to.
"""

_TAR_EXTENSIONS = [
    ".tar",
    ".tgz",
    ".tar.gz",
    ".tzst",
    ".tar.zst",
]

def _file(doc):
    return attr.label(allow_single_file = True, doc = doc)

_FILE_ATTRS = {
    "annotations": _file("Annotations of the manifest: a line each, `name=value`."),
    "cmd": _file("Arguments for the entrypoint: a line each."),
    "created": _file("The time for the config's `created`, as in RFC 3339; the file's content as it is."),
    "entrypoint": _file("The command that the container starts: a line each word. Unsets the `cmd` of the base."),
    "env": _file("Environment: a line each, `name=value`, where `$NAME` and `${NAME}` stand for what the base and earlier lines set."),
    "exposed_ports": _file("Ports, with commas between them: `8080/tcp,9000/udp`."),
    "labels": _file("Labels of the config: a line each, `name=value`."),
    "volumes": _file("Folders for volumes, with commas between them."),
}

_ATTRS = _FILE_ATTRS | LAYER_ATTRS | RESOURCE_SET_ATTRS | {
    "architecture": attr.string(doc = "The CPU, as Go names it: `amd64`, `arm64`. Needed without a base, and only then allowed."),
    "base": _file("The image to build upon: a target whose output is the folder of an OCI layout. Without it, the image starts empty."),
    "digest": attr.output(doc = "The file for the image's digest; the macro names it `<name>.json.sha256`."),
    "os": attr.string(doc = "The operating system, as Go names it: `linux`. Needed without a base, and only then allowed."),
    "strict": attr.bool(doc = "Checks the result as the image of a service: see [service_image](#service_image). Not in upstream's rule."),
    "tars": attr.label_list(
        allow_files = _TAR_EXTENSIONS,
        doc = "Layers, lowest first: tars, also compressed with gzip or Zstandard. They are taken as they are.",
    ),
    "user": attr.string(doc = "User, as `user`, `uid`, `user:group` or `uid:gid`."),
    "variant": attr.string(doc = "The variant of the CPU: `v8`. Only allowed without a base."),
    "workdir": attr.string(doc = "Working directory of the entrypoint."),
    "_assemble": attr.label(
        default = Label("//oci/private:assemble_image.py"),
        allow_single_file = True,
        cfg = "exec",
    ),
    "_copy_blobs": attr.label(default = Label("//oci:copy_blobs")),
}

def _layers(ctx):
    """The layers of `tars`, as OciLayerInfo."""
    layers = []
    for target in ctx.attr.tars:
        if OciLayerInfo in target:
            layers.append(target[OciLayerInfo])
            continue
        for tar in target[DefaultInfo].files.to_list():
            name = "%s.%d" % (ctx.label.name, len(layers))
            if ctx.attr.strict and tar.extension == "tar":
                # Like the layers of our own rules: a service's image is all our own.
                layers.append(layer_info(ctx, tar, name = name))
            else:
                descriptor = describe(ctx, tar, name, ["--strict"] if ctx.attr.strict else [])
                layers.append(OciLayerInfo(blob = tar, descriptor = descriptor, tar = tar))
    return layers

def _oci_image_impl(ctx):
    if not ctx.attr.base and not (ctx.attr.os and ctx.attr.architecture):
        fail("'os' and 'architecture' are mandatory when 'base' is unspecified.")
    if ctx.attr.base and (ctx.attr.os or ctx.attr.architecture or ctx.attr.variant):
        fail("'os', 'architecture' and 'variant' come from the image provided by 'base' and cannot be overridden.")

    layout = ctx.actions.declare_directory(ctx.label.name)
    digest = ctx.outputs.digest or ctx.actions.declare_file(ctx.label.name + ".json.sha256")
    config = ctx.actions.declare_file(ctx.label.name + ".config.json")
    copy = ctx.attr._copy_blobs[BuildSettingInfo].value

    inputs = []
    linked = []
    arguments = ctx.actions.args()
    arguments.add_all([layout, digest, config], expand_directories = False)
    if ctx.attr.base:
        arguments.add(ctx.file.base.path, format = "--base=%s")
        base = ctx.attr.base[DefaultInfo]
        linked += [base.files, base.default_runfiles.files]
    else:
        arguments.add("%s,%s,%s" % (ctx.attr.os, ctx.attr.architecture, ctx.attr.variant), format = "--scratch=%s")
    if copy:
        arguments.add("--copy")
    if ctx.attr.strict:
        arguments.add(ctx.label, format = "--strict=%s")
    layers = _layers(ctx)
    for layer in layers:
        # A Label among the arguments is printed as the main repository sees it: //x:y, and @z//x:y for another repository, as upstream has it.
        arguments.add("--layer")
        arguments.add(layer.blob)
        arguments.add(layer.descriptor)
        arguments.add(layer.tar.owner)
        inputs.append(layer.descriptor)
    for name in _FILE_ATTRS:
        file = getattr(ctx.file, name)
        if file:
            arguments.add(file, format = "--%s=%%s" % name)
            inputs.append(file)
    for name in ["user", "workdir"]:
        value = getattr(ctx.attr, name)
        if value:
            arguments.add(value, format = "--%s=%%s" % name)

    # The action itself does not read the layers, but Bazel hashes what the links point to.
    linked.append(depset([layer.blob for layer in layers]))
    linked = depset(transitive = linked)
    python_action(
        ctx,
        main = ctx.file._assemble,
        arguments = [arguments],
        inputs = depset(inputs, transitive = [linked]),
        outputs = [layout, digest, config],
        mnemonic = "OCIImage",
        progress_message = "OCI Image %{label}",
        resource_set = RESOURCE_SETS[ctx.attr.resource_set],
    )
    return [
        DefaultInfo(
            files = depset([layout]),
            runfiles = ctx.runfiles(transitive_files = None if copy else linked),
        ),
        OciImageInfo(
            base = ctx.attr.base[OciImageInfo] if ctx.attr.base and OciImageInfo in ctx.attr.base else None,
            config = config,
            digest = digest,
            layers = layers,
            layout = layout,
        ),
    ]

oci_image = rule(
    implementation = _oci_image_impl,
    attrs = _ATTRS,
    doc = _DOC,
    provides = [OciImageInfo],
)
