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

def _host(key):
    return key.removeprefix("https://").removeprefix("http://").rstrip("/").removesuffix("/v1").removesuffix("/v2")

def _keys(registry, repository):
    """What an entry for a repository may be filed under: from the whole path to the host."""
    if registry in _HUB:
        return _HUB
    parts = [registry] + repository.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]

def _login(source, username = "", password = "", identity_token = "", registry_token = ""):
    """As Credential of ocilib/credentials.py."""
    return struct(
        identity_token = identity_token,
        password = password,
        registry_token = registry_token,
        source = source,
        username = username,
    )

def _ask(rctx, helper, server, file):
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
    source = "docker-credential-%s (from %s)" % (helper, file)
    if answer.get("Username") == "<token>":
        # The protocol's own word for an OAuth2 refresh token.
        return _login(source, identity_token = answer["Secret"])
    return _login(source, answer.get("Username", ""), answer["Secret"])

def _entry(entry, key, file):
    """The login that an entry of `auths` has, or None."""
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        username, colon, password = (decode_base64(entry["auth"]) or "").rstrip("\0").partition(":")
        if not colon:
            fail("%s: expected the base64 of user:password for %s; log in again" % (file, key))
    identity_token, registry_token = entry.get("identitytoken", ""), entry.get("registrytoken", "")
    if not (password or identity_token or registry_token):
        return None
    return _login("%s for %s" % (file, key), username, password, identity_token, registry_token)

def _object(parent, name, file):
    value = parent.get(name) or {}
    if type(value) != "dict":
        fail("%s: expected an object as %s" % (file, name))
    return value

def _lookup(rctx, config, file, registry, repository):
    keys = _keys(registry, repository)
    helpers = _object(config, "credHelpers", file)
    for key in keys:
        if key in helpers:
            return _ask(rctx, helpers[key], key, file)
    auths = _object(config, "auths", file)
    entries = {_host(key): key for key in auths}
    for key in keys:
        if key in entries:
            found = _entry(_object(auths, entries[key], file), entries[key], file)
            if found:
                return found
    if config.get("credsStore"):
        return _ask(rctx, config["credsStore"], "https://index.docker.io/v1/" if registry in _HUB else registry, file)
    return None

def _find(rctx, registry, repository):
    files = [rctx.path(rctx.attr.config)] if rctx.attr.config else _stores(rctx)
    for file in files:
        if file.exists:
            config = json.decode(rctx.read(file), default = None)
            if type(config) != "dict":
                fail("%s: expected a JSON object with credentials of registries" % file)
            found = _lookup(rctx, config, file, registry, repository)
            if found:
                return found
    return None

def _basic(login):
    return {"type": "basic", "login": login.username, "password": login.password} if login and login.password else None

def _bearer(token):
    return {"type": "pattern", "pattern": "Bearer <password>", "password": token}

def _exchange(rctx, realm, service, scope, login):
    """Exchanges a refresh token (distribution, docs/content/spec/auth/oauth.md): a POST, which Bazel's downloader cannot send."""
    curl = rctx.which("curl")
    if not curl:
        fail("%s has a refresh token, which curl exchanges at %s: expected curl on the PATH; install it, or log in with a password" % (login.source, realm))
    fields = ["grant_type=refresh_token", "client_id=rules_oci", "service=" + service, "scope=" + scope]

    # Where no list of processes shows it.
    result = rctx.execute(
        ["/bin/sh", "-c", 'printf %s "$REFRESH_TOKEN" | exec "$@"', "sh", curl, "--silent", "--fail", "--proto", "=https", "--max-time", "60"] +
        [argument for field in fields for argument in ("--data-urlencode", field)] +
        ["--data-urlencode", "refresh_token@-", realm],
        environment = {"REFRESH_TOKEN": login.identity_token},
    )
    return result.stdout if result.return_code == 0 else None

def _authorization(rctx, registry, repository, login):
    """What goes to Bazel's downloader for a repository."""
    if login and login.registry_token:
        return _bearer(login.registry_token)
    realm, service = None, None
    scope = "repository:%s:pull" % repository
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
        if login and not login.password:
            fail("%s has a refresh token for %s, and where that is exchanged is not known: expected an entry in www_authenticate_challenges" % (
                login.source,
                registry,
            ))
        return _basic(login)
    basic = _basic(login)
    if login and login.identity_token:
        text = _exchange(rctx, realm, service, scope, login)
    else:
        url = "%s%sservice=%s&scope=%s" % (realm, "&" if "?" in realm else "?", service, scope)
        result = rctx.download(url = url, output = "token.json", auth = {url: basic} if basic else {}, allow_fail = True)
        text = rctx.read("token.json") if result.success else None
        rctx.delete("token.json")
    answer = json.decode(text, default = None) if text else None
    token = type(answer) == "dict" and (answer.get("token") or answer.get("access_token"))
    if not token:
        if rctx.getenv("OCI_GET_TOKEN_ALLOW_FAIL"):
            return basic
        who = "takes no login from %s" % login.source if login else "gives no token without a login (docker login, podman login)"
        fail("%s %s for %s" % (realm, who, registry))
    return _bearer(token)

def credentials(rctx):
    """Credentials that are looked for when they are first needed.

    Args:
        rctx: the context of a repository rule with the attributes of an image reference.

    Returns:
        function from a registry and a repository to what rctx.download takes as `auth` for an address, or None.
    """
    known = {}

    def authorization(registry, repository):
        if (registry, repository) not in known:
            known[registry, repository] = _authorization(rctx, registry, repository, _find(rctx, registry, repository))
        return known[registry, repository]

    return authorization
