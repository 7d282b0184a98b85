"""The image of a test target as a root file system; the variables IMAGE and SERVICE say which (images_test.bzl)."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ocilib.layout import Image
from runfiles import Runfiles

from shuffler.e2e.services import SERVICES, Service
from tools.containers.layers import LayerStore, Root


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    """The root file system of the image; it is large, and gone after the tests."""
    runfiles = Runfiles.Create()
    layout = runfiles and runfiles.Rlocation(os.environ["IMAGE"])
    assert layout, f"{os.environ['IMAGE']} is not in the data of this test"
    # When the time is up, end as after Ctrl-C, which lets fixtures and with statements clean up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = tmp_path_factory.mktemp("image")
    try:
        yield LayerStore(folder / "layers").make_root(Image(layout), folder / "root")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def service() -> Service:
    """What is known of the image's service."""
    return SERVICES[os.environ["SERVICE"]]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A place for the container of a test."""
    return tmp_path / "bundle"
