"""The repository of Maven artifacts."""

load("//toolchains/maven:maven.bzl", "maven_repository")

def maven_repositories():
    """Declares @maven, with a target for each artifact of the lock."""
    maven_repository(
        name = "maven",
        lock = Label("//toolchains/maven:maven.lock.json"),
    )
