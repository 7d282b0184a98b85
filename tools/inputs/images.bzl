"""Which external files reach which image, from Bazel's own graph.

For each image, the rule writes lines of three or four words:

    aggregator contains debian12 libc6.deb      a file that is in the image, or whose files are
    aggregator uses llvm16                      a repository of which an action on the way to the image reads a file

Repositories are named without what Bazel adds to their names. In repositories that hold one file for each input, the path is the fourth
word. tools/inputs/reach.py reads the lines.
"""

# Repositories of which a file is one input.
_FILES = ["debian12", "maven"]

_ReachInfo = provider(
    doc = "External files behind a target.",
    fields = {
        "contents": "depset of Files: sources that become part of what the target makes",
        "inputs": "depset of Files: what all actions behind the target read",
    },
)

def _repository(canonical):
    """The apparent name of a repository: without module and extension, which Bazel puts before it."""
    return canonical.rstrip("~").split("~")[-1]

def _is_content(repository):
    """Whether files of a repository can be in an image; the others hold compilers, headers and tools."""
    return repository in _FILES or repository.startswith("pypi_")

def _targets(value):
    """The targets in the value of an attribute."""
    if type(value) == "Target":
        return [value]
    if type(value) == "list":
        return [item for item in value if type(item) == "Target"]
    if type(value) == "dict":
        return [item for item in value.keys() + value.values() if type(item) == "Target"]
    return []

def _reach_impl(target, ctx):
    # What is built for the machine that builds is a tool: nothing of it is in an image.
    tool = "-exec" in ctx.bin_dir.path
    files = []
    contents = []
    inputs = []
    for name in dir(ctx.rule.attr):
        # By convention, attributes that a user cannot set are tools.
        part = not tool and not name.startswith("_")
        for dependency in _targets(getattr(ctx.rule.attr, name)):
            if _ReachInfo in dependency:
                inputs.append(dependency[_ReachInfo].inputs)
                if part:
                    contents.append(dependency[_ReachInfo].contents)
            elif part and _is_content(_repository(dependency.label.workspace_name)):
                files += [file for file in dependency.files.to_list() if file.is_source and file.owner == dependency.label]

    # The interpreter of the image comes by its toolchain, which is not an attribute.
    if ctx.rule.kind == "py_image_layers_rule":
        contents.append(depset([
            file
            for action in target.actions
            for file in action.inputs.to_list()
            if file.is_source and _repository(file.owner.workspace_name) == "python3_10"
        ]))
    return [_ReachInfo(
        contents = depset(files, transitive = contents),
        inputs = depset(transitive = inputs + [action.inputs for action in target.actions]),
    )]

_reach = aspect(
    implementation = _reach_impl,
    apply_to_generating_rules = True,
    attr_aspects = ["*"],
)

def _line(file):
    if not file.is_source or not file.path.startswith("external/"):
        return None
    _, canonical, path = file.path.split("/", 2)
    repository = _repository(canonical)
    return "%s %s" % (repository, path) if repository in _FILES else repository

def _image_inputs_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    args = ctx.actions.args().set_param_file_format("multiline")
    for image, name in ctx.attr.images.items():
        for verb in ["contains", "uses"]:
            args.add_all(
                image[_ReachInfo].contents if verb == "contains" else image[_ReachInfo].inputs,
                expand_directories = False,
                format_each = "%s %s %%s" % (name, verb),
                map_each = _line,
                uniquify = True,
            )
    ctx.actions.write(out, args)
    return [DefaultInfo(files = depset([out]))]

image_inputs = rule(
    implementation = _image_inputs_impl,
    doc = "The external files that reach images: `<name>.txt`, see the head of this file. Nothing is built for it.",
    attrs = {
        "images": attr.label_keyed_string_dict(
            aspects = [_reach],
            doc = "Images, and what they are called.",
            mandatory = True,
        ),
    },
)
