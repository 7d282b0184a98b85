"""Credentials for Bazel's downloader: the same stores as ocilib/credentials.py, and tokens of registries that want one.

The downloader shows no headers, so that the challenge of a registry has to be known: those of the large ones are here, others come from
the attribute www_authenticate_challenges.
"""

_HUB = ["docker.io", "index.docker.io", "registry-1.docker.io"]

# Registry, or the end of its name -> realm and service; {} stands for the registry.
_CHALLENGES = {
    ".app.snowflake.com": ("https://{}/v2/token", "{}"),
    ".azurecr.io": ("https://{}/oauth2/token", "{}"),
    "cgr.dev": ("https://{}/token", "{}"),
    "docker.elastic.co": ("https://docker-auth.elastic.co/auth", "token-service"),
    "ghcr.io": ("https://{}/token", "{}"),
    "nvcr.io": ("https://{}/proxy_auth", "{}"),
    "public.ecr.aws": ("https://{}/token", "{}"),
    "quay.io": ("https://{}/v2/auth", "{}"),
    "registry-1.docker.io": ("https://auth.docker.io/token", "registry.docker.io"),
    "registry.gitlab.com": ("https://gitlab.com/jwt/auth", "container_registry"),
}

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

# Starlark has no way from a number to a character but this.
_ASCII = "".join([json.decode('"\\u00%s%s"' % (high, low)) for high in "01234567".elems() for low in "0123456789abcdef".elems()])

def decode_base64(text):
    """Decodes base64.

    Args:
        text: string; what it decodes to has to be ASCII.

    Returns:
        string, or None if it is no such base64.
    """
    numbers = [_ALPHABET.find(character) for character in text.rstrip("=").elems()]
    if -1 in numbers:
        return None
    result = []
    for start in range(0, len(numbers), 4):
        group = numbers[start:start + 4]
        value = 0
        for number in group + [0] * (4 - len(group)):
            value = value * 64 + number
        for shift in [16, 8, 0][:len(group) - 1]:
            code = (value >> shift) & 255
            if code > 127:
                return None
            result.append(_ASCII[code])
    return "".join(result)

def parse_challenge(header):
    """Reads a WWW-Authenticate header with one Bearer challenge.

    Args:
        header: string.

    Returns:
        dict of its parameters, or None if it has another form.
    """
    kind, _, rest = header.partition(" ")
    if kind.lower() != "bearer":
        return None
    parameters = {}
    for part in rest.split('",'):
        name, equals, value = part.strip().partition('="')
        if not equals:
            return None
        parameters[name.strip().lower()] = value.removesuffix('"')
    return parameters if "realm" in parameters else None

def _stores(rctx):
    home = rctx.getenv("HOME", "")
    files = [(rctx.getenv("DOCKER_CONFIG") or home + "/.docker") + "/config.json"]
    if rctx.getenv("REGISTRY_AUTH_FILE"):
        files.append(rctx.getenv("REGISTRY_AUTH_FILE"))
    if rctx.getenv("XDG_RUNTIME_DIR"):
        files.append(rctx.getenv("XDG_RUNTIME_DIR") + "/containers/auth.json")
    files.append((rctx.getenv("XDG_CONFIG_HOME") or home + "/.config") + "/containers/auth.json")
    return [rctx.path(file) for file in files if file.startswith("/")]

def _basic(username, password):
    return {"type": "basic", "login": username, "password": password}

def _host(key):
    return key.removeprefix("https://").removeprefix("http://").rstrip("/").removesuffix("/v1").removesuffix("/v2")

def _ask(rctx, helper, server):
    program = rctx.which("docker-credential-" + helper)
    if not program:
        return None
    rctx.file("server.txt", server, executable = False)

    # The helper reads the server's name from its input, which rctx.execute cannot give.
    result = rctx.execute(["/bin/sh", "-c", 'exec "$0" get <server.txt', program])
    rctx.delete("server.txt")
    answer = json.decode(result.stdout, default = None) if result.return_code == 0 else None
    if type(answer) != "dict" or not answer.get("Secret"):
        return None
    return _basic(answer.get("Username", ""), answer["Secret"])

def _lookup(rctx, config, file, registry):
    names = _HUB if registry in _HUB else [registry]
    helpers = config.get("credHelpers", {})
    for name in names:
        if name in helpers:
            return _ask(rctx, helpers[name], name)
    for key, entry in config.get("auths", {}).items():
        if _host(key) not in names:
            continue
        if entry.get("username") and entry.get("password"):
            return _basic(entry["username"], entry["password"])
        if entry.get("auth"):
            username, colon, password = (decode_base64(entry["auth"]) or "").partition(":")
            if not colon:
                fail("%s: expected the base64 of user:password for %s; log in again" % (file, key))
            return _basic(username, password)
    if config.get("credsStore"):
        return _ask(rctx, config["credsStore"], "https://index.docker.io/v1/" if registry in _HUB else registry)
    return None

def _find(rctx, registry):
    files = [rctx.path(rctx.attr.config)] if rctx.attr.config else _stores(rctx)
    for file in files:
        if file.exists:
            config = json.decode(rctx.read(file), default = None)
            if type(config) != "dict":
                fail("%s: expected a JSON object with credentials of registries" % file)
            found = _lookup(rctx, config, file, registry)
            if found:
                return found
    return None

def _token(rctx, registry, credential, action):
    """What goes to Bazel's downloader for a registry."""
    realm, service = None, None
    scope = "repository:%s:%s" % (rctx.attr.repository, action)
    if registry in rctx.attr.www_authenticate_challenges:
        challenge = parse_challenge(rctx.attr.www_authenticate_challenges[registry])
        if not challenge:
            fail('%s: expected www_authenticate_challenges like Bearer realm="https://...",service="...", found %r' % (
                registry,
                rctx.attr.www_authenticate_challenges[registry],
            ))
        realm, service = challenge["realm"], challenge.get("service", "")
    else:
        for name, known in _CHALLENGES.items():
            if registry == name or (name.startswith(".") and registry.endswith(name)):
                realm, service = [text.format(registry) for text in known]
    if not realm:
        return credential
    url = "%s%sservice=%s&scope=%s" % (realm, "&" if "?" in realm else "?", service, scope)
    result = rctx.download(url = url, output = "token.json", auth = {url: credential} if credential else {}, allow_fail = True)
    answer = json.decode(rctx.read("token.json"), default = None) if result.success else None
    rctx.delete("token.json")
    token = answer and (answer.get("token") or answer.get("access_token"))
    if not token:
        if rctx.getenv("OCI_GET_TOKEN_ALLOW_FAIL"):
            return credential
        fail("%s gives no token for %s; is there a login (docker login, podman login)?" % (realm, registry))
    return {"type": "pattern", "pattern": "Bearer <password>", "password": token}

def credentials(rctx, action):
    """Credentials that are looked for when they are first needed.

    Args:
        rctx: the context of a repository rule with the attributes of an image reference.
        action: what they are for: "pull".

    Returns:
        function from a registry to what rctx.download takes as `auth` for an address, or None.
    """
    known = {}

    def login(registry):
        if registry not in known:
            known[registry] = _token(rctx, registry, _find(rctx, registry), action)
        return known[registry]

    return login
