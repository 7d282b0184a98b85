"""What a deployment may set at build time, and so becomes part of the measured image."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

def _env_file_impl(ctx):
    env = dict(ctx.attr.env)
    value = ctx.attr.encryption_opts[BuildSettingInfo].value
    if "\n" in value:
        fail("%s: expected one line, found a newline in %r" % (ctx.attr.encryption_opts.label, value))
    if value:
        env["ENCRYPTION_OPTS"] = value
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(out, "\n".join(["%s=%s" % item for item in env.items()]))
    return [DefaultInfo(files = depset([out]))]

env_file = rule(
    implementation = _env_file_impl,
    doc = "The env of an image as a file of NAME=VALUE lines, with ENCRYPTION_OPTS if the build setting gives it a value.",
    attrs = {
        "encryption_opts": attr.label(mandatory = True, providers = [BuildSettingInfo]),
        "env": attr.string_dict(mandatory = True),
    },
)

def _settings_file_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".json")
    values = {name: target[BuildSettingInfo].value for target, name in ctx.attr.settings.items()}
    ctx.actions.write(out, json.encode_indent({name: values[name] for name in sorted(values)}) + "\n")
    return [DefaultInfo(files = depset([out]))]

settings_file = rule(
    implementation = _settings_file_impl,
    doc = "A JSON object with the values of the build settings that reach an image.",
    attrs = {"settings": attr.label_keyed_string_dict(mandatory = True, providers = [BuildSettingInfo])},
)
