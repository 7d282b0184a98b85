"""The bases from registries. Nothing of them is fetched unless --//images/base:source=registry asks for them."""

load("@rules_oci//oci:pull.bzl", "oci_pull")
load(":registry.lock.bzl", "REGISTRY_BASES")

def _unlocked_base_impl(rctx):
    fail("images/base/registry.lock.bzl has no digest for %s: look it up with `bazel run //images/base:lock -- update`, and commit the file" % rctx.attr.image)

_unlocked_base = repository_rule(
    implementation = _unlocked_base_impl,
    attrs = {"image": attr.string(mandatory = True)},
    doc = "Says what to do about an image without a digest, to those who ask for it.",
)

def base_repositories():
    """Declares @registry_java17 and @registry_python, and with `_linux_amd64` behind the name what those choose."""
    for name, base in REGISTRY_BASES.items():
        if base["digest"]:
            oci_pull(
                name = "registry_" + name,
                digest = base["digest"],
                image = base["image"],
                platforms = ["linux/amd64"],
            )
        else:
            _unlocked_base(
                name = "registry_" + name,
                image = "%s:%s" % (base["image"], base["tag"]),
            )
