"""verify and which, as they are called: exit codes, last lines, and what they refuse."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from image_hash import releases, signatures
from tests import images, programs
from tests.programs import Repository

VERSION = "v1.2.3"


def run(*arguments: object, folder: pathlib.Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return programs.image_hash(*arguments, folder=folder, **environment)


@pytest.fixture(name="template", scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("template"))
    repository.record(VERSION)
    return repository


@pytest.fixture(name="repository")
def _repository(template: Repository, tmp_path: pathlib.Path) -> Repository:
    """A checkout with a release of what it builds."""
    return template.copy(tmp_path)


def verify(repository: Repository, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("verify", "--release", VERSION, *arguments, folder=repository.root, **{**repository.environment, **environment})


def last(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout + done.stderr).splitlines()[-1]


def test_images_of_the_release_match(repository: Repository) -> None:
    done = verify(repository, *repository.layouts.values())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"collector: {repository.hashes['collector']}: match",
        f"task_builder: {repository.hashes['task_builder']}: match",
        f"MATCH: 2 of 2 images equal those of v1.2.3, built from the commit {repository.head()}; its signature was not checked",
    ]


def test_one_image_under_another_name_matches_by_its_name(repository: Repository, tmp_path: pathlib.Path) -> None:
    archive = repository.oci_archive("collector", tmp_path / "downloaded.tar")
    done = verify(repository, f"collector={archive}")
    assert done.returncode == 0
    assert last(done).startswith("MATCH: 1 of 2 images equal")
    done = verify(repository, archive)
    assert done.returncode == 2
    assert last(done).startswith(f"could not check: which image of v1.2.3 is '{archive}'? Expected NAME=")


def test_another_image_is_a_mismatch(repository: Repository) -> None:
    done = verify(repository, f"collector={repository.layouts['task_builder']}", repository.layouts["task_builder"])
    assert done.returncode == 1
    assert f"collector: expected {repository.hashes['collector']}, found {repository.hashes['task_builder']}\n" in done.stdout
    assert f"task_builder: {repository.hashes['task_builder']}: match\n" in done.stdout
    assert last(done) == "MISMATCH: collector: not the image of v1.2.3; do not run or trust it; image_hash compare says what differs"


def test_what_to_do_is_the_last_line_where_both_streams_go_to_one_file(repository: Repository) -> None:
    command = [sys.executable, "-m", "image_hash.main", "verify", f"--release={VERSION}", f"collector={repository.layouts['task_builder']}"]
    environment = repository.environment | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, cwd=repository.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["collector", "MISMATCH"]


def test_a_release_that_contradicts_itself_is_no_match(repository: Repository) -> None:
    path = repository.root / f"releases/{VERSION}.json"
    release = releases.read(path)
    config = release.images["collector"].config_digest
    path.write_text(path.read_text().replace(config, images.digest(b"other")))
    done = verify(repository, repository.layouts["collector"])
    assert done.returncode == 1
    assert f"collector: expected the config {images.digest(b'other')}, found {config}\n" in done.stdout


def test_a_damaged_image_cannot_be_checked(repository: Repository) -> None:
    layer = max((repository.layouts["collector"] / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = layer.read_bytes()
    layer.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = verify(repository, repository.layouts["collector"])
    assert done.returncode == 2
    assert last(done).startswith("could not check: ")
    layer.unlink()
    assert verify(repository, repository.layouts["collector"]).returncode == 2


def test_a_format_without_a_manifest_is_never_a_match(repository: Repository, tmp_path: pathlib.Path) -> None:
    saved = repository.docker_archive("collector", tmp_path / "collector.tar")
    done = verify(repository, saved)
    assert done.returncode == 2
    assert "this format keeps no manifest and so no image hash" in last(done)
    done = verify(repository, f"task_builder={saved}")
    assert done.returncode == 1
    assert "not that of v1.2.3; do not run or trust it" in last(done)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 64, "usage: expected --release vX.Y.Z"),
        (("--release", "1.2.3"), 64, "usage: expected a release like v1.2.3, found '1.2.3'"),
        (("--release", "v9.9.9"), 2, "could not check: .*v9.9.9.json: No such file or directory; expected a file of a release"),
        (("--release", VERSION, "collector=/absent"), 2, "could not check: /absent: no such file or folder"),
        (("--release", VERSION, "x=/absent"), 2, "could not check: v1.2.3 has no image 'x'; it has collector, task_builder"),
        (("--release", VERSION, "a=b", "--no_such_flag"), 64, "usage: Unknown command line flag 'no_such_flag'"),
        (
            ("--release", VERSION, "--public_key", "/absent"),
            2,
            "could not check: /absent: No such file or directory; ",
        ),
    ],
)
def test_exit_codes(repository: Repository, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run("verify", *arguments, folder=repository.root, **repository.environment)
    assert done.returncode == code
    assert re.match(message, last(done))
    assert "Traceback" not in done.stderr


def test_two_images_of_one_name_are_wrong_usage(repository: Repository) -> None:
    done = verify(repository, repository.layouts["collector"], f"collector={repository.layouts['task_builder']}")
    assert done.returncode == 64
    assert last(done) == "usage: two images are to be the collector of v1.2.3: expected one of each name"


def test_a_list_that_is_not_as_it_should_be_cannot_be_checked(repository: Repository) -> None:
    path = repository.root / f"releases/{VERSION}.json"
    content = path.read_text()
    for damaged in (
        content[:-10],
        content.replace("v1.2.3", "v1.2.4"),
        json.dumps(json.loads(content) | {"images": {}}),
        content.replace('"task_builder": {', '"collector": {'),
        content.replace(repository.hashes["collector"], repository.hashes["collector"][:-1]),
        content.replace(repository.hashes["collector"], repository.hashes["task_builder"]),
    ):
        assert damaged != content
        path.write_text(damaged)
        done = verify(repository, repository.layouts["collector"])
        assert (done.returncode, last(done)[:16]) == (2, "could not check:")


def test_an_unexpected_error_could_not_check(repository: Repository, tmp_path: pathlib.Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import image_hash.hashing as h\ndef f(*_): raise ZeroDivisionError\nh.tar_sizes = f\n")
    done = verify(repository, repository.layouts["collector"], FIRST_ON_PATH=str(tmp_path))
    assert done.returncode == 2
    assert last(done) == "could not check: unexpected error, see above; please report it"
    (tmp_path / "sitecustomize.py").write_text("import image_hash.releases as r\ndef f(*_): raise ZeroDivisionError\nr.find = f\n")
    done = run("which", "0" * 64, folder=repository.root, FIRST_ON_PATH=str(tmp_path))
    assert done.returncode == 2


# Signatures.


@pytest.fixture(name="key")
def _key(tmp_path: pathlib.Path) -> pathlib.Path:
    """A private key; its public key is beside it, as key.pub."""
    key = tmp_path / "key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", f"{key}.pub"], check=True)
    return key


def test_the_signature_of_the_release_is_checked(repository: Repository, key: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = repository.root / f"releases/{VERSION}.json"
    arguments = (repository.layouts["collector"], "--public_key", f"{key}.pub")
    done = verify(repository, *arguments)
    assert done.returncode == 2
    assert last(done).endswith("v1.2.3.json.sig: No such file or directory; expected a file of a release")
    subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, "-out", f"{path}.sig", path], check=True)
    done = verify(repository, *arguments)
    assert done.returncode == 0
    assert last(done).endswith(f"; its file is signed by the key {signatures.load_public_key(tmp_path / 'key.pub').key_id}")
    path.write_text(path.read_text().replace("git", "jit"))
    path.write_text(path.read_text() + " ")
    done = verify(repository, *arguments)
    assert done.returncode == 1
    assert last(done).endswith("do not trust this file")


def test_what_was_published_with_the_release_is_checked(repository: Repository) -> None:
    folder = repository.root / "releases" / VERSION
    folder.mkdir()
    (folder / "a.spdx.json").write_bytes(b"sbom")
    path = repository.root / f"releases/{VERSION}.json"
    release = dataclasses.replace(releases.read(path), documents={"a.spdx.json": images.digest(b"sbom"), "absent": images.digest(b"")})
    path.write_text(release.text())
    assert verify(repository, repository.layouts["collector"]).returncode == 0
    (folder / "a.spdx.json").write_bytes(b"other")
    done = verify(repository, repository.layouts["collector"])
    assert done.returncode == 1
    assert "a.spdx.json: expected sha256:" in last(done)


# Rebuilding.


def test_a_rebuild_matches(repository: Repository) -> None:
    done = verify(repository)
    assert done.returncode == 0, done.stderr
    assert last(done).startswith("MATCH: 2 of 2 images rebuilt here equal those of v1.2.3, built from the commit ")


def test_a_subfolder_of_the_checkout_is_as_good(repository: Repository) -> None:
    done = run("verify", "--release", VERSION, folder=repository.root / "scripts", **repository.environment)
    assert done.returncode == 0, done.stderr
    (repository.root / "new").write_text("")
    done = run("verify", "--release", VERSION, folder=repository.root / "scripts", **repository.environment)
    assert done.returncode == 2


def test_a_rebuild_of_the_commit_that_records_the_release_matches(repository: Repository) -> None:
    repository.commit()
    assert repository.head() != releases.read_named(repository.root / "releases", VERSION).commit
    assert verify(repository).returncode == 0


def test_a_rebuild_that_differs_is_a_mismatch(repository: Repository) -> None:
    repository.build({"collector": b"other", "task_builder": b"task_builder"})
    done = verify(repository)
    assert done.returncode == 1
    assert last(done) == "MISMATCH: collector: not the image of v1.2.3; do not run or trust it; image_hash compare says what differs"


def test_another_checkout_cannot_be_checked(repository: Repository) -> None:
    (repository.root / "new").write_text("")
    done = verify(repository)
    assert done.returncode == 2
    assert "this checkout is not that of v1.2.3: 1 files differ, the first: new; expected the commit " in last(done)
    (repository.root / "new").unlink()
    (repository.root / "code").write_text("other")
    assert "the first: code" in last(verify(repository))


def test_a_commit_that_is_not_here_is_named(repository: Repository) -> None:
    path = repository.root / f"releases/{VERSION}.json"
    path.write_text(path.read_text().replace(repository.head(), "0" * 40))
    done = verify(repository)
    assert done.returncode == 2
    assert "expected the commit 0000" in last(done)


def test_other_settings_or_images_cannot_be_checked(repository: Repository) -> None:
    repository.settings({"layer_compression": "gzip"})
    done = verify(repository)
    assert done.returncode == 2
    assert "expected the build settings {'layer_compression': 'none'}, found {'layer_compression': 'gzip'}; is there" in last(done)
    repository.settings({"layer_compression": "none"})
    repository.build({"collector": b"collector"})
    done = verify(repository)
    assert done.returncode == 2
    assert "expected the images collector, task_builder, found collector" in last(done)


def test_a_build_that_fails_or_is_no_bazel_cannot_be_checked(repository: Repository) -> None:
    done = verify(repository, FAIL="build")
    assert done.returncode == 2
    assert last(done).startswith("could not check: bazel build failed with exit code 7 in ")
    done = verify(repository, PATH=str(repository.root))
    assert done.returncode == 2
    assert last(done).startswith("could not check: git cannot be started")


def test_outside_of_a_checkout_nothing_is_rebuilt(repository: Repository, tmp_path: pathlib.Path) -> None:
    done = run("verify", "--release", VERSION, "--releases", repository.root / "releases", folder=tmp_path, PATH=os.environ["PATH"])
    assert done.returncode == 2
    assert "expected the commit" in last(done)


# which


def test_which_says_where_a_digest_belongs(repository: Repository) -> None:
    image_hash = repository.hashes["collector"]
    for spelled in (image_hash, image_hash.removeprefix("sha256:"), f"registry.example/x@{image_hash}"):
        done = run("which", spelled, folder=repository.root)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            f"v1.2.3  collector  image hash  commit {repository.head()}",
            "current  collector  image hash  the commit that holds this current.json",
        ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("0" * 64,), 1, "MISMATCH: sha256:0{64} is in none of v1.2.3, current; was it built from another commit?"),
        (("0" * 63,), 64, "usage: expected a digest"),
        ((), 64, "usage: which DIGEST; expected one argument, found 0"),
        (("0" * 64, "1" * 64), 64, "usage: which DIGEST; expected one argument, found 2"),
        (("0" * 64, "--releases", "/absent"), 2, "could not check: /absent: No such file or directory"),
    ],
)
def test_which_exit_codes(repository: Repository, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run("which", *arguments, folder=repository.root)
    assert done.returncode == code
    assert re.match(message, last(done))


def test_which_does_not_guess_from_damaged_lists(repository: Repository) -> None:
    (repository.root / "releases/current.json").write_text("{}")
    assert run("which", repository.hashes["collector"], folder=repository.root).returncode == 2


@pytest.mark.parametrize("command", ["verify", "which", "publish"])
def test_help_has_the_exit_codes(command: str, tmp_path: pathlib.Path) -> None:
    done = run(command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert "Exit codes: 0 match or success, 1 mismatch, 2 could not check (any other failure too), 64 wrong usage." in done.stdout
    assert f"image_hash {command} " in done.stdout
    assert sys.executable not in done.stdout
