"""junit5_test: JUnit 5 tests, run by the JUnit Platform's console launcher.

Usage:

    load("//toolchains/maven:junit5.bzl", "junit5_test")

    junit5_test(
        name = "options_test",
        srcs = glob(["*Test.java"]),
        test_package = "com.example.options",
        deps = [":options"],
    )
"""

load("@rules_java//java:defs.bzl", "java_test")

def junit5_test(name, srcs, test_package, deps = [], runtime_deps = [], **kwargs):
    """A java_test of all JUnit 5 test classes in srcs. JUnit (with parameters) and AssertJ need not be named in deps.

    Args:
        name: of the test.
        srcs: sources. Classes whose names begin or end with Test are run.
        test_package: the package of the test classes; those below it belong to it.
        deps: what the tests use.
        runtime_deps: what must be there although no test names it.
        **kwargs: what java_test takes (data, jvm_flags, size, ...).
    """
    java_test(
        name = name,
        srcs = srcs,
        args = [
            "execute",
            "--select-package=" + test_package,
            "--fail-if-no-tests",
            "--disable-banner",
            "--disable-ansi-colors",
            "--details=tree",
            "--details-theme=ascii",
        ],
        main_class = "org.junit.platform.console.ConsoleLauncher",
        use_testrunner = False,
        runtime_deps = runtime_deps + [
            "@maven//:org_junit_jupiter_junit_jupiter_engine",
            "@maven//:org_junit_platform_junit_platform_console",
        ],
        deps = deps + [
            "@maven//:org_assertj_assertj_core",
            "@maven//:org_junit_jupiter_junit_jupiter_api",
            "@maven//:org_junit_jupiter_junit_jupiter_params",
        ],
        **kwargs
    )
