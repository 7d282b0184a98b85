"""The rule behind the macro oci_push."""

load("//oci/private:python_launcher.bzl", "PYTHON_LAUNCHER_ATTRS", "python_launcher", "runfiles_path")

_DOC = """Pushes an image or image index to a registry when it is run.

```starlark
oci_push(
    name = "push",
    image = ":image",
    remote_tags = ["latest"],
    repository = "registry.example/team/app",
)
```

`bazel run :push -- [flags]`. What the command line says comes before the attributes; its tags come in addition.

| flag | |
|---|---|
| `-r`, `--repository` | where to: `HOST[:PORT]/PATH` |
| `-t`, `--tag` | a tag; may come several times |
| `--insecure` | plain http with a registry that is not loopback |
| `-v`, `--verbose` | prints every request |
| `--allow-nondistributable-artifacts` | pushes such layers, too |

Blobs come first, several at a time, and only those that the registry does not have; then the manifest by its digest; then the tags, so that
none ever names an incomplete image. Requests that fail for now are repeated, uploads that break go on. If all tags have the digest already,
nothing is sent. Every digest that the registry names is compared, and at the end the manifest is read back by every tag.

Credentials come from the same places as those of docker and podman: see `ocilib/credentials.py`. There is no flag for a password. Certificates
are checked with those of the machine, or of the file in SSL_CERT_FILE; HTTPS_PROXY and NO_PROXY count. Exit codes: 0 pushed, 1 not, 64 wrong usage.
"""

def _oci_push_impl(ctx):
    if ctx.attr.repository and ctx.attr.repository_file:
        fail("%s: expected one of 'repository' and 'repository_file'" % ctx.label)
    last = ctx.attr.repository.split("/")[-1]
    if "@" in ctx.attr.repository or ("/" in ctx.attr.repository and ":" in last):
        fail("%s: expected a repository without digest or tag, found %r" % (ctx.label, ctx.attr.repository))
    if not ctx.file.image.is_directory:
        fail("%s: expected an image or image index, found the file %s" % (ctx.label, ctx.file.image.short_path))
    files = [file for file in [ctx.file.image, ctx.file.repository_file, ctx.file.remote_tags] if file]
    config = struct(
        image = runfiles_path(ctx, ctx.file.image),
        repository = ctx.attr.repository,
        repository_file = runfiles_path(ctx, ctx.file.repository_file) if ctx.file.repository_file else "",
        tags_file = runfiles_path(ctx, ctx.file.remote_tags) if ctx.file.remote_tags else "",
    )
    runfiles = ctx.runfiles(files = files).merge(ctx.attr.image[DefaultInfo].default_runfiles)
    return [python_launcher(ctx, ctx.file._main, config, runfiles)]

oci_push = rule(
    implementation = _oci_push_impl,
    attrs = PYTHON_LAUNCHER_ATTRS | {
        "image": attr.label(
            allow_single_file = True,
            doc = "The image or image index.",
            mandatory = True,
        ),
        "remote_tags": attr.label(
            allow_single_file = True,
            doc = "A file with tags, one a line; the macro takes a list, too.",
        ),
        "repository": attr.string(doc = "Where to push to, without tag or digest. Without it, the command line has to say it."),
        "repository_file": attr.label(
            allow_single_file = True,
            doc = "A file with the repository, for instance one that is stamped.",
        ),
        "_main": attr.label(
            default = Label("//oci/private:push_main.py"),
            allow_single_file = True,
        ),
    },
    doc = _DOC,
    executable = True,
)
