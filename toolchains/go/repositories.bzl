"""Programs for tests that are published as Go modules."""

load(":go.bzl", "go_modules_repo", "go_tool_repo")

def go_repositories():
    """Declares @go_<program>, and the modules that they are made of."""
    go_modules_repo(
        name = "go_modules",
        go_mod = Label("//toolchains/go:go.mod"),
        go_sum = Label("//toolchains/go:go.sum"),
        lock = Label("//toolchains/go:go.lock.json"),
        modules_txt = Label("//toolchains/go:modules.txt"),
    )
    go_modules_repo(
        name = "go_pubsub_modules",
        go_mod = Label("//toolchains/go:pubsub/go.mod"),
        go_sum = Label("//toolchains/go:pubsub/go.sum"),
        lock = Label("//toolchains/go:pubsub/go.lock.json"),
        modules_txt = Label("//toolchains/go:pubsub/modules.txt"),
    )
    go_tool_repo(
        name = "go_bazel_remote",
        modules = "@go_modules//:go.mod",
        package = "github.com/buchgr/bazel-remote/v2",
        program = "bazel-remote",
    )
    go_tool_repo(
        name = "go_crane",
        modules = "@go_modules//:go.mod",
        package = "github.com/google/go-containerregistry/cmd/crane",
        program = "crane",
    )
    go_tool_repo(
        name = "go_pubsub",
        srcs = [Label("//toolchains/go:pubsub/main.go")],
        modules = "@go_pubsub_modules//:go.mod",
        package = ".",
        program = "pubsub",
    )
