"""Tests of both storages: the same contract, in a folder and against Cloud Storage's API on loopback."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from shuffler.services.taskbuilder.artifacts.storage import CloudStorage, FolderStorage, Storage, parse
from shuffler.services.taskbuilder.errors import StorageError
from shuffler.services.taskbuilder.testing import backend as backends


@pytest.fixture(params=["folder", "cloud"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield FolderStorage(tmp_path)
    else:
        with backends.running() as backend:
            yield CloudStorage(requests.Session, backend.url)


def test_what_is_written_is_found_and_read(storage: Storage) -> None:
    for name, content in (("m/saved_model.pb", b"1"), ("m/variables/variables.index", b""), ("m2/x", b"3")):
        storage.write(f"gs://bucket/{name}", content)
    assert storage.find("gs://bucket/m") == ["gs://bucket/m/saved_model.pb", "gs://bucket/m/variables/variables.index"]
    assert storage.find("gs://bucket/m/") == storage.find("gs://bucket/m")
    assert storage.find("gs://bucket/m2/x") == ["gs://bucket/m2/x"]
    assert len(storage.find("gs://bucket/")) == 3
    assert storage.find("gs://bucket/absent") == []
    storage.write("gs://bucket/m2/x", b"4")
    assert [storage.read("gs://bucket/m2/x"), storage.read("gs://bucket/m/variables/variables.index")] == [b"4", b""]


def test_what_is_absent_is_told_in_one_line(storage: Storage) -> None:
    with pytest.raises(StorageError, match="^gs://bucket/absent: .*$"):
        storage.read("gs://bucket/absent")


@pytest.mark.parametrize("address", ["", "gs://", "gs://bucket", "s3://bucket/key", "/etc/passwd", "gs://bucket/../x", "gs://../x", "gs://b\n/x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="expected an address like gs://bucket/key"):
        parse(address)


def test_compressed_blobs_of_the_services_are_read(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket/key").write_bytes(b"Content-Encoding: gzip\n\n" + gzip.compress(b"content"))
    (tmp_path / "bucket/other").write_bytes(b"content")
    assert FolderStorage(tmp_path).read("gs://bucket/key") == b"content"
    with pytest.raises(StorageError, match="expected a file that begins with Content-Encoding"):
        FolderStorage(tmp_path).read("gs://bucket/other")


def test_a_cloud_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(StorageError, match="^gs://bucket/key: Cloud Storage cannot be reached: .*$"):
        CloudStorage(requests.Session, "http://127.0.0.1:9").read("gs://bucket/key")
