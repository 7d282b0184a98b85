"""Reads streams in threads of their own: hashing and decompressing them need no interpreter lock."""

import contextlib
import queue
import threading
from types import TracebackType
from typing import BinaryIO

_BLOCK = 1 << 19
# Blocks that wait to be taken.
_WAITING = 8


class Ahead:
    """What a stream gives, read some blocks ahead; close it before the stream."""

    def __init__(self, stream: BinaryIO) -> None:
        """Starts to read."""
        self._stream = stream
        self._blocks: queue.Queue[bytes | BaseException] = queue.Queue(_WAITING)
        self._current = b""
        self._position = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self, count: int) -> bytes:
        """COUNT bytes; fewer only at the end.

        Raises:
            whatever the stream raised.
        """
        end = self._position + count
        if end <= len(self._current):
            data = self._current[self._position : end]
            self._position = end
            return data
        parts = [self._current[self._position :]]
        missing = count - len(parts[0])
        while missing:
            block = self._blocks.get()
            if isinstance(block, BaseException):
                self._blocks.put(block)
                raise block
            if not block:
                self._blocks.put(block)
                self._current, self._position = b"", 0
                break
            parts.append(block[:missing])
            self._current, self._position = block, len(parts[-1])
            missing -= len(parts[-1])
        return b"".join(parts)

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stops reading."""
        self._stopped = True
        while self._thread.is_alive():
            # Whoever puts a block may wait for room.
            with contextlib.suppress(queue.Empty):
                self._blocks.get(timeout=0.01)

    def _run(self) -> None:
        try:
            while not self._stopped:
                block = self._stream.read(_BLOCK)
                self._blocks.put(block)
                if not block:
                    return
        except BaseException as error:  # noqa: BLE001 (whoever reads gets it)
            self._blocks.put(error)
