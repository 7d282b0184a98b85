"""Names of images."""

def parse_image(image):
    """Reads the name of an image.

    Args:
        image: [http[s]://][host[:port]/]path[:tag][@digest]; without a host it is Docker Hub's.

    Returns:
        struct with scheme, registry, repository, digest and tag (None if they are not there).
    """
    scheme, separator, rest = image.partition("://")
    if not separator:
        scheme, rest = "https", image
    rest, _, digest = rest.partition("@")
    tag = None
    if ":" in rest.split("/")[-1] and "/" in rest or rest.count(":") == 1 and "/" not in rest:
        rest, _, tag = rest.rpartition(":")
    registry, slash, repository = rest.partition("/")
    if not slash:
        registry, repository = "docker.io", "library/" + rest
    elif "." not in registry and ":" not in registry and registry != "localhost" and not separator:
        registry, repository = "docker.io", rest
    if registry in ["docker.io", "index.docker.io"]:
        registry = "registry-1.docker.io"
    return struct(digest = digest or None, registry = registry, repository = repository, scheme = scheme, tag = tag)
