"""Pulls images with Bazel's downloader: all by sha256, from Bazel's repository cache if they are there.

In MODULE.bazel:

    oci = use_extension("@rules_oci//oci:extensions.bzl", "oci")
    oci.pull(
        name = "distroless_java17",
        digest = "sha256:d5f1a71ddb989a270ddc6c9ea08244098786fbb9a43e41fd84e3f2747a8a3e2c",
        image = "gcr.io/distroless/java17-debian11",
        platforms = ["linux/amd64"],
    )
    use_repo(oci, "distroless_java17")

In WORKSPACE: `load("@rules_oci//oci:pull.bzl", "oci_pull")`, with the same attributes. Then `base = "@distroless_java17"`.

Credentials are those of docker and podman, as for oci_push. A registry is asked for a token only when something is missing in the cache, so
that an image that has been pulled once needs no network. The environment variable OCI_MIRRORS names mirrors; see docs/defs.md.
"""

load("//oci/private:pull.bzl", "oci_alias", _oci_pull = "oci_pull")
load("//oci/private:reference.bzl", "parse_image")

_CPUS = {
    "linux/386": "@platforms//cpu:i386",
    "linux/amd64": "@platforms//cpu:x86_64",
    "linux/arm/v7": "@platforms//cpu:armv7",
    "linux/arm64": "@platforms//cpu:arm64",
    "linux/arm64/v8": "@platforms//cpu:arm64",
    "linux/mips64le": "@platforms//cpu:mips64",
    "linux/ppc64le": "@platforms//cpu:ppc",
    "linux/s390x": "@platforms//cpu:s390x",
}

def oci_pull(
        name,
        image = None,
        repository = None,
        registry = None,
        platforms = None,
        digest = None,
        tag = None,
        registry_mirrors = [],
        reproducible = True,
        is_bzlmod = False,  # buildifier: disable=unused-variable
        config = None,
        bazel_tags = [],
        www_authenticate_challenges = {}):
    """Declares the repositories of an image.

    Args:
        name: of the repository; its target has the same name, so that `@name` is the image. `@name//:digest` is a file with the digest.
        image: the image, like `gcr.io/distroless/java17-debian11`; a tag or digest may stand behind it.
        repository: the path of the image in its registry, instead of image.
        registry: host of the registry, together with repository.
        platforms: list of os/architecture[/variant], for an image index: each becomes the repository `<name>_<os>_<architecture>[_<variant>]`,
            and `@name` chooses by the CPU.
        digest: digest of the image or index.
        tag: tag, which is no input that stays the same.
        registry_mirrors: hosts that have the same repositories, which are asked first.
        reproducible: with a tag: False silences the warning.
        is_bzlmod: of no meaning here; upstream's.
        config: label of a Docker config.json with credentials.
        bazel_tags: tags of the targets.
        www_authenticate_challenges: dict from a registry to the WWW-Authenticate header with which it asks for a token.
    """
    if bool(repository) != bool(registry) or bool(image) == bool(registry):
        fail("oci_pull %s: expected either image, or registry and repository" % name)
    scheme = "https"
    if image:
        parsed = parse_image(image)
        scheme, registry, repository = parsed.scheme, parsed.registry, parsed.repository
        digest = parsed.digest or digest
        tag = parsed.tag or tag
    if not digest and not tag:
        fail("oci_pull %s: expected a digest or a tag" % name)
    if digest and tag and not reproducible:
        fail("oci_pull %s: expected one of digest and tag when reproducible is False" % name)
    reference = dict(
        config = config,
        identifier = digest or tag,
        registry = registry,
        registry_mirrors = registry_mirrors,
        repository = repository,
        scheme = scheme,
        www_authenticate_challenges = www_authenticate_challenges,
    )
    if platforms:
        cases = {}
        for platform in platforms:
            single = "_".join([name] + platform.split("/"))
            _oci_pull(name = single, bazel_tags = bazel_tags, platform = platform, target_name = single, **reference)
            if platform in _CPUS:
                cases[_CPUS[platform]] = "@%s//:%s" % (single, single)
        if not cases:
            fail("oci_pull %s: expected one of the platforms %s, found %s" % (name, ", ".join(_CPUS), ", ".join(platforms)))
        oci_alias(name = name, names = platforms, platforms = cases, reproducible = reproducible, target_name = name, **reference)
    else:
        single = name + "_single"
        _oci_pull(name = single, bazel_tags = bazel_tags, target_name = single, **reference)
        oci_alias(name = name, platform = "@%s//:%s" % (single, single), reproducible = reproducible, target_name = name, **reference)
