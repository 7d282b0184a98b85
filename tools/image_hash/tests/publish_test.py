"""publish, as it is called: what is recorded, what is refused, and how a run that broke off goes on."""

import base64
import hashlib
import json
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
from image_hash import releases, signatures
from image_hash.publish import signature_objects
from tests import fake_github, images, programs
from tests.ocilib import fake_registry
from tests.programs import Repository

VERSION = "v1.2.3"
FILE = f"releases/{VERSION}.json"


@pytest.fixture(name="template", scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("template"))


@pytest.fixture(name="repository")
def _repository(template: Repository, tmp_path: pathlib.Path) -> Repository:
    return template.copy(tmp_path)


def publish(repository: Repository, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return programs.image_hash(
        "publish", "--release", VERSION, *arguments, folder=repository.root, **{**repository.environment, **environment}
    )


def refused(repository: Repository, code: int, *arguments: object, **environment: str) -> str:
    """Publishes, which must not succeed nor write anything; the last line."""
    before = sorted((repository.root / "releases").rglob("*"))
    done = publish(repository, *arguments, **environment)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted((repository.root / "releases").rglob("*")) == before
    return done.stderr.splitlines()[-1]


def digest_of(path: pathlib.Path) -> str:
    return images.digest(path.read_bytes())


def test_a_release_is_recorded(repository: Repository) -> None:
    done = publish(repository)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"wrote {FILE}, and 3 files in releases/{VERSION}/",
        f"v1.2.3 is 2 images of the commit {repository.head()}; commit what is new in releases/",
    ]
    assert repository.rebuilt()
    release = releases.read_named(repository.root / "releases", VERSION)
    built = repository.built()
    assert (release.commit, release.images, release.build_settings) == (repository.head(), built.images, built.build_settings)
    assert release.rebuild == './scripts/docker/docker_run.sh "./scripts/build_images.sh"'
    for path, digest in release.locks.items():
        assert digest_of(repository.root / path) == digest
    assert sorted(release.locks) == ["requirements_lock.txt", programs.LOCK]
    assert sorted(release.documents) == ["collector.spdx.json", "provenance.json", "task_builder.spdx.json"]
    for name, digest in release.documents.items():
        assert digest_of(repository.root / "releases" / VERSION / name) == digest
    collector = release.images["collector"]
    assert collector.labels == {"name": "collector"}
    assert collector.entrypoint == ("/collector",)
    assert [layer.diff_id for layer in collector.layers] == [images.digest(images.tar({"file": b"collector"}))]


def test_the_provenance_names_subjects_commit_locks_and_inputs(repository: Repository) -> None:
    repository.inputs(
        [
            {"name": "libc6", "kind": "deb", "version": "1:2.36+x", "contained_in": ["collector"], "used_for": ["task_builder"]},
            {"name": "bazel-bootstrap", "kind": "deb", "contained_in": [], "used_for": ["collector", "task_builder"]},
            {"name": "pytest", "kind": "wheel", "contained_in": [], "used_for": []},
        ]
    )
    assert publish(repository).returncode == 0
    statement = json.loads((repository.root / f"releases/{VERSION}/provenance.json").read_bytes())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [
        {"name": f"{name}_image", "digest": {"sha256": image_hash.removeprefix("sha256:")}}
        for name, image_hash in repository.hashes.items()
    ]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "commit": repository.head(),
        "build_settings": {"layer_compression": "none"},
        "command": './scripts/docker/docker_run.sh "./scripts/build_images.sh"',
    }
    names = [dependency["name"] for dependency in definition["resolvedDependencies"]]
    assert names == ["commit", "requirements_lock.txt", programs.LOCK, "deb bazel-bootstrap 1", "deb libc6 1:2.36+x"]
    assert definition["resolvedDependencies"][-1] == {
        "name": "deb libc6 1:2.36+x",
        "uri": "pkg:deb/debian/libc6@1:2.36%2Bx",
        "digest": {"sha256": "c" * 64},
        "annotations": {"contained_in": ["collector"], "used_for": ["task_builder"]},
    }
    lock = hashlib.sha256((repository.root / programs.LOCK).read_bytes()).hexdigest()
    assert statement["predicate"]["runDetails"]["builder"]["builderDependencies"] == [{"name": programs.LOCK, "digest": {"sha256": lock}}]


def test_the_time_of_an_sbom_is_that_of_the_commit(repository: Repository) -> None:
    assert publish(repository).returncode == 0
    sbom = json.loads((repository.root / f"releases/{VERSION}/collector.spdx.json").read_bytes())
    shown = subprocess.run(
        ["git", "log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"],
        cwd=repository.root,
        env={**repository.environment, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sbom["creationInfo"] == {"created": shown.stdout.strip(), "creators": ["Tool: image_hash-v1.2.3"]}


def test_the_same_commit_gives_the_same_files(repository: Repository, tmp_path: pathlib.Path) -> None:
    def files(folder: pathlib.Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    assert publish(repository).returncode == 0
    first = files(repository.root / "releases")
    clone = tmp_path / "elsewhere"
    subprocess.run(["git", "clone", "--quiet", repository.root, clone], check=True)
    repository.root = clone
    assert publish(repository, TZ="Asia/Tokyo", LC_ALL="tr_TR.UTF-8", PYTHONHASHSEED="7").returncode == 0
    assert files(clone / "releases") == first


def test_a_release_that_is_recorded_is_made_again_and_stays(repository: Repository) -> None:
    assert publish(repository).returncode == 0
    before = (repository.root / FILE).stat()
    repository.commit()
    (repository.root / f"releases/{VERSION}/provenance.json").unlink()
    done = publish(repository, ADVERSE="1")
    assert done.returncode == 0
    assert done.stdout.startswith(f"unchanged: {FILE}")
    assert (repository.root / FILE).stat() == before
    assert (repository.root / f"releases/{VERSION}/provenance.json").exists()


# What is refused.


def test_a_checkout_with_changes_is_not_recorded(repository: Repository) -> None:
    (repository.root / "new").write_text("")
    assert refused(repository, 2).endswith("the checkout has changes: 1 files, the first: new; commit them or put them away")
    (repository.root / "new").unlink()
    (repository.root / "code").write_text("other")
    assert "the first: code;" in refused(repository, 2)


def test_a_build_that_is_not_the_current_list_is_not_recorded(repository: Repository) -> None:
    repository.build({"collector": b"other", "task_builder": b"task_builder"})
    line = refused(repository, 1)
    assert line.startswith("MISMATCH: this build is not what releases/current.json says: collector: expected sha256:")
    assert line.endswith("run ./scripts/build_images.sh --update and commit the result")


@pytest.mark.parametrize(
    ("code", "expected", "message"),
    [("1", 1, "MISMATCH: the adverse rebuild gives other hashes"), ("2", 2, "could not check: the adverse rebuild ended with exit code 2")],
)
def test_a_build_that_is_not_reproducible_is_not_recorded(repository: Repository, code: str, expected: int, message: str) -> None:
    assert refused(repository, expected, ADVERSE=code).startswith(message)


def test_a_drifted_environment_records_nothing(repository: Repository, tmp_path: pathlib.Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib\nimport image_hash.drift as d\nd.drift = lambda: ['bazel-bootstrap locked 1 actual 2']\n"
    )
    line = refused(repository, 2, FIRST_ON_PATH=str(tmp_path))
    assert "nothing is recorded from a drifted build environment (1 packages, the first: bazel-bootstrap locked 1 actual 2)" in line


def test_a_version_does_not_change(repository: Repository) -> None:
    assert publish(repository).returncode == 0
    repository.commit()
    (repository.root / "code").write_text("other")
    repository.commit()
    line = refused(repository, 2)
    assert "v1.2.3 exists, of the commit " in line
    assert line.endswith("the first: code; publish another version")


def test_a_version_with_other_hashes_is_refused(repository: Repository) -> None:
    assert publish(repository).returncode == 0
    repository.build({"collector": b"other", "task_builder": b"task_builder"})
    repository.update()
    line = refused(repository, 1)
    assert line.startswith("MISMATCH: this build is not what releases/v1.2.3.json says: collector: expected sha256:")


def test_a_version_with_other_inputs_is_refused(repository: Repository) -> None:
    assert publish(repository).returncode == 0
    repository.inputs([{"name": "libc7", "kind": "deb", "contained_in": ["collector"], "used_for": []}])
    assert refused(repository, 1).startswith("MISMATCH: v1.2.3 exists with other locks, documents or layers than this build")


def test_a_list_of_inputs_that_is_none_records_nothing(repository: Repository) -> None:
    repository.inputs([])
    assert "found no inputs" in refused(repository, 2)
    repository.inputs([{"name": "x", "kind": "cobol", "contained_in": ["collector"], "used_for": []}])
    assert "cobol x: no kind of package URL is known for it" in refused(repository, 2)
    repository.inputs([{"name": "x", "kind": "deb", "sha256": "x"}])
    assert "expected the output of //tools/inputs:list, found TypeError" in refused(repository, 2)


@pytest.mark.parametrize("command", ["build", "cquery", "query", "run", "info"])
def test_a_bazel_that_fails_records_nothing(repository: Repository, command: str) -> None:
    assert refused(repository, 2, FAIL=command).startswith(f"could not check: bazel {command} failed with exit code 7 in ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("x",), 64, "usage: publish takes no arguments, found 'x'"),
        (("--release", "current"), 64, "usage: expected a release like v1.2.3, found 'current'"),
        (("--sign", "/absent"), 64, "usage: --sign and --registry belong together"),
        (("--registry", "registry.example"), 64, "usage: --sign and --registry belong together"),
        (
            ("--sign", "/absent", "--registry", "registry.example"),
            2,
            "could not check: /absent: No such file or directory; expected a private",
        ),
        (
            ("--github", "owner/name"),
            2,
            "could not check: expected a token for GitHub in the environment variable GH_TOKEN or GITHUB_TOKEN",
        ),
    ],
)
def test_what_can_be_known_before_is_said_before(repository: Repository, arguments: tuple[str, ...], code: int, message: str) -> None:
    assert refused(repository, code, *arguments).startswith(message)
    assert not repository.rebuilt()


def test_an_unexpected_error_records_nothing(repository: Repository, tmp_path: pathlib.Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import image_hash.checkout as c\ndef f(*_): raise ZeroDivisionError\nc.Checkout.build = f\n"
    )
    done = publish(repository, FIRST_ON_PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "could not check: unexpected error, see above; please report it"
    assert not (repository.root / "releases" / VERSION).exists()


# Signatures.


@pytest.fixture(name="key")
def _key(tmp_path: pathlib.Path) -> pathlib.Path:
    return _new_key(tmp_path / "key")


def _new_key(path: pathlib.Path, *arguments: str) -> pathlib.Path:
    """An encrypted private key whose password is "correct horse"; its public key is beside it, as .pub."""
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    subprocess.run(["openssl", "genpkey", *(arguments or curve), "-aes256", "-pass", "pass:correct horse", "-out", path], check=True)
    subprocess.run(["openssl", "pkey", "-in", path, "-passin", "pass:correct horse", "-pubout", "-out", f"{path}.pub"], check=True)
    return path


PASSWORD = {"SIGNING_KEY_PASSWORD": "correct horse"}


@pytest.fixture(name="registry")
def _registry(repository: Repository) -> Iterator[fake_registry.Registry]:
    """A registry that has the images, each as two blobs and a manifest."""
    with fake_registry.serve() as registry:
        for name, layout in repository.layouts.items():
            for path in (layout / "blobs/sha256").iterdir():
                registry.blobs[f"team/{name}_image", f"sha256:{path.name}"] = path.read_bytes()
            manifest = registry.blobs[f"team/{name}_image", repository.hashes[name]]
            registry.manifests[f"team/{name}_image", repository.hashes[name]] = (images.OCI_MANIFEST, manifest)
        yield registry


def signature_object(registry: fake_registry.Registry, repository: Repository, name: str) -> list[tuple[bytes, str]]:
    """Payloads and annotations of the signatures of an image, as Confidential Space reads them."""
    place = f"team/{name}_image"
    _, manifest = registry.manifests[place, f"sha256-{repository.hashes[name].removeprefix('sha256:')}.sig"]
    content = json.loads(manifest)
    assert content["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    config = json.loads(registry.blobs[place, content["config"]["digest"]])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in content["layers"]]
    found = []
    for layer in content["layers"]:
        assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
        payload = registry.blobs[place, layer["digest"]]
        assert len(payload) == layer["size"]
        found.append((payload, layer["annotations"]["dev.cosignproject.cosign/signature"]))
    return found


def test_the_release_and_its_images_are_signed(
    repository: Repository, registry: fake_registry.Registry, key: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    done = publish(repository, "--sign", key, "--registry", f"{registry.address}/team", **PASSWORD)
    assert done.returncode == 0, done.stderr
    assert "correct horse" not in done.stdout
    path = repository.root / FILE
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", f"{key}.pub", "-signature", f"{path}.sig", path], check=True)
    for name in repository.layouts:
        ((payload, annotation),) = signature_object(registry, repository, name)
        (tmp_path / "payload").write_bytes(payload)
        (tmp_path / "signature").write_bytes(base64.b64decode(annotation))
        check = ["openssl", "dgst", "-sha256", "-verify", f"{key}.pub", "-signature", f"{tmp_path}/signature", f"{tmp_path}/payload"]
        subprocess.run(check, check=True)
        critical = json.loads(payload)["critical"]
        assert critical["image"]["docker-manifest-digest"] == repository.hashes[name]
        assert critical["identity"]["docker-reference"] == f"{registry.address}/team/{name}_image"
        assert signatures.check_payload(payload, annotation, repository.hashes[name]).pem == pathlib.Path(f"{key}.pub").read_bytes()


def test_a_second_run_signs_nothing_again(repository: Repository, registry: fake_registry.Registry, tmp_path: pathlib.Path) -> None:
    # PSS is salted: a new signature would be another one.
    key = _new_key(tmp_path / "rsa", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    arguments = ("--sign", key, "--registry", f"{registry.address}/team")
    assert publish(repository, *arguments, **PASSWORD).returncode == 0
    signature = (repository.root / f"{FILE}.sig").read_bytes()
    manifests = dict(registry.manifests)
    registry.requests.clear()
    done = publish(repository, *arguments, **PASSWORD)
    assert done.returncode == 0
    assert done.stdout.count(": signed already") == 2
    assert (repository.root / f"{FILE}.sig").read_bytes() == signature
    assert registry.manifests == manifests
    assert {request.split()[0] for request in registry.requests} == {"GET", "HEAD"}


def test_signatures_of_others_stay(
    repository: Repository, registry: fake_registry.Registry, key: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert publish(repository, "--sign", key, "--registry", f"{registry.address}/team", **PASSWORD).returncode == 0
    (theirs,) = signature_object(registry, repository, "collector")
    (repository.root / f"{FILE}.sig").unlink()
    other = _new_key(tmp_path / "other")
    assert publish(repository, "--sign", other, "--registry", f"{registry.address}/team", **PASSWORD).returncode == 0
    first, second = signature_object(registry, repository, "collector")
    assert first == theirs
    assert signatures.check_payload(*second, repository.hashes["collector"]).pem == pathlib.Path(f"{other}.pub").read_bytes()


def test_a_file_that_another_key_has_signed_is_not_signed_over(
    repository: Repository, registry: fake_registry.Registry, key: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    assert publish(repository, "--sign", key, "--registry", f"{registry.address}/team", **PASSWORD).returncode == 0
    other = _new_key(tmp_path / "other")
    line = refused(repository, 1, "--sign", other, "--registry", f"{registry.address}/team", **PASSWORD)
    assert "v1.2.3.json.sig is there, and not by the key " in line


def test_an_image_that_is_not_in_the_registry_is_not_signed(repository: Repository, key: pathlib.Path) -> None:
    with fake_registry.serve() as empty:
        done = publish(repository, "--sign", key, "--registry", empty.address, **PASSWORD)
    assert done.returncode == 2
    assert "push the image first, with scripts/upload_images.sh" in done.stderr
    assert empty.manifests == {}


@pytest.mark.parametrize("content", [b"{}", b'{"layers": [1]}', b'{"layers": [], "layers": []}', b"no"])
def test_what_is_no_signature_object_stays(
    repository: Repository, registry: fake_registry.Registry, key: pathlib.Path, content: bytes
) -> None:
    tag = signature_objects.tag_of(repository.hashes["collector"])
    registry.manifests["team/collector_image", tag] = (images.OCI_MANIFEST, content)
    done = publish(repository, "--sign", key, "--registry", f"{registry.address}/team", **PASSWORD)
    assert done.returncode == 2
    assert registry.manifests["team/collector_image", tag][1] == content
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "the private key is encrypted: expected its password in the environment variable SIGNING_KEY_PASSWORD"),
        ({"SIGNING_KEY_PASSWORD": "wrong horse"}, "the password does not open this private key"),
    ],
)
def test_the_password_of_the_key_is_asked_for_before_the_build(
    repository: Repository, key: pathlib.Path, environment: dict[str, str], message: str
) -> None:
    line = refused(repository, 2, "--sign", key, "--registry", "registry.example", **environment)
    assert message in line
    assert "wrong horse" not in line


# GitHub.


def test_the_release_goes_to_github_with_all_its_files(repository: Repository, registry: fake_registry.Registry, key: pathlib.Path) -> None:
    with fake_github.serve() as server:
        environment = {"GITHUB_API_URL": f"http://{server.address}", "GITHUB_TOKEN": fake_github.TOKEN, **PASSWORD}
        arguments = ("--sign", key, "--registry", f"{registry.address}/team", "--github", fake_github.REPOSITORY)
        done = publish(repository, *arguments, **environment)
        assert done.returncode == 0, done.stderr
        assert fake_github.TOKEN not in done.stdout + done.stderr
        assert "https://github.com/owner/name/releases/tag/v1.2.3" in done.stdout.splitlines()
        assert {asset["name"]: asset["content_type"] for asset in server.assets.values()} == {
            "collector.spdx.json": "application/spdx+json",
            "provenance.json": "application/vnd.in-toto+json",
            "task_builder.spdx.json": "application/spdx+json",
            "v1.2.3.json": "application/json",
            "v1.2.3.json.sig": "application/octet-stream",
        }
        for name in ("v1.2.3.json", "v1.2.3.json.sig"):
            assert server.named(name)["data"] == (repository.root / "releases" / name).read_bytes()
        (release,) = server.releases
        assert release["target_commitish"] == repository.head()
        assert f"| collector | `{repository.hashes['collector']}` |" in release["body"]
        server.requests.clear()
        assert publish(repository, *arguments, **environment).returncode == 0
        assert {request.split()[0] for request in server.requests} == {"GET"}
        assert server.wrong == []


def test_a_token_that_github_does_not_take_is_not_shown(repository: Repository) -> None:
    with fake_github.serve() as server:
        done = publish(repository, "--github", fake_github.REPOSITORY, GITHUB_API_URL=f"http://{server.address}", GH_TOKEN="ghp_wrong")
    assert done.returncode == 2
    assert "401, it does not take the token of the environment" in done.stderr
    assert "ghp_" not in done.stdout + done.stderr.replace(fake_github.TOKEN, "")
