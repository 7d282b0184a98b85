"""The trust store of Java in the images: what it holds, and that TLS depends on it. Run on the base image that all Java services have."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from images.base import certificates
from shuffler.e2e import loader
from shuffler.e2e.certificate_authority import CertificateAuthority
from tools.containers.bundle import Mount
from tools.containers.container import Container
from tools.containers.layers import Root

KEYSTORE = "/etc/ssl/certs/java/cacerts"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?")


@pytest.fixture(scope="module")
def package() -> dict[str, bytes]:
    """The certificates of Debian's package ca-certificates: file -> DER."""
    files, _ = certificates.read_package(loader.data("CA_CERTIFICATES"))
    return {name: certificates.decode_pem(pem, name) for name, pem in files.items()}


def _der(pems: str) -> list[bytes]:
    return sorted(ssl.PEM_cert_to_DER_cert(pem) for pem in _PEM.findall(pems))


def _run(root: Root, bundle: Path, *args: str) -> str:
    with Container(root, bundle, args=args) as container:
        assert container.wait() == 0, container.stdout + container.stderr
        return container.stdout


def test_keytool_and_the_bundle_list_the_certificates_of_the_package(root: Root, bundle: Path, package: dict[str, bytes]) -> None:
    keytool = root.resolve("/usr/bin/java").removesuffix("java") + "keytool"
    listed = _run(root, bundle, keytool, "-J-Duser.language=en", "-list", "-rfc", "-cacerts", "-storepass", "changeit")
    assert _der(listed) == sorted(package.values())
    assert _der(root.file(BUNDLE).read_text(encoding="ascii")) == sorted(package.values())
    assert len(package) > 100


def _ask(root: Root, folder: Path, authority: CertificateAuthority, mounts: Sequence[Mount] = ()) -> str:
    """What TlsProbe of the image's Java says about a server with a certificate of AUTHORITY."""
    probe = Mount(Path(loader.data("TLS_PROBE")), "/tmp/tls_probe.jar")
    with Container(root, folder, args=["java", "-cp", probe.path, "TlsProbe"], mounts=[probe, *mounts]) as container:
        with authority.serve(container) as url:
            container.write(url + "\n")
            assert container.wait() == 0, container.stdout + container.stderr
        return container.stdout


def test_tls_works_if_the_root_is_in_the_store_and_fails_otherwise(root: Root, tmp_path: Path, package: dict[str, bytes]) -> None:
    authority = CertificateAuthority(tmp_path)
    unknown = _ask(root, tmp_path / "unknown", authority)
    assert "unable to find valid certification path to requested target" in unknown

    more = package | {"test": ssl.PEM_cert_to_DER_cert(authority.certificate.decode())}
    (tmp_path / "cacerts").write_bytes(certificates.keystore(more))
    known = _ask(root, tmp_path / "known", authority, [Mount(tmp_path / "cacerts", KEYSTORE)])
    assert known == "status 204\n"
