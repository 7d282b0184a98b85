"""Maven artifacts."""

load(":maven.bzl", "maven_lock")

def maven_repositories():
    maven_lock(name = "maven", lock = Label("//toolchains/maven:maven.lock.json"))
