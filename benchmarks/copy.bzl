"""The baseline of image_assembly.py: the least that a rule with an action can do."""

def _copy_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name + ".out")
    ctx.actions.run_shell(
        arguments = [ctx.file.src.path, output.path],
        command = 'cp "$1" "$2"',
        inputs = [ctx.file.src],
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

copy = rule(
    implementation = _copy_impl,
    attrs = {"src": attr.label(allow_single_file = True)},
)
