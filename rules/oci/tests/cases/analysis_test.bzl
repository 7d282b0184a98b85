"""What the rules do before any action runs."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts", "unittest")
load("//oci:defs.bzl", "layer_tar", "oci_image_rule")
load("//oci:providers.bzl", "OciImageInfo", "OciLayerInfo")
load("//oci/private:service_image.bzl", "service_image_problems")  # buildifier: disable=bzl-visibility

def _fails_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

_fails_test = analysistest.make(
    _fails_impl,
    attrs = {"message": attr.string()},
    expect_failure = True,
)

def _mnemonics(actions):
    counts = {}
    for action in actions:
        counts[action.mnemonic] = counts.get(action.mnemonic, 0) + 1
    return counts

def _actions_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    counts = _mnemonics(analysistest.target_actions(env))
    asserts.equals(env, ctx.attr.descriptors, counts.get("OCIDescriptor", 0))
    asserts.equals(env, 1, counts.get("OCIImage", 0))
    info = target[OciImageInfo]
    asserts.equals(env, ctx.attr.layers, len(info.layers))
    asserts.equals(env, ctx.attr.has_base, info.base != None)
    for layer in info.layers:
        asserts.true(env, layer.descriptor.basename.endswith(".json"))
    asserts.equals(env, target[DefaultInfo].files.to_list(), [info.layout])

    # What the links point to, of the base's base, too.
    runfiles = target[DefaultInfo].default_runfiles.files.to_list()
    asserts.equals(env, ctx.attr.runfiles, sorted([file.basename for file in runfiles]))
    return analysistest.end(env)

_actions_test = analysistest.make(
    _actions_impl,
    attrs = {
        "descriptors": attr.int(),
        "has_base": attr.bool(),
        "layers": attr.int(),
        "runfiles": attr.string_list(),
    },
)

def _layer_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[OciLayerInfo]
    asserts.equals(env, target[DefaultInfo].files.to_list(), [info.tar])
    asserts.equals(env, ctx.attr.output, info.tar.basename)
    asserts.equals(env, info.tar, info.blob)

    # Packed and described in one pass.
    asserts.equals(env, {"OCILayer": 1}, {name: count for name, count in _mnemonics(analysistest.target_actions(env)).items() if name.startswith("OCI")})
    return analysistest.end(env)

_layer_test = analysistest.make(_layer_impl, attrs = {"output": attr.string()})

def _service_image_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, [], service_image_problems(
        cmd = [" "],
        entrypoint = ["/run", "a,b"],
        env = {"A": "x y"},
        exposed_ports = ["1/tcp"],
        labels = {"a": ""},
        volumes = ["/a"],
    ))
    asserts.equals(env, [], service_image_problems(env = ":file", labels = ":file"))
    for values in [
        {"labels": {"a": "x\ny"}},
        {"labels": {"a\nb": "x"}},
        {"labels": {" a": "x"}},
        {"labels": {"": "x"}},
        {"labels": {"a=b": "x"}},
        {"labels": {"a": "x\r"}},
        {"env": {"A ": "x"}},
        {"env": {"A": "x\ny"}},
        {"entrypoint": ["/run", ""]},
        {"cmd": ["a%5Cnb"]},
        {"exposed_ports": ["1/tcp,2/tcp"]},
        {"exposed_ports": [" 1/tcp"]},
        {"exposed_ports": [""]},
        {"volumes": ["/a,/b"]},
    ]:
        asserts.equals(env, 1, len(service_image_problems(**values)), str(values))
    return unittest.end(env)

_service_image_test = unittest.make(_service_image_impl)

def _expect_failure(name, message, rule, **kwargs):
    rule(
        name = name + "_subject",
        tags = ["manual"],
        **kwargs
    )
    _fails_test(
        name = name,
        message = message,
        target_under_test = name + "_subject",
    )

def analysis_tests(name):
    """Declares the tests.

    Args:
        name: of the test suite of all.
    """
    _expect_failure("needs_platform_test", "'os' and 'architecture' are mandatory when 'base' is unspecified", oci_image_rule)
    _expect_failure("needs_architecture_test", "'os' and 'architecture' are mandatory", oci_image_rule, os = "linux")
    _expect_failure("base_has_platform_test", "come from the image provided by 'base'", oci_image_rule, base = ":plain", variant = "v8")
    _expect_failure("folder_path_test", "has to end with a slash", layer_tar, files = {":two_layers": "/a"})
    _expect_failure("line_break_test", "has a line break", layer_tar, symlinks = {"/a\nb": "c"})
    _actions_test(
        name = "plain_actions_test",
        descriptors = 3,
        layers = 3,
        runfiles = [
            "gen.tar",
            "layer.tar",
            "layer1.tar",
        ],
        target_under_test = ":plain",
    )
    _actions_test(
        name = "packed_actions_test",
        descriptors = 0,
        has_base = True,
        layers = 1,
        runfiles = [
            "gen.tar",
            "layer.tar",
            "layer1.tar",
            "packed.tar",
            "plain",
        ],
        target_under_test = ":packed_image",
    )
    _layer_test(
        name = "layer_name_test",
        output = "packed.tar",
        target_under_test = ":packed",
    )
    _layer_test(
        name = "layer_name_with_extension_test",
        output = "named.tar",
        target_under_test = ":named.tar",
    )
    unittest.suite("service_image_values_test", _service_image_test)
