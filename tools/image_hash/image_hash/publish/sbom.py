"""A software bill of materials for an image: SPDX 2.3 as JSON (https://spdx.github.io/spdx-spec/v2.3/).

It names what is in the image: our own code, and each external input of the locks that the image holds. Compilers and other tools, which are
not in it, are in the provenance.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from image_hash import releases
from image_hash.publish import inputs

MEDIA_TYPE = "application/spdx+json"
PROJECT = "com_google_ondevicepersonalization_federatedcompute"

_OPERATORS = ("AND", "OR", "WITH")
_DISTRIBUTION = "debian-12"
_LICENCE = "Apache-2.0"
_DOCUMENT = "SPDXRef-DOCUMENT"
_IMAGE = "SPDXRef-Image"
_PROJECT = "SPDXRef-Project"
_COMMENT = (
    "Checksums of packages are those of the files that the locks name (.deb, .jar, .whl), whose content the image holds; that of the image "
    "is the digest of its manifest."
)
# Where the licence texts are in the image; NOTICE says the same.
_TEXTS = {
    "deb": "/usr/share/doc/{name}/copyright",
    "maven": "META-INF of the jar {name}, below BOOT-INF/lib of the application's jar",
    "wheel": "the folder .dist-info of {name}",
}


def document(name: str, image: releases.Image, version: str, commit: str, created: str, found: Sequence[inputs.Input]) -> bytes:
    """The SBOM of an image.

    Args:
        name: of the image, such as collector.
        image: its digests.
        version: of the release.
        commit: that it was built from.
        created: time of the commit, in UTC: 2026-01-31T12:00:00Z. SPDX wants a time; this one is the same for everybody.
        found: all inputs.
    """
    contained = inputs.of_image(found, name)
    packages = [_image_package(name, image, version), _project_package(version, commit), *map(_package, contained)]
    content: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"{name}_image-{version}",
        "comment": _COMMENT,
        "creationInfo": {"created": created, "creators": [f"Tool: image_hash-{version}"]},
        "packages": packages,
        "hasExtractedLicensingInfos": _licence_references(contained),
        "relationships": [
            _relationship(_DOCUMENT, "DESCRIBES", _IMAGE),
            *(_relationship(_IMAGE, "CONTAINS", package["SPDXID"]) for package in packages[1:]),
        ],
    }
    # A namespace is unique to the content.
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    content["documentNamespace"] = f"https://spdx.org/spdxdocs/{name}_image-{version}-{digest}"
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _image_package(name: str, image: releases.Image, version: str) -> dict[str, Any]:
    return _described(
        f"{name}_image",
        _IMAGE,
        version,
        image.image_hash.removeprefix("sha256:"),
        f"pkg:oci/{name}_image@{image.image_hash.replace(':', '%3A')}",
    ) | {"primaryPackagePurpose": "CONTAINER"}


def _project_package(version: str, commit: str) -> dict[str, Any]:
    return {
        "name": PROJECT,
        "SPDXID": _PROJECT,
        "versionInfo": version,
        "sourceInfo": f"built from the commit {commit}",
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": _LICENCE,
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "APPLICATION",
    }


def _package(item: inputs.Input) -> dict[str, Any]:
    package = _described(item.name, f"SPDXRef-{item.kind}-{item.sha256}", item.version, item.sha256, item.purl(_DISTRIBUTION))
    if _is_expression(item.licence):
        return package | {"licenseDeclared": item.licence}
    return package | {"licenseComments": item.licence}


def _described(name: str, identifier: str, version: str, sha256: str, purl: str) -> dict[str, Any]:
    return {
        "name": name,
        "SPDXID": identifier,
        "versionInfo": version,
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def _is_expression(licence: str) -> bool:
    """Whether it is an SPDX expression, and not words such as "see copyright file"."""
    words = re.findall(r"[^\s()]+", licence)
    return all((word in _OPERATORS) == (position % 2 == 1) for position, word in enumerate(words))


def _licence_references(contained: Sequence[inputs.Input]) -> list[dict[str, str]]:
    places: dict[str, list[str]] = {}
    for item in contained:
        for reference in re.findall(r"LicenseRef-[A-Za-z0-9.-]+", item.licence if _is_expression(item.licence) else ""):
            places.setdefault(reference, []).append(_TEXTS[item.kind].format(name=_short(item)))
    return [
        {
            "licenseId": reference,
            "name": reference.removeprefix("LicenseRef-"),
            "extractedText": f"The text is in the image: {'; '.join(sorted(set(found)))}",
        }
        for reference, found in sorted(places.items())
    ]


def _short(item: inputs.Input) -> str:
    return item.name.split(":")[1] if item.kind == "maven" else item.name


def _relationship(source: str, kind: str, target: str) -> Mapping[str, str]:
    return {"spdxElementId": source, "relationshipType": kind, "relatedSpdxElement": target}
