"""What a test in Java needs to load the JNI libraries, as in the images: all in one directory, and libc++ on the search path.

    load("//shuffler/native:jni_test.bzl", "JNI_DATA", "JNI_ENV", "JNI_FLAGS")

    junit5_test(
        name = "plans_test",
        data = JNI_DATA,
        env = JNI_ENV,
        jvm_flags = JNI_FLAGS,
        ...
    )
"""

_LIBCXX = "@debian12_sysroot//:usr/lib/llvm-16/lib"

JNI_DATA = [
    "//shuffler/native:libaggregation-jni.so",
    "//shuffler/native:libtensorflow-jni.so",
    "//shuffler/native:libtensorflow_cc.so.2",
    "//shuffler/native:libtensorflow_framework.so.2",
    _LIBCXX,
]

JNI_ENV = {
    "LD_LIBRARY_PATH": "$(rootpath %s)" % _LIBCXX,
    "TF_CPP_MIN_LOG_LEVEL": "2",
}

JNI_FLAGS = ["-Djava.library.path=shuffler/native"]
