"""The trust stores of the images: what OpenSSL and Java read of them is what the package ca-certificates has."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import ssl
import subprocess
import tarfile


def runfile(pattern: str) -> pathlib.Path:
    found = sorted(pathlib.Path(os.environ["TEST_SRCDIR"]).glob(pattern))
    assert found, pattern
    return found[0]


def member(layer: str, path: str) -> bytes:
    with tarfile.open(runfile(f"*/{layer}")) as archive:
        file = archive.extractfile(path)
        assert file
        return file.read()


def in_package() -> set[bytes]:
    """SHA-256 of every certificate of the package."""
    with tarfile.open(runfile("*/toolchains/debian/ca-certificates_amd64.tar")) as archive:
        files = [archive.extractfile(entry) for entry in archive if re.fullmatch(r"\./usr/share/ca-certificates/.*\.crt", entry.name)]
        return {hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read().decode())).digest() for file in files if file}


def test_openssl_reads_the_bundle_and_finds_all_certificates_of_the_package(tmp_path: pathlib.Path) -> None:
    bundle = tmp_path / "ca-certificates.crt"
    bundle.write_bytes(member("images/base/ca_certificates.tar", "etc/ssl/certs/ca-certificates.crt"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(bundle)
    found = {hashlib.sha256(der).digest() for der in context.get_ca_certs(binary_form=True)}
    assert len(found) > 100
    assert found == in_package()


def test_keytool_reads_the_keystore_and_finds_all_certificates_of_the_package(tmp_path: pathlib.Path) -> None:
    keystore = tmp_path / "cacerts"
    keystore.write_bytes(member("images/base/java_keystore.tar", "etc/ssl/certs/java/cacerts"))
    keytool = runfile("*remotejdk17_linux/usr/lib/jvm/java-17-openjdk-amd64/bin/keytool")
    # Its own launcher finds the JDK from where it really is.
    command = [str(keytool.resolve()), "-J-Duser.language=en", "-list", "-keystore", str(keystore), "-storepass", "changeit"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"SHA-256\): ([0-9A-F:]{95})", printed)
    assert len(found) == len(set(found))
    assert {bytes.fromhex(fingerprint.replace(":", "")) for fingerprint in found} == in_package()
    assert "Keystore type: JKS" in printed
