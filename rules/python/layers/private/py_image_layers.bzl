"""The rule behind py_image_layers."""

load("@rules_oci//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")
load("@rules_python//python:defs.bzl", "PyInfo")

_PYTHON_TOOLCHAIN = "@bazel_tools//tools/python:toolchain_type"

# The name that rules_python gave its hermetic interpreter for this platform; images have it whatever the repository is called.
_INTERPRETER = "python_x86_64-unknown-linux-gnu"

# The kernel cuts the first line of a script here (BINPRM_BUF_SIZE before Linux 5.1, without the newline).
_MAX_SHEBANG = 127

_START_SCRIPT = """\
#!/{root}/{interpreter} -IB
\"\"\"Starts the program on the interpreter and the packages that lie beside this file.\"\"\"

import os
import runpy
import sys

RUNFILES = "/{root}"

sys.path[:0] = [RUNFILES] + [RUNFILES + "/" + path for path in {imports}]
os.environ["RUNFILES_DIR"] = RUNFILES
os.environ["RUNFILES_MANIFEST_FILE"] = RUNFILES + "_manifest"
runpy.run_path(RUNFILES + "/{main}", run_name = "__main__")
"""

_MainInfo = provider(
    doc = "The file that a py_binary runs.",
    fields = {"main": "File"},
)

def _main_aspect_impl(_, ctx):
    main = ctx.rule.file.main
    if not main:
        named = [f for f in ctx.rule.files.srcs if f.basename == ctx.label.name.split("/")[-1] + ".py"]
        main = named[0] if named else ctx.rule.files.srcs[0]
    return [_MainInfo(main = main)]

_main_aspect = aspect(implementation = _main_aspect_impl)

def _apparent(repository):
    """What the user calls a repository: Bazel adds module, version and extension to it, in one way or another in each release."""
    parts = repository.replace("+", "~").split("~")
    return parts[0] if len(parts) < 3 else parts[-1]

def _place(short_path, main_repository):
    """The path of a file below the runfiles tree of the image."""
    if not short_path.startswith("../"):
        return main_repository + "/" + short_path
    repository, _, path = short_path[len("../"):].partition("/")
    return _apparent(repository) + "/" + path

def _items(ctx, name, places):
    """Writes the list of a tree that image_layers.py reads: two lines an item."""
    file = ctx.actions.declare_file("%s.%s.files" % (ctx.label.name, name))
    args = ctx.actions.args().set_param_file_format("multiline")
    for place, source in places:
        args.add(place)
        args.add(source)
    ctx.actions.write(file, args)
    return file

def _run(ctx, mnemonic, what, arguments, inputs, outputs):
    python_action(
        ctx,
        ctx.file._image_layers,
        arguments,
        inputs + [ctx.file._bytecode],
        outputs,
        mnemonic = mnemonic,
        progress_message = "%s of %%{label}" % what,
    )

def _py_image_layers_impl(ctx):
    binary = ctx.attr.binary
    runtime = ctx.toolchains[_PYTHON_TOOLCHAIN].py3_runtime
    if not runtime.interpreter:
        fail("%s: the Python toolchain for the image is an interpreter of this machine, %s; register one that Bazel builds or fetches" %
             (ctx.label, runtime.interpreter_path))
    runfiles = binary[DefaultInfo].default_runfiles
    if runfiles.symlinks.to_list() or runfiles.root_symlinks.to_list():
        fail("%s: %s has runfiles that are links made by a rule; only files and directories can be in an image" % (ctx.label, binary.label))

    main_repository = ctx.attr.main_repository or ctx.workspace_name
    root = "%s/%s.runfiles" % (ctx.attr.service, ctx.attr.service)
    interpreter_files = {f: None for f in [runtime.interpreter] + runtime.files.to_list()}
    trees = {"app": [], "interpreter": []}
    for file in interpreter_files:
        # ../<repository>/<path>, or a path of the main repository.
        path = file.short_path.split("/", 2)[2] if file.short_path.startswith("../") else file.short_path
        trees["interpreter"].append((_INTERPRETER + "/" + path, file))
    packages = {}
    for file in runfiles.files.to_list():
        if file in interpreter_files or file == binary[DefaultInfo].files_to_run.executable:
            continue
        place = _place(file.short_path, main_repository)
        package, _, path = place.partition("/")
        if file.short_path.startswith("../") and (path + "/").startswith("site-packages/"):
            packages.setdefault(package, []).append((place, file))
        else:
            trees["app"].append((place, file))

    # Modules are compiled per package, so that a change of one does not compile all others again.
    compiled = {}
    for name, places in (trees | {package: packages[package] for package in sorted(packages)}).items():
        compiled[name] = ctx.actions.declare_file("%s.%s.bytecode.tar" % (ctx.label.name, name))
        items = _items(ctx, name, places)
        _run(ctx, "PyCompile", "Compiling the modules of %s" % name, ["compile", compiled[name].path, root, items.path], [items] + [f for _, f in places], [compiled[name]])

    lists = []
    for output, name, parts, places in [
        (ctx.outputs.interpreter_layer, "interpreter_layer", ["interpreter"], trees["interpreter"]),
        (ctx.outputs.packages_layer, "packages_layer", sorted(packages), [item for package in sorted(packages) for item in packages[package]]),
    ]:
        list = ctx.actions.declare_file("%s.%s.list" % (ctx.label.name, name))
        items = _items(ctx, name, places)
        bundles = [compiled[part] for part in parts]
        _run(ctx, "PyLayer", "Packing %s.tar" % name, ["pack", output.path, list.path, root, items.path] + [b.path for b in bundles], [items] + bundles + [f for _, f in places], [output, list])
        lists.append(list)

    interpreter = _INTERPRETER + "/bin/" + runtime.interpreter.basename
    start_script = ctx.actions.declare_file(ctx.label.name + ".start")
    content = _START_SCRIPT.format(
        root = root,
        imports = json.encode([main_repository] + [_place("../" + i if not i.startswith(ctx.workspace_name + "/") else i[len(ctx.workspace_name) + 1:], main_repository) for i in binary[PyInfo].imports.to_list()]),
        interpreter = interpreter,
        main = _place(binary[_MainInfo].main.short_path, main_repository),
    )
    if len(content.split("\n")[0]) > _MAX_SHEBANG:
        fail("%s: the first line of the start script would be longer than the %d characters that every kernel reads; shorten the service's name: %s" %
             (ctx.label, _MAX_SHEBANG, ctx.attr.service))
    ctx.actions.write(start_script, content)

    app = ctx.actions.declare_file(ctx.label.name + ".app.unchecked.tar")
    app_items = _items(ctx, "app_tar_manifest", trees["app"])
    _run(
        ctx,
        "PyLayer",
        "Packing the application",
        ["app", app.path, root, app_items.path, start_script.path, compiled["app"].path] + [f.path for f in lists],
        [app_items, start_script, compiled["app"]] + lists + [f for _, f in trees["app"]],
        [app],
    )

    # The application's layer comes out only if all three are what they should be.
    everything = trees["interpreter"] + [item for package in sorted(packages) for item in packages[package]] + trees["app"]
    items = _items(ctx, "runfiles", everything)
    layers = [app, ctx.outputs.interpreter_layer, ctx.outputs.packages_layer]
    _run(
        ctx,
        "PyLayerCheck",
        "Checking the layers",
        ["check", ctx.outputs.app_tar_manifest.path, root, items.path] + [f.path for f in layers],
        [items] + layers + [f for _, f in everything],
        [ctx.outputs.app_tar_manifest],
    )
    return [DefaultInfo(files = depset([ctx.outputs.interpreter_layer, ctx.outputs.packages_layer, ctx.outputs.app_tar_manifest]))]

py_image_layers_rule = rule(
    implementation = _py_image_layers_impl,
    doc = "The three layers of a py_binary.",
    attrs = {
        "app_tar_manifest": attr.output(mandatory = True),
        "binary": attr.label(
            aspects = [_main_aspect],
            mandatory = True,
            providers = [PyInfo],
        ),
        "interpreter_layer": attr.output(mandatory = True),
        "main_repository": attr.string(doc = "What the runfiles folder of the main repository is called; empty: the workspace's name."),
        "packages_layer": attr.output(mandatory = True),
        "service": attr.string(mandatory = True),
        "_bytecode": attr.label(
            allow_single_file = True,
            default = ":bytecode.py",
        ),
        "_image_layers": attr.label(
            allow_single_file = True,
            default = ":image_layers.py",
        ),
    } | PYTHON_ACTION_ATTRS,
    toolchains = [_PYTHON_TOOLCHAIN],
)
