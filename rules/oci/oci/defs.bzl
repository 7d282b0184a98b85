"""Container images, with the API of upstream's rules_oci, and two rules more: layer_tar and service_image.

Usage:

    load("@rules_oci//oci:defs.bzl", "layer_tar", "oci_image", "oci_image_index")

    layer_tar(
        name = "app_layer",
        files = {":app.jar": "/app.jar"},
    )

    oci_image(
        name = "image",
        base = "@distroless_java",
        entrypoint = ["java", "-jar", "/app.jar"],
        tars = [":app_layer"],
    )
"""

load("//oci/private:image.bzl", _oci_image_rule = "oci_image")
load("//oci/private:index.bzl", _oci_image_index_rule = "oci_image_index")
load("//oci/private:layer_tar.bzl", _layer_tar = "layer_tar")
load("//oci/private:load.bzl", _oci_load_rule = "oci_load")
load(
    "//oci/private:macros.bzl",
    _oci_image = "oci_image",
    _oci_image_index = "oci_image_index",
    _oci_load = "oci_load",
    _oci_push = "oci_push",
)
load("//oci/private:push.bzl", _oci_push_rule = "oci_push")
load("//oci/private:service_image.bzl", _service_image = "service_image")

# Upstream's.
oci_image = _oci_image
oci_image_index = _oci_image_index
oci_image_index_rule = _oci_image_index_rule
oci_image_rule = _oci_image_rule
oci_load = _oci_load
oci_load_rule = _oci_load_rule
oci_push = _oci_push
oci_push_rule = _oci_push_rule

# Ours.
layer_tar = _layer_tar
service_image = _service_image
