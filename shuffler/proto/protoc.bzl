"""Java and Python from one set of .proto files, each by the protoc that fits its runtime.

Usage:

    load("//shuffler/proto:protoc.bzl", "java_and_python_protos")

    java_and_python_protos(
        name = "proto",
        srcs = glob(["**/*.proto"]),
    )

makes `proto_java` (java_library) and `proto_py` (py_library, with type stubs). Files import one another by their path in the
workspace, google/protobuf/*.proto, and what `imports` adds.
"""

load("@rules_java//java:defs.bzl", "java_library")
load("@rules_oci//oci:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")
load("@rules_python//python:defs.bzl", "py_library")

def _well_known_protos_impl(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    python_action(
        ctx,
        main = ctx.file._extract,
        arguments = [ctx.file.jar.path, folder.path],
        inputs = [ctx.file.jar],
        outputs = [folder],
        mnemonic = "WellKnownProtos",
    )
    return [DefaultInfo(files = depset([folder]))]

well_known_protos = rule(
    implementation = _well_known_protos_impl,
    doc = "google/protobuf/*.proto, which protobuf-java's jar holds: a folder for protoc's -I.",
    attrs = {
        "jar": attr.label(
            doc = "The jar of protobuf-java.",
            mandatory = True,
            allow_single_file = [".jar"],
        ),
        "_extract": attr.label(
            default = "//shuffler/proto:extract_protos.py",
            allow_single_file = True,
        ),
    } | PYTHON_ACTION_ATTRS,
)

def _protoc(ctx, protoc, outputs, language):
    folder = ctx.file.well_known_protos
    roots = ["-I%s/%s" % (target.label.workspace_root or ".", root) for target, root in ctx.attr.imports.items()]
    ctx.actions.run(
        executable = protoc,
        # The first root that fits names a file.
        arguments = roots + ["-I.", "-I" + folder.path] + language + [src.path for src in ctx.files.srcs],
        inputs = depset(ctx.files.srcs + [folder], transitive = [target[DefaultInfo].files for target in ctx.attr.imports]),
        outputs = outputs,
        mnemonic = "Protoc",
    )

def _java_sources_impl(ctx):
    # protoc writes an archive for the suffix .jar, java_library reads one with the suffix .srcjar.
    jar = ctx.actions.declare_file(ctx.label.name + ".jar")
    srcjar = ctx.actions.declare_file(ctx.label.name + ".srcjar")
    _protoc(ctx, ctx.executable.protoc, [jar], ["--java_out=" + jar.path])
    ctx.actions.symlink(output = srcjar, target_file = jar)
    return [DefaultInfo(files = depset([srcjar]))]

def _python_sources_impl(ctx):
    modules = [src.basename.removesuffix(".proto") + "_pb2" for src in ctx.files.srcs]
    outputs = [
        ctx.actions.declare_file(module + suffix, sibling = src)
        for src, module in zip(ctx.files.srcs, modules)
        for suffix in [".py", ".pyi"]
    ]
    root = ctx.bin_dir.path
    _protoc(ctx, ctx.executable.protoc, outputs, ["--python_out=" + root, "--pyi_out=" + root])
    return [DefaultInfo(files = depset(outputs))]

def _attrs(protoc):
    return {
        "imports": attr.label_keyed_string_dict(
            doc = "More files to import: targets, with the folder within their repository that import paths start at.",
            allow_files = [".proto"],
        ),
        "protoc": attr.label(
            default = protoc,
            allow_single_file = True,
            cfg = "exec",
            executable = True,
        ),
        "srcs": attr.label_list(
            allow_files = [".proto"],
            mandatory = True,
        ),
        "well_known_protos": attr.label(
            default = "//shuffler/proto:well_known",
            allow_single_file = True,
        ),
    }

_java_sources = rule(
    implementation = _java_sources_impl,
    attrs = _attrs("@maven//:com_google_protobuf_protoc_linux_x86_64_4_36_2"),
)

_python_sources = rule(
    implementation = _python_sources_impl,
    # protobuf of TensorFlow 2.14's line, 4.25, refuses code of newer compilers.
    attrs = _attrs("@maven//:com_google_protobuf_protoc_linux_x86_64_3_25_9"),
)

def java_protos(name, srcs, imports = {}, deps = [], **kwargs):
    """A java_library.

    Args:
        name: of it.
        srcs: .proto files.
        imports: see the rule.
        deps: libraries of what is imported, beside protobuf itself.
        **kwargs: visibility, testonly, tags.
    """
    _java_sources(
        name = name + "_sources",
        srcs = srcs,
        imports = imports,
        **kwargs
    )
    java_library(
        name = name,
        srcs = [name + "_sources"],
        exports = deps + ["@maven//:com_google_protobuf_protobuf_java"],
        deps = deps + ["@maven//:com_google_protobuf_protobuf_java"],
        **kwargs
    )

def java_and_python_protos(name, srcs, imports = {}, java_deps = [], python_deps = [], **kwargs):
    """Libraries for both languages.

    Args:
        name: makes <name>_java and <name>_py.
        srcs: .proto files.
        imports: see the rule.
        java_deps: libraries of what is imported.
        python_deps: likewise.
        **kwargs: visibility, testonly, tags.
    """
    java_protos(
        name = name + "_java",
        srcs = srcs,
        imports = imports,
        deps = java_deps,
        **kwargs
    )
    _python_sources(
        name = name + "_python_sources",
        srcs = srcs,
        imports = imports,
        **kwargs
    )
    py_library(
        name = name + "_py",
        srcs = [name + "_python_sources"],
        deps = python_deps + ["@pypi//:protobuf"],
        **kwargs
    )
