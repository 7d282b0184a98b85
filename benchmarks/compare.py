"""How long `image_hash compare` takes on two images that differ in one file of a 1 GB layer, and how much memory.

    python3 benchmarks/compare.py [--python PYTHON]

Baseline is `image_hash compute` of both images, which hashes every blob. Beside it stands diffoscope, if it is on the PATH (Debian's
diffoscope-minimal), on the tars of the two layers, since of whole layouts it says no more than the names of the blobs. By turns, three
times each, diffoscope once. PYTHON has what image_hash needs (absl-py, zstandard); the default is the interpreter that runs this. Prints
medians, and fails if a target is missed: at most 3 times the baseline, under 300 MB of memory, and at least 10 times as fast as diffoscope.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_FILES = 1000
_SIZE = 1_000_000
_TURNS = 3
_MOST_TIME = 3.0
_MOST_MEMORY = 300_000_000
_LEAST_GAIN = 10.0


def make_layout(folder: pathlib.Path, line: str) -> pathlib.Path:
    """An image with one layer: 1000 files of 1 MB of noise, and a text that ends with LINE."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    noise = random.Random(1).randbytes(_SIZE - 8)

    with open(folder / "layer", "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(_FILES):
            _add(tar, f"usr/lib/app/part{number:04}.bin", number.to_bytes(8, "big") + noise)
        _add(tar, "usr/lib/app/settings.txt", "".join(f"setting{number} = {number}\n" for number in range(1000)).encode() + line.encode())
    digest = hashlib.sha256()
    with open(folder / "layer", "rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    layer = (folder / "layer").rename(blobs / digest.hexdigest())
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.name}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(blobs, "config.v1+json", config),
        "layers": [_descriptor("layer.v1.tar", layer)],
    }
    index = {"schemaVersion": 2, "manifests": [_blob(blobs, "manifest.v1+json", manifest)]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _blob(blobs: pathlib.Path, media_type: str, content: object) -> dict[str, object]:
    data = json.dumps(content).encode()
    path = blobs / hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    return _descriptor(media_type, path)


def _descriptor(media_type: str, path: pathlib.Path) -> dict[str, object]:
    return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{path.name}", "size": path.stat().st_size}


def measure(command: list[str], expected: int, log: pathlib.Path) -> tuple[float, float, int]:
    """Seconds, seconds of processors, and peak resident bytes of a command that has to end with the exit code EXPECTED."""
    environment = os.environ | {"PYTHONPATH": f"{_ROOT}/rules/oci:{_ROOT}/tools/image_hash"}
    with open(log, "wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    code = os.waitstatus_to_exitcode(status)
    if code != expected:
        sys.exit(f"{' '.join(command)}: expected exit code {expected}, found {code}:\n{log.read_text('utf-8', 'replace')}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def show(name: str, runs: list[tuple[float, float, int]]) -> tuple[float, int]:
    """Prints medians; seconds and peak bytes."""
    seconds, processor = (statistics.median(run[index] for run in runs) for index in (0, 1))
    memory = max(run[2] for run in runs)
    print(f"{name:16} {seconds:7.2f} s  {processor:6.2f} s of processors  {memory / 1e6:4.0f} MB")
    return seconds, memory


def main() -> None:
    """Measures, prints, and fails if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    tool = [parser.parse_args().python, f"{_ROOT}/tools/image_hash/image_hash/main.py"]
    diffoscope = shutil.which("diffoscope")
    missed = []
    with tempfile.TemporaryDirectory(prefix="compare.") as name:
        folder = pathlib.Path(name)
        images = [make_layout(folder / side, f"built by {side}\n") for side in ("left", "right")]
        layers = [max((image / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size) for image in images]
        log = folder / "log"
        hashed = []
        compared = []
        others = []
        for turn in range(_TURNS):
            hashed.append(measure([*tool, "compute", *map(str, images)], 0, log))
            compared.append(measure([*tool, "compare", *map(str, images)], 1, log))
            if " differ by text content\n" not in log.read_text("utf-8"):
                sys.exit(f"expected the cause text content, found:\n{log.read_text('utf-8')}")
            if diffoscope and not turn:
                report = folder / "report.txt"
                others.append(measure([diffoscope, "--text", str(report), *map(str, layers)], 1, log))
                if "+built by right" not in report.read_text("utf-8"):
                    sys.exit(f"expected the line that differs, diffoscope found:\n{report.read_text('utf-8')}")
        print(f"{os.cpu_count()} processors; a layer of {_FILES * _SIZE / 1e9:.1f} GB in which one file differs; medians of {_TURNS}")
        baseline, _ = show("compute of both", hashed)
        seconds, memory = show("compare", compared)
        gain = show("diffoscope", others)[0] / seconds if others else None
    print(f"{seconds / baseline:.2f} times compute (at most {_MOST_TIME:.0f}), {memory / 1e6:.0f} MB (under {_MOST_MEMORY / 1e6:.0f})")
    if seconds > _MOST_TIME * baseline:
        missed.append("time")
    if memory >= _MOST_MEMORY:
        missed.append("memory")
    if gain is None:
        print("diffoscope is not on the PATH: not compared with it")
    else:
        print(f"{gain:.1f} times as fast as diffoscope (at least {_LEAST_GAIN:.0f})")
        if gain < _LEAST_GAIN:
            missed.append("diffoscope")
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
