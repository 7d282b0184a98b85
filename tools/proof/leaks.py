"""The adverse rebuild can fail: for each condition a target whose output leaks it is caught, and the condition named.

    bazel run //tools/proof:leaks

Works on a small workspace that it writes, whose actions take a moment. Needs root, as the conditions do. Exit codes:
see tools/image_hash/image_hash/errors.py.
"""

import contextlib
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

from image_hash import errors

from tools.proof import bazel, comparison, conditions

_LEAKS = {
    "workspace path": "readlink -f $SOURCE",
    "output base": "readlink -f . | sed 's,/sandbox/.*,,'",
    "user": "id -u",
    "umask": "umask",
    "time zone": "date +%z",
    "locale": "locale charmap",
    "host name": "uname -n",
    "clock": "date +%Y",
    # Whether two actions that last a while see each other.
    "jobs": "cat $PARTS",
    "directory order": "ls -U /usr",
    "network off": "readlink /proc/self/ns/net",
    "inputs from the archive": "cat $REPOSITORY",
    "WORKSPACE mode": "echo $REPOSITORY",
    "tools of the environment": "gzip --version 2>&1 | head -n 1",
}
"""Name of the condition -> shell command that prints what it varies."""

_RULES = """
def _environment_impl(rctx):
    rctx.file("BUILD.bazel", 'exports_files(["archive"])')
    rctx.file("archive", rctx.os.environ.get("INPUT_ARCHIVE", "none") + "\\n")

environment = repository_rule(implementation = _environment_impl, environ = ["INPUT_ARCHIVE"])

def _leak_impl(ctx):
    parts = []
    for own, other in [("a", "b"), ("b", "a")] if "$PARTS" in ctx.attr.command else []:
        part = ctx.actions.declare_file(ctx.label.name + "_" + own)
        ctx.actions.run_shell(
            outputs = [part],
            command = "PATH=/usr/bin; touch $1; sleep 2; [[ -e $2 ]] && echo together >$3 || echo alone >$3; sleep 2; rm $1",
            arguments = [ctx.attr.folder + "/" + own, ctx.attr.folder + "/" + other, part.path],
            execution_requirements = {"no-sandbox": "1"},
        )
        parts.append(part)
    seen = ctx.actions.declare_file(ctx.label.name + "_seen")
    ctx.actions.run_shell(
        outputs = [seen],
        inputs = parts + [ctx.file.source, ctx.file.repository],
        env = {
            "SOURCE": ctx.file.source.path,
            "REPOSITORY": ctx.file.repository.path,
            "PARTS": " ".join([part.path for part in parts]),
        },
        command = "PATH=/usr/bin; (%s) | tr '\\n' ' ' >%s" % (ctx.attr.command, seen.path),
        # Of a kind of its own, as reasons of their own mostly are.
        mnemonic = "Leak" + "".join([word.capitalize() for word in ctx.label.name.split("_")]),
    )
    output = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [output],
        inputs = [seen],
        command = '''PATH=/usr/bin; printf '{"manifests": [{"digest": "%%s"}]}' "$(cat %s)" >%s/index.json''' % (seen.path, output.path),
        mnemonic = "OCIImage",
    )
    return DefaultInfo(files = depset([output]))

leak = rule(
    implementation = _leak_impl,
    attrs = {
        "command": attr.string(),
        "folder": attr.string(),
        "source": attr.label(allow_single_file = True, default = "//:source"),
        "repository": attr.label(allow_single_file = True, default = "@environment//:archive"),
    },
)
"""

_OPTIONS = """
build --compilation_mode=opt
common --enable_bzlmod --noenable_workspace --lockfile_mode=off
common:workspace --noenable_bzlmod --enable_workspace
"""

_FILES = {
    "source": "",
    ".bazelrc": _OPTIONS,
    "MODULE.bazel": 'module(name = "leaks")\n\nuse_repo_rule("//:leaks.bzl", "environment")(name = "environment")\n',
    "WORKSPACE": 'load("//:leaks.bzl", "environment")\n\nenvironment(name = "environment")\n',
    "leaks.bzl": _RULES,
}


def _label(condition: str) -> str:
    return condition.replace(" ", "_")


@contextlib.contextmanager
def _workspace(folder: pathlib.Path) -> Iterator[bazel.Workspace]:
    path = folder / "leaks"
    path.mkdir()
    meeting = folder / "meeting"
    meeting.mkdir()
    meeting.chmod(0o777)
    targets = [f"leak(name = {_label(name)!r}, command = {command!r}, folder = {str(meeting)!r})\n" for name, command in _LEAKS.items()]
    for name, content in {**_FILES, "BUILD.bazel": 'load(":leaks.bzl", "leak")\n' + "".join(targets)}.items():
        (path / name).write_text(content, "utf-8")
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    workspace = bazel.Workspace(
        path,
        startup=(f"--output_user_root={folder / 'output'}", "--host_jvm_args=-Xmx512m"),
        images={name: f"//:{_label(name)}" for name in _LEAKS},
    )
    try:
        yield workspace
    finally:
        workspace.run("shutdown")
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False, stderr=subprocess.DEVNULL)


def main(argv: list[str]) -> None:
    """Leaks each condition, and expects each leak to be caught by that condition and no other."""
    if argv:
        raise errors.UsageError(f"leaks takes no arguments, found {argv[0]!r}")
    if conditions.possible() != conditions.ALL:
        raise errors.CheckError("expected root in the build environment, which the conditions need; use BUILD_ENGINE=rootfs or podman")
    parent = pathlib.Path.home() / ".cache" / "bazel"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="leaks.", dir=parent) as name, _workspace(pathlib.Path(name)) as first:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        archive = folder / "archive"
        archive.mkdir()
        hashes = first.build()
        with conditions.under(first, conditions.ALL, archive, comparison.shims()) as second:
            missed = sorted({*_LEAKS} - {*comparison.different(hashes, second.build())})
            before = first.sums()
            parted = comparison.partings_of_all(first, second, before)
        if missed:
            raise errors.MismatchError(f"varied together, these leaks are not caught: {', '.join(missed)}")
        print(f"varied together: all {len(_LEAKS)} leaks are caught")
        found = comparison.guilty(first, parted, before, (conditions.AGAIN, *conditions.ALL), archive)
    wrong = 0
    for leak in _LEAKS:
        where = f"bazel-out/k8-opt/bin/{_label(leak)}"
        cause = found.get(leak)
        right = cause is not None and cause.condition == leak and cause.parting.path.startswith(where)
        wrong += not right
        named = f"{cause.condition}, {cause.parting}" if cause else "nothing"
        print(f"leak of {leak}: named {named}{'' if right else ', expected that condition and a file in ' + where}")
    if wrong:
        raise errors.MismatchError(f"{wrong} of {len(_LEAKS)} leaks are not named as they should be")


if __name__ == "__main__":
    errors.run(main)
