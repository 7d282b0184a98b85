"""The rule behind the macro oci_load."""

load("//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")
load("//oci/private:python_launcher.bzl", "PYTHON_LAUNCHER_ATTRS", "python_launcher", "runfiles_path")

_DOC = """Loads an image into docker, podman or nerdctl when it is run.

```starlark
oci_load(
    name = "load",
    image = ":image",
    repo_tags = ["app:latest"],
)
```

`bazel run :load`. The archive is made on the way into the engine; as a file it is the output group `tarball`, with upstream's bytes:
`bazel build :load --output_groups=+tarball`. docker and podman take both.

**An engine is no way to publish an image under its hash**: it stores layers unpacked, and compresses them when it pushes.

| command | digest |
|---|---|
| `bazel run` of an [oci_push](#oci_push) | kept |
| `skopeo copy --preserve-digests oci:<layout> docker://...` | kept |
| `skopeo copy oci:<layout> docker://...` with uncompressed layers | another one |
| `docker load` and `docker push`, `podman load` and `podman push` | another one |
"""

def _oci_load_impl(ctx):
    tarball = ctx.actions.declare_file(ctx.label.name + "/tarball.tar")
    image = ctx.attr.image[DefaultInfo]
    if not ctx.file.image.is_directory:
        fail("%s: expected an image or image index, found the file %s" % (ctx.label, ctx.file.image.short_path))
    arguments = ctx.actions.args()
    arguments.add_all([tarball, ctx.file.image], expand_directories = False)
    arguments.add_all([ctx.attr.format, ctx.file.repo_tags])

    # Large, and seldom wanted: only made when the output group is asked for.
    python_action(
        ctx,
        main = ctx.file._write_archive,
        arguments = [arguments],
        inputs = depset([ctx.file.image, ctx.file.repo_tags], transitive = [image.default_runfiles.files]),
        outputs = [tarball],
        mnemonic = "OCIArchive",
        progress_message = "OCI Archive %{label}",
    )
    loader = ctx.executable.loader
    config = struct(
        format = ctx.attr.format,
        image = runfiles_path(ctx, ctx.file.image),
        loader = runfiles_path(ctx, loader) if loader else "",
        tags_file = runfiles_path(ctx, ctx.file.repo_tags),
    )
    runfiles = ctx.runfiles(files = [ctx.file.image, ctx.file.repo_tags] + ([loader] if loader else []))
    runfiles = runfiles.merge_all([image.default_runfiles] + ([ctx.attr.loader[DefaultInfo].default_runfiles] if loader else []))
    return [
        python_launcher(ctx, ctx.file._main, config, runfiles),
        OutputGroupInfo(tarball = depset([tarball])),
    ]

oci_load = rule(
    implementation = _oci_load_impl,
    attrs = PYTHON_ACTION_ATTRS | PYTHON_LAUNCHER_ATTRS | {
        "format": attr.string(
            default = "docker",
            doc = "`docker` for an image, `oci` for an image index.",
            values = [
                "docker",
                "oci",
            ],
        ),
        "image": attr.label(
            allow_single_file = True,
            doc = "The image or image index.",
            mandatory = True,
        ),
        "loader": attr.label(
            allow_files = True,
            cfg = "target",
            doc = "A program that is called as `<loader> load` with the archive as its input, instead of the first of docker, podman and nerdctl.",
            executable = True,
        ),
        "repo_tags": attr.label(
            allow_single_file = [".txt"],
            doc = "A file with names for the image, like `app:latest`, one a line; the macro takes a list, too.",
            mandatory = True,
        ),
        "_main": attr.label(
            default = Label("//oci/private:load_main.py"),
            allow_single_file = True,
        ),
        "_write_archive": attr.label(
            default = Label("//oci/private:write_archive.py"),
            allow_single_file = True,
            cfg = "exec",
        ),
    },
    doc = _DOC,
    executable = True,
)
