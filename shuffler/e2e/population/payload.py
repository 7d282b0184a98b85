"""What a device uploads: its update, encrypted to a public key (services.md 3.2).

The object is gzip(JSON), and in the JSON stands base64(HPKE(gzip(update))). HPKE (RFC 9180) is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
ChaCha20Poly1305 in base mode, with the encapsulated key before the ciphertext; the info is the associated data, which is empty.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True)
class PublicKey:
    """A public key of the server.

    Attributes:
        id: names it.
        raw: the key, 32 bytes.
    """

    id: str
    raw: bytes


def parse_public_keys(text: bytes) -> list[PublicKey]:
    """Reads what a public key service answers: {"keys": [{"id": ..., "key": base64}]}.

    Raises:
        ValueError: it is something else, or there is no key.
    """
    try:
        keys = [PublicKey(key["id"], base64.b64decode(key["key"], validate=True)) for key in json.loads(text)["keys"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected a JSON object with keys, each with id and key, found something else: {error}") from error
    if not keys or any(len(key.raw) != 32 for key in keys):
        raise ValueError("expected at least one key, all of 32 bytes, found none or others")
    return keys


def seal(update: bytes, key: PublicKey) -> bytes:
    """Encrypts an update.

    Returns:
        What is uploaded, compressed as its Content-Encoding says.
    """
    # No time of day: the same update has the same plaintext.
    plaintext = gzip.compress(update, mtime=0)
    encrypted = _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(key.raw), b"")
    document = {"keyId": key.id, "encryptedPayload": base64.b64encode(encrypted).decode(), "associatedData": ""}
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), mtime=0)
