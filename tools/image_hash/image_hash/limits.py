"""What the tools take before they say that they could not check: the content of an image is a stranger's."""

# Bytes of an index, manifest or config. Registries take manifests up to 4 MiB (distribution-spec, "Pushing Manifests").
MAX_DOCUMENT = 8 << 20
# Entries of an index.
MAX_MANIFESTS = 1000
# Layers of an image; overlay file systems take far fewer.
MAX_LAYERS = 1000
# Bytes of a layer's tar, or of an archive once it is decompressed.
MAX_TAR = 64 << 30
# Entries of one tar.
MAX_ENTRIES = 1_000_000

# Archives in archives: a layer's file is 0, its member 1. A jar in a wheel in a tar.gz in an archive of packages is 5.
NESTED_DEPTH = 8
# Entries of one archive inside a file; a large JDK's or SDK's has some ten thousand.
NESTED_MEMBERS = 100_000
# Bytes that what is compressed inside the files of a layer expands to, of both images; a wheel of TensorFlow has 1.5 GB.
NESTED_EXPANSION = 4 << 30

_MAX_RATIO = 1100
_ALWAYS_ALLOWED = 64 << 20


def max_expanded(compressed: int) -> int:
    """How many bytes COMPRESSED bytes may expand to.

    Deflate cannot do more than 1032 to 1 (zlib's technical details); what Zstandard can do beyond that, no real file does.
    """
    return min(MAX_TAR, max(_ALWAYS_ALLOWED, _MAX_RATIO * compressed))
