"""The base images: what a container started from them finds, and what it must not find."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tarfile

import pytest

_JAVA_HOME = "usr/lib/jvm/java-17-openjdk-amd64"
_STATIC = {"base-files", "media-types", "netbase", "tzdata"}


@dataclasses.dataclass
class Image:
    """An image with its layers laid over one another: the last entry of a path counts."""

    config: dict[str, object]
    history: list[str]
    entries: dict[str, tarfile.TarInfo]
    contents: dict[str, bytes]

    def text(self, path: str) -> str:
        return self.contents[path].decode()


def read(name: str) -> Image:
    (layout,) = pathlib.Path(os.environ["TEST_SRCDIR"]).glob(f"*/images/base/{name}")

    def blob(digest: str) -> pathlib.Path:
        return layout / "blobs" / digest.replace(":", "/")

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    config = json.loads(blob(manifest["config"]["digest"]).read_text())
    image = Image(config["config"], [step["created_by"] for step in config["history"]], {}, {})
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer["digest"])) as archive:
            for entry in archive:
                path = entry.name.removeprefix("./")
                image.entries[path] = entry
                file = archive.extractfile(entry) if entry.isreg() and entry.size < 100_000 else None
                if file:
                    image.contents[path] = file.read()
    return image


@pytest.fixture(name="java", scope="module")
def _java() -> Image:
    return read("java17_debian12")


@pytest.fixture(name="python", scope="module")
def _python() -> Image:
    return read("python_debian12")


@pytest.fixture(name="image", params=["java17_debian12", "python_debian12"], scope="module")
def _image(request: pytest.FixtureRequest) -> Image:
    return read(request.param)


def test_the_user_is_nonroot_who_is_known_and_owns_the_working_directory(image: Image) -> None:
    assert image.config["User"] == "65532"
    assert image.config["WorkingDir"] == "/home/nonroot"
    assert "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n" in image.text("etc/passwd")
    assert "nonroot:x:65532:\n" in image.text("etc/group")
    home = image.entries["home/nonroot"]
    assert (home.uid, home.gid, home.mode) == (65532, 65532, 0o700)


def test_folders_have_the_modes_of_a_debian_system(image: Image) -> None:
    modes = {path: (entry.mode, entry.uid, entry.gid) for path, entry in image.entries.items() if entry.isdir()}
    assert modes["tmp"] == (0o1777, 0, 0)
    assert modes["var/tmp"] == (0o1777, 0, 0)
    assert modes["root"] == (0o700, 0, 0)
    for path in ("etc", "etc/ssl/certs", "home", "lib", "usr", "usr/bin", "usr/lib", "var", "var/lib/dpkg"):
        assert modes[path] == (0o755, 0, 0), path


def test_names_are_resolved_and_the_release_is_known(image: Image) -> None:
    assert "hosts:          files dns\n" in image.text("etc/nsswitch.conf")
    assert image.entries["etc/os-release"].linkname == "../usr/lib/os-release"
    release = dict(line.split("=", 1) for line in image.text("usr/lib/os-release").splitlines())
    assert release["ID"] == '"debian"'
    assert release["VERSION_ID"] == '"12"'


def test_there_is_no_shell_and_no_package_manager(image: Image) -> None:
    for program in ("sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "perl", "openssl"):
        for folder in ("bin", "sbin", "usr/bin", "usr/sbin", "busybox"):
            assert f"{folder}/{program}" not in image.entries


def test_scanners_find_every_package_that_is_a_layer(image: Image) -> None:
    layers = {step.rpartition(":")[2].removesuffix("_amd64.tar") for step in image.history if "//toolchains/debian:" in step}
    status = {
        path.rpartition("/")[2] for path in image.entries if path.startswith("var/lib/dpkg/status.d/") and not path.endswith(".md5sums")
    }
    assert layers == status
    assert layers > _STATIC
    for package in layers:
        assert f"Package: {package}\n" in image.text(f"var/lib/dpkg/status.d/{package}")


def test_history_names_no_repository(image: Image) -> None:
    assert all(step.startswith(("bazel build //toolchains/debian:", "bazel build //images/base:")) for step in image.history)


def test_every_library_of_the_linker_is_there(image: Image) -> None:
    assert image.entries["lib64/ld-linux-x86-64.so.2"].linkname == "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    for library in ("libc.so.6", "libm.so.6", "libgcc_s.so.1", "libz.so.1", "libcrypt.so.1"):
        assert f"lib/x86_64-linux-gnu/{library}" in image.entries
    assert "usr/lib/x86_64-linux-gnu/libstdc++.so.6" in image.entries
    assert "usr/lib/locale/C.utf8/LC_CTYPE" in image.entries


def test_java_starts_by_its_usual_name(java: Image) -> None:
    assert java.config["Entrypoint"] == ["/usr/bin/java", "-jar"]
    assert java.entries["usr/bin/java"].linkname == f"/{_JAVA_HOME}/bin/java"
    assert java.entries[f"{_JAVA_HOME}/bin/java"].mode == 0o755
    assert "Cmd" not in java.config


def test_java_takes_its_trust_from_the_keystore_of_the_image(java: Image) -> None:
    assert java.entries[f"{_JAVA_HOME}/lib/security/cacerts"].linkname == "/etc/ssl/certs/java/cacerts"
    assert java.entries["etc/ssl/certs/java/cacerts"].mode == 0o644


def test_the_environment_names_the_version_of_java_that_is_there(java: Image) -> None:
    (version,) = [line for line in java.text(f"{_JAVA_HOME}/release").splitlines() if line.startswith("JAVA_VERSION=")]
    assert java.config["Env"] == [
        "LANG=C.UTF-8",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
        version.replace('"', ""),
    ]
    assert "etc/ssl/certs/ca-certificates.crt" in java.entries


def test_the_python_image_brings_no_interpreter(python: Image) -> None:
    assert "Entrypoint" not in python.config
    assert not [path for path in python.entries if path.startswith(("usr/bin/python", "usr/lib/python"))]
