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
    go_tool_repo(
        name = "go_bazel_remote",
        package = "github.com/buchgr/bazel-remote/v2",
        program = "bazel-remote",
    )
    go_tool_repo(
        name = "go_crane",
        package = "github.com/google/go-containerregistry/cmd/crane",
        program = "crane",
    )
