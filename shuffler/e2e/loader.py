"""Which files of an image the dynamic linker takes, and which layers they come from."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ocilib.digest import chunks, hash_chunks
from runfiles import Runfiles

from tools.containers.container import Container
from tools.containers.layers import Root

LINKER = "/lib64/ld-linux-x86-64.so.2"

# The package of each library of the system that something in an image needs.
PACKAGES = {
    "libbz2.so.1": "libbz2-1.0",
    "libc++.so.1": "libc++1-16",
    "libc++abi.so.1": "libc++abi1-16",
    "libc.so.6": "libc6",
    "libcrypt.so.1": "libcrypt1",
    "libdl.so.2": "libc6",
    "libgcc_s.so.1": "libgcc-s1",
    "libm.so.6": "libc6",
    "libnsl.so.1": "libc6",
    "libpthread.so.0": "libc6",
    "librt.so.1": "libc6",
    "libstdc++.so.6": "libstdc++6",
    "libunwind.so.1": "libunwind-16",
    "libutil.so.1": "libc6",
    "libuuid.so.1": "libuuid1",
    "libz.so.1": "zlib1g",
}

# soname => path (address). The kernel's own library and the linker itself have no arrow.
_LIBRARY = re.compile(r"^\t(\S+) => (not found|\S+)", re.MULTILINE)


def parse(output: str) -> dict[str, str]:
    """Reads what `LINKER --list FILE` prints: soname -> path in the image, or "not found"."""
    return dict(_LIBRARY.findall(output))


def libraries(root: Root, bundle: Path, path: str) -> dict[str, str]:
    """Asks the image's own linker, as the image's own user, what the file PATH of the image needs, and what that needs. See parse."""
    # The linker looks beside the file that a link leads to, if it is asked for that.
    with Container(root, bundle, args=[LINKER, "--list", root.resolve(path)]) as container:
        assert container.wait() == 0, container.stdout + container.stderr
        return parse(container.stdout)


def data(variable: str) -> str:
    """The file that is data of the test and named in an environment variable."""
    runfiles = Runfiles.Create()
    path = runfiles and runfiles.Rlocation(os.environ[variable])
    assert path, f"{variable}={os.environ[variable]} is not in the data of this test"
    return os.path.realpath(path)


def package_layers() -> dict[str, str]:
    """The Debian packages that are layers (data of the test, named in DEBIAN_LAYERS): diff id -> package."""
    runfiles = Runfiles.Create()
    assert runfiles is not None
    packages = {}
    for name in os.environ["DEBIAN_LAYERS"].split():
        path = runfiles.Rlocation(name)
        assert path is not None
        with open(path, "rb") as layer:
            packages[hash_chunks(chunks(layer.read)).digest()] = Path(name).name.removesuffix("_amd64.tar")
    return packages


def package(root: Root, packages: dict[str, str], path: str) -> str | None:
    """The Debian package that the file PATH of the image comes from, or None; PACKAGES are those of package_layers."""
    return packages.get(root.origin(path).diff_id)
