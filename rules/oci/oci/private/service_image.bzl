"""The macro service_image."""

load("@bazel_skylib//lib:types.bzl", "types")
load("//oci/private:macros.bzl", "oci_image")

def _pair_problems(kind, pairs):
    found = []
    for key, value in pairs.items():
        if not key or key != key.strip() or "=" in key:
            found.append("the %s name %r is empty, or has blanks around it or a \"=\"" % (kind, key))
        for text in [key, value]:
            if "\n" in text or "\r" in text:
                found.append("the %s %r has a line break, which would end it" % (kind, text))
    return found

def _list_problems(kind, values, separator):
    return ["the %s %r has %s in it, or is empty or has blanks around it" % (kind, value, separator[1]) for value in values if (
        separator[0] in value or not value.strip() or value != value.strip()
    )]

def service_image_problems(labels = None, env = None, entrypoint = None, cmd = None, exposed_ports = None, volumes = None):
    """What is wrong with values that an image config would hold otherwise than they are written.

    Args:
        labels: as for [oci_image](#oci_image); files are checked when the image is built.
        env: likewise.
        entrypoint: likewise.
        cmd: likewise.
        exposed_ports: likewise.
        volumes: likewise.

    Returns:
        A list of strings, one for each problem.
    """
    found = []
    for kind, pairs in [("label", labels), ("environment variable", env)]:
        if types.is_dict(pairs):
            found += _pair_problems(kind, pairs)
    for kind, values in [("entrypoint", entrypoint), ("cmd", cmd)]:
        if types.is_list(values):
            found += ["an empty word in %s, which would be dropped" % kind for value in values if not value]
            found += ["the word %r in %s, whose %%5Cn would become a line break" % (value, kind) for value in values if "%5Cn" in value]
    for kind, values in [("exposed port", exposed_ports), ("volume", volumes)]:
        if types.is_list(values):
            found += _list_problems(kind, values, (",", "a comma"))
    return found

def service_image(
        name,
        labels = None,
        env = None,
        entrypoint = None,
        cmd = None,
        exposed_ports = None,
        volumes = None,
        **kwargs):
    """An [oci_image](#oci_image) that fails to build unless a Confidential Space launcher would start it as it is written here.

    The launcher refuses some mistakes only when the machine starts, and ignores others silently. The check covers the effective config, so what
    comes from the base, too: exposed ports without protocol; line breaks, and names with blanks around them, in labels and environment; a
    malformed environment; unknown or mistyped `tee.*` labels, values outside their grammar, and monitoring labels that clash; labels
    that come from the base and are not set here; an empty entrypoint. Layers are checked, too: no truncated tars, no absolute or ".." paths.

    An image that passes has the bytes that oci_image gives it.

    Args:
        name: as for [oci_image](#oci_image), like the other arguments.
        labels: dict or file.
        env: dict or file.
        entrypoint: list or file.
        cmd: list or file.
        exposed_ports: list or file.
        volumes: list or file.
        **kwargs: other arguments of oci_image.
    """
    values = {
        "cmd": cmd,
        "entrypoint": entrypoint,
        "env": env,
        "exposed_ports": exposed_ports,
        "labels": labels,
        "volumes": volumes,
    }
    problems = service_image_problems(**values)
    if problems:
        fail("//%s:%s is not the image of a service: %s" % (native.package_name(), name, "; ".join(problems)))
    oci_image(name = name, strict = True, **(values | kwargs))
