"""The conditions that an adverse rebuild varies (DESIGN.md section 9), and Bazel run under any of them.

Each condition says how it wraps Bazel: what is set up first in namespaces of its own, the command that Bazel is run by, options,
environment variables. What is not varied is as in the build that is compared with, paths included: mounts put fresh folders there.
"""

import contextlib
import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from image_hash import errors

from tools.proof import bazel, checkout

_USER = 1000
_HIDDEN = "/mnt"
"""Where the namespaces of a build have a file system of their own: libraries that are preloaded, stubs."""

_STUBBED = (
    # Compilers and binutils
    "/usr/bin/*gcc*",
    "/usr/bin/*g++*",
    "/usr/bin/[cg]++",
    "/usr/bin/cc",
    "/usr/bin/c[89]9",
    "/usr/bin/*cpp*",
    "/usr/bin/*clang*",
    *(
        f"/usr/bin/{prefix}{name}"
        for prefix in ("", "x86_64-linux-gnu-")
        for name in ("ar", "as", "ld", "ld.bfd", "nm", "objcopy", "objdump", "ranlib", "readelf", "strip")
    ),
    # Python
    "/usr/bin/python*",
    # JDK tools, without the virtual machine itself, which is Bazel's own
    "/usr/lib/jvm/*/bin/[!j]*",
    "/usr/lib/jvm/*/bin/j[!a]*",
    "/usr/lib/jvm/*/bin/ja[!v]*",
    "/usr/lib/jvm/*/bin/java?*",
    # Compressors
    *(f"/usr/bin/{name}" for name in ("bzip2", "gzip", "pzstd", "unzip", "xz", "zip", "zstd")),
)


@dataclasses.dataclass(frozen=True)
class Condition:
    """One thing that is varied.

    Attributes:
        name: for a person.
        namespaces: flags of unshare(1) that it needs; any but none needs root.
        setup: Bash lines that are run in the namespaces first.
        command: what Bazel is run by, such as a command that changes the user.
        preload: stem of the library of //tools/proof/shims that all processes load.
        options: of Bazel's build commands.
    """

    name: str
    namespaces: tuple[str, ...] = ()
    setup: str = ""
    command: tuple[str, ...] = ()
    preload: str = ""
    options: tuple[str, ...] = ()


AGAIN = Condition("being built again")
"""The control: nothing is varied. Who differs by this is not reproducible at all, or was not built but taken from a cache."""

# These change where things are, or who owns them: `under` does it.
WORKSPACE_PATH = Condition("workspace path")
OUTPUT_BASE = Condition("output base")
ARCHIVE = Condition("inputs from the archive")
USER = Condition("user", namespaces=("--mount",), command=("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"))

ALL = (
    WORKSPACE_PATH,
    OUTPUT_BASE,
    USER,
    Condition("umask", ("--mount",), preload="umask"),
    Condition(
        "time zone",
        ("--mount",),
        "mount --bind /usr/share/zoneinfo/Asia/Kathmandu $(realpath /etc/localtime)",
        ("env", "TZ=Asia/Kathmandu"),
    ),
    Condition("locale", ("--mount",), preload="locale"),
    Condition("host name", ("--uts",), "hostname another-host.example"),
    Condition("clock", ("--mount",), preload="clock"),
    Condition("jobs", options=("--jobs=1",)),
    Condition("directory order", ("--mount",), preload="directory_order"),
    Condition("network off", ("--net",), "ip link set lo up"),
    ARCHIVE,
    Condition("WORKSPACE mode", options=("--config=workspace",)),
    Condition(
        "tools of the environment",
        ("--mount",),
        rf"""
printf '#!/bin/sh\necho "$0: a stub that fails: no action may use it" >&2\nexit 97\n' >{_HIDDEN}/stub
chmod 755 {_HIDDEN}/stub
shopt -s nullglob
for tool in $(realpath -eq -- {" ".join(_STUBBED)} | sort -u); do mount --bind {_HIDDEN}/stub "$tool"; done
""",
    ),
)
"""Every condition, in the order in which they are tried alone."""


def possible() -> tuple[Condition, ...]:
    """Those that the caller can vary: all as root, else those that need no namespaces."""
    return ALL if os.getuid() == 0 else tuple(condition for condition in ALL if not condition.namespaces)


def script(chosen: Sequence[Condition], binds: Mapping[pathlib.Path, pathlib.Path], shims: pathlib.Path) -> str:
    """The Bash script that prepares the namespaces of a build, says "ready", and waits until it is killed.

    Args:
        chosen: what is varied.
        binds: folder -> where it is to be seen.
        shims: folder of the libraries that can be preloaded.
    """
    lines = ["set -euo pipefail"]
    lines += [f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(target))}" for source, target in binds.items()]
    lines.append(f"mount -t tmpfs -o mode=755 tmpfs {_HIDDEN}")
    lines += [condition.setup for condition in chosen if condition.setup]
    preloaded = [f"lib{condition.preload}.so" for condition in chosen if condition.preload]
    for name in preloaded:
        lines.append(f"install -m 755 {shlex.quote(str(shims / name))} {_HIDDEN}")
    if preloaded:
        # The last: from here on every process loads them.
        lines.append(f"echo {' '.join(f'{_HIDDEN}/{name}' for name in preloaded)} >{_HIDDEN}/preload")
        lines += ["[[ -e /etc/ld.so.preload ]] || : >/etc/ld.so.preload", f"mount --bind {_HIDDEN}/preload /etc/ld.so.preload"]
    return "\n".join([*lines, "echo ready", "exec sleep infinity", ""])


@contextlib.contextmanager
def _namespaces(flags: Sequence[str], lines: str) -> Iterator[tuple[str, ...]]:
    """Namespaces that a script was run in, as long as the context lasts: the command that enters them."""
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", *flags, "--", "bash", "-c", lines]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            assert holder.stderr
            if holder.stdout.readline() != "ready\n":
                said = holder.stderr.read().strip().splitlines()
                raise errors.CheckError(
                    f"the conditions of an adverse rebuild cannot be set up: {' '.join(said) if said else 'no reason given'}"
                )
            yield ("nsenter", f"--target={holder.pid}", *flags)
        finally:
            holder.kill()


@contextlib.contextmanager
def under(first: bazel.Workspace, chosen: Sequence[Condition], archive: pathlib.Path, shims: pathlib.Path) -> Iterator[bazel.Workspace]:
    """A copy of a checkout, with a Bazel that runs under some conditions and shares nothing but verified downloads; gone at the end.

    Args:
        first: the checkout, as Bazel runs in it without any condition.
        chosen: what is varied; without root, workspace path and output base must be among it.
        archive: of inputs; used by that condition only.
        shims: folder of the libraries of //tools/proof/shims.

    Raises:
        errors.CheckError: the conditions cannot be set up here.
    """
    output_base = pathlib.Path(first.run("info", "output_base").strip())
    output_user_root = output_base.parent
    # On the disk of Bazel's own cache: the temporary folder of the build environment is in memory.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="proof.", dir=output_user_root.parent))
    copied, output, home = folder / "a-checkout-elsewhere", folder / "output", folder / "home"
    try:
        folder.chmod(0o755)
        checkout.copy(first.path, copied)
        output.mkdir()
        home.mkdir()
        environment = [f"HOME={home}"]
        if USER in chosen:
            environment += [f"USER=user{_USER}"]
            for path in [copied, output, home, *copied.rglob("*")]:
                os.chown(path, _USER, _USER, follow_symlinks=False)
            for ancestor in folder.parents:
                # Only the way to the folder, not what is in it.
                if ancestor != pathlib.Path("/"):
                    ancestor.chmod(ancestor.stat().st_mode | 0o011)
        binds = {}
        path = copied
        if WORKSPACE_PATH not in chosen:
            binds[copied] = path = first.path
        if OUTPUT_BASE not in chosen:
            binds[output] = output_user_root
        else:
            output_user_root, output_base = output, output / "base"
        options = [option for condition in chosen for option in condition.options]
        if ARCHIVE in chosen:
            # mvn finds its own repository by the user's entry in passwd, whatever HOME says.
            environment += [f"INPUT_ARCHIVE={archive}", f"MAVEN_REPO_LOCAL={home}/m2"]
            options.append("--repository_cache=")
        with contextlib.ExitStack() as stack:
            prefix: tuple[str, ...] = ()
            if os.getuid() == 0:
                flags = sorted({"--mount", *(flag for condition in chosen for flag in condition.namespaces)})
                prefix = (*stack.enter_context(_namespaces(flags, script(chosen, binds, shims))), f"--wdns={path}")
            for condition in chosen:
                prefix += condition.command
            second = bazel.Workspace(
                path=copied,
                startup=(f"--output_user_root={output_user_root}", f"--output_base={output_base}", "--host_jvm_args=-Xmx2g"),
                prefix=(*prefix, "env", *environment),
                options=(*first.options, *options),
                images=first.images,
            )
            yield second
            second.run("shutdown")
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)
