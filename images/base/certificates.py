"""Makes the layer of a trust store out of Debian's package ca-certificates: the bundle of OpenSSL and others, or Java's keystore.

For actions (certificates.bzl). Standard library and ocilib only. Both stores hold every certificate of the package, as they do on a Debian
system where the packages ca-certificates and ca-certificates-java are installed and nothing was chosen by hand.
"""

from __future__ import annotations

import argparse
import binascii
import calendar
import hashlib
import os
import re
import struct
import sys
import time

from ocilib import tarcheck, tarwriter
from ocilib.errors import Error

_CERTIFICATES = "usr/share/ca-certificates/"
_COPYRIGHT = "usr/share/doc/ca-certificates/copyright"
_PEM = re.compile(rb"\s*-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END CERTIFICATE-----\s*")

# Tags of X.690: universal types, and the tag [0] EXPLICIT.
_INTEGER, _SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x02, 0x30, 0x17, 0x18, 0xA0

# The format of sun.security.provider.JavaKeyStore in OpenJDK. Version 2; entries of trusted certificates have tag 2. Its password only
# protects against accidents, and this is the one that every JDK tries by itself: https://openjdk.org/jeps/319.
_JKS_MAGIC, _JKS_VERSION, _JKS_TRUSTED = 0xFEEDFEED, 2, 2
_JKS_PASSWORD = "changeit"
_JKS_SALT = b"Mighty Aphrodite"


class CertificateError(Error):
    """A package whose certificates cannot be read."""


def read_package(path: str) -> tuple[dict[str, bytes], bytes]:
    """Reads certificates and copyright of the layer of ca-certificates.

    Returns:
        The .crt files by their path below usr/share/ca-certificates, sorted by the bytes of the path; and the copyright file.

    Raises:
        CertificateError: there are none.
        TarError: PATH is damaged.
    """
    certificates = {}
    copyright_file = b""
    with open(path, "rb") as layer:
        for member in tarcheck.members(layer, os.path.basename(path)):
            name = member.path.removeprefix("./")
            if member.kind == "file" and (name == _COPYRIGHT or (name.startswith(_CERTIFICATES) and name.endswith(".crt"))):
                position = layer.tell()
                layer.seek(member.offset)
                data = layer.read(member.size)
                layer.seek(position)
                if name == _COPYRIGHT:
                    copyright_file = data
                else:
                    certificates[name.removeprefix(_CERTIFICATES)] = data
    if not certificates or not copyright_file:
        raise CertificateError(
            f"{os.path.basename(path)}: expected files {_CERTIFICATES}**.crt and {_COPYRIGHT} in the layer of ca-certificates"
        )
    return {name: certificates[name] for name in sorted(certificates, key=os.fsencode)}, copyright_file


def bundle(certificates: dict[str, bytes]) -> bytes:
    """The file /etc/ssl/certs/ca-certificates.crt as update-ca-certificates makes it: one after the other, each with a final newline."""
    return b"".join(data if data.endswith(b"\n") else data + b"\n" for data in certificates.values())


def decode_pem(pem: bytes, name: str) -> bytes:
    """Returns the DER of a file that has exactly one PEM certificate (RFC 7468); NAME is for messages.

    Raises:
        CertificateError: it has not.
    """
    match = _PEM.fullmatch(pem)
    if not match:
        raise CertificateError(f"{name}: expected exactly one PEM certificate")
    text = b"".join(match[1].split())
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error as error:
        raise CertificateError(f"{name}: bad base64: {error}") from error
    if binascii.b2a_base64(data, newline=False) != text:
        raise CertificateError(f"{name}: bad base64: characters after the padding")
    return data


def not_before(certificate: bytes, name: str) -> int:
    """Returns the start of a certificate's validity in seconds since 1970 (RFC 5280, 4.1); NAME is for messages.

    Raises:
        CertificateError: CERTIFICATE is no DER of an X.509 certificate, or has bytes behind it.
    """
    body, rest = _element(certificate, _SEQUENCE, name)
    if rest:
        raise CertificateError(f"{name}: {len(rest)} bytes follow the certificate")
    fields, _ = _element(body, _SEQUENCE, name)
    if fields[:1] == bytes([_VERSION]):
        _, fields = _element(fields, _VERSION, name)
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serial number, signature algorithm, issuer
        _, fields = _element(fields, tag, name)
    validity, _ = _element(fields, _SEQUENCE, name)
    if validity[:1] == bytes([_GENERALIZED_TIME]):
        text, pattern = _element(validity, _GENERALIZED_TIME, name)[0], r"\d{14}Z"
    else:
        text, pattern = _element(validity, _UTC_TIME, name)[0], r"\d{12}Z"
    moment = text.decode("latin-1")
    if not re.fullmatch(pattern, moment, re.ASCII):
        raise CertificateError(f"{name}: the validity begins at {moment!r}; expected the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")
    if len(moment) == 13:
        # RFC 5280, 4.1.2.5.1: two digits of a year mean 1950 to 2049.
        moment = ("19" if moment >= "50" else "20") + moment
    try:
        return calendar.timegm(time.strptime(moment, "%Y%m%d%H%M%SZ"))
    except ValueError as error:
        raise CertificateError(f"{name}: the validity begins at {moment!r}, which is no date") from error


def _element(data: bytes, tag: int, name: str) -> tuple[bytes, bytes]:
    """Splits DER (X.690) after its first element; returns the content of that, which has to have TAG, and the rest."""
    if not data or data[0] != tag:
        found = f"0x{data[0]:02x}" if data else "nothing"
        raise CertificateError(f"{name}: damaged certificate: expected a DER element with tag 0x{tag:02x}, found {found}")
    size, start = data[1] if len(data) > 1 else -1, 2
    if size > 0x80:
        start += size & 0x7F
        field = data[2:start]
        size = int.from_bytes(field, "big")
        # DER has one form only: the shortest.
        if len(field) != start - 2 or field[0] == 0 or size < 0x80:
            size = -1
    elif size == 0x80:
        size = -1
    if size < 0 or start + size > len(data):
        raise CertificateError(f"{name}: damaged certificate: bad or too large length of the element with tag 0x{tag:02x}")
    return data[start : start + size], data[start + size :]


def alias(path: str) -> str:
    """The name in the keystore of the certificate file PATH: that of ca-certificates-java, in lower case since Java seeks it so."""
    name = os.path.basename(path).removesuffix(".crt")
    # update-ca-certificates gives the file this name in /etc/ssl/certs.
    name = name.translate(str.maketrans(" (),", "_==_"))
    return f"debian:{name}.pem".lower()


def keystore(certificates: dict[str, bytes]) -> bytes:
    """The file /etc/ssl/certs/java/cacerts: a Java keystore of the DER certificates, by alias, in their order.

    An entry has a date, of creation: here the start of the certificate's validity, so that the clock has no part in it.

    Raises:
        CertificateError: a certificate is damaged.
    """
    parts = [struct.pack(">III", _JKS_MAGIC, _JKS_VERSION, len(certificates))]
    for name, certificate in certificates.items():
        parts.append(struct.pack(">I", _JKS_TRUSTED) + _utf(name))
        parts.append(struct.pack(">q", not_before(certificate, name) * 1000) + _utf("X.509"))
        parts.append(struct.pack(">I", len(certificate)) + certificate)
    content = b"".join(parts)
    return content + hashlib.sha1(_JKS_PASSWORD.encode("utf-16-be") + _JKS_SALT + content, usedforsecurity=False).digest()


def _utf(text: str) -> bytes:
    """java.io.DataOutput.writeUTF, whose modified UTF-8 is UTF-8 for what is neither NUL nor beyond U+FFFF."""
    if any(not 0 < ord(character) <= 0xFFFF for character in text):
        raise CertificateError(f"{text!r}: no name for a keystore's entry: it has a NUL or a character beyond U+FFFF")
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def write_bundle_layer(writer: tarwriter.TarWriter, certificates: dict[str, bytes], copyright_file: bytes) -> None:
    """Writes the layer with the bundle and, as distroless does, the copyright file of the package."""
    for directory in ("etc/ssl", "etc/ssl/certs"):
        writer.directory(directory)
    writer.file("etc/ssl/certs/ca-certificates.crt", bundle(certificates))
    writer.directory(os.path.dirname(_COPYRIGHT))
    writer.file(_COPYRIGHT, copyright_file)


def write_keystore_layer(writer: tarwriter.TarWriter, certificates: dict[str, bytes]) -> None:
    """Writes the layer with the keystore, which belongs above that with the bundle.

    Raises:
        CertificateError: a certificate is damaged, or two would have the same alias.
    """
    by_alias: dict[str, bytes] = {}
    for name, pem in certificates.items():
        if alias(name) in by_alias:
            raise CertificateError(f"{name}: a second certificate with the alias {alias(name)!r}")
        by_alias[alias(name)] = decode_pem(pem, name)
    writer.directory("etc/ssl/certs/java")
    writer.file("etc/ssl/certs/java/cacerts", keystore(by_alias))


def main(arguments: list[str]) -> None:
    """Runs the command; raises what the functions above raise, which run.py of ocilib makes one line of."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--package", required=True, help="layer of the package ca-certificates")
    parser.add_argument("--store", required=True, choices=["bundle", "keystore"], help="what the layer is to hold")
    parser.add_argument("--output", required=True, help="the layer, an uncompressed tar")
    options = parser.parse_args(arguments)
    certificates, copyright_file = read_package(options.package)
    with open(options.output, "wb") as output, tarwriter.TarWriter(output) as writer:
        if options.store == "bundle":
            write_bundle_layer(writer, certificates, copyright_file)
        else:
            write_keystore_layer(writer, certificates)


if __name__ == "__main__":
    main(sys.argv[1:])
