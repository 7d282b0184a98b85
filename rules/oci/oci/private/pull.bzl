"""The repository rules behind oci_pull: every blob by its sha256 through Bazel's downloader, so from its repository cache if it is there."""

load("//oci/private:credentials.bzl", "credentials")
load("//oci/private:reference.bzl", "parse_mirrors")

_INDEXES = [
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
]
_MANIFESTS = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
]
_ACCEPT = {
    "Accept": _MANIFESTS + _INDEXES,
    "Docker-Distribution-API-Version": ["registry/2.0"],
}

_BUILD = """\
load({bzl}, "pulled_layout")

pulled_layout(
    name = {name},
    srcs = glob(["blobs/**"]) + [
        "index.json",
        "oci-layout",
    ],
    tags = {tags},
    visibility = ["//visibility:public"],
)
"""

_ALIAS_BUILD = """\
package(default_visibility = ["//visibility:public"])

exports_files(["digest"])

alias(
    name = {name},
    actual = {actual},
)
"""

_REFERENCE_ATTRS = {
    "config": attr.label(doc = "A Docker config.json with the credentials, instead of that of the machine.", allow_single_file = True),
    "identifier": attr.string(doc = "Digest or tag.", mandatory = True),
    "registry": attr.string(doc = "Host of the registry, with port.", mandatory = True),
    "registry_mirrors": attr.string_list(doc = "Hosts that are asked before the registry, in this order."),
    "repository": attr.string(doc = "Path within the registry.", mandatory = True),
    "scheme": attr.string(default = "https", values = ["http", "https"]),
    "target_name": attr.string(doc = "Name of the target.", mandatory = True),
    "www_authenticate_challenges": attr.string_dict(doc = "Registry -> the WWW-Authenticate header that it sends, for those that are not known."),
}

def _sha256(digest, what):
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or len(value) != 64 or value.strip("0123456789abcdef"):
        fail("%s: expected a digest like sha256:<64 hexadecimal digits>, found %r" % (what, digest))
    return value

def _blob_path(digest):
    return "blobs/" + digest.replace(":", "/")

def _image(rctx):
    return "%s/%s" % (rctx.attr.registry, rctx.attr.repository)

def _places(rctx):
    """Where the image may be: structs with scheme, registry and repository, in the order in which they are asked."""
    mirrors = [
        struct(registry = mirror.registry, repository = mirror.prefix + rctx.attr.repository, scheme = mirror.scheme)
        for mirror in parse_mirrors(rctx.getenv("OCI_MIRRORS", ""), rctx.attr.registry)
    ]
    return mirrors + [
        struct(registry = registry, repository = rctx.attr.repository, scheme = rctx.attr.scheme)
        for registry in rctx.attr.registry_mirrors + [rctx.attr.registry]
    ]

def _fetch(rctx, authorization, kind, outputs):
    """Downloads manifests or blobs, in parallel.

    Args:
        rctx: the repository context.
        authorization: what credentials() gave.
        kind: "manifests" or "blobs".
        outputs: dict from a digest or tag to the path that it is to have.

    Returns:
        dict from each digest or tag to the sha256 that was got.
    """
    found = {}
    hashes = {identifier: _sha256(identifier, _image(rctx)) if ":" in identifier else "" for identifier in outputs}
    for identifier, sha256 in hashes.items():
        # Without an address, only the repository cache is asked: what is there needs no network, and no token.
        if sha256 and rctx.download(url = [], output = outputs[identifier], sha256 = sha256, allow_fail = True).success:
            found[identifier] = sha256
    headers = _ACCEPT if kind == "manifests" else {}

    # Twice: Bazel repeats what is refused for now (429, 5xx), but not what breaks in the middle.
    for place in _places(rctx) * 2:
        missing = [identifier for identifier in outputs if identifier not in found]
        if not missing:
            break

        # One after the other: where a mirror has all, the registry need not even be there.
        auth = authorization(place.registry, place.repository)
        pending = {}
        for identifier in missing:
            url = "%s://%s/v2/%s/%s/%s" % (place.scheme, place.registry, place.repository, kind, identifier)
            pending[identifier] = rctx.download(
                url = url,
                output = outputs[identifier],
                sha256 = hashes[identifier],
                allow_fail = True,
                auth = {url: auth} if auth else {},
                block = False,
                headers = headers,
            )
        for identifier, download in pending.items():
            result = download.wait()
            if result.success:
                found[identifier] = result.sha256
    for identifier in outputs:
        if identifier not in found:
            _missing(rctx, identifier)
    return found

def _missing(rctx, identifier):
    fail("%s: cannot get %s from %s, and it is not in Bazel's repository cache; is the name right, and is there a login (docker login, podman login)?" % (
        _image(rctx),
        identifier,
        " or ".join([place.registry for place in _places(rctx)]),
    ))

def _manifest(rctx, authorization, identifier, output):
    """Downloads a manifest: the parsed content, its digest, its size."""
    sha256 = _fetch(rctx, authorization, "manifests", {identifier: output})[identifier]
    content = rctx.read(output)
    manifest = json.decode(content, default = None)
    if type(manifest) != "dict" or manifest.get("schemaVersion") != 2:
        fail("%s: expected a manifest of schema version 2 as %s" % (_image(rctx), identifier))
    return struct(content = content, digest = "sha256:" + sha256, manifest = manifest)

def _media_type(manifest):
    # OCI's may leave it out.
    return manifest.get("mediaType", _INDEXES[1] if "manifests" in manifest else _MANIFESTS[1])

def _platform(object):
    return "/".join([object[key] for key in ["os", "architecture", "variant"] if object.get(key)])

def _oci_pull_impl(rctx):
    authorization = credentials(rctx)
    found = _manifest(rctx, authorization, rctx.attr.identifier, "manifest.json")
    if _media_type(found.manifest) in _INDEXES:
        if not rctx.attr.platform:
            fail("%s: has several platforms (%s), so that the attribute platforms is needed" % (
                _image(rctx),
                ", ".join([_platform(entry.get("platform", {})) for entry in found.manifest["manifests"]]),
            ))
        entries = [entry for entry in found.manifest["manifests"] if _platform(entry.get("platform", {})) == rctx.attr.platform]
        if not entries:
            fail("%s: has no image for %s; it has %s" % (
                _image(rctx),
                rctx.attr.platform,
                ", ".join([_platform(entry.get("platform", {})) for entry in found.manifest["manifests"]]),
            ))

        # Another file: Bazel may still be copying the first one to its cache.
        found = _manifest(rctx, authorization, entries[0]["digest"], "platform-manifest.json")
    if _media_type(found.manifest) not in _MANIFESTS:
        fail("%s: expected the manifest of an image, found the media type %r" % (_image(rctx), _media_type(found.manifest)))

    # Bazel's strings of files are their bytes; without the option it would write them as UTF-8 once more.
    rctx.file(_blob_path(found.digest), found.content, executable = False, legacy_utf8 = False)

    parts = [found.manifest["config"]] + found.manifest["layers"]
    _fetch(rctx, authorization, "blobs", {part["digest"]: _blob_path(part["digest"]) for part in parts})
    if rctx.attr.platform:
        platform = _platform(json.decode(rctx.read(_blob_path(found.manifest["config"]["digest"]))))

        # A config need not state the variant.
        if platform != rctx.attr.platform and not rctx.attr.platform.startswith(platform + "/"):
            fail("%s: expected an image for %s, found one for %s" % (_image(rctx), rctx.attr.platform, platform))

    # Keys and indents are upstream's.
    entry = {"mediaType": _media_type(found.manifest), "digest": found.digest, "size": len(found.content)}
    if rctx.attr.platform:
        parts = rctx.attr.platform.split("/")
        entry["platform"] = {"architecture": parts[1], "os": parts[0]} | ({"variant": parts[2]} if len(parts) > 2 else {})
    index = {"schemaVersion": 2, "mediaType": _INDEXES[1], "manifests": [entry]}
    rctx.file("index.json", json.encode_indent(index, indent = "   "), executable = False)
    rctx.file("oci-layout", json.encode_indent({"imageLayoutVersion": "1.0.0"}, indent = "    "), executable = False)
    build = _BUILD.format(
        bzl = repr(str(Label("//oci/private:pulled_layout.bzl"))),
        name = repr(rctx.attr.target_name),
        tags = repr(rctx.attr.bazel_tags),
    )
    rctx.file("BUILD.bazel", build, executable = False)

oci_pull = repository_rule(
    implementation = _oci_pull_impl,
    attrs = _REFERENCE_ATTRS | {
        "bazel_tags": attr.string_list(doc = "Tags of the target."),
        "platform": attr.string(doc = "Which image of an index: os/architecture or os/architecture/variant."),
    },
    doc = "An image for one platform.",
    environ = ["DOCKER_CONFIG", "HOME", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"],
)

def _oci_alias_impl(rctx):
    authorization = credentials(rctx)
    found = _manifest(rctx, authorization, rctx.attr.identifier, "manifest.json")
    if ":" not in rctx.attr.identifier and rctx.attr.reproducible:
        # buildifier: disable=print
        print("%s:%s may become another image at any time; write digest = %r, or reproducible = False to keep it so" % (
            _image(rctx),
            rctx.attr.identifier,
            found.digest,
        ))
    rctx.file("digest", found.digest + "\n", executable = False)
    if rctx.attr.platform:
        actual = repr(str(rctx.attr.platform))
    else:
        cases = {str(key): value for key, value in rctx.attr.platforms.items()}
        actual = "select(\n        %s,\n        no_match_error = %r,\n    )" % (
            repr(cases),
            "%s is pulled for %s only" % (_image(rctx), ", ".join(rctx.attr.names)),
        )
    rctx.file("BUILD.bazel", _ALIAS_BUILD.format(actual = actual, name = repr(rctx.attr.target_name)), executable = False)

oci_alias = repository_rule(
    implementation = _oci_alias_impl,
    attrs = _REFERENCE_ATTRS | {
        "names": attr.string_list(doc = "The platforms, for messages."),
        "platform": attr.label(doc = "The one image, whatever the platform."),
        "platforms": attr.label_keyed_string_dict(doc = "Constraint of the CPU -> label of the image."),
        "reproducible": attr.bool(default = True),
    },
    doc = "One name for the images of all platforms.",
    environ = ["DOCKER_CONFIG", "HOME", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"],
)
