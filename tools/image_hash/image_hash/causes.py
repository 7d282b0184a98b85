"""The named causes of differences: one list for comparison, reports and documentation (docs/causes.md is made from it)."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why two images differ.

    Attributes:
        name: stable, in JSON and on the command line; never renamed.
        meaning: what differs, in one sentence.
        advice: what to do about it, in one sentence.
    """

    name: str
    meaning: str
    advice: str


# The image around its layers.
INDEX_WRAPPING = Cause(
    "index wrapping",
    "One image is pushed as an index of platforms, the other as a plain manifest; the hash is that of what the reference points to.",
    "Compare the manifest digests; push with a command that keeps the digest (docs/publishing.md).",
)
INDEX_ENTRY = Cause(
    "index entry",
    "The indexes list other manifests beside that of this platform: other platforms, or attestations of the builder.",
    "Build the same platforms, and turn attestations of the builder off (docker buildx: --provenance=false --sbom=false).",
)
MEDIA_TYPE = Cause(
    "media type",
    "The same bytes are called by another media type, mostly Docker's instead of OCI's.",
    "Push with a command that does not convert the manifest (docs/publishing.md).",
)
ANNOTATION = Cause(
    "annotation", "An annotation of the index, the manifest or a descriptor differs.", "Set the annotation alike, or leave it out."
)
MANIFEST_FIELD = Cause(
    "manifest field", "A field of the index or the manifest that has no cause of its own differs.", "Find out which tool wrote the field."
)
JSON_FORMATTING = Cause(
    "JSON formatting",
    "A document says the same with other bytes: white space, order of keys, escapes.",
    "Push with a command that does not write the document anew (docs/publishing.md).",
)
PLATFORM = Cause("platform", "Architecture, operating system or their variant differ.", "Build for the same platform.")
CREATED_TIME = Cause(
    "created time",
    "The config tells another time of creation, of the image or in its history.",
    "Set the time to a constant (SOURCE_DATE_EPOCH, or the attribute created of oci_image).",
)
LABEL = Cause(
    "label", "A label differs; the Confidential Space launch policy is made of labels.", "Compare the labels of the image's target."
)
ENV = Cause(
    "env", "An environment variable, or their order, differs.", "Compare the env of the image's target, its base and its build settings."
)
ENTRYPOINT = Cause("entrypoint", "The entrypoint differs.", "Compare the entrypoint of the image's target.")
COMMAND = Cause("command", "The default arguments (Cmd) differ.", "Compare the cmd of the image's target.")
USER = Cause("user", "The user that the image runs as differs.", "Compare the user of the image's target.")
WORKING_DIRECTORY = Cause("working directory", "The working directory differs.", "Compare the workdir of the image's target.")
EXPOSED_PORT = Cause("exposed port", "A port that the image declares differs.", "Compare the exposed_ports of the image's target.")
VOLUME = Cause("volume", "A volume that the image declares differs.", "Compare the volumes of the image's target.")
CONFIG_FIELD = Cause(
    "config field",
    "A field of the config that has no cause of its own differs.",
    "Find out which tool, or which base image, wrote the field.",
)
HISTORY = Cause(
    "history", "The history in the config differs, besides other things: how a layer was made.", "Compare what made the layers."
)
HISTORY_ONLY = Cause(
    "history only",
    "Nothing but the history in the config differs: the same files were made by other commands, or targets with other names.",
    "Build with the same targets: what runs is equal, the hash is not.",
)

# Layers as a whole.
BASE_MOVED = Cause(
    "base image moved",
    "All layers below the image's own were replaced by others: the image stands on another base.",
    "Build on the same base, named by digest.",
)
PACKAGE_MOVED = Cause(
    "package version moved",
    "A package is there in another version: a Debian package, a jar of Maven, or a distribution of PyPI.",
    "Build from the same lock; the commit that moved the version changed a lock file.",
)
LAYER_ADDED = Cause("layer added", "The second image has a layer that the first lacks.", "Compare the layers of the image's target.")
LAYER_REMOVED = Cause("layer removed", "The first image has a layer that the second lacks.", "Compare the layers of the image's target.")
LAYER_ORDER = Cause(
    "layer order", "A layer is there in both images, in another place.", "Compare the order of the layers in the image's target."
)
COMPRESSION_FORMAT = Cause(
    "compression format",
    "The same tar is stored uncompressed, with gzip or with Zstandard: the diff ids are equal, the blobs are not.",
    "Take the same layer compression, and push with a command that keeps the digest (docs/publishing.md).",
)
GZIP_HEADER = Cause(
    "gzip header",
    "The header of a gzip stream differs (time, name, operating system), its compressed data do not.",
    "Compress without name and time (gzip -n).",
)
COMPRESSION = Cause(
    "compression level or implementation",
    "The same content was compressed to other bytes: by another level, program or version of it.",
    "Compress with one pinned compressor at one level, or not at all.",
)

# Entries of archives.
FILE_ADDED = Cause("file added", "The second image has a file that the first lacks.", "Find the target that makes the file.")
FILE_REMOVED = Cause("file removed", "The first image has a file that the second lacks.", "Find the target that makes the file.")
ENTRY_ORDER = Cause(
    "entry order", "An archive has the same entries in another order.", "Sort the entries: whoever made this took the order of a directory."
)
DUPLICATE_ENTRY = Cause("duplicate entry", "An archive has an entry more often than the other.", "Write each entry once.")
MTIME = Cause("mtime", "The modification time of an entry differs.", "Give all entries one constant time.")
OWNER = Cause(
    "owner",
    "The number of the user or the group of an entry differs.",
    "Give all entries constant owners: whoever built this left its own.",
)
OWNER_NAME = Cause("owner name", "The name of the user or the group of an entry differs.", "Write numeric owners only.")
MODE = Cause("mode", "The permissions of an entry differ.", "Give all entries constant modes: a umask shows here.")
SYMLINK_VS_FILE = Cause(
    "symlink vs file",
    "An entry is a symbolic link in one image and a file or folder in the other.",
    "Follow links, or keep them, everywhere.",
)
HARD_LINK_VS_FILE = Cause(
    "hard link vs file",
    "A file is stored as a hard link in one image and with its content in the other.",
    "Do not store links between inputs.",
)
FILE_TYPE = Cause("file type", "An entry is of another type.", "Find the target that makes the entry.")
LINK_TARGET = Cause("link target", "A link points elsewhere.", "Make links relative: an absolute one shows where it was made.")
DEVICE_NUMBER = Cause("device number", "A device file has another number.", "Leave device files to the container runtime.")
PAX_HEADER = Cause("PAX header", "The pax records of an entry differ, or only one has some.", "Write a format without them (GNU or ustar).")
TAR_FORMAT = Cause(
    "tar format",
    "The headers of a tar say the same in another way: format, version or form of numbers.",
    "Write tars with one pinned program.",
)
TAR_PADDING = Cause(
    "tar padding", "What fills up a tar after the data of a file or behind its end differs.", "Write tars with one pinned program."
)
ZSTD_HEADER = Cause(
    "zstd header",
    "The header of a Zstandard frame differs (check sum, stated size, skippable frames), its compressed data do not.",
    "Compress with one pinned program and one set of options.",
)
ZIP_TIMESTAMP = Cause("zip timestamp", "The time of an entry of a zip or jar differs.", "Give all entries one constant time.")
ZIP_ORDER = Cause("zip order", "A zip or jar has the same entries in another order.", "Sort the entries.")

ZIP_HEADER = Cause(
    "zip header",
    "The headers of a zip or jar say the same in another way: host system, version, attributes, comments, extra fields, form of sizes.",
    "Write zips with one pinned program.",
)
ZIP_PADDING = Cause(
    "zip padding",
    "What stands before, between or behind the entries of a zip or jar differs: a start script, alignment, a signature.",
    "Write zips with one pinned program.",
)

# Inside files.
COMPILED_CODE = Cause(
    "compiled code",
    "Code or data of a compiled program, library, class or module differ.",
    "Compare its sources, the compiler's version and its options.",
)
COMPILER_VERSION = Cause(
    "compiler version",
    "The file names another compiler, or was compiled for another version of its platform.",
    "Build with the same toolchain.",
)
DEBUG_INFORMATION = Cause(
    "debug information",
    "Line numbers, names of sources and variables, or symbols differ, or only one file has them.",
    "Compile with the same debug options, and strip both files or none.",
)
DEBUG_LINK = Cause(
    "debug link", "The name or check sum of the file with the separated debug information differs.", "Strip both files in the same way."
)
CONSTANT_ORDER = Cause(
    "constant order",
    "A class file has the same content with its constants, members or attributes in another order.",
    "Compile with one compiler; look for a processor that walks through a hash set.",
)
BUILD_ID = Cause(
    "build id", "The build id of a program or library differs.", "Look for the differing section: the id is a hash of the rest."
)
PYC_VALIDATION = Cause(
    ".pyc validation",
    "The header of a compiled Python file differs (time or hash of its source, or the way it is validated), its code does not.",
    "Compile with unchecked hashes, or ship no .pyc.",
)
PYC_REFERENCES = Cause(
    ".pyc references",
    "A compiled Python file has the same code, with other references between equal objects or another order in sets.",
    "Compile each file in a fresh interpreter, or ship no .pyc.",
)
EMBEDDED_PATH = Cause(
    "embedded path",
    "An absolute path of the machine that built it is in the file.",
    "Map paths away (-ffile-prefix-map, -trimpath), or build in one place.",
)
EMBEDDED_TIME = Cause("embedded time", "A date or time is in the file.", "Take the time out, or from SOURCE_DATE_EPOCH.")
TEXT_CONTENT = Cause("text content", "Lines of a text differ.", "Read the lines.")
LINE_ORDER = Cause(
    "line order",
    "A text has the same lines in another order.",
    "Sort the lines: whoever made this took the order of a directory or a hash.",
)
LINE_ENDINGS = Cause(
    "line endings",
    "Lines of a text end in CR LF in one file and in LF in the other.",
    "Check out without conversion (git: core.autocrlf=false).",
)
NOT_EXAMINED = Cause(
    "not examined",
    "The files differ, and are too large, too deep or have too many members to be opened.",
    "Take the files out of the images and compare them by hand.",
)
DIGEST_ONLY = Cause(
    "digest only",
    "A digest differs from the one in the list of expected hashes, which keeps nothing else of it: what differs inside cannot be told.",
    "Compare with the expected image itself: image_hash compare EXPECTED_IMAGE IMAGE.",
)
UNKNOWN = Cause("unknown", "The bytes differ, and no cause of this list fits.", "Look at the byte ranges that are printed.")

ALL = tuple(value for value in tuple(globals().values()) if isinstance(value, Cause))
"""Every cause, from the outside of an image to the inside of its files."""
