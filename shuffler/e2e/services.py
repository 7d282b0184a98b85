"""What the services promise to those who ask them over HTTP, and to those who start and stop them."""

from __future__ import annotations

from dataclasses import dataclass

TENSORFLOW = "2.14.1"

_NONROOT = 65532
_ROOT = 0
_SIGTERM_OF_JAVA = 128 + 15
_JNI = f"TensorFlow {TENSORFLOW} executed a graph.\n"
_AGGREGATION = "The aggregation library summed two checkpoints.\n"


@dataclass(frozen=True)
class Service:
    """A service in its image.

    Attributes:
        greeting: how its answers begin.
        port: where it listens.
        user: number of the user that it runs as.
        stopped: its exit code after SIGTERM.
        checks: what /ready says below the greeting.
        lacks: what it needs of others, and so is not ready without if it runs alone.
        libraries: its JNI libraries.
    """

    greeting: str
    port: int = 8082
    user: int = _NONROOT
    stopped: int = _SIGTERM_OF_JAVA
    checks: str = ""
    lacks: str = ""
    libraries: tuple[str, ...] = ()


SERVICES = {
    "task_assignment": Service("Greetings from Task Assignment Spring Boot!", port=8083, lacks="task database"),
    "task_management": Service("Greetings from Task Management Spring Boot!", lacks="task database"),
    "collector": Service("Greetings from Collector Spring Boot!", lacks="task database"),
    "task_scheduler": Service(
        "Greetings from Task Scheduler Spring Boot!", lacks="task database", checks=_JNI, libraries=("libtensorflow-jni.so",)
    ),
    "aggregator": Service(
        "Greetings from Aggregator Spring Boot!",
        user=_ROOT,
        checks=_JNI + _AGGREGATION,
        lacks="messages",
        libraries=("libtensorflow-jni.so", "libaggregation-jni.so"),
    ),
    "model_updater": Service(
        "Greetings from Model Updater Spring Boot!",
        user=_ROOT,
        checks=_JNI + _AGGREGATION,
        lacks="messages",
        libraries=("libtensorflow-jni.so", "libaggregation-jni.so"),
    ),
    "task_builder": Service("Greetings from Task Builder Flask!", port=5000, stopped=0, checks=f"TensorFlow {TENSORFLOW}\n"),
}
