"""certificates: the three trust stores hold the same, and both Java and OpenSSL read ours."""

from __future__ import annotations

import base64
import hashlib
import pathlib
import struct

import pytest
from ocilib.errors import Error
from ocilib.tarwriter import TarWriter

from images.base import certificates

_NAME = "mozilla/Test (Root), 1.crt"


def element(tag: int, *content: bytes) -> bytes:
    data = b"".join(content)
    length = (
        bytes([len(data)])
        if len(data) < 0x80
        else bytes([0x82]) + struct.pack(">H", len(data))
        if len(data) > 0xFF
        else bytes([0x81, len(data)])
    )
    return bytes([tag]) + length + data


def certificate(moment: bytes = element(0x17, b"260711101637Z"), version: bytes = element(0xA0, element(2, b"\2"))) -> bytes:
    """The DER of a certificate as far as its validity; what follows is not looked at."""
    fields = [
        version,
        element(2, b"\1"),
        element(0x30),
        element(0x30),
        element(0x30, moment, element(0x17, b"400101000000Z")),
        element(0x30, bytes(200)),
    ]
    return element(0x30, element(0x30, *fields), element(0x30), element(3, b"\0"))


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (element(0x17, b"700101000001Z"), 1),
        (element(0x17, b"500101000000Z"), -631152000),
        (element(0x17, b"491231235959Z"), 2524607999),
        (element(0x18, b"20500101000000Z"), 2524608000),
    ],
)
def test_the_validity_is_read_in_both_forms_and_centuries(moment: bytes, seconds: int) -> None:
    assert certificates.not_before(certificate(moment), "x") == seconds


def test_a_certificate_of_version_1_has_no_version() -> None:
    assert certificates.not_before(certificate(version=b""), "x") == certificates.not_before(certificate(), "x")


@pytest.mark.parametrize(
    ("der", "message"),
    [
        (b"", "expected a DER element with tag 0x30, found nothing"),
        (certificate()[:-1], "bad or too large length"),
        (certificate() + b"\0", "1 bytes follow the certificate"),
        (b"\x31" + certificate()[1:], "expected a DER element with tag 0x30, found 0x31"),
        (b"\x30\x80" + certificate()[4:], "bad or too large length"),  # indefinite: BER
        (b"\x30\x81\x05" + bytes(5), "bad or too large length"),  # not the shortest form
        (b"\x30\x83\x00\x01\x00" + bytes(256), "bad or too large length"),
        (b"\x30\x84\x01", "bad or too large length"),
        (certificate(element(0x17, b"2607111016Z")), "the validity begins at '2607111016Z'"),
        (certificate(element(0x17, b"261311101637Z")), "which is no date"),
        (certificate(element(0x18, b"260711101637Z")), "expected the form"),
    ],
)
def test_a_damaged_certificate_is_refused_in_one_line(der: bytes, message: str) -> None:
    with pytest.raises(certificates.CertificateError, match=f"^x.crt: .*{message}") as caught:
        certificates.not_before(der, "x.crt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"", pem(b"x") * 2, pem(b"x").replace(b"eA==", b"eA="), pem(b"x").replace(b"eA==", b"eA==eA=="), b"junk" + pem(b"x")]
)
def test_a_file_that_is_not_one_certificate_is_refused(text: bytes) -> None:
    with pytest.raises(certificates.CertificateError, match="^x.crt: "):
        certificates.decode_pem(text, "x.crt")


def test_the_bundle_ends_every_certificate_with_a_newline() -> None:
    assert certificates.bundle({"a.crt": b"A", "b.crt": b"B\n"}) == b"A\nB\n"


def test_the_package_is_read_in_the_order_of_the_bytes_of_paths(tmp_path: pathlib.Path) -> None:
    package = tmp_path / "package.tar"
    with package.open("wb") as file, TarWriter(file) as writer:
        for name in ("mozilla/b.crt", "mozilla/\u00e9.crt", "mozilla/B.crt", "mozilla/a b.crt", "mozilla/readme"):
            writer.file(f"usr/share/ca-certificates/{name}", name.encode())
        writer.file("usr/share/doc/ca-certificates/copyright", b"MPL")
    found, copyright_file = certificates.read_package(str(package))
    assert list(found) == ["mozilla/B.crt", "mozilla/a b.crt", "mozilla/b.crt", "mozilla/\u00e9.crt"]
    assert copyright_file == b"MPL"


def test_a_layer_without_certificates_is_refused(tmp_path: pathlib.Path) -> None:
    package = tmp_path / "package.tar"
    with package.open("wb") as file, TarWriter(file) as writer:
        writer.file("usr/share/doc/ca-certificates/copyright", b"MPL")
    with pytest.raises(Error, match=r"^package.tar: expected files"):
        certificates.read_package(str(package))


def test_aliases_are_those_of_ca_certificates_java() -> None:
    assert certificates.alias(_NAME) == "debian:test_=root=__1.pem"


def test_two_files_with_one_alias_are_refused(tmp_path: pathlib.Path) -> None:
    with (
        (tmp_path / "layer.tar").open("wb") as file,
        TarWriter(file) as writer,
        pytest.raises(Error, match="a second certificate with the alias"),
    ):
        certificates.write_keystore_layer(writer, {"mozilla/a.crt": pem(certificate()), "mozilla/A.crt": pem(certificate())})


def test_the_keystore_has_the_bytes_of_the_format() -> None:
    made = certificates.keystore({"debian:\u00e9.pem": certificate()})
    name = "debian:\u00e9.pem".encode()
    expected = struct.pack(">IIIIH", 0xFEEDFEED, 2, 1, 2, len(name)) + name
    expected += struct.pack(">qH", 1783764997000, 5) + b"X.509" + struct.pack(">I", len(certificate())) + certificate()
    assert made[:-20] == expected
    assert made[-20:] == hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + expected).digest()
