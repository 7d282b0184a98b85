"""Files of results."""

import os
import pathlib
import tempfile


def write(path: pathlib.Path, data: bytes) -> None:
    """Replaces a file as a whole: it has the old content or the new, whatever happens.

    Raises:
        OSError: it cannot be written; then nothing has changed.
    """
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".new.", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
