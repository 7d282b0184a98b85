"""What the tools take before they refuse: the content of an image is a stranger's."""

# Archives in archives: a layer's file is 0, its member 1. A jar in a wheel in a tar.gz in an archive of packages is 5.
NESTED_DEPTH = 8
# Entries of one archive inside a file; a large JDK's or SDK's has some ten thousand.
NESTED_MEMBERS = 200_000
# Bytes that all archives inside one file of both images expand to; TensorFlow's wheel is 1.5 GB, twice.
NESTED_EXPANSION = 8 << 30
