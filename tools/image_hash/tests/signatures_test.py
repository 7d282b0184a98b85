"""Signatures: what openssl makes is accepted, what is made openssl accepts, and nothing else is."""

import base64
import json
import pathlib
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_hash import errors, signatures

DATA = b"the list of expected hashes"
HASH = f"sha256:{'a' * 64}"
PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
ALGORITHMS = ("ec", "rsa")


def openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], capture_output=True, check=False)


def made(*arguments: str) -> None:
    done = openssl(*arguments)
    assert done.returncode == 0, done.stderr


def no_password() -> str:
    raise AssertionError("nobody asked for a password")


@pytest.fixture(name="keys", scope="module")
def _keys(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with key pairs that openssl has made: PKCS#8 as <algorithm>.key, the older formats as <algorithm>.old.key."""
    folder = tmp_path_factory.mktemp("keys")
    made("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{folder}/ec.key")
    made("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{folder}/rsa.key")
    made("ec", "-in", f"{folder}/ec.key", "-out", f"{folder}/ec.old.key")
    made("rsa", "-in", f"{folder}/rsa.key", "-traditional", "-out", f"{folder}/rsa.old.key")
    for name in ALGORITHMS:
        made("pkey", "-in", f"{folder}/{name}.key", "-pubout", "-out", f"{folder}/{name}.pub")
    return folder


@pytest.fixture(name="key", scope="module")
def _key(keys: pathlib.Path) -> signatures.PrivateKey:
    return signatures.load_private_key(keys / "ec.key", no_password)


def pss(algorithm: str) -> tuple[str, ...]:
    return PSS if algorithm == "rsa" else ()


@pytest.mark.parametrize("kind", ["", ".old"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_openssl_accepts_what_is_signed(keys: pathlib.Path, tmp_path: pathlib.Path, algorithm: str, kind: str) -> None:
    key = signatures.load_private_key(keys / f"{algorithm}{kind}.key", no_password)
    (tmp_path / "data").write_bytes(DATA)
    (tmp_path / "sig").write_bytes(key.sign(DATA))
    check = ("dgst", "-sha256", "-verify", f"{keys}/{algorithm}.pub", *pss(algorithm), "-signature", f"{tmp_path}/sig", f"{tmp_path}/data")
    made(*check)
    (tmp_path / "data").write_bytes(DATA + b"!")
    assert openssl(*check).returncode != 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_openssl_signs_is_accepted(keys: pathlib.Path, tmp_path: pathlib.Path, algorithm: str) -> None:
    (tmp_path / "data").write_bytes(DATA)
    made("dgst", "-sha256", "-sign", f"{keys}/{algorithm}.key", *pss(algorithm), "-out", f"{tmp_path}/sig", f"{tmp_path}/data")
    signature = (tmp_path / "sig").read_bytes()
    key = signatures.load_public_key(keys / f"{algorithm}.pub")
    key.verify(DATA, signature)
    for data, damaged in ((DATA + b"!", signature), (DATA, signature[:-1]), (DATA, b""), (DATA, bytes(len(signature)))):
        with pytest.raises(signatures.SignatureMismatchError):
            key.verify(data, damaged)


def test_another_padding_of_rsa_is_not_accepted(keys: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").write_bytes(DATA)
    made("dgst", "-sha256", "-sign", f"{keys}/rsa.key", "-out", f"{tmp_path}/sig", f"{tmp_path}/data")
    with pytest.raises(signatures.SignatureMismatchError):
        signatures.load_public_key(keys / "rsa.pub").verify(DATA, (tmp_path / "sig").read_bytes())


def test_ecdsa_signs_the_same_bytes_every_time(key: signatures.PrivateKey) -> None:
    assert key.sign(DATA) == key.sign(DATA)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_key_id_is_the_sha256_of_the_der_of_the_key(keys: pathlib.Path, algorithm: str) -> None:
    der = openssl("pkey", "-pubin", "-in", f"{keys}/{algorithm}.pub", "-outform", "DER").stdout
    digest = subprocess.run(["sha256sum"], input=der, capture_output=True, check=True).stdout.split()[0].decode()
    assert signatures.load_public_key(keys / f"{algorithm}.pub").key_id == digest
    assert signatures.load_private_key(keys / f"{algorithm}.key", no_password).public.key_id == digest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_encrypted_key_needs_its_password(keys: pathlib.Path, tmp_path: pathlib.Path, algorithm: str) -> None:
    encrypted = tmp_path / "encrypted.key"
    made("pkcs8", "-topk8", "-in", f"{keys}/{algorithm}.key", "-out", str(encrypted), "-v2", "aes-256-cbc", "-passout", "pass:right")
    assert signatures.load_private_key(encrypted, lambda: "right").public == signatures.load_public_key(keys / f"{algorithm}.pub")
    with pytest.raises(errors.CheckError, match=r"encrypted.key: the password does not open this private key$"):
        signatures.load_private_key(encrypted, lambda: "wrong")
    with pytest.raises(errors.CheckError, match=r"encrypted.key: the password does not open this private key$"):
        signatures.load_private_key(encrypted, lambda: "")


def test_a_private_key_is_not_shown(key: signatures.PrivateKey) -> None:
    assert "_key" not in repr(key)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
            "found one on secp384r1",
        ),
        (
            ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
            "expected an RSA key of 2048 to 8192 bits.*, found 1024",
        ),
        (("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"), "found 2048 bits and 3"),
        (("-algorithm", "ED25519"), "expected an ECDSA key on P-256 or an RSA key, found Ed25519PrivateKey"),
    ],
)
def test_other_keys_are_refused(tmp_path: pathlib.Path, arguments: tuple[str, ...], message: str) -> None:
    made("genpkey", *arguments, "-out", f"{tmp_path}/key")
    made("pkey", "-in", f"{tmp_path}/key", "-pubout", "-out", f"{tmp_path}/pub")
    with pytest.raises(errors.CheckError, match=message):
        signatures.load_private_key(tmp_path / "key", no_password)
    with pytest.raises(errors.CheckError, match=message.replace("Private", "Public")):
        signatures.load_public_key(tmp_path / "pub")


@pytest.mark.parametrize("content", [b"", b"secret", b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", bytes(1 << 17)])
def test_what_is_no_key_is_refused_without_quoting_it(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(errors.CheckError, match=r"key: expected a private key in PEM, found something else$"):
        signatures.load_private_key(tmp_path / "key", no_password)
    with pytest.raises(errors.CheckError, match=r"key: expected a public key in PEM, found something else$"):
        signatures.load_public_key(tmp_path / "key")


def test_a_key_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.CheckError, match="absent: No such file or directory; expected a private key in PEM"):
        signatures.load_private_key(tmp_path / "absent", no_password)


def changed(data: bytes, *path: str, value: object) -> bytes:
    content: Any = json.loads(data)
    item = content
    for part in path[:-1]:
        item = item[part]
    item[path[-1]] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_payload_is_what_confidential_space_reads(keys: pathlib.Path, algorithm: str) -> None:
    key = signatures.load_private_key(keys / f"{algorithm}.key", no_password)
    data = signatures.payload("registry.example/aggregator_image", HASH, key.public)
    content = json.loads(data)
    assert content["critical"] == {
        "identity": {"docker-reference": "registry.example/aggregator_image"},
        "image": {"docker-manifest-digest": HASH},
        "type": "cosign container image signature",
    }
    public = content["optional"].pop("dev.cosignproject.cosign/pub")
    assert not public.endswith("=")
    assert base64.b64decode(public + "=" * (-len(public) % 4)) == (keys / f"{algorithm}.pub").read_bytes()
    expected = {"ec": "ECDSA_P256_SHA256", "rsa": "RSASSA_PSS_SHA256"}[algorithm]
    assert content["optional"] == {"dev.cosignproject.cosign/sigalg": expected}
    annotation = signatures.annotations(key.sign(data))["dev.cosignproject.cosign/signature"]
    assert signatures.check_payload(data, annotation, HASH) == key.public


@given(st.binary(max_size=40), st.integers(0, 700), st.text(max_size=100))
def test_no_damage_of_a_payload_is_more_than_a_refusal(key: signatures.PrivateKey, noise: bytes, position: int, signature: str) -> None:
    data = signatures.payload("registry.example/a", HASH, key.public)
    damaged = data[:position] + noise + data[position + len(noise) :]
    for annotation in (signature, base64.b64encode(key.sign(data)).decode()):
        if damaged != data:
            with pytest.raises(errors.Error):
                signatures.check_payload(damaged, annotation, HASH)


@given(st.binary(max_size=40), st.integers(0, 200))
def test_no_damage_of_a_key_is_more_than_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, key: signatures.PrivateKey, noise: bytes, position: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pub"
    path.write_bytes(key.public.pem[:position] + noise + key.public.pem[position + len(noise) :])
    try:
        signatures.load_public_key(path)
    except errors.CheckError as error:
        assert "\n" not in str(error)


def test_a_payload_of_something_else_is_refused(key: signatures.PrivateKey) -> None:
    data = signatures.payload("registry.example/a", HASH, key.public)

    def check(altered: bytes, signature: str = "", image_hash: str = HASH) -> None:
        signatures.check_payload(altered, signature or base64.b64encode(key.sign(altered)).decode(), image_hash)

    check(data)
    with pytest.raises(errors.MismatchError, match="the signature is of the image 'sha256:aaa"):
        check(data, image_hash=f"sha256:{'b' * 64}")
    with pytest.raises(signatures.SignatureMismatchError):
        check(data, base64.b64encode(key.sign(data + b" ")).decode())
    for damaged, message in (
        (changed(data, "critical", "type", value="x"), "expected a payload of the type"),
        (
            changed(data, "optional", "dev.cosignproject.cosign/sigalg", value="RSASSA_PSS_SHA256"),
            "expected the algorithm ECDSA",
        ),
        (changed(data, "optional", "dev.cosignproject.cosign/pub", value="!"), "found something else"),
        (changed(data, "optional", "dev.cosignproject.cosign/pub", value="AAAA"), "expected a public key in PEM"),
        (changed(data, "optional", value=[]), "found something else"),
        (b"[]", "found something else"),
        (b"", "found something else"),
    ):
        with pytest.raises(errors.CheckError, match=message):
            check(damaged)
    with pytest.raises(errors.CheckError, match="found something else"):
        check(data, "not base64!")
