"""The rule layer_tar."""

load("//oci:layer.bzl", "LAYER_ATTRS", "layer_info")
load("//oci:python_action.bzl", "python_action")

_DOC = """A layer: files packed into one tar, whose bytes depend on nothing but these attributes and the files' contents.

The output has the name of the target, with `.tar` behind it unless it ends so. Entries are sorted; time 1970; owner root, mode 0644, and 0755
for folders, unless the attributes say otherwise. Folders on the way to a file are part of the layer; where a base has them with another mode
or owner (`/tmp`), state that here, too.

```starlark
layer_tar(
    name = "binary_tar",
    files = {
        ":app.jar": "/app.jar",
        ":start": "/usr/local/bin/",
    },
    modes = {"/usr/local/bin/start": "0755"},
    symlinks = {"/start": "usr/local/bin/start"},
)
```
"""

def _layer_tar_impl(ctx):
    name = ctx.label.name
    tar = ctx.actions.declare_file(name if name.endswith(".tar") else name + ".tar")
    descriptor = ctx.actions.declare_file(tar.basename + ".packed.json")
    values = ctx.attr.files.values() + ctx.attr.directories + ctx.attr.modes.keys() + ctx.attr.owners.keys()
    for value in values + ctx.attr.symlinks.keys() + ctx.attr.symlinks.values():
        if "\n" in value:
            fail("the path %r has a line break" % value)
    arguments = ctx.actions.args()
    arguments.use_param_file("@%s")
    arguments.set_param_file_format("multiline")
    arguments.add_all([tar, descriptor])
    inputs = []
    for target, path in ctx.attr.files.items():
        files = target[DefaultInfo].files.to_list()
        if len(files) != 1 and not path.endswith("/"):
            fail("%s has %d files, so that its path %r has to end with a slash" % (target.label, len(files), path))
        for file in files:
            arguments.add_all(["file", path])
            arguments.add_all([file], expand_directories = False)
        inputs.append(target[DefaultInfo].files)
    for path in ctx.attr.directories:
        arguments.add_all(["directory", path])
    for path, target in ctx.attr.symlinks.items():
        arguments.add_all(["symlink", path, target])
    for path, mode in [("", ctx.attr.mode)] + ctx.attr.modes.items():
        arguments.add_all(["mode", path, mode])
    for path, owner in [("", ctx.attr.owner)] + ctx.attr.owners.items():
        arguments.add_all(["owner", path, owner])
    python_action(
        ctx,
        main = ctx.file._pack,
        arguments = [arguments],
        inputs = depset(transitive = inputs),
        outputs = [tar, descriptor],
        mnemonic = "OCILayer",
        progress_message = "OCI Layer %{label}",
    )
    return [
        DefaultInfo(files = depset([tar])),
        layer_info(ctx, tar, descriptor),
    ]

layer_tar = rule(
    implementation = _layer_tar_impl,
    attrs = LAYER_ATTRS | {
        "directories": attr.string_list(doc = "Absolute paths of folders, for those that are to be empty, or have another mode or owner."),
        "files": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "Files, and their absolute paths in the image. A path with a slash at its end is a folder, which the files come into with " +
                  "their own names. A file that is a folder itself is packed with all in it, links followed.",
        ),
        "mode": attr.string(
            default = "0644",
            doc = "Mode of all files, in octal.",
        ),
        "modes": attr.string_dict(doc = "Absolute paths of files and folders, and their modes in octal."),
        "owner": attr.string(
            default = "0:0",
            doc = "Owner of all entries, as uid:gid.",
        ),
        "owners": attr.string_dict(doc = "Absolute paths of files and folders, and their owners as uid:gid."),
        "symlinks": attr.string_dict(doc = "Absolute paths of symbolic links, and what they point to, which is not checked."),
        "_pack": attr.label(
            default = Label("//oci/private:pack_layer.py"),
            allow_single_file = True,
            cfg = "exec",
        ),
    },
    doc = _DOC,
)
