"""Tests of both storages: the same contract, in a folder and against Cloud Storage's API on loopback."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
import requests

from shuffler.services.taskbuilder.artifacts.storage import CloudStorage, parse
from shuffler.services.taskbuilder.errors import StorageError
from shuffler.services.taskbuilder.testing import backend as backends


@pytest.fixture
def backend() -> Iterator[backends.Backend]:
    with backends.running() as running:
        yield running


@pytest.fixture
def storage(backend: backends.Backend) -> CloudStorage:
    return CloudStorage(requests.Session, backend.url)


def test_what_is_written_is_found_and_read(storage: CloudStorage) -> None:
    for name, content in (("m/saved_model.pb", b"1"), ("m/variables/variables.index", b""), ("m2/x", b"3")):
        storage.write(f"gs://bucket/{name}", content)
    assert storage.find("gs://bucket/m") == ["gs://bucket/m/saved_model.pb", "gs://bucket/m/variables/variables.index"]
    assert storage.find("gs://bucket/m/") == storage.find("gs://bucket/m")
    assert storage.find("gs://bucket/m2/x") == ["gs://bucket/m2/x"]
    assert len(storage.find("gs://bucket/")) == 3
    assert storage.find("gs://bucket/absent") == []
    storage.write("gs://bucket/m2/x", b"4")
    assert [storage.read("gs://bucket/m2/x"), storage.read("gs://bucket/m/variables/variables.index")] == [b"4", b""]


def test_what_is_absent_is_told_in_one_line(storage: CloudStorage) -> None:
    with pytest.raises(StorageError, match="^gs://bucket/absent: .*$"):
        storage.read("gs://bucket/absent")


@pytest.mark.parametrize(
    "address", ["", "gs://", "gs://bucket", "s3://bucket/key", "/etc/passwd", "gs://bucket/../x", "gs://../x", "gs://b\n/x"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="expected an address like gs://bucket/key"):
        parse(address)


def test_a_signed_url_gets_a_compressed_upload(storage: CloudStorage, backend: backends.Backend) -> None:
    storage.write(f"{backend.url}/signed/key?signature=secret", b"content")
    assert gzip.decompress(backend.blobs["/signed/key?signature=secret"]) == b"content"
    assert (backend.headers["Content-Type"], backend.headers["Content-Encoding"]) == ("application/octet-stream", "gzip")
    backend.fails = lambda _path: True
    for url, reason in ((backend.url, "expected that it takes an upload, found 503: not now"), ("http://127.0.0.1:9", "cannot be reached")):
        with pytest.raises(StorageError, match=reason) as refused:
            storage.write(f"{url}/signed/key?signature=secret", b"content")
        assert "secret" not in str(refused.value)


def test_a_cloud_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(StorageError, match="^gs://bucket/key: Cloud Storage cannot be reached: .*$"):
        CloudStorage(requests.Session, "http://127.0.0.1:9").read("gs://bucket/key")
