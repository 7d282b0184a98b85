"""What all repository rules share that fetch locked files: the input archive, and what is said of a file that is nowhere."""

def _archive(rctx):
    # Read without a note of it: another archive gives the same bytes, so it is no reason to fetch again.
    archive = rctx.os.environ.get("INPUT_ARCHIVE")
    if archive and not archive.startswith("/"):
        fail("INPUT_ARCHIVE is %r: expected the absolute path of a folder" % archive)
    return archive.rstrip("/") if archive else None

def archived(rctx, sha256):
    """Finds a file in the input archive, the folder that the environment variable INPUT_ARCHIVE names.

    Args:
        rctx: the repository context.
        sha256: of the file.

    Returns:
        A list with its URL; empty where there is no archive, or none with that file.
    """
    archive = _archive(rctx)
    path = "%s/content_addressable/sha256/%s/file" % (archive, sha256)
    return ["file://" + path] if archive and rctx.path(path).exists else []

def nowhere(rctx, what, sha256):
    """Says in one line of a file that neither Bazel's repository cache nor the input archive has it.

    Args:
        rctx: the repository context.
        what: kind, name and version of the file.
        sha256: of the lock.

    Returns:
        The line, to which more can be added.
    """
    archive = _archive(rctx)
    if not archive:
        state = "and no input archive is given"
    elif archived(rctx, sha256):
        state = "and damaged in the input archive " + archive
    else:
        state = "nor in the input archive " + archive
    return "%s, sha256 %s: not in Bazel's repository cache, %s" % (what, sha256, state)

def ways_out(lock):
    """Says what to do where inputs are nowhere.

    Args:
        lock: label of the command that locks them.

    Returns:
        A line.
    """
    return "Ways out: INPUT_ARCHIVE=<archive of this commit's inputs>; a mirror that has them; or versions that exist: bazel run %s -- update" % lock
