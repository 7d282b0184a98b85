"""springboot() packs a java_library and all that it needs into one executable Spring Boot jar.

Usage:

    load("@rules_spring//springboot:springboot.bzl", "springboot")

    springboot(
        name = "collector_application",
        boot_app_class = "com.example.CollectorApplication",
        java_library = ":collector",
        deps = ["@maven//:org_springframework_boot_spring_boot_loader"],
    )

Targets:

* `<name>`: the file `<name>.jar`, for `java -jar`.
* `<name>_apprun`: `bazel run` starts that jar (tagged manual).
"""

load("@rules_java//java:defs.bzl", "java_binary", "java_import")
load("//springboot/private:springboot_jar.bzl", "springboot_jar")

def springboot(
        name,
        java_library,
        boot_app_class,
        boot_launcher_class = "org.springframework.boot.loader.launch.JarLauncher",
        deps = [],
        deps_banned = ["junit", "mockito"],
        deps_exclude_labels = [],
        deps_exclude_paths = [],
        dupeclassescheck_enable = True,
        dupeclassescheck_ignorelist = None,
        bazelrun_jvm_flags = [],
        bazelrun_data = [],
        **kwargs):
    """A Spring Boot jar.

    The jar holds, all entries stored and of 2010-01-01: META-INF/MANIFEST.MF, build-data.properties, Spring Boot's loader,
    BOOT-INF/classes (the classes and resources of java_library itself) and BOOT-INF/lib (every other jar of its runtime class path,
    unchanged, in the order of that class path). Jars of other repositories keep their file name, jars of this repository their path.

    Args:
        name: the jar is <name>.jar.
        java_library: the application; its own jar becomes BOOT-INF/classes, its dependencies BOOT-INF/lib.
        boot_app_class: class with the main method (Start-Class).
        boot_launcher_class: launcher of Spring Boot's loader (Main-Class). Before Spring Boot 3.2:
            org.springframework.boot.loader.JarLauncher.
        deps: more dependencies for BOOT-INF/lib. spring-boot-loader must be among these, or among those of java_library.
        deps_banned: the build fails if the file name of a packed jar contains one of these.
        deps_exclude_labels: the jars of these targets, without those of their dependencies, are left out.
        deps_exclude_paths: jars whose path (such as org/foo/1.0/foo-1.0.jar) contains one of these are left out.
        dupeclassescheck_enable: the build fails if two jars hold the same class with different content.
        dupeclassescheck_ignorelist: text file of jar names, one a line, # begins a comment: those jars may repeat classes of others.
        bazelrun_jvm_flags: for <name>_apprun; $(rootpath) is expanded.
        bazelrun_data: files that <name>_apprun needs.
        **kwargs: what every rule takes (visibility, tags, testonly, ...).
    """
    springboot_jar(
        name = name,
        java_library = java_library,
        boot_app_class = boot_app_class,
        boot_launcher_class = boot_launcher_class,
        deps = deps,
        deps_banned = deps_banned,
        deps_exclude_labels = deps_exclude_labels,
        deps_exclude_paths = deps_exclude_paths,
        dupeclassescheck_enable = dupeclassescheck_enable,
        dupeclassescheck_ignorelist = dupeclassescheck_ignorelist,
        **kwargs
    )

    # What ships is what runs: the jar is the whole class path, its launcher the main class.
    manual = dict(kwargs, tags = kwargs.get("tags", []) + ["manual"])
    java_import(
        name = name + "_apprun_jar",
        jars = [name],
        **manual
    )
    java_binary(
        name = name + "_apprun",
        data = bazelrun_data,
        jvm_flags = bazelrun_jvm_flags,
        main_class = boot_launcher_class,
        runtime_deps = [name + "_apprun_jar"],
        **manual
    )
