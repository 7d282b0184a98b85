"""Names of images."""

def api_host(registry):
    """The host at which a registry answers: Docker Hub has another one than its name."""
    return "registry-1.docker.io" if registry in ["docker.io", "index.docker.io"] else registry

def _is_loopback(host):
    name = host.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or host.startswith("[::1]") or (
        name.startswith("127.") and not name.replace(".", "").strip("0123456789")
    )

def parse_mirrors(text, registry):
    """Reads what the environment variable OCI_MIRRORS says about a registry.

    Args:
        text: words like `registry.example=[http[s]://]mirror.example[:port][/path]`.
        registry: host of a registry.

    Returns:
        list of struct(scheme, registry, prefix), in the order of the words; the prefix is a path that ends with a slash, or "".
    """
    mirrors = []
    for word in [word for word in text.split(" ") if word]:
        name, _, mirror = word.partition("=")
        scheme, separator, rest = mirror.partition("://")
        if not separator:
            scheme, rest = "http" if _is_loopback(mirror.partition("/")[0]) else "https", mirror
        host, _, prefix = rest.partition("/")
        if not name or not host or scheme not in ["http", "https"]:
            fail("OCI_MIRRORS: expected words like registry.example=mirror.example/path, found %r" % word)
        if scheme == "http" and not _is_loopback(host):
            fail("OCI_MIRRORS: %s: plain http would show credentials to the network, and takes place with loopback only; use https" % word)
        if api_host(name) == registry:
            mirrors.append(struct(prefix = prefix.strip("/") + "/" if prefix.strip("/") else "", registry = host, scheme = scheme))
    return mirrors

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
    return struct(digest = digest or None, registry = api_host(registry), repository = repository, scheme = scheme, tag = tag)
