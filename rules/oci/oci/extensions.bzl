"""Module extension for oci_pull; see pull.bzl."""

load("//oci:pull.bzl", "oci_pull")

_pull = tag_class(attrs = {
    "bazel_tags": attr.string_list(doc = "As for oci_pull, like all others."),
    "config": attr.label(),
    "digest": attr.string(),
    "image": attr.string(),
    "name": attr.string(mandatory = True),
    "platforms": attr.string_list(),
    "registry": attr.string(),
    "registry_mirrors": attr.string_list(),
    "repository": attr.string(),
    "reproducible": attr.bool(default = True),
    "tag": attr.string(),
    "www_authenticate_challenges": attr.string_dict(),
})

_ATTRS = [
    "bazel_tags",
    "config",
    "digest",
    "image",
    "name",
    "platforms",
    "registry",
    "registry_mirrors",
    "repository",
    "reproducible",
    "tag",
    "www_authenticate_challenges",
]

def _oci_impl(module_ctx):
    direct = []
    development = []
    for module in module_ctx.modules:
        for pull in module.tags.pull:
            oci_pull(is_bzlmod = True, **{name: getattr(pull, name) for name in _ATTRS})
            if module.is_root:
                (development if module_ctx.is_dev_dependency(pull) else direct).append(pull.name)
    return module_ctx.extension_metadata(root_module_direct_deps = direct, root_module_direct_dev_deps = development)

oci = module_extension(
    implementation = _oci_impl,
    doc = "Images from registries: `oci.pull(...)` takes what [oci_pull](#oci_pull) takes.",
    tag_classes = {"pull": _pull},
)
