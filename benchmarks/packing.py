"""How long packing and hashing a large tree takes, next to `tar | tee | sha256sum`, and how much memory.

    ./scripts/docker/docker_run.sh "python3 benchmarks/packing.py"

It makes a tree of 30,000 files and over 1 GB in a temporary folder, and packs it by turns with tar and with the script behind layer_tar.
The interpreter is the one that runs this, or --python. Prints medians, and fails if a target is missed: at most 1.5 times the time of tar,
and under 200 MB of memory.
"""

import argparse
import multiprocessing
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

_FILES = 30_000
_RULES_OCI = pathlib.Path(__file__).resolve().parent.parent / "rules/oci"


def make_tree(root: pathlib.Path) -> int:
    """30,000 files of many sizes, most of them small, in 300 folders; their bytes altogether."""
    generator = random.Random(1)
    noise = generator.randbytes(1 << 24)
    total = 0
    for index in range(_FILES):
        folder = root / f"{index % 15:02}" / f"{index % 300:03}"
        if index < 300:
            folder.mkdir(parents=True)
        size = min(int(generator.lognormvariate(8.9, 1.8)), 1 << 24)
        start = generator.randrange((1 << 24) - size + 1)
        (folder / f"file_{index}").write_bytes(noise[start : start + size])
        total += size
    return total


def in_child(function: Callable[[pathlib.Path], int], path: pathlib.Path) -> int:
    """Calls FUNCTION in a process of its own: a child's peak memory starts at its parent's, which has to stay small."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, (path,))


def run(command: list[str], folder: pathlib.Path) -> tuple[float, float]:
    """Runs COMMAND; wall time in seconds, peak resident memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: {command[0]} failed with {process.returncode}")
    return elapsed, usage.ru_maxrss / 1024


def main() -> int:
    """Measures and prints; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs for each figure")
    parser.add_argument("--python", default=sys.executable, help="interpreter for the packer")
    options = parser.parse_args()

    def script(name: str, *arguments: str) -> list[str]:
        command = [options.python, "-I", "-S", "-B", "-X", "utf8", str(_RULES_OCI / "ocilib/run.py")]
        return [*command, str(_RULES_OCI / "oci/private" / name), *arguments]

    commands = {
        "tar | tee | sha256sum": ["sh", "-c", "tar --sort=name -cf - tree | tee tar.tar | sha256sum"],
        "pack_layer.py": script("pack_layer.py", "layer.tar", "layer.json", "file", "/tree", "tree"),
        "describe_layer.py": script("describe_layer.py", "layer.tar", "described.json", "--strict"),
    }
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = pathlib.Path(name)
        total = in_child(make_tree, folder / "tree")
        print(f"{_FILES} files, {total / 1e9:.2f} GB; median of {options.runs}")
        figures: dict[str, list[tuple[float, float]]] = {key: [] for key in commands}
        for turn in range(options.runs + 1):
            for key, command in commands.items():
                figure = run(command, folder)
                # The first turn fills the page cache.
                if turn:
                    figures[key].append(figure)
    seconds = {key: statistics.median(figure[0] for figure in values) for key, values in figures.items()}
    memory = {key: max(figure[1] for figure in values) for key, values in figures.items()}
    for key in commands:
        print(f"{key:22} {seconds[key]:6.2f} s  {memory[key]:6.1f} MB")
    ratio = seconds["pack_layer.py"] / seconds["tar | tee | sha256sum"]
    most = max(memory["pack_layer.py"], memory["describe_layer.py"])
    print(f"packing and hashing: {ratio:.2f} times tar (at most 1.5), {most:.0f} MB (under 200)")
    return 0 if ratio <= 1.5 and most < 200 else 1


if __name__ == "__main__":
    sys.exit(main())
