"""What is shown and recorded of a build."""

import pathlib

import pytest
from image_hash import errors, releases

from tools.release import expected_hashes
from tools.release.expected_hashes import Size

COLLECTOR = pathlib.Path("shuffler/services/collector/collector_image")


def test_the_table_shows_sizes_and_times() -> None:
    sizes = {"b": Size(2_000_000, 1_500_000), "a": Size(10, 10)}
    lines = expected_hashes.table({"b": "sha256:b", "a": "sha256:a"}, sizes, {"b": "3.1"}).splitlines()
    assert lines[0].split() == ["image", "image", "hash", "size", "on", "disk", "pull", "size", "build", "time"]
    assert lines[2].split() == ["b", "sha256:b", "2.0", "MB", "1.5", "MB", "3.1", "s"]
    assert lines[1].split()[-1] == "-"


def test_a_built_image_is_what_the_list_says() -> None:
    tar_sizes: dict[str, int] = {}
    image, size = expected_hashes.read_image(COLLECTOR, tar_sizes)
    expected = releases.read_named(pathlib.Path("releases"), releases.CURRENT).images["collector"]
    assert (image.image_hash, image.config_digest) == (expected.image_hash, expected.config_digest)
    assert size.tars == sum(tar_sizes.values()) > 200_000_000
    assert size.pull > size.tars
    assert expected_hashes.read_image(COLLECTOR, tar_sizes) == (image, size)


def test_a_folder_that_is_no_image_cannot_be_checked(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.CheckError, match="expected the folder of an OCI layout"):
        expected_hashes.read_image(tmp_path, {})
