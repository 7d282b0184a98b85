"""Signatures with a key of one's own: ECDSA on P-256 with SHA-256 (DER), or RSASSA-PSS with SHA-256.

These are algorithms that Confidential Space takes for images that are signed with a fixed key, named as it names them; openssl makes and
checks the same. Nothing is looked up anywhere: who has the public key can check.
"""

import base64
import binascii
import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import exceptions
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from image_hash import errors
from ocilib import jsontext

PASSWORD = "SIGNING_KEY_PASSWORD"
"""The environment variable with the password of an encrypted private key."""

SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
"""Annotation of a layer of a signature object: the signature of the payload, which is the layer's blob, in base64."""

PAYLOAD_MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"

_ECDSA = "ECDSA_P256_SHA256"
_PSS = "RSASSA_PSS_SHA256"
_PAYLOAD_TYPE = "cosign container image signature"
_PUBLIC_KEY = "dev.cosignproject.cosign/pub"
_ALGORITHM = "dev.cosignproject.cosign/sigalg"
_HASH = hashes.SHA256()
_SALT_BYTES = 32
_RSA_BITS = range(2048, 8193)
_RSA_EXPONENT = 65537
_MAX_KEY_BYTES = 1 << 16


class SignatureMismatchError(errors.MismatchError):
    """The signature is not one of these bytes by this key."""


@dataclasses.dataclass(frozen=True)
class PublicKey:
    """A public key.

    Attributes:
        key: of the library.
        algorithm: "ECDSA_P256_SHA256" or "RSASSA_PSS_SHA256".
    """

    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    algorithm: str

    @property
    def pem(self) -> bytes:
        """The key as PEM (PKIX)."""
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """What Confidential Space calls key_id: SHA-256 of the DER of the key (PKIX), in hexadecimal digits."""
        digest = hashes.Hash(_HASH)
        digest.update(self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        return digest.finalize().hex()

    def verify(self, data: bytes, signature: bytes) -> None:
        """Checks a signature.

        Raises:
            SignatureMismatchError: it is not this key's signature of DATA.
        """
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                self.key.verify(signature, data, padding.PSS(padding.MGF1(_HASH), padding.PSS.AUTO), _HASH)
            else:
                self.key.verify(signature, data, ec.ECDSA(_HASH))
        except exceptions.InvalidSignature:
            raise SignatureMismatchError(f"the signature is not of these bytes by the key {self.key_id}") from None


@dataclasses.dataclass(frozen=True)
class PrivateKey:
    """A private key, which is in no message and no repr.

    Attributes:
        public: its public key.
    """

    _key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = dataclasses.field(repr=False)
    public: PublicKey

    def sign(self, data: bytes) -> bytes:
        """Signs DATA; with ECDSA the same bytes every time (RFC 6979), with PSS others, by its salt."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PSS(padding.MGF1(_HASH), _SALT_BYTES), _HASH)
        return self._key.sign(data, ec.ECDSA(_HASH, deterministic_signing=True))


def load_private_key(path: pathlib.Path, password: Callable[[], str]) -> PrivateKey:
    """Reads a private key in PEM: PKCS#8, PKCS#1 or SEC 1.

    Args:
        path: of the file.
        password: gives the password; called only if the key is encrypted.

    Raises:
        errors.CheckError: no such file, no such key, or not its password.
    """
    data = _read(path, "a private key in PEM")
    try:
        key = _parse(data, None)
    except TypeError:
        try:
            key = _parse(data, password().encode())
        except (ValueError, TypeError, exceptions.UnsupportedAlgorithm):
            raise errors.CheckError(f"{path}: the password does not open this private key") from None
    except (ValueError, exceptions.UnsupportedAlgorithm):
        # What the library says might quote the key.
        raise errors.CheckError(f"{path}: expected a private key in PEM, found something else") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise errors.CheckError(f"{path}: expected an ECDSA key on P-256 or an RSA key, found {type(key).__name__}")
    return PrivateKey(key, _public(key.public_key(), str(path)))


def load_public_key(path: pathlib.Path) -> PublicKey:
    """Reads a public key in PEM.

    Raises:
        errors.CheckError: no such file, or no key that we take.
    """
    return _public_from(_read(path, "a public key in PEM"), str(path))


def payload(repository: str, image_hash: str, key: PublicKey) -> bytes:
    """What is signed of an image: simple signing (containers/image, docs/containers-signature.5.md), with what Confidential Space reads.

    Args:
        repository: with the host of its registry.
        image_hash: `sha256:<hex>`, of the index if the image has one.
        key: that signs.
    """
    content = {
        "critical": {
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": image_hash},
            "type": _PAYLOAD_TYPE,
        },
        # The launcher reads base64 without padding here (RawStdEncoding).
        "optional": {_PUBLIC_KEY: base64.b64encode(key.pem).decode().rstrip("="), _ALGORITHM: key.algorithm},
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def check_payload(data: bytes, signature: str, image_hash: str) -> PublicKey:
    """Checks a signature object as Confidential Space does.

    Args:
        data: the payload.
        signature: the annotation.
        image_hash: of the image that it is to be of.

    Returns:
        The key that has signed, which the payload names itself: the caller decides whether to trust it.

    Raises:
        errors.CheckError: it does not have that format.
        errors.MismatchError: it is of another image, or the signature is wrong.
    """
    try:
        content: Any = jsontext.parse_object(data, "payload")
        kind = content["critical"]["type"]
        digest = content["critical"]["image"]["docker-manifest-digest"]
        encoded, algorithm = content["optional"][_PUBLIC_KEY], content["optional"][_ALGORITHM]
        raw = base64.b64decode(signature, validate=True)
        pem = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (jsontext.JsonError, KeyError, TypeError, binascii.Error, ValueError):
        raise errors.CheckError("expected the payload and signature of a signed image, found something else") from None
    if kind != _PAYLOAD_TYPE:
        raise errors.CheckError(f"expected a payload of the type {_PAYLOAD_TYPE!r}, found {ascii(kind)[:100]}")
    key = _public_from(pem, "the payload's public key")
    if algorithm != key.algorithm:
        raise errors.CheckError(f"expected the algorithm {key.algorithm} for the payload's key, found {ascii(algorithm)[:100]}")
    if digest != image_hash:
        raise errors.MismatchError(f"the signature is of the image {ascii(digest)[:100]}, expected {image_hash}")
    key.verify(data, raw)
    return key


def annotations(signature: bytes) -> Mapping[str, str]:
    """The annotations of the layer whose blob is the payload."""
    return {SIGNATURE_ANNOTATION: base64.b64encode(signature).decode()}


def _parse(data: bytes, password: bytes | None) -> object:
    return serialization.load_pem_private_key(data, password)


def _public_from(data: bytes, where: str) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, exceptions.UnsupportedAlgorithm):
        raise errors.CheckError(f"{where}: expected a public key in PEM, found something else") from None
    return _public(key, where)


def _public(key: object, where: str) -> PublicKey:
    if isinstance(key, rsa.RSAPublicKey):
        exponent = key.public_numbers().e
        if key.key_size not in _RSA_BITS or exponent != _RSA_EXPONENT:
            raise errors.CheckError(
                f"{where}: expected an RSA key of {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits with the exponent {_RSA_EXPONENT}, "
                f"found {key.key_size} bits and {str(exponent)[:20]}"
            )
        return PublicKey(key, _PSS)
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise errors.CheckError(f"{where}: expected an ECDSA key on P-256 (prime256v1), found one on {key.curve.name}")
        return PublicKey(key, _ECDSA)
    raise errors.CheckError(f"{where}: expected an ECDSA key on P-256 or an RSA key, found {type(key).__name__}")


def _read(path: pathlib.Path, expected: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise errors.CheckError(f"{path}: {error.strerror}; expected {expected}") from None
