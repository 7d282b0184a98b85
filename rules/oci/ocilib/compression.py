"""gzip and Zstandard as streams: told apart by content, decompressed anywhere, compressed by a pinned compressor only."""

from __future__ import annotations

from ocilib.digest import CHUNK, chunks
from ocilib.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, BinaryIO

# Fixed, since a level is part of the bytes. zlib's default; and for Zstandard the last one before it takes much longer for little.
_GZIP_LEVEL = 6
_ZSTD_LEVEL = 9


class CompressionError(Error):
    """Damaged compressed data, or no compressor."""


def magic(stream: BinaryIO) -> str:
    """What STREAM starts like, whatever its name: "gzip", "zstd" (also a skippable frame) or ""; it is rewound."""
    head = stream.read(4)
    stream.seek(0)
    return kind_of(head)


def kind_of(head: bytes) -> str:
    """The same for the first four bytes."""
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head == b"\x28\xb5\x2f\xfd" or (head[1:] == b"\x2a\x4d\x18" and head[0] >> 4 == 5):
        return "zstd"
    return ""


def decompress(stream: BinaryIO, kind: str, name: str, libzstd: str | None = None) -> Iterator[bytes]:
    """Yields the content of STREAM, compressed with KIND; LIBZSTD is the path of a libzstd.so.1 that is faster than our own decoder.

    Raises:
        CompressionError: damaged or truncated data, or data after it.
        zstd.ZstdError: the same, from our own decoder.
    """
    if kind == "gzip":
        return _gunzip(stream, name)
    if libzstd:
        return _Libzstd(libzstd).decompress(stream, name)
    from ocilib import zstd

    return zstd.decompress(stream.read)


def compress(parts: Iterable[bytes], kind: str, libraries: list[str]) -> Iterator[bytes]:
    """Compresses PARTS with KIND.

    LIBRARIES are the paths of the libz.so.1 or libzstd.so.1 to do it with: zlib's and Zstandard's output differs between their versions.

    Raises:
        CompressionError: the library is missing.
    """
    wanted = {"gzip": "libz.so", "zstd": "libzstd.so"}[kind]
    for library in libraries:
        if library.rpartition("/")[2].startswith(wanted):
            return _gzip(parts, library) if kind == "gzip" else _Libzstd(library).compress(parts)
    raise CompressionError(f"no {wanted}.1 to compress layers with: set the flag --@rules_oci//oci:compressors to a target that has it")


def _gunzip(stream: BinaryIO, name: str) -> Iterator[bytes]:
    import zlib

    rest = b""
    while True:
        # A member: header, deflate stream, CRC, which zlib checks.
        inflate = zlib.decompressobj(wbits=31)
        while not inflate.eof:
            rest = rest or stream.read(CHUNK)
            if not rest:
                raise CompressionError(f"{name}: truncated gzip data")
            try:
                data = inflate.decompress(rest, CHUNK)
            except zlib.error as error:
                raise CompressionError(f"{name}: damaged gzip data ({error})") from None
            rest = inflate.unconsumed_tail
            if data:
                yield data
        rest = inflate.unused_data or stream.read(CHUNK)
        if not rest:
            return
        if rest[:1] != b"\x1f":
            raise CompressionError(f"{name}: data after the end of the gzip data")


def _gzip(parts: Iterable[bytes], library: str) -> Iterator[bytes]:
    import ctypes
    import os

    # The first library of this name that a process loads serves all who need it: the zlib module, too, which would take the machine's.
    pinned = ctypes.CDLL(os.path.abspath(library))
    pinned.zlibVersion.restype = ctypes.c_char_p
    import zlib

    if pinned.zlibVersion().decode() != zlib.ZLIB_RUNTIME_VERSION:
        raise CompressionError(f"this Python has zlib {zlib.ZLIB_RUNTIME_VERSION} built in and cannot use {library}")
    # wbits 31: gzip with an empty header: no name, no time (RFC 1952).
    deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
    for part in parts:
        if data := deflate.compress(part):
            yield data
    yield deflate.flush()


class _Libzstd:
    """The streaming part of libzstd's stable API (zstd.h)."""

    def __init__(self, path: str) -> None:
        import ctypes
        import os

        class Buffer(ctypes.Structure):
            """ZSTD_inBuffer and ZSTD_outBuffer, which have the same fields."""

            _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))

        self._buffer: Any = Buffer
        self._output: Any = ctypes.create_string_buffer(CHUNK)
        self._reference: Any = ctypes.byref
        self._pointer: Any = ctypes.c_void_p
        self._cast: Any = ctypes.cast
        library: Any = ctypes.CDLL(os.path.abspath(path))
        for function in ("ZSTD_createCCtx", "ZSTD_createDCtx"):
            getattr(library, function).restype = ctypes.c_void_p
        for function in ("ZSTD_CCtx_setParameter", "ZSTD_compressStream2", "ZSTD_decompressStream"):
            getattr(library, function).restype = ctypes.c_size_t
        pointer = ctypes.POINTER(Buffer)
        library.ZSTD_CCtx_setParameter.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        library.ZSTD_compressStream2.argtypes = (ctypes.c_void_p, pointer, pointer, ctypes.c_int)
        library.ZSTD_decompressStream.argtypes = (ctypes.c_void_p, pointer, pointer)
        library.ZSTD_isError.argtypes = (ctypes.c_size_t,)
        library.ZSTD_getErrorName.argtypes = (ctypes.c_size_t,)
        library.ZSTD_getErrorName.restype = ctypes.c_char_p
        self._library = library

    def compress(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """One frame with a checksum, by one thread: with more, the bytes would depend on how the input comes."""
        context = self._library.ZSTD_createCCtx()
        for parameter, value in ((100, _ZSTD_LEVEL), (201, 1)):  # ZSTD_c_compressionLevel, ZSTD_c_checksumFlag
            self._check(self._library.ZSTD_CCtx_setParameter(context, parameter, value), "compressing")
        for part in parts:
            source = self._source(part)
            while source.position < source.size:
                yield self._step(self._library.ZSTD_compressStream2, context, source, 0)[0]
        source = self._source(b"")
        left = 1
        while left:
            data, left = self._step(self._library.ZSTD_compressStream2, context, source, 2)  # ZSTD_e_end
            yield data

    def decompress(self, stream: BinaryIO, name: str) -> Iterator[bytes]:
        context = self._library.ZSTD_createDCtx()
        left = 1
        for part in chunks(stream.read):
            source = self._source(part)
            full = True
            while source.position < source.size or full:
                try:
                    data, left = self._step(self._library.ZSTD_decompressStream, context, source)
                except CompressionError as error:
                    raise CompressionError(f"{name}: {error}") from None
                full = len(data) == CHUNK
                yield data
        if left:
            raise CompressionError(f"{name}: truncated Zstandard data")

    def _source(self, data: bytes) -> Any:  # noqa: ANN401
        return self._buffer(self._cast(data, self._pointer), len(data), 0)

    def _step(self, function: Any, context: Any, source: Any, *arguments: int) -> tuple[bytes, int]:  # noqa: ANN401
        target = self._buffer(self._cast(self._output, self._pointer), CHUNK, 0)
        result = function(context, self._reference(target), self._reference(source), *arguments)
        self._check(result, "Zstandard")
        return bytes(self._output[: target.position]), result

    def _check(self, result: int, what: str) -> None:
        if self._library.ZSTD_isError(result):
            raise CompressionError(f"{what}: {self._library.ZSTD_getErrorName(result).decode()}")
