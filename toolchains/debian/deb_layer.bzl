"""Layers out of Debian packages."""

load("@rules_oci//oci:layer.bzl", "LAYER_ATTRS", "layer_info")
load("@rules_oci//oci:python_action.bzl", "python_action")
load(":decompressors.bzl", "DECOMPRESSOR_ATTRS", "add_linker")

def _deb_layer_impl(ctx):
    layer = ctx.actions.declare_file(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add("--deb", ctx.file.deb)
    arguments.add("--output", layer)
    linker = add_linker(ctx, arguments)
    arguments.add("--xz", ctx.file._xz)
    arguments.add("--zstd", ctx.file._zstd)
    arguments.add_all(ctx.attr.only, before_each = "--only")
    python_action(
        ctx,
        main = ctx.file._main,
        arguments = [arguments],
        inputs = [ctx.file.deb, ctx.file._xz, ctx.file._zstd] + linker,
        mnemonic = "DebLayer",
        outputs = [layer],
        progress_message = "Layer of a Debian package %{output}",
    )
    return [DefaultInfo(files = depset([layer])), layer_info(ctx, layer)]

deb_layer = rule(
    implementation = _deb_layer_impl,
    doc = """The layer of a Debian package, an uncompressed tar that is named like the target.

It is the package's data tar, byte for byte (owners, modes, times, links), and behind it what distroless has, too:
`var/lib/dpkg/status.d/<package>` (the control file) and `<package>.md5sums`, from which vulnerability scanners read name and version.
No maintainer script runs.

Fails if the file is no Debian package, is damaged, or its data tar has what must not be in a layer (absolute or `..` paths).
""",
    attrs = {
        "deb": attr.label(
            allow_single_file = [".deb"],
            doc = "The package: `@debian12//:<package>.deb`.",
            mandatory = True,
        ),
        "only": attr.string_list(
            doc = "Paths in the package, without a slash at either end: the layer has just these, what is below them and their folders, " +
                  "and no status, since this is no installed package. An error if one is not there.",
        ),
        "_main": attr.label(
            allow_single_file = True,
            default = ":deb_layer.py",
        ),
    } | DECOMPRESSOR_ATTRS | LAYER_ATTRS,
)
