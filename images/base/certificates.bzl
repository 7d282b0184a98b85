"""Layers of trust stores."""

load("@rules_oci//oci:layer.bzl", "LAYER_ATTRS", "layer_info")
load("@rules_oci//oci:python_action.bzl", "python_action")

def _trust_store_layer_impl(ctx):
    layer = ctx.actions.declare_file(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add("--package", ctx.file.package)
    arguments.add("--store", ctx.attr.store)
    arguments.add("--output", layer)
    python_action(
        ctx,
        main = ctx.file._main,
        arguments = [arguments],
        inputs = [ctx.file.package],
        mnemonic = "TrustStoreLayer",
        outputs = [layer],
        progress_message = "Trust store %{output}",
    )
    return [DefaultInfo(files = depset([layer])), layer_info(ctx, layer)]

trust_store_layer = rule(
    implementation = _trust_store_layer_impl,
    doc = """A layer with all certificates of the package ca-certificates, an uncompressed tar that is named like the target.

Fails if a certificate is damaged, or two would have the same name in a store.
""",
    attrs = {
        "package": attr.label(
            allow_single_file = [".tar"],
            doc = "The layer of the package.",
            mandatory = True,
        ),
        "store": attr.string(
            doc = "bundle: /etc/ssl/certs/ca-certificates.crt, PEM. keystore: /etc/ssl/certs/java/cacerts, a Java keystore (JKS, password changeit).",
            mandatory = True,
            values = [
                "bundle",
                "keystore",
            ],
        ),
        "_main": attr.label(
            allow_single_file = True,
            default = ":certificates.py",
        ),
    } | LAYER_ATTRS,
)
