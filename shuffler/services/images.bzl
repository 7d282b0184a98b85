"""The three kinds of service image. One macro call in a service's BUILD file defines its image and all that goes with it.

    load("//shuffler/services:images.bzl", "java_service_image")

    java_service_image(name = "collector_image", port = 8082)

Outputs, for name = "collector_image": `collector_image` (OCI layout), `collector_image.digest` (its image hash), and to run
`collector_image_publish` (pushes it: docs/publishing.md) and `collector_image_load` (loads it into docker or podman). The service's name is what
stands before `_image`, and names its files: `binary_tar.tar` holds `collector_application.jar`, which `:collector_application` makes.

What a Confidential Space launcher would later reject or ignore silently fails the build; see service_image.
"""

load("@rules_oci//oci:defs.bzl", "layer_tar", "service_image")
load("@rules_python_layers//layers:defs.bzl", "py_image_layers")
load("//shuffler/services:publish.bzl", "publish_targets")
load("//shuffler/services:settings.bzl", "env_file")
load("//toolchains/debian:layers.bzl", "JNI_LAYERS")

# The unprivileged user of distroless; the two images that run in a TEE write to its memory file system as root.
_NONROOT = "65532"
_ROOT = "0"

_JAVA_ENV = {
    "JDK_JAVA_OPTIONS": "-XX:MaxRAMPercentage=70",
    "SPRING_PROFILES_ACTIVE": "gcp",
}

# What an operator may still change in Confidential Space: the value of FCP_OPTS, nothing else.
_TEE_LABELS = {
    "tee.launch_policy.allow_env_override": "FCP_OPTS",
    "tee.launch_policy.log_redirect": "always",
    "tee.launch_policy.monitoring_memory_allow": "always",
}

def _service_image(name, base, tars, entrypoint, user, port, env, labels):
    service_image(
        name = name,
        base = base,
        entrypoint = entrypoint,
        env = env,
        exposed_ports = ["%d/tcp" % port],
        labels = labels,
        tars = tars,
        user = user,
        visibility = ["//visibility:public"],
        workdir = "/",
    )
    publish_targets(name)

def _service(image):
    if not image.endswith("_image"):
        fail("//%s:%s: expected a name that is the service's with _image behind it" % (native.package_name(), image))
    return image.removesuffix("_image")

def _jar(image):
    return _service(image) + "_application.jar"

def _binary_layer(image, libraries):
    # All lie in /, which is the working directory.
    layer_tar(
        name = "binary_tar.tar",
        files = {file: "/" for file in [":%s_application" % _service(image)] + libraries},
    )
    return ":binary_tar.tar"

def java_service_image(name, port):
    """The image of a Spring Boot service.

    Args:
        name: the service's name with `_image`; `:<service>_application` is its jar.
        port: number of the TCP port that it listens on.
    """
    _service_image(
        name = name,
        base = "//images/base:java17",
        entrypoint = ["java", "-jar", _jar(name)],
        env = _JAVA_ENV,
        labels = {},
        port = port,
        tars = [_binary_layer(name, [])],
        user = _NONROOT,
    )

def tensorflow_java_service_image(name, port, aggregation = False, tee = False):
    """The image of a Spring Boot service that runs TensorFlow through JNI.

    Args:
        name: the service's name with `_image`; `:<service>_application` is its jar.
        port: number of the TCP port that it listens on.
        aggregation: whether it also loads libaggregation-jni.so.
        tee: whether it runs in Confidential Space: with launch policy, as root, and with the measured ENCRYPTION_OPTS.
    """
    libraries = ["//shuffler/native:libtensorflow-jni.so"]
    if aggregation:
        libraries.append("//shuffler/native:libaggregation-jni.so")
    env = _JAVA_ENV
    if tee:
        env_file(
            name = name + "_env",
            encryption_opts = "//shuffler/services:encryption_opts",
            env = _JAVA_ENV,
        )
        env = ":%s_env" % name
    _service_image(
        name = name,
        base = "//images/base:java17",
        entrypoint = ["java", "-Djava.library.path=.", "-jar", _jar(name)],
        env = env,
        labels = _TEE_LABELS if tee else {},
        port = port,
        tars = JNI_LAYERS + ["//shuffler/native:tensorflow_runtime.tar", _binary_layer(name, libraries)],
        user = _ROOT if tee else _NONROOT,
    )

def python_service_image(name, binary, port):
    """The image of a Python service: the interpreter, the packages and the application in a layer each.

    Args:
        name: the service's name with `_image`; the service's files are below `/<service>/` in the image.
        binary: label of its py_binary.
        port: number of the TCP port that it listens on.
    """
    _service_image(
        name = name,
        base = "//images/base:python",
        entrypoint = ["/%s/%s" % (_service(name), _service(name))],
        env = {},
        labels = {},
        port = port,
        tars = py_image_layers(name = _service(name), binary = binary),
        user = _NONROOT,
    )
