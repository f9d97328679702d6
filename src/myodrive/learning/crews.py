"""Who trains the members: this process, or one process for each core."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from myodrive.errors import MyodriveError
from myodrive.learning.members import Slice, Trained, Work, train_members
from myodrive.learning.processes import worker_environment

MOST_DEATHS = 3  # of workers over one slice
BATCH = 20  # members that a GPU is taken to train in the time of one, until it is known better


class Order(NamedTuple):
    """A slice, its hyperparameters (member,) and for how many epochs to train it."""

    members: Slice
    hyper: Any
    n_epochs: int


@runtime_checkable
class Crew(Protocol):
    """Trains slices. A crew keeps no weights between two calls: what a dead worker had is in the caller's hands."""

    @property
    def at_once(self) -> int:
        """How many members train in about the time of one."""

    @property
    def together(self) -> bool:
        """Whether members that are in one slice are trained as one batch."""

    def train(self, orders: Sequence[Order], done: Callable[[int, Trained], None]) -> None:
        """Train all slices and tell of each, as soon as it is done, its place among them and what came of it."""

    def close(self) -> None:
        """Let everybody go, whatever they are at."""


class Alone:
    """In this process. On a GPU, or with `together`, the members of a slice are one batch over all devices."""

    def __init__(self, work: Work, together: bool | None = None) -> None:
        self.together = jax.default_backend() != "cpu" if together is None else together
        self.at_once = BATCH if self.together else 1
        self._work = work

    def train(self, orders: Sequence[Order], done: Callable[[int, Trained], None]) -> None:
        for i, order in enumerate(orders):
            done(i, train_members(self._work, *order, self.together))

    def close(self) -> None:
        """Nothing to let go."""


class Processes:
    """Single-threaded processes of this machine, each given the next slice as soon as it is free.

    A process that dies (out of memory, killed) is replaced, and its slice is trained again from the start.
    """

    together = False

    def __init__(self, work: Work, workers: int) -> None:
        self.at_once = workers
        self._work = as_bytes(work)
        self._closed = False
        self._started: list[_Worker] = []
        self._free: queue.Queue[_Worker] = queue.Queue()
        self._threads = ThreadPoolExecutor(workers)  # they only wait, one for each process
        for _ in range(workers):
            self._free.put(self._start())

    def train(self, orders: Sequence[Order], done: Callable[[int, Trained], None]) -> None:
        waiting = {self._threads.submit(self._ask, order): i for i, order in enumerate(orders)}
        for future in as_completed(waiting):
            done(waiting[future], future.result())

    def close(self) -> None:
        self._closed = True
        for worker in self._started:
            worker.process.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._started:
            worker.close()

    def _start(self) -> _Worker:
        worker = _Worker(self._work)
        self._started.append(worker)
        return worker

    def _ask(self, order: Order) -> Trained:
        worker = self._free.get()
        try:
            for _ in range(MOST_DEATHS):
                try:
                    return worker.ask(order)
                except (OSError, EOFError, pickle.UnpicklingError):
                    if self._closed:
                        raise
                    worker.close()
                    worker = self._start()
        finally:
            self._free.put(worker)
        raise WorkersDied(MOST_DEATHS)


class WorkersDied(MyodriveError):
    """Several workers in a row died over the same slice."""

    def __init__(self, n: int) -> None:
        super().__init__(
            f"{n} worker processes died over the same networks.",
            remedy="Most likely memory ran out: use fewer (workers=1), or none (workers=0).",
        )


class _Worker:
    """A child process that runs `learning.worker`."""

    def __init__(self, work: bytes) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "myodrive.learning.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment_of_worker()},
        )
        self._unsent = work

    def ask(self, order: Order) -> Trained:
        to, back = self.process.stdin, self.process.stdout
        assert to is not None and back is not None
        to.write(self._unsent)
        self._unsent = b""
        pickle.dump(order, to, protocol=pickle.HIGHEST_PROTOCOL)
        to.flush()
        fine, answer = pickle.load(back)
        if not fine:
            raise RuntimeError(f"a worker process failed:\n{answer}")
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what could not be sent any more
                    stream.close()


def as_bytes(work: Work) -> bytes:
    """The work as another process takes it: arrays in main memory."""
    training, validation = jax.tree.map(np.asarray, (work.training, work.validation))
    return pickle.dumps(dataclasses.replace(work, training=training, validation=validation), protocol=5)


def environment_of_worker() -> dict[str, str]:
    """What a worker's environment is changed by: one thread, no GPU, and the same modules as here."""
    paths = os.pathsep.join(p for p in sys.path if p)
    return {**worker_environment(), "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
