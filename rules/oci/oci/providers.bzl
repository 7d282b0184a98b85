"""What images and layers tell other rules."""

OciLayerInfo = provider(
    doc = "A layer.",
    fields = {
        "blob": "File: what comes into an image; the tar, or its compressed form.",
        "descriptor": "File: JSON with digest, diffid, compression and size of the blob.",
        "tar": "File: the tar as its rule has made it; for a layer given as a file, that file.",
    },
)

OciImageInfo = provider(
    doc = "An image for one platform.",
    fields = {
        "base": "OciImageInfo of the base, or None when it has no base, or one from a rule without this provider.",
        "config": "File: the image's config, as in the layout.",
        "digest": "File: the digest of the manifest (`sha256:...` and a newline).",
        "layers": "list of OciLayerInfo: the layers above the base, lowest first.",
        "layout": "File: the folder of the OCI layout.",
    },
)
