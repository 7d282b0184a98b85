"""What all repository rules share that fetch locked files."""

def archived(rctx, sha256):
    """Finds a file in the input archive.

    The variable is read without a note of it: another archive gives the same bytes, so it is no reason to fetch again.

    Args:
        rctx: the repository context.
        sha256: of the file.

    Returns:
        A list with its URL; empty where there is no archive, or none with that file.
    """
    archive = rctx.os.environ.get("INPUT_ARCHIVE")
    if not archive:
        return []
    if not archive.startswith("/"):
        fail("INPUT_ARCHIVE is %r: expected the absolute path of a folder" % archive)
    path = "%s/content_addressable/sha256/%s/file" % (archive.rstrip("/"), sha256)
    return ["file://" + path] if rctx.path(path).exists else []

# %s is the label of the command that locks.
WAYS_OUT = "Give the inputs of this commit (INPUT_ARCHIVE=<folder>), or lock again: bazel run %s -- update"
