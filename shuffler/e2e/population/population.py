"""Many devices in one process, each of which does what its behaviour says."""

from __future__ import annotations

import collections
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from shuffler.proto.task_assignments_pb2 import ReportResultRequest

from shuffler.e2e.population import behaviour as behaviours
from shuffler.e2e.population.behaviour import Behaviour
from shuffler.e2e.population.client import Assignment, Client, Rejection, ServerError
from shuffler.e2e.population.payload import PublicKey

_OLD_VERSION = "0"

Train = Callable[[int, bytes, bytes], bytes]
"""Makes the update (a checkpoint) of a device out of its number, the plan and the model."""


@dataclass(frozen=True)
class Contribution:
    """An update that was uploaded.

    Attributes:
        device: number of the device.
        task: number of the task.
        iteration: number of the iteration.
        behaviour: of the device.
    """

    device: int
    task: int
    iteration: int
    behaviour: Behaviour


@dataclass
class Results:
    """What became of the devices' attempts. Only the threads of one Population write to it.

    Attributes:
        contributions: in the order in which they came.
        outcomes: how many attempts ended how.
    """

    contributions: list[Contribution] = field(default_factory=list)
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)


@dataclass(frozen=True)
class Settings:
    """How a population behaves.

    Attributes:
        name: of the population.
        version: of the devices' software.
        mix: shares of behaviours.
        seed: of all that is random.
        retry_seconds: how long a device waits that was rejected; the server's windows are for real phones.
        straggler_seconds: how long a straggler trains.
    """

    name: str
    version: str = "1"
    mix: Mapping[Behaviour, float] = field(default_factory=lambda: {Behaviour.GOOD: 1.0})
    seed: int = 0
    retry_seconds: float = 0.3
    straggler_seconds: float = 5.0


class Population:
    """Devices that come again and again until they are told to stop."""

    def __init__(self, client: Client, key: PublicKey, train: Train, settings: Settings) -> None:
        self.results = Results()
        self._client = client
        self._key = key
        self._train = train
        self._settings = settings
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._plans: dict[int, bytes] = {}

    def run(self, devices: Sequence[int], threads: int) -> None:
        """Has devices check in, THREADS at a time, until stop() is called; returns when the last of them is done.

        Raises:
            Exception: what a device could not do; then all have stopped.
        """
        waiting = collections.deque(devices)

        def work() -> None:
            while not self._stop.is_set():
                with self._lock:
                    device = waiting.popleft() if waiting else None
                if device is None:
                    self._stop.wait(self._settings.retry_seconds)
                    continue
                try:
                    rejected = self.attempt(device)
                except ServerError as error:
                    self._count(f"error: {error}")
                    rejected = True
                except BaseException:
                    # The others have no use without it.
                    self._stop.set()
                    raise
                if rejected:
                    self._stop.wait(self._settings.retry_seconds)
                with self._lock:
                    waiting.append(device)

        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result()

    def stop(self) -> None:
        """Lets every device end what it does, and no more."""
        self._stop.set()

    def visit(self, device: int, seconds: float) -> None:
        """Lets a device come until it has something to do, and do it.

        Raises:
            TimeoutError: it has got nothing to do for so long.
            ServerError: a server does not do its part.
        """
        deadline = time.monotonic() + seconds
        while self.attempt(device):
            if time.monotonic() > deadline:
                raise TimeoutError(f"device {device} got nothing to do within {seconds:g} s: {dict(self.results.outcomes)}")
            time.sleep(self._settings.retry_seconds)

    def attempt(self, device: int) -> bool:
        """One visit of a device.

        Returns:
            Whether there was nothing to do.

        Raises:
            ServerError: a server does not do its part.
        """
        with self._lock:
            visit = self.results.outcomes["check-in"]
            self.results.outcomes["check-in"] += 1
        randomness = random.Random(f"{self._settings.seed} {device} {visit}")
        behaviour = behaviours.choose(self._settings.mix, randomness)
        version = _OLD_VERSION if behaviour is Behaviour.OLD_VERSION else self._settings.version
        found = self._client.check_in(self._settings.name, version)
        if isinstance(found, Rejection):
            self._count(f"rejected: {found.reason}")
            return True
        self._do(device, behaviour, found, randomness)
        return False

    def _do(self, device: int, behaviour: Behaviour, assignment: Assignment, randomness: random.Random) -> None:
        if behaviour is Behaviour.DROP_OUT:
            self._count("dropped out")
            return
        if behaviour in (Behaviour.FAILED, Behaviour.NOT_ELIGIBLE):
            failed = behaviour is Behaviour.FAILED
            self._client.report(assignment, ReportResultRequest.FAILED if failed else ReportResultRequest.NOT_ELIGIBLE)
            self._count(behaviour.value)
            return
        update = self._train(device, self._plan(assignment), self._client.download(assignment.checkpoint_url))
        if behaviour is Behaviour.STRAGGLER:
            self._stop.wait(self._settings.straggler_seconds)
        content = behaviours.upload(behaviour, update, self._key, randomness)
        for repeat in range(2 if behaviour is Behaviour.DUPLICATE else 1):
            upload = self._client.report(assignment, ReportResultRequest.COMPLETED)
            if upload is None:
                self._count("too late")
                return
            if behaviour is Behaviour.NO_UPLOAD:
                self._count("no upload")
                return
            self._client.upload(upload, content)
            if repeat == 0:
                with self._lock:
                    self.results.contributions.append(Contribution(device, assignment.task, assignment.aggregation, behaviour))
        self._count("uploaded")

    def _plan(self, assignment: Assignment) -> bytes:
        # A phone keeps the plan of a task, too.
        plan = self._plans.get(assignment.task)
        if plan is None:
            plan = self._plans[assignment.task] = self._client.download(assignment.plan_url)
        return plan

    def _count(self, outcome: str) -> None:
        with self._lock:
            self.results.outcomes[outcome] += 1
