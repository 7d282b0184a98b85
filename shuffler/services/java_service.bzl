"""A Spring Boot service: its classes and its jar.

    load("//shuffler/services:java_service.bzl", "java_service")

    java_service(
        name = "collector",
        main_class = "com.example.CollectorApplication",
        deps = ["//shuffler/common/lifecycle"],
    )

makes `collector` (java_library of the folder's sources), `collector_application` (file `collector_application.jar`) and
`collector_application_apprun` (`bazel run` starts that jar).
"""

load("@rules_java//java:defs.bzl", "java_library")
load("@rules_spring//springboot:springboot.bzl", "springboot")

def java_service(name, main_class, deps):
    """Packs a service.

    Args:
        name: the service's name with underscores.
        main_class: the @SpringBootApplication.
        deps: what its sources use, without Spring Boot itself.
    """
    java_library(
        name = name,
        srcs = native.glob(
            ["*.java"],
            exclude = ["*Test.java"],
        ),
        visibility = ["//shuffler:__subpackages__"],
        deps = deps + ["@maven//:org_springframework_boot_spring_boot_autoconfigure"],
    )
    springboot(
        name = name + "_application",
        boot_app_class = main_class,
        java_library = name,
        visibility = ["//visibility:public"],
        deps = ["@maven//:org_springframework_boot_spring_boot_loader"],
    )
