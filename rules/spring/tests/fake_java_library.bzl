"""A java_library made of given files: tests need no compiler, and know every byte."""

load("@rules_java//java/common:java_info.bzl", "JavaInfo")
load("//springboot/private:python_action.bzl", "PYTHON_ACTION_ATTRS", "python_action")  # buildifier: disable=bzl-visibility

def _fake_java_library_impl(ctx):
    jar = ctx.actions.declare_file(ctx.attr.jar or "lib%s.jar" % ctx.label.name)
    python_action(
        ctx,
        main = ctx.file._write_jar,
        arguments = [jar.path] + ["%s=%s" % entry for entry in ctx.attr.entries.items()],
        inputs = [],
        outputs = [jar],
        mnemonic = "FakeJar",
    )
    return [
        DefaultInfo(files = depset([jar])),
        JavaInfo(
            output_jar = jar,
            compile_jar = jar,
            deps = [dep[JavaInfo] for dep in ctx.attr.deps],
        ),
    ]

fake_java_library = rule(
    implementation = _fake_java_library_impl,
    attrs = {
        "deps": attr.label_list(providers = [JavaInfo]),
        "entries": attr.string_dict(doc = "Content by name in the jar."),
        "jar": attr.string(doc = "File name, lib<name>.jar if empty."),
        "_write_jar": attr.label(default = "//tests:write_jar.py", allow_single_file = True),
    } | PYTHON_ACTION_ATTRS,
)
