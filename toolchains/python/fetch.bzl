"""One locked file, from Bazel's repository cache, the input archive, or the machine's own package client; always by sha256."""

load("//toolchains:inputs.bzl", "archived", "nowhere", "ways_out")

def fetch(rctx, what, sha256, client, **kwargs):
    """Downloads or extracts one file, sought in this order and taken only with the sha256 of the lock.

    1. Bazel's repository cache;
    2. the input archive, if the environment variable INPUT_ARCHIVE names one (content_addressable/sha256/<hash>/file);
    3. what CLIENT brings: a package manager with the configuration that it has on this machine.

    Args:
        rctx: the repository context.
        what: what is fetched, for messages: kind, name and version.
        sha256: of the file.
        client: function that fetches the file and returns its path, or fails; its argument is why it is called, in a line.
        **kwargs: output, and type if the file is an archive that is to be unpacked there.
    """

    # Without an address, only the cache is asked.
    if _download(rctx, archived(rctx, sha256), sha256, kwargs).success:
        return
    rctx.report_progress("fetching " + what)
    why = nowhere(rctx, what, sha256)
    file = client(why)
    if not _download(rctx, ["file://%s" % file], sha256, kwargs).success:
        fail("%s; the package client brought a file with another sha256. %s" % (why, ways_out(_LOCK)))

# Of what a client says: pip lists every version that there ever was.
_MAX_LINE = 200

_LOCK = "//toolchains/python:lock"

def _download(rctx, urls, sha256, kwargs):
    download = rctx.download_and_extract if "type" in kwargs else rctx.download
    return download(url = urls, sha256 = sha256, allow_fail = True, **kwargs)

def run(rctx, why, command, **kwargs):
    """Runs a program to fetch something; if it fails, so does the fetch, with what the program says in one line.

    Args:
        rctx: the repository context.
        why: what it is run for, for the message.
        command: program and arguments.
        **kwargs: what else rctx.execute takes.
    """
    result = rctx.execute(command, timeout = 1800, **kwargs)
    if result.return_code:
        lines = [line.strip().removeprefix("ERROR: ") for line in (result.stdout + result.stderr).split("\n")]
        said = [line[:_MAX_LINE] for line in lines if line and not line.startswith("WARNING") and "://" not in line]
        fail("%s; %s fails: %s. %s" % (why, str(command[0]).split("/")[-1], "; ".join(said) or "exit code %d" % result.return_code, ways_out(_LOCK)))
