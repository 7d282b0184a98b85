"""How long `image_hash compute` takes to hash an image again, next to `sha256sum` and `gzip -dc`.

    ./scripts/docker/docker_run.sh "bazel build //tools:image_hash && python3 benchmarks/hashing.py"

It makes OCI layouts of four layers with 1 GB altogether in a temporary folder, uncompressed and with gzip, and hashes them by turns. Prints
medians, and fails if a target is missed, each of the time of the baseline:

    uncompressed  at most 1.2 times; `sha256sum` of all blobs
    gzip          at most 1.2 times; `sha256sum` of all blobs, and then `gzip -dc BLOB | sha256sum` of each layer
"""

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_LAYERS = 4
_SIZE = 250_000_000
_TARGET = 1.2
_TYPE = "application/vnd.oci.image."


def content(seed: int) -> bytes:
    """SIZE bytes that gzip makes a third of, as of programs."""
    generator = random.Random(seed)
    words = [generator.randbytes(generator.randrange(2, 12)) for _ in range(1000)]
    part = b"".join(generator.choices(words, k=2_000_000))
    return (part * (_SIZE // len(part) + 1))[:_SIZE]


class Layout:
    """An OCI layout in FOLDER whose layers are in the files BLOBS."""

    def __init__(self, folder: pathlib.Path, compressed: bool) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        self.layers = []
        diff_ids = []
        descriptors = []
        for seed in range(_LAYERS):
            data = content(seed)
            diff_ids.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
            descriptors.append(self._blob(gzip.compress(data, 6, mtime=0) if compressed else data, "layer.v1.tar"))
            self.layers.append(self._path(descriptors[-1]))
        config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        manifest = {"schemaVersion": 2, "config": self._blob(json.dumps(config).encode(), "config.v1+json"), "layers": descriptors}
        entry = self._blob(json.dumps(manifest).encode(), "manifest.v1+json")
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.blobs = sorted(str(path) for path in (folder / "blobs/sha256").iterdir())

    def _blob(self, data: bytes, kind: str) -> dict[str, object]:
        descriptor = {"mediaType": _TYPE + kind, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
        pathlib.Path(self._path(descriptor)).write_bytes(data)
        return descriptor

    def _path(self, descriptor: dict[str, object]) -> str:
        return str(self.folder / "blobs" / str(descriptor["digest"]).replace(":", "/"))


def run(command: str) -> tuple[float, float]:
    """Runs a command of the shell; wall time in seconds, peak resident memory of its largest process in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {command} failed with {process.returncode}")
    return elapsed, usage.ru_maxrss / 1024


def main() -> int:
    """Measures and prints; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs for each figure")
    parser.add_argument("--image_hash", default=str(_ROOT / "bazel-bin/tools/image_hash/main"), help="the program")
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        print(f"{os.cpu_count()} processors; {_LAYERS} layers, {_LAYERS * _SIZE / 1e9:.0f} GB; medians of {options.runs}")
        for kind in ("uncompressed", "gzip"):
            # In a process of its own: a child's peak memory starts at its parent's, which has to stay small.
            with multiprocessing.get_context("fork").Pool(1) as pool:
                layout = pool.apply(Layout, (pathlib.Path(name, kind), kind == "gzip"))
            baseline = shlex.join(["sha256sum", *layout.blobs])
            if kind == "gzip":
                baseline = "; ".join([baseline, *(f"gzip -dc < {shlex.quote(layer)} | sha256sum" for layer in layout.layers)])
            commands = {"baseline": baseline, "image_hash": shlex.join([options.image_hash, "compute", str(layout.folder)])}
            figures: dict[str, list[tuple[float, float]]] = {key: [] for key in commands}
            for _ in range(options.runs):
                for key, command in commands.items():
                    figures[key].append(run(command))
            seconds = {key: statistics.median(elapsed for elapsed, _ in found) for key, found in figures.items()}
            ratio = seconds["image_hash"] / seconds["baseline"]
            memory = max(found[1] for found in figures["image_hash"])
            missed = missed or ratio > _TARGET
            print(f"{kind:<14}baseline {seconds['baseline']:5.2f} s   image_hash {seconds['image_hash']:5.2f} s", end="   ")
            print(f"ratio {ratio:.2f} (at most {_TARGET})   {memory:.0f} MB of memory")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
