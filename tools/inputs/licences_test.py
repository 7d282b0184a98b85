"""What the distributors say about licences, and the SPDX expression of it."""

import io
import pathlib
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence

import pytest
from image_hash import errors

from tools.inputs import licences, locks


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Expat", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("The Apache Software License, Version 2.0", "Apache-2.0"),
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-3+", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("GPL-2 with Classpath exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GPL-2+ with Libtool exception", "GPL-2.0-or-later WITH Libtool-exception"),
        ("APACHE-2-LLVM-EXCEPTIONS", "Apache-2.0 WITH LLVM-exception"),
        ("BSD-3-clause-Carnegie", "LicenseRef-BSD-3-clause-Carnegie"),
        ("GPL-2+-with-link-exception", "LicenseRef-GPL-2-or-later-with-link-exception"),
    ],
)
def test_a_licence_has_its_spdx_identifier_whatever_it_is_called(name: str, expected: str) -> None:
    assert licences.identifier(name) == expected


def test_a_machine_readable_copyright_file_gives_the_licences_of_its_files_but_not_of_the_packaging() -> None:
    text = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: GPL-1+ or Artistic, and Expat
 text

Files: b
 c
Copyright: somebody
License: ISC and Zlib

Files: debian/*
Copyright: packager
License: GPL-3

License: GPL-1+
 text
"""
    assert licences.debian_copyright(text) == "(GPL-1.0-or-later OR LicenseRef-Artistic) AND ISC AND MIT AND Zlib"


def test_a_copyright_file_in_prose_is_referred_to() -> None:
    text = "This is free; see /usr/share/common-licenses/LGPL-2.1.\nand /usr/share/common-licenses/GPL-2 too"
    assert licences.debian_copyright(text) == "see copyright file (refers to GPL-2, LGPL-2.1)"
    assert licences.debian_copyright("Do as you like.") == "see copyright file"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: BSD", "MIT OR Apache-2.0"),
        ("License: Apache 2.0\nClassifier: License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        ("License: some text of\n        many lines\nClassifier: License :: OSI Approved :: MIT License", "MIT"),
        ("License: BSD\nClassifier: License :: OSI Approved :: BSD License", "LicenseRef-BSD"),
        ("Classifier: Programming Language :: Python", "see licence files in the wheel"),
    ],
)
def test_the_metadata_of_a_wheel_states_its_licence(headers: str, expected: str) -> None:
    assert licences.wheel_metadata(f"Metadata-Version: 2.1\nName: x\n{headers}\n\nDescription") == expected


_POM = '<project xmlns="http://maven.apache.org/POM/4.0.0">%s</project>'
_PARENT = "<parent><groupId>g</groupId><artifactId>%s</artifactId><version>1</version></parent>"
_LICENCES = "<licenses><license><name>EPL-2.0</name></license><license><name>GPL2 w/ CPE</name></license></licenses>"


def test_a_maven_artifact_has_the_licences_of_the_nearest_pom_that_states_some() -> None:
    poms = {
        "g:own:1": _POM % _LICENCES,
        "g:child:1": _POM % (_PARENT % "middle"),
        "g:middle:1": _POM % (_PARENT % "top"),
        "g:top:1": _POM % "<licenses><license><name>The MIT License</name></license></licenses>",
        "g:orphan:1": _POM % "",
    }
    asked = []

    def fetch(coordinates: Sequence[str]) -> Mapping[str, str]:
        asked.append(list(coordinates))
        return poms

    assert licences.of_maven(["g:own:1", "g:child:1", "g:orphan:1"], fetch) == {
        "g:own:1": "EPL-2.0 OR GPL-2.0-only WITH Classpath-exception-2.0",
        "g:child:1": "MIT",
        "g:orphan:1": "see licence files in the jar",
    }
    assert asked == [["g:child:1", "g:orphan:1", "g:own:1"], ["g:middle:1"], ["g:top:1"]]


def _deb(path: pathlib.Path, members: Mapping[str, str | bytes]) -> None:
    """A data tar with files (bytes) and links (str); dpkg-deb is replaced by a program that prints it."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def test_the_licence_of_a_package_may_be_in_another(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "./usr/share/doc/"
    _deb(tmp_path / "base", {folder + "base/copyright": b"see /usr/share/common-licenses/GPL-3", "./later": b"x" * 5_000_000})
    _deb(tmp_path / "library", {folder + "library": "base"})
    _deb(tmp_path / "linked", {folder + "linked/copyright": "../library/copyright"})
    _deb(tmp_path / "none", {"./usr/bin/none": b""})
    opened = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: opened(["cat", command[-1]], **options))
    inputs = [locks.Input(locks.DEB, name, "1", "", 0, ("debian12_sysroot",)) for name in ("base", "library", "linked", "none")]

    found = licences.read(inputs, lambda item: tmp_path / item.name)

    see = "see copyright file (refers to GPL-3)"
    assert found == {"deb base 1": see, "deb library 1": see, "deb linked 1": see, "deb none 1": "see copyright file"}


def test_a_file_that_is_no_wheel_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"no zip")
    item = locks.Input(locks.WHEEL, "x", "1", "", 0, ("pypi_x",))
    with pytest.raises(errors.CheckError, match="wheel x 1: its licence cannot be read"):
        licences.read([item], lambda _: tmp_path / "x.whl")


def test_wheels_and_npm_packages_are_read_from_their_files(tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as wheel:
        wheel.writestr("x-1.dist-info/METADATA", "License-Expression: 0BSD\n\n")
    package = b'{"license": "ISC"}'
    with tarfile.open(tmp_path / "y", "w:gz") as tar:
        info = tarfile.TarInfo("package/package.json")
        info.size = len(package)
        tar.addfile(info, io.BytesIO(package))
    inputs = [locks.Input(locks.WHEEL, "x", "1", "", 0, ("pypi_x",)), locks.Input(locks.NPM, "y", "1", "", 0, ("npm_y",))]
    assert licences.read(inputs, lambda item: tmp_path / item.name) == {"wheel x 1": "0BSD", "npm y 1": "ISC"}


@pytest.mark.parametrize(
    ("texts", "licence"),
    [
        ({"LICENSE": "  Apache License\n  Version 2.0, January 2004"}, "Apache-2.0"),
        ({"LICENSE.md": "Redistribution and use in source\nand binary forms ... Neither the name of"}, "BSD-3-Clause"),
        ({"COPYING": "Redistribution and use in source and binary forms ... PROVIDED"}, "BSD-2-Clause"),
        (
            {"License": "Permission is hereby granted, free\nof charge", "LICENSE.libyaml": "Apache License Version 2.0"},
            "Apache-2.0 AND MIT",
        ),
        ({"README": "MIT", "vendored/LICENSE": "Apache License Version 2.0"}, "see licence files in the module"),
    ],
)
def test_the_licence_of_a_go_module_is_told_by_its_texts(tmp_path: pathlib.Path, texts: Mapping[str, str], licence: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as module:
        for name, text in texts.items():
            module.writestr(f"example.org/x@v1.0.0/{name}", text)
    item = locks.Input(locks.GO, "example.org/x", "v1.0.0", "", 0, ("go_modules",))
    assert licences.read([item], lambda _: tmp_path / "x.zip") == {"go example.org/x v1.0.0": licence}
