"""An external repository with one jar, //:netty: what a repository of Maven artifacts looks like."""

def _jar_repository_impl(repository_ctx):
    repository_ctx.file("BUILD.bazel", """
load("@@//tests:fake_java_library.bzl", "fake_java_library")

fake_java_library(
    name = "netty",
    entries = {"io/netty/Channel.class": "channel"},
    jar = "jars/io/netty/1/netty-1.jar",
    visibility = ["//visibility:public"],
)
""", executable = False)

jar_repository = repository_rule(implementation = _jar_repository_impl)
