"""The macros oci_image, oci_image_index, oci_load and oci_push: values or files, and the target of the digest."""

load("@bazel_skylib//lib:types.bzl", "types")
load("@bazel_skylib//rules:write_file.bzl", "write_file")
load("//oci/private:image.bzl", _oci_image_rule = "oci_image")
load("//oci/private:index.bzl", _oci_image_index_rule = "oci_image_index")
load("//oci/private:load.bzl", _oci_load_rule = "oci_load")
load("//oci/private:push.bzl", _oci_push_rule = "oci_push")

# https://bazel.build/reference/be/common-definitions#common-attributes
_COMMON_ATTRIBUTES = [
    "compatible_with",
    "deprecation",
    "exec_compatible_with",
    "exec_properties",
    "features",
    "restricted_to",
    "tags",
    "target_compatible_with",
    "testonly",
    "toolchains",
    "visibility",
]

def _common(kwargs):
    return {name: kwargs[name] for name in _COMMON_ATTRIBUTES if name in kwargs}

def _text(name, kind, lines, common):
    """Writes a value of a macro to a file, which the rule takes; its label."""
    write_file(
        name = "%s_write_%s" % (name, kind),
        out = "%s.%s.txt" % (name, kind),
        content = lines,
        **(common | {"tags": (common.get("tags") or []) + ["manual"]})
    )
    return "%s_write_%s" % (name, kind)

def _pairs(name, kind, value, common):
    if not types.is_dict(value):
        return value
    return _text(name, kind, ["%s=%s" % item for item in value.items()], common)

def _words(name, kind, value, common):
    if not types.is_list(value):
        return value

    # A line is a word, so a newline within one is escaped; as in a URI, which is upstream's way.
    return _text(name, kind, [word.replace("\n", "%5Cn") for word in value], common)

def _names(name, kind, value, common):
    if not types.is_list(value):
        return value
    return _text(name, kind, [",".join(value)], common)

def _digest(name, common):
    native.filegroup(
        name = name + ".digest",
        srcs = [name + ".json.sha256"],
        **common
    )

def oci_image(
        name,
        created = None,
        labels = None,
        annotations = None,
        env = None,
        cmd = None,
        entrypoint = None,
        exposed_ports = None,
        volumes = None,
        **kwargs):
    """An OCI image for one platform: the rule [oci_image_rule](#oci_image_rule), with values where that wants files.

    `[name].digest` is a target whose default output is a file with the image's digest, `[name].json.sha256`.

    Args:
        name: name of the target; its default output is the folder of an OCI layout.
        created: file with the time for the config's `created`.
        labels: labels of the config: dict, or file with a line `name=value` each.
        annotations: annotations of the manifest: dict, or file as for labels.
        env: environment of the container: dict, or file as for labels. `$NAME` and `${NAME}` stand for variables of the base and earlier ones.
        cmd: arguments for the entrypoint: list, or file with one in a line.
        entrypoint: command of the container: list, or file with one word in a line. Unsets the base's `cmd`.
        exposed_ports: list, or file with commas between the ports.
        volumes: list, or file with commas between the folders.
        **kwargs: other attributes of [oci_image_rule](#oci_image_rule), and
            [common attributes](https://bazel.build/reference/be/common-definitions#common-attributes).
    """
    common = _common(kwargs)
    _oci_image_rule(
        name = name,
        annotations = _pairs(name, "annotations", annotations, common),
        cmd = _words(name, "cmd", cmd, common),
        created = created,
        digest = name + ".json.sha256",
        entrypoint = _words(name, "entrypoint", entrypoint, common),
        env = _pairs(name, "env", env, common),
        exposed_ports = _names(name, "exposed_ports", exposed_ports, common),
        labels = _pairs(name, "labels", labels, common),
        volumes = _names(name, "volumes", volumes, common),
        **kwargs
    )
    _digest(name, common)

def oci_image_index(name, annotations = None, **kwargs):
    """An OCI image index: the rule [oci_image_index_rule](#oci_image_index_rule), with values where that wants files.

    `[name].digest` is a target whose default output is a file with the index's digest, `[name].json.sha256`.

    Args:
        name: name of the target; its default output is the folder of an OCI layout.
        annotations: annotations of the index: dict, or file with a line `name=value` each.
        **kwargs: other attributes of [oci_image_index_rule](#oci_image_index_rule), and
            [common attributes](https://bazel.build/reference/be/common-definitions#common-attributes).
    """
    common = _common(kwargs)
    _oci_image_index_rule(
        name = name,
        annotations = _pairs(name, "annotations", annotations, common),
        digest = name + ".json.sha256",
        **kwargs
    )
    _digest(name, common)

def _tags(name, kind, value, common):
    if not types.is_list(value):
        return value
    return _text(name, kind, value + [""], common)

def oci_push(name, remote_tags = None, **kwargs):
    """Pushes an image to a registry: the rule [oci_push_rule](#oci_push_rule), with a list where that wants a file.

    Args:
        name: name of the target; `bazel run` it.
        remote_tags: tags for the image: list, or file with one a line.
        **kwargs: other attributes of [oci_push_rule](#oci_push_rule), and
            [common attributes](https://bazel.build/reference/be/common-definitions#common-attributes).
    """
    _oci_push_rule(name = name, remote_tags = _tags(name, "tags", remote_tags, _common(kwargs)), **kwargs)

def oci_load(name, repo_tags, **kwargs):
    """Loads an image into docker, podman or nerdctl: the rule [oci_load_rule](#oci_load_rule), with a list where that wants a file.

    Args:
        name: name of the target; `bazel run` it.
        repo_tags: names for the image, like `app:latest`: list, or file with one a line.
        **kwargs: other attributes of [oci_load_rule](#oci_load_rule), and
            [common attributes](https://bazel.build/reference/be/common-definitions#common-attributes).
    """
    _oci_load_rule(name = name, repo_tags = _tags(name, "tags", repo_tags, _common(kwargs)), **kwargs)
