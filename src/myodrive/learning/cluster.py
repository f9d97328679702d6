"""The same search on several machines: workers of a Ray cluster (https://docs.ray.io), the extra `cluster`."""

from __future__ import annotations

import os
import pickle
import socket
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from myodrive.errors import MissingExtraError, OptionError
from myodrive.learning.crews import MOST_DEATHS, Order, WorkersDied, as_bytes, environment_of_worker
from myodrive.learning.members import Trained, Work, train_members

PATIENCE_S = 10.0  # for a cluster to take a connection
LOCAL = "local"  # instead of an address: a cluster of this machine alone, for as long as the search takes


class Cluster:
    """Single-threaded workers (Ray actors) wherever the cluster has a free core, as a crew of `learning.population`.

    Every generation comes back to the process that searches, so a worker or a whole machine that is lost takes nothing
    with it: another worker trains the slice again from its start. That process itself goes on from its checkpoint.

    Parameters
    ----------
    work : Work
    address : str
        Of the cluster, as for `ray.init`: "auto" for the one that this machine belongs to; or "local".
    workers : int, optional
        As many as the cluster has cores by default.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    OptionError
        If there is no cluster at the address.
    """

    together = False

    def __init__(self, work: Work, address: str, workers: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what users record is nobody else's business
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("A search on a cluster", "cluster") from error
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, address, workers)
        cores = int(ray.cluster_resources().get("CPU", 1))
        self.at_once = max(1, min(workers or cores, cores))
        self._work = ray.put(as_bytes(work))
        self._actors = [self._start() for _ in range(self.at_once)]

    def train(self, orders: Sequence[Order], done: Callable[[int, Trained], None]) -> None:
        free, left = list(self._actors), list(enumerate(orders))[::-1]
        deaths = dict.fromkeys(range(len(orders)), 0)
        running: dict[Any, tuple[int, Any]] = {}
        while left or running:
            while left and free:
                place, actor = left[-1][0], free.pop()
                running[actor.train.remote(left.pop()[1])] = place, actor
            ready, _ = self._ray.wait(list(running), num_returns=1)
            place, actor = running.pop(ready[0])
            try:
                trained = self._ray.get(ready[0])
            except self._ray.exceptions.RayActorError as error:
                deaths[place] += 1
                if deaths[place] == MOST_DEATHS:
                    raise WorkersDied(MOST_DEATHS) from error
                self._actors.remove(actor)
                self._actors.append(actor := self._start())
                left.append((place, orders[place]))
            else:
                done(place, trained)
            free.append(actor)

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()

    def _start(self) -> Any:
        options = {"num_cpus": 1, "runtime_env": {"env_vars": environment_of_worker()}}
        return self._ray.remote(**options)(_Trainer).remote(self._work)


class _Trainer:
    """Has the data and the compiled program, and trains slices."""

    def __init__(self, work: bytes) -> None:
        self._work: Work = pickle.loads(work)

    def train(self, order: Order) -> Trained:
        return train_members(self._work, *order)


def _connect(ray: Any, address: str, workers: int | None) -> None:
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        options |= {"num_cpus": workers, "include_dashboard": False}
    try:
        host, _, port = address.rpartition(":")
        if port.isdigit():  # or Ray would try for minutes
            socket.create_connection((host.split("//")[-1], int(port)), PATIENCE_S).close()
        with warnings.catch_warnings():  # it starts processes by fork and exec at once, which JAX's threads do not mind
            warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
            ray.init(**options)
    except (OSError, OverflowError, ValueError) as error:
        raise OptionError(
            f"there is no Ray cluster at '{address}' ({error}).",
            where="cluster",
            remedy="Start one with 'ray start --head', or use cluster='local'.",
        ) from error
