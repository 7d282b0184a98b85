"""The rule behind springboot()."""

load("@rules_java//java/common:java_info.bzl", "JavaInfo")
load("//springboot/private:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")

def _library_name(file):
    """Where a jar goes in BOOT-INF/lib. Names that Bazel gives to repositories stay out of it."""
    return file.basename if file.short_path.startswith("../") else file.short_path

def _is_loader(file):
    return "spring-boot-loader" in file.basename and "spring-boot-loader-tools" not in file.basename

def _is_excluded(file, excluded, paths):
    return file in excluded or any([path in file.short_path for path in paths])

def _check_banned(ctx, jars):
    for file in jars:
        for word in ctx.attr.deps_banned:
            if word in file.basename:
                fail("%s: %s (%s) would be packed, but deps_banned has \"%s\": remove the dependency, or name it in deps_exclude_labels" % (
                    ctx.label,
                    file.basename,
                    file.owner,
                    word,
                ))

def _libraries(ctx, jars):
    """Maps names in BOOT-INF/lib to jars, in class path order."""
    libraries = {}
    for file in jars:
        other = libraries.setdefault(_library_name(file), file)
        if other != file:
            fail("%s: two libraries would be called BOOT-INF/lib/%s: %s and %s; name one of them in deps_exclude_labels" % (
                ctx.label,
                _library_name(file),
                other.owner,
                file.owner,
            ))
    return libraries

def _springboot_jar_impl(ctx):
    application = ctx.attr.java_library[JavaInfo]
    own = application.runtime_output_jars
    if not own:
        fail("%s: java_library %s has no classes of its own" % (ctx.label, ctx.attr.java_library.label))
    class_path = depset(transitive = [
        info.transitive_runtime_jars
        for info in [application] + [dep[JavaInfo] for dep in ctx.attr.deps]
    ], order = "preorder")
    excluded = {file: True for target in ctx.attr.deps_exclude_labels for file in target[JavaInfo].runtime_output_jars}
    jars = [
        file
        for file in class_path.to_list()
        if file not in own and not _is_excluded(file, excluded, ctx.attr.deps_exclude_paths)
    ]
    loaders = [file for file in jars if _is_loader(file)]
    if len(loaders) != 1:
        fail("%s: needs exactly one spring-boot-loader in deps, found %s" % (
            ctx.label,
            ", ".join([str(file.owner) for file in loaders]) or "none",
        ))
    jars = [file for file in jars if file not in loaders]
    _check_banned(ctx, jars)
    libraries = _libraries(ctx, jars)

    jar = ctx.outputs.jar
    arguments = ctx.actions.args()
    arguments.use_param_file("%s", use_always = True)
    arguments.set_param_file_format("multiline")
    arguments.add("--output", jar)
    arguments.add("--target", "//%s:%s" % (ctx.label.package, ctx.label.name))
    arguments.add("--start_class", ctx.attr.boot_app_class)
    arguments.add("--launcher_class", ctx.attr.boot_launcher_class)
    arguments.add("--loader", loaders[0])
    arguments.add_all(own, before_each = "--classes")
    for name, file in libraries.items():
        arguments.add("--library").add(name).add(file)
    python_action(
        ctx,
        main = ctx.file._pack,
        arguments = [arguments],
        inputs = own + loaders + jars,
        outputs = [jar],
        mnemonic = "SpringBootJar",
        progress_message = "Packing %{label}",
    )

    checks = []
    if ctx.attr.dupeclassescheck_enable:
        checks.append(_check_classes(ctx, own + jars))
    return [
        DefaultInfo(files = depset([jar]), runfiles = ctx.runfiles([jar])),
        # Bazel runs it with every build of the target, beside what waits for the jar.
        OutputGroupInfo(_validation = depset(checks)),
    ]

def _check_classes(ctx, jars):
    checked = ctx.actions.declare_file(ctx.label.name + ".classes_checked")
    ignored = ctx.files.dupeclassescheck_ignorelist
    arguments = ctx.actions.args()
    arguments.use_param_file("%s", use_always = True)
    arguments.set_param_file_format("multiline")
    arguments.add("--output", checked)
    arguments.add("--target", "//%s:%s" % (ctx.label.package, ctx.label.name))
    arguments.add_all(ignored, before_each = "--ignored")
    arguments.add_all(jars, before_each = "--jar")
    python_action(
        ctx,
        main = ctx.file._check_classes,
        arguments = [arguments],
        inputs = jars + ignored,
        outputs = [checked],
        mnemonic = "DuplicateClassCheck",
        progress_message = "Looking for duplicate classes in %{label}",
    )
    return checked

springboot_jar = rule(
    implementation = _springboot_jar_impl,
    doc = "See springboot(), which has the same attributes.",
    attrs = {
        "boot_app_class": attr.string(mandatory = True),
        "boot_launcher_class": attr.string(mandatory = True),
        "deps": attr.label_list(providers = [JavaInfo]),
        "deps_banned": attr.string_list(),
        "deps_exclude_labels": attr.label_list(providers = [JavaInfo]),
        "deps_exclude_paths": attr.string_list(),
        "dupeclassescheck_enable": attr.bool(mandatory = True),
        "dupeclassescheck_ignorelist": attr.label(allow_single_file = True),
        "java_library": attr.label(mandatory = True, providers = [JavaInfo]),
        "_check_classes": attr.label(
            default = "//springboot/private:check_classes.py",
            allow_single_file = True,
        ),
        "_pack": attr.label(
            default = "//springboot/private:pack.py",
            allow_single_file = True,
        ),
    } | PYTHON_ACTION_ATTRS,
    # So that <name>.jar is a label, too, as upstream's is.
    outputs = {"jar": "%{name}.jar"},
)
