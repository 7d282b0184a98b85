"""Debian packages for images."""

def debian_repositories():
    pass
