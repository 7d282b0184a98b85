"""The bases that --//images/base:source=registry takes, by digest. `bazel run //images/base:lock -- update` writes this file: README.md."""

REGISTRY_BASES = {
    "java17": {
        "image": "gcr.io/distroless/java17-debian11",
        "tag": "nonroot",
        "digest": "",
    },
    "python": {
        "image": "docker.io/library/python",
        "tag": "slim",
        "digest": "",
    },
}
