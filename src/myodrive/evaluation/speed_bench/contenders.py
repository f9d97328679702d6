"""Ways of using the machine, and the processes that each of them is."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from myodrive.evaluation.speed_bench.work import MODELS, gflop_per_step
from myodrive.learning.processes import ONE_THREAD, worker_environment

STOCK = ", stock memory"
WITHOUT_HUGE_PAGES = {"GLIBC_TUNABLES": ""}
STEPS_IN = {"steps": 1.0, "search": 1.1, "epochs": 5.5, "posterior": 5.0}  # a piece of work, about


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way of using the machine: some processes, each of some threads, that work at the same time."""

    name: str
    module: str
    n_process: int
    n_thread: int
    environment: dict[str, str]
    python: str
    n_worker: int = 1  # that a process has work for it, if it does none itself
    step_s: float = 1.1  # about: of `emg_paper`, in each process on a slow machine
    start_s: float = 3.0

    def start(self, model: str, further: Mapping[str, str]) -> list[subprocess.Popen[str]]:
        """Its processes, each on cores of its own. A Ctrl-C is for this process, which ends them."""
        threads = dict.fromkeys(ONE_THREAD, str(self.n_thread))
        environment = {**os.environ, **worker_environment(), **threads, **self.environment, **further, **source()}
        started = []
        for i in range(self.n_process):
            arguments = [self.python, "-m", f"{__package__}.{self.module}", model, str(self.n_thread)]
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
            if hasattr(os, "sched_setaffinity"):
                cores = itertools.cycle(sorted(os.sched_getaffinity(0)))
                n = self.n_thread * self.n_worker
                os.sched_setaffinity(process.pid, set(itertools.islice(cores, i * n, (i + 1) * n)))
            started.append(process)
        return started

    def expected_s(self, model: str, what: str, n: int) -> float:
        """About how long some pieces of work take it, for telling how much is left."""
        size = gflop_per_step(MODELS[model]) / gflop_per_step(MODELS["emg_paper"])
        return n * STEPS_IN.get(what, 0.0) * size * self.step_s / self.n_worker


def source() -> dict[str, str]:
    """Where this package is imported from, for another interpreter."""
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")])}


def our_training(n_core: int) -> Contender:
    """What a search has on each core."""
    return Contender("ours", "our_worker", n_core, 1, {}, sys.executable, step_s=0.33, start_s=7.0)


def our_search(n_core: int) -> Contender:
    """A process that searches, with the memory that a user's has, and one of its own on each core that trains."""
    return dataclasses.replace(
        our_training(n_core), module="our_search", n_process=1, n_worker=n_core, environment=WITHOUT_HUGE_PAGES
    )


def rivals(python: str, n_core: int) -> list[Contender]:
    """PyTorch as its users get it, and the best that they could arrange; each with huge pages and without."""
    return [
        Contender(f"PyTorch, {name}{memory}", "torch_worker", n_process, n_thread, environment, python)
        for memory, environment in (("", {}), (STOCK, WITHOUT_HUGE_PAGES))
        for name, n_process, n_thread in (
            (f"one process of {n_core} threads", 1, n_core),
            (f"{n_core} processes of one thread", n_core, 1),
        )
    ]
