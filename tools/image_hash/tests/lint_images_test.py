"""The seven images, as built: the launcher takes them as they are written, and an operator can change no more than is meant."""

import os
import pathlib
from typing import Any

import pytest
from image_hash import lint
from image_hash.sources import open_image

NOTHING = {
    "command": False,
    "environment": [],
    "mounts": [],
    "capabilities": False,
    "cgroups": False,
    "log_redirect": {"hardened": False, "debug": True},
    "monitoring": {"hardened": "none", "debug": "memoryonly"},
}
TEE = NOTHING | {
    "environment": ["FCP_OPTS"],
    "log_redirect": {"hardened": True, "debug": True},
    "monitoring": {"hardened": "memoryonly", "debug": "memoryonly"},
}


@pytest.mark.skipif("IMAGES" not in os.environ, reason="the images are built by bazel test")
def test_the_seven_images_are_clean() -> None:
    found: dict[str, dict[str, Any]] = {}
    for path in os.environ["IMAGES"].split():
        with open_image(path) as image:
            found[pathlib.Path(path).name] = lint.lint(image)
    operators = {name: one["operator"] for name, one in found.items()}
    assert [(one["refusal"], one["errors"], one["warnings"]) for one in found.values()] == [(None, [], [])] * 7
    assert operators == {
        "aggregator_image": TEE,
        "collector_image": NOTHING,
        "model_updater_image": TEE,
        "task_assignment_image": NOTHING,
        "task_builder_image": NOTHING,
        "task_management_image": NOTHING,
        "task_scheduler_image": NOTHING,
    }
