"""What springboot() refuses, and what it leaves out, before any action runs."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//springboot:springboot.bzl", "springboot")

def _packed(env):
    """The base names of what the packing action reads, without the interpreter."""
    actions = [a for a in analysistest.target_actions(env) if a.mnemonic == "SpringBootJar"]
    return [file.basename for file in actions[0].inputs.to_list() if file.extension == "jar"]

def _output_test_impl(ctx):
    env = analysistest.begin(ctx)
    files = analysistest.target_under_test(env)[DefaultInfo].files.to_list()
    asserts.equals(env, [ctx.attr.jar], [file.basename for file in files])
    return analysistest.end(env)

_output_test = analysistest.make(_output_test_impl, attrs = {"jar": attr.string()})

def _packed_test_impl(ctx):
    env = analysistest.begin(ctx)
    packed = _packed(env)
    for name in ctx.attr.present:
        asserts.true(env, name in packed, "%s is missing from %s" % (name, packed))
    for name in ctx.attr.absent:
        asserts.false(env, name in packed, "%s is in %s" % (name, packed))
    return analysistest.end(env)

_packed_test = analysistest.make(_packed_test_impl, attrs = {
    "absent": attr.string_list(),
    "present": attr.string_list(),
})

def _check_test_impl(ctx):
    env = analysistest.begin(ctx)
    checks = [a for a in analysistest.target_actions(env) if a.mnemonic == "DuplicateClassCheck"]
    asserts.equals(env, ctx.attr.checks, len(checks))
    return analysistest.end(env)

_check_test = analysistest.make(_check_test_impl, attrs = {"checks": attr.int()})

def _failure_test_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

_failure_test = analysistest.make(
    _failure_test_impl,
    attrs = {"message": attr.string(mandatory = True)},
    expect_failure = True,
)

def _jar(name, **kwargs):
    springboot(
        name = name,
        boot_app_class = "com.example.Application",
        tags = ["manual"],
        **(dict(deps = [":loader"], dupeclassescheck_enable = False, java_library = ":app") | kwargs)
    )
    return ":" + name

def analysis_tests(name):
    """The tests, and a test_suite of them.

    Args:
        name: of the test_suite.
    """
    whole = _jar(name + "_whole")
    _output_test(name = "jar_is_named_after_the_target_test", target_under_test = whole, jar = name + "_whole.jar")
    _packed_test(
        name = "dependencies_of_dependencies_are_packed_test",
        present = ["libapp.jar", "libservice.jar", "netty-1.jar", "spring-boot-loader-3.jar"],
        target_under_test = whole,
    )
    _packed_test(
        name = "excluded_label_leaves_its_dependencies_test",
        absent = ["libservice.jar"],
        present = ["netty-1.jar"],
        target_under_test = _jar(name + "_without_label", deps_exclude_labels = [":service"]),
    )
    _packed_test(
        name = "excluded_path_is_left_out_test",
        absent = ["netty-1.jar"],
        present = ["libservice.jar"],
        target_under_test = _jar(name + "_without_path", deps_exclude_paths = ["io/netty/"]),
    )
    _check_test(
        name = "classes_are_checked_test",
        checks = 1,
        target_under_test = _jar(name + "_checked", dupeclassescheck_enable = True),
    )
    _check_test(name = "classes_are_not_checked_test", checks = 0, target_under_test = whole)
    _failure_test(
        name = "banned_dependency_is_refused_test",
        message = 'netty-1.jar (@@//tests:netty) would be packed, but deps_banned has "netty"',
        target_under_test = _jar(name + "_banned", deps_banned = ["netty"]),
    )
    _packed_test(
        name = "banned_but_excluded_dependency_is_fine_test",
        absent = ["netty-1.jar"],
        target_under_test = _jar(name + "_banned_excluded", deps_banned = ["netty"], deps_exclude_labels = [":netty"]),
    )
    _failure_test(
        name = "clash_of_names_is_refused_test",
        message = "two libraries would be called BOOT-INF/lib/netty-1.jar",
        target_under_test = _jar(name + "_clash", deps = [":loader", "@netty_of_another_repository//:netty"], java_library = ":external_app"),
    )
    _failure_test(
        name = "missing_loader_is_refused_test",
        message = "needs exactly one spring-boot-loader in deps, found none",
        target_under_test = _jar(name + "_no_loader", deps = []),
    )
    _failure_test(
        name = "two_loaders_are_refused_test",
        message = "found @@//tests:loader, @@//tests:other_loader",
        target_under_test = _jar(name + "_two_loaders", deps = [":loader", ":other_loader"]),
    )
    native.test_suite(
        name = name,
        tests = [
            "jar_is_named_after_the_target_test",
            "dependencies_of_dependencies_are_packed_test",
            "excluded_label_leaves_its_dependencies_test",
            "excluded_path_is_left_out_test",
            "classes_are_checked_test",
            "classes_are_not_checked_test",
            "banned_dependency_is_refused_test",
            "banned_but_excluded_dependency_is_fine_test",
            "missing_loader_is_refused_test",
            "clash_of_names_is_refused_test",
            "two_loaders_are_refused_test",
        ],
    )
