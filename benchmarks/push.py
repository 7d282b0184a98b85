"""How long a push of a 1 GB layer takes next to `curl -T` of the same file to the same registry, and how much memory.

    python3 benchmarks/push.py

Wants Debian's docker-registry and curl on the PATH; starts the registry on loopback with a folder of its own. By turns, five times each:
curl sends the file as one PATCH and commits it, and the program behind oci_push pushes an image with the file as its layer. The interpreter
is the one that runs this, or --python. Prints medians, and fails if a target is missed: at least 0.7 of curl's speed, and under 100 MB of
memory.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

_SIZE = 1_000_000_000
_TURNS = 5
_LEAST_RATIO = 0.7
_MOST_MEMORY = 100_000_000
_RULES_OCI = pathlib.Path(__file__).resolve().parent.parent / "rules/oci"
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}/store}}}}
http: {{addr: "{address}"}}
"""


def make_layout(folder: pathlib.Path) -> pathlib.Path:
    """The OCI layout of an image with one layer of 1 GB of noise; the path of that layer."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def entry(media_type: str, digest: str, size: int) -> dict[str, object]:
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": size}

    def blob(media_type: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return entry(media_type, digest, len(data))

    noise = random.Random(1).randbytes(1 << 22)
    digest = hashlib.sha256()
    with open(folder / "layer", "wb") as file:
        for start in range(0, _SIZE, len(noise)):
            part = (start.to_bytes(8, "big") + noise)[: min(len(noise), _SIZE - start)]
            digest.update(part)
            file.write(part)
    layer = blobs / digest.hexdigest()
    (folder / "layer").rename(layer)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", b"{}"),
        "layers": [entry("layer.v1.tar", layer.name, _SIZE)],
    }
    index = {"schemaVersion": 2, "manifests": [blob("manifest.v1+json", json.dumps(manifest).encode())]}
    (folder / "index.json").write_text(json.dumps(index))
    return layer


def curl(address: str, repository: str, layer: pathlib.Path) -> float:
    """Seconds that curl takes to upload the layer."""

    def location(*arguments: str) -> str:
        command = ["curl", "-sS", "-f", "-o", "/dev/null", "-D", "-", *arguments]
        headers = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        return next(line.split(": ", 1)[1].strip() for line in headers if line.lower().startswith("location: "))

    started = time.monotonic()
    upload = location("-X", "POST", f"http://{address}/v2/{repository}/blobs/uploads/")
    upload = location("-X", "PATCH", "-H", "Content-Type: application/octet-stream", "-H", "Expect:", "-T", str(layer), upload)
    location("-X", "PUT", f"{upload}&digest=sha256:{layer.name}")
    return time.monotonic() - started


def push(python: str, address: str, repository: str, layout: pathlib.Path, config: pathlib.Path) -> tuple[float, int]:
    """Seconds and bytes of memory that a push takes."""
    config.write_text(json.dumps({"image": layout.name, "repository": f"{address}/{repository}", "repository_file": "", "tags_file": ""}))
    main = [str(_RULES_OCI / "ocilib/run.py"), str(_RULES_OCI / "oci/private/push_main.py"), str(layout.parent), str(config), "--tag", "v1"]
    started = time.monotonic()
    process = subprocess.Popen([python, "-I", "-S", "-B", "-X", "utf8", *main], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("the push failed")
    return time.monotonic() - started, usage.ru_maxrss * 1024


def wait_for(address: str) -> None:
    """Waits until the registry listens."""
    host, port = address.split(":")
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    sys.exit("docker-registry does not start")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    for program in ("docker-registry", "curl"):
        if not shutil.which(program):
            sys.exit(f"{program} is not on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        layer = make_layout(root / "layout")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        (root / "config.yml").write_text(_CONFIG.format(root=root, address=address))
        server = subprocess.Popen(
            ["docker-registry", "serve", str(root / "config.yml")], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        curls, pushes, memory = [], [], 0
        try:
            wait_for(address)
            for turn in range(_TURNS):
                # An empty store each time: what the registry has would not be sent.
                for name in ("curl", "push"):
                    shutil.rmtree(root / "store", ignore_errors=True)
                    if name == "curl":
                        curls.append(curl(address, f"{name}{turn}", layer))
                    else:
                        seconds, peak = push(arguments.python, address, f"{name}{turn}", root / "layout", root / "push.json")
                        pushes.append(seconds)
                        memory = max(memory, peak)
        finally:
            server.terminate()
            server.wait()
    ratio = statistics.median(curls) / statistics.median(pushes)
    print(f"{os.cpu_count()} processors; layer of {_SIZE / 1e6:.0f} MB; medians of {_TURNS}")
    print(f"curl -T    {statistics.median(curls):6.2f} s  {_SIZE / 1e6 / statistics.median(curls):7.0f} MB/s")
    speed = _SIZE / 1e6 / statistics.median(pushes)
    print(f"oci_push   {statistics.median(pushes):6.2f} s  {speed:7.0f} MB/s  {memory / 1e6:.0f} MB of memory")
    print(f"ratio      {ratio:6.2f} (at least {_LEAST_RATIO})")
    if ratio < _LEAST_RATIO or memory > _MOST_MEMORY:
        sys.exit("a target is missed")


if __name__ == "__main__":
    main()
