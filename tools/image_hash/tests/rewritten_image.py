"""Copies of a real image in which exactly one thing is another: what stays equal is a link to the original's blob.

Tars are changed as bytes, header by header, so that nothing of a writer's own habits comes in.
"""

import gzip
import hashlib
import io
import json
import pathlib
import struct
from collections.abc import Callable, Sequence
from typing import Any

from ocilib import tarcheck
from ocilib.tarwriter import BLOCK

Json = dict[str, Any]


class Entry:
    """An entry of a tar: its header blocks, and its data without what fills up the last block."""

    def __init__(self, headers: bytes, data: bytes) -> None:
        self.headers = headers
        self.data = data
        self.padding = b"\0"

    @property
    def path(self) -> str:
        """The path of an entry with a short one."""
        return self.headers[-BLOCK:][:100].partition(b"\0")[0].decode()

    def patch(self, offset: int, value: bytes) -> None:
        """Replaces a part of the main header, and makes the check sum fit."""
        header = bytearray(self.headers[-BLOCK:])
        header[offset : offset + len(value)] = value
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        self.headers = self.headers[:-BLOCK] + bytes(header)

    def number(self, offset: int, width: int, value: int) -> None:
        """Replaces a number of the main header."""
        self.patch(offset, b"%0*o\0" % (width - 1, value))

    def replace(self, data: bytes) -> None:
        """Gives the entry other data."""
        self.data = data
        self.number(124, 12, len(data))

    def copy(self) -> "Entry":
        """An entry like this one."""
        return Entry(self.headers, self.data)

    def bytes(self) -> bytes:
        """As they stand in a tar."""
        return self.headers + self.data + self.padding * (-len(self.data) % BLOCK)


class Tar:
    """A tar in memory.

    Attributes:
        entries: in their order.
        tail: what follows the last.
    """

    def __init__(self, data: bytes) -> None:
        """Takes a tar apart."""
        self.entries: list[Entry] = []
        end = 0
        for member in tarcheck.members(io.BytesIO(data), "tar"):
            stop = member.offset + member.size
            self.entries.append(Entry(data[end : member.offset], data[member.offset : stop]))
            end = stop + -stop % BLOCK
        self.tail = data[end:]

    def __getitem__(self, path: str) -> Entry:
        """The only entry of a path."""
        (entry,) = (entry for entry in self.entries if entry.path == path)
        return entry

    def bytes(self) -> bytes:
        """The whole tar."""
        return b"".join(entry.bytes() for entry in self.entries) + self.tail


def pax_header(records: dict[str, str], name: str = "pax") -> bytes:
    """Header blocks with pax records (POSIX, pax Extended Header)."""
    data = b""
    for key, value in records.items():
        size = len(f" {key}={value}\n")
        length = size + len(str(size + len(str(size))))
        data += f"{length} {key}={value}\n".encode()
    entry = Entry(bytes(BLOCK), b"")
    entry.patch(0, name.encode())
    entry.patch(257, b"ustar\x0000")
    for offset, width in ((100, 8), (108, 8), (116, 8), (136, 12)):
        entry.number(offset, width, 0)
    entry.patch(156, b"x")
    entry.replace(data)
    return entry.bytes()


class Rewritten:
    """A layout under change; `save` writes it.

    Attributes:
        manifest: as JSON.
        config: as JSON.
        index: None, or the index that index.json shall point to.
    """

    def __init__(self, original: pathlib.Path, folder: pathlib.Path) -> None:
        """Starts with what is in the layout ORIGINAL; FOLDER is made by `save`."""
        self._original = original
        self._folder = folder
        self._blobs: dict[str, bytes] = {}
        self._listing: Json = json.loads((original / "index.json").read_bytes())
        self.manifest: Json = json.loads(self._blob(self._listing["manifests"][0]["digest"]).read_bytes())
        self.config: Json = json.loads(self._blob(self.manifest["config"]["digest"]).read_bytes())
        self.index: Callable[[Json], Json] | None = None
        # What makes bytes of a document.
        self.dump_manifest: Callable[[Json], bytes] = self._dump
        self.dump_config: Callable[[Json], bytes] = self._dump

    def layer(self, created_by: str) -> int:
        """Position of the first layer whose history ends so."""
        return next(number for number, entry in enumerate(self.config["history"]) if entry["created_by"].endswith(created_by))

    def tar(self, position: int) -> Tar:
        """The tar of a layer."""
        diff_id = self.config["rootfs"]["diff_ids"][position]
        return Tar(self._blobs.get(diff_id) or self._blob(diff_id).read_bytes())

    def set_tar(self, position: int, tar: bytes) -> None:
        """Gives a layer another tar, not compressed."""
        digest = self._add(tar)
        self.config["rootfs"]["diff_ids"][position] = digest
        self.manifest["layers"][position] |= {"digest": digest, "size": len(tar)}

    def set_blob(self, position: int, blob: bytes, media_type: str) -> None:
        """Stores a layer's tar in another way."""
        self.manifest["layers"][position] |= {"digest": self._add(blob), "size": len(blob), "mediaType": media_type}

    def insert(self, position: int, tar: bytes, created_by: str) -> None:
        """Adds a layer."""
        digest = self._add(tar)
        self.config["rootfs"]["diff_ids"].insert(position, digest)
        self.config["history"].insert(position, self.config["history"][0] | {"created_by": created_by})
        media_type = self.manifest["layers"][0]["mediaType"]
        self.manifest["layers"].insert(position, {"size": len(tar), "digest": digest, "mediaType": media_type})

    def keep(self, positions: Sequence[int]) -> None:
        """Keeps the layers at POSITIONS, in that order."""
        for values in (self.config["rootfs"]["diff_ids"], self.config["history"], self.manifest["layers"]):
            values[:] = [values[position] for position in positions]

    def save(self) -> pathlib.Path:
        """Writes the layout; its folder."""
        config = self.dump_config(self.config)
        if self.dump_config != self._dump or self.config != json.loads(self._blob(self.manifest["config"]["digest"]).read_bytes()):
            self.manifest["config"] |= {"digest": self._add(config), "size": len(config)}
        manifest = self.dump_manifest(self.manifest)
        descriptor = {"mediaType": self.manifest["mediaType"], "digest": self._add(manifest), "size": len(manifest)}
        if self.index:
            index = self._dump(self.index(descriptor))
            descriptor = {"mediaType": json.loads(index)["mediaType"], "digest": self._add(index), "size": len(index)}
        blobs = self._folder / "blobs/sha256"
        blobs.mkdir(parents=True)
        (self._folder / "oci-layout").write_bytes((self._original / "oci-layout").read_bytes())
        (self._folder / "index.json").write_bytes(self._dump(self._listing | {"manifests": [descriptor]}))
        for digest in (self.manifest["config"]["digest"], *(layer["digest"] for layer in self.manifest["layers"])):
            link = blobs / digest.removeprefix("sha256:")
            if digest not in self._blobs and not link.exists():
                link.symlink_to(self._blob(digest).resolve())
        for digest, data in self._blobs.items():
            (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return self._folder

    def _blob(self, digest: str) -> pathlib.Path:
        return self._original / "blobs" / digest.replace(":", "/")

    def _add(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._blobs[digest] = data
        return digest

    @staticmethod
    def _dump(content: Json) -> bytes:
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def gzipped(data: bytes, level: int = 6, *, mtime: int = 0, name: bytes = b"") -> bytes:
    """DATA as gzip; the header holds MTIME and NAME (RFC 1952)."""
    plain = gzip.compress(data, level, mtime=0)
    header = plain[:3] + (b"\x08" if name else b"\0") + struct.pack("<I", mtime) + plain[8:10]
    return header + (name + b"\0" if name else b"") + plain[10:]
