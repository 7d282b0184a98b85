"""Repositories of Debian packages, from locks.

A lock (README.md describes it) says *what*: name, version, sha256. *Where* is found on the machine, in this order:

1.  Bazel's repository cache, which every download with a sha256 goes through;
2.  the input archive, if the environment variable INPUT_ARCHIVE names one: a folder in the layout of that cache;
3.  the mirrors that the machine's apt is configured with;
4.  the snapshot service of Debian, which keeps every version for ever, at the time of the lock.
"""

load("//toolchains:inputs.bzl", "archived", "nowhere", "ways_out")

_FORMAT = 1

# Not a mirror: the only place where a version stays when the suites have moved on. https://snapshot.debian.org/
_SNAPSHOT = "https://snapshot.debian.org/archive/{archive}/{snapshot}/{filename}"

_LOCKS = attr.label_list(
    allow_files = [".lock.json"],
    doc = "Locks whose packages are wanted. Where two have the same package, it must be the same version.",
    mandatory = True,
)

def _read_locks(rctx):
    """Returns {package name: struct of the lock's fields and of its source's, archive and snapshot}, sorted by name."""
    packages = {}
    for label in rctx.attr.locks:
        lock = json.decode(rctx.read(label), default = None)
        if type(lock) != "dict" or lock.get("version") != _FORMAT:
            fail("%s: expected a lock of Debian packages, version %d; make it again: bazel run //toolchains/debian:lock -- update" % (label, _FORMAT))
        for fields in lock["packages"]:
            source = lock["sources"][fields["suite"]]
            package = struct(archive = source["archive"], snapshot = source["snapshot"], **fields)
            other = packages.setdefault(package.name, package)
            if other.sha256 != package.sha256:
                fail("%s: %s is version %s here and %s in another lock of @%s; update both together: bazel run //toolchains/debian:lock -- update" % (
                    label,
                    package.name,
                    package.version,
                    other.version,
                    rctx.name,
                ))
    return {name: packages[name] for name in sorted(packages)}

def _mirrors(rctx):
    """Returns [(URL of an archive's root with a final slash, suite)] as apt is configured; empty without apt."""
    apt = rctx.which("apt-get")
    if not apt:
        return []

    # Needs no rights and no network, and knows every form of a source that apt knows. A line: 'URL/dists/SUITE/InRelease' file 0
    result = rctx.execute([apt, "update", "--print-uris"], environment = {"LC_ALL": "C"})
    mirrors = []
    for line in result.stdout.splitlines():
        base, dists, rest = line.removeprefix("'").partition("dists/")
        suite, release, _ = rest.partition("/InRelease'")
        if dists and release and base.split(":")[0] in ("http", "https", "file"):
            if base.startswith("file:/") and not base.startswith("file:///"):
                base = "file:///" + base.removeprefix("file:").lstrip("/")
            mirrors.append((base, suite))
    return mirrors

def _places(rctx, package, mirrors):
    """Returns the URLs at which a package may be, the likeliest first."""
    urls = archived(rctx, package.sha256)

    # The same suite; another suite of the same archive (the pool is one); by convention the archives of a mirror are side by side.
    bases = [base for base, suite in mirrors if suite == package.suite]
    bases += [base for base, _ in mirrors if base.endswith("/%s/" % package.archive)]
    bases += [base.removesuffix("debian/") + package.archive + "/" for base, _ in mirrors if base.endswith("/debian/")]

    # As apt does: some servers take a plus for a blank.
    urls += [base + (package.filename if base.startswith("file:") else package.filename.replace("+", "%2b")) for base in bases]
    urls.append(_SNAPSHOT.format(
        archive = package.archive,
        filename = package.filename.replace("+", "%2b"),
        snapshot = package.snapshot,
    ))
    return {url: None for url in urls}.keys()

def _download(rctx, packages, directory):
    """Downloads packages, all at once, to <directory><name>.deb; fails with every one that is nowhere."""
    mirrors = _mirrors(rctx)
    pending = []
    for name, package in packages.items():
        urls = _places(rctx, package, mirrors)
        pending.append((package, urls, rctx.download(
            allow_fail = True,
            block = False,
            output = directory + name + ".deb",
            sha256 = package.sha256,
            url = urls,
        )))
    missing = []
    for package, urls, download in pending:
        if not download.wait().success:
            what = nowhere(rctx, "Debian package %s %s" % (package.name, package.version), package.sha256)
            missing.append("%s; sought at %s" % (what, ", ".join(urls)))
    if missing:
        fail("%s. %s" % ("; ".join(missing), ways_out("//toolchains/debian:lock")))

def _debian_packages_impl(rctx):
    packages = _read_locks(rctx)
    _download(rctx, packages, "")
    rctx.file("packages.bzl", '"""What the locks say."""\n\nVERSIONS = %s\n' % json.encode_indent(
        {name: package.version for name, package in packages.items()},
        indent = "    ",
    ), executable = False)
    rctx.file("BUILD.bazel", 'exports_files(glob(["*.deb"]))\n', executable = False)

debian_packages = repository_rule(
    implementation = _debian_packages_impl,
    doc = """The .deb files of locks: `@name//:<package>.deb`; and `@name//:packages.bzl` with VERSIONS, {package: version}.

Fails if a lock cannot be read, two locks contradict each other, or a package is in none of the places; the message has all of them.
""",
    attrs = {"locks": _LOCKS},
)

def _run(rctx, command):
    result = rctx.execute(command, environment = {"LC_ALL": "C"}, timeout = 600)
    if result.return_code:
        fail("@%s: %s: %s" % (rctx.name, " ".join([str(word) for word in command]), result.stderr.strip() or "exit code %d" % result.return_code))
    return result.stdout

def _debian_tree_impl(rctx):
    packages = _read_locks(rctx)
    _download(rctx, packages, "_deb/")
    for name in packages:
        _run(rctx, ["dpkg-deb", "--extract", "_deb/%s.deb" % name, "."])
    for path in ["_deb"] + rctx.attr.exclude:
        rctx.delete(path)

    # A link that is absolute means the root of the tree. One that leads out of the tree (what a maintainer script makes, what is excluded)
    # would find the machine's file, or none.
    for line in _run(rctx, ["find", ".", "-type", "l", "-lname", "/*", "-printf", "%P\\t%l\\n"]).splitlines():
        path, _, target = line.partition("\t")
        _run(rctx, ["ln", "-sfn", "../" * path.count("/") + target.lstrip("/"), path])
    for path, target in rctx.attr.links.items():
        _run(rctx, ["ln", "-s", target, path])
    _run(rctx, ["find", ".", "-xtype", "l", "-delete"])
    rctx.file("BUILD.bazel", rctx.read(rctx.attr.build_file), executable = False)

debian_tree = repository_rule(
    implementation = _debian_tree_impl,
    doc = """The files of Debian packages, unpacked into one tree: a compiler, a sysroot, a JDK.

For use by actions only: owners and modes are those of the user who builds. Layers are made of the .deb files (deb_layer.bzl).
Fails as debian_packages does.
""",
    attrs = {
        "build_file": attr.label(
            allow_single_file = True,
            doc = "Becomes the BUILD file at the root of the tree.",
            mandatory = True,
        ),
        "exclude": attr.string_list(
            default = ["usr/share"],
            doc = "Paths in the tree that are left out.",
        ),
        "links": attr.string_dict(doc = "Symbolic links to add: path -> target."),
        "locks": _LOCKS,
    },
)
