"""The flag that says which release is meant."""

from absl import flags
from image_hash import errors, releases

RELEASE = flags.DEFINE_string("release", None, "The release: vX.Y.Z.")


def release_name() -> str:
    """The value of --release.

    Raises:
        errors.UsageError: it is not given, or no release.
    """
    if not RELEASE.value:
        raise errors.UsageError("expected --release vX.Y.Z")
    return releases.check_version(RELEASE.value)
