"""Ways of using the machine, and the processes that each of them is: told what to do, they answer how long it took."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from myodrive.errors import OptionError
from myodrive.learning.processes import ONE_THREAD, worker_environment

STOCK = ", stock memory"
WITHOUT_HUGE_PAGES = {"GLIBC_TUNABLES": ""}


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

    def start(self, model: str) -> list[subprocess.Popen[str]]:
        """Its processes, each on cores of its own."""
        threads = dict.fromkeys(ONE_THREAD, str(self.n_thread))
        environment = {**os.environ, **worker_environment(), **threads, **self.environment, **source()}
        started = []
        for i in range(self.n_process):
            arguments = [self.python, "-m", f"{__package__}.{self.module}", model, str(self.n_thread)]
            pipe = subprocess.PIPE
            process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, env=environment, text=True, encoding="utf-8")
            if hasattr(os, "sched_setaffinity"):
                cores = sorted(os.sched_getaffinity(0))
                mine = [cores[(i * self.n_thread + k) % len(cores)] for k in range(self.n_thread)]
                os.sched_setaffinity(process.pid, mine)
            started.append(process)
        return started


def source() -> dict[str, str]:
    """Where this package is imported from, for another interpreter."""
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")])}


def contenders(python: str | None, n_core: int) -> list[Contender]:
    """Ours, and PyTorch's: what its users get, and the best that they could arrange; each with huge pages and without."""
    ours = Contender("ours", "our_worker", n_core, 1, {}, sys.executable)
    if python is None:
        return [ours]
    rivals = []
    for name, environment in (("", {}), (STOCK, WITHOUT_HUGE_PAGES)):
        rivals += [
            Contender(
                f"PyTorch, one process of {n_core} threads{name}", "torch_worker", 1, n_core, environment, python
            ),
            Contender(
                f"PyTorch, {n_core} processes of one thread{name}", "torch_worker", n_core, 1, environment, python
            ),
        ]
    return [ours, *rivals, dataclasses.replace(ours, name=f"ours{STOCK}", environment=WITHOUT_HUGE_PAGES)]


def our_search(n_core: int) -> Contender:
    """A process that searches, with the memory that a user's has, and one of its own on each core that trains."""
    return Contender("ours", "our_search", 1, n_core, WITHOUT_HUGE_PAGES, sys.executable, n_worker=n_core)


def ask(processes: Sequence[subprocess.Popen[str]], what: str, n: int) -> list[dict[str, float]]:
    """Tell all to begin at once, and wait for all.

    Raises
    ------
    OptionError
        If a worker ended; its own words are on standard error.
    """
    for process in processes:
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # one that has ended gives no answer
            print(json.dumps({"what": what, "n": n}), file=process.stdin, flush=True)
    answers = []
    for process in processes:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise OptionError(
                f"a worker of the benchmark ended while it was at '{what}'.", remedy="See what it said above."
            )
        answers.append(json.loads(line))
    return answers


def rate(answers: Sequence[dict[str, float]], n: int) -> float:
    """Pieces of work in a second, over all processes."""
    return sum(n / a["wall_s"] for a in answers)


class Contest:
    """Contenders at one model, in turn.

    `table` has for each the number of its processes, the most memory of one of them in MiB, and by kind of work the
    first call and the rates of all rounds.
    """

    def __init__(self, model: str, tell: Callable[[str], None]) -> None:
        self.table: dict[str, Any] = {}
        self.sides: dict[str, Contender] = {}
        self._running: dict[str, list[subprocess.Popen[str]]] = {}
        self._model, self._tell = model, tell

    def start(self, side: Contender) -> None:
        self._tell(f"{self._model}: starting {side.name}")
        self._running[side.name] = side.start(self._model)
        self.sides[side.name] = side

    def stop(self, *names: str) -> None:
        for process in (p for name in names for p in self._running.pop(name)):
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        self.sides = {name: side for name, side in self.sides.items() if name in self._running}

    def stop_all(self) -> None:
        self.stop(*self._running)

    def ask(self, name: str, what: str, n: int) -> list[dict[str, float]]:
        answers = ask(self._running[name], what, n)
        side = self.sides[name]
        new = {"processes": side.n_process * side.n_worker, "threads": side.n_thread, "peak_mib": 0.0, "work": {}}
        row = self.table.setdefault(name, new)
        row["peak_mib"] = max(row["peak_mib"], *(a["peak_mib"] for a in answers))
        return answers

    def time(
        self, what: str, n: Callable[[Contender], int], n_round: int, n_first: Callable[[Contender], int] | None = None
    ) -> None:
        """Rounds A B C … C B A of `n` pieces of work in each process, after a first call."""
        for side in self.sides.values():
            self._tell(f"{self._model}: first {what} of {side.name}")
            first = self.ask(side.name, what, (n_first or n)(side))
            timed = {"first_s": max(a["wall_s"] for a in first), "rate": []}
            # Of processes that have others work the CPU time is not known.
            self.table[side.name]["work"][what] = timed if side.n_worker > 1 else {**timed, "cpu_s": []}
        sides = list(self.sides.values())
        for k in range(n_round):
            for side in sides if k % 2 == 0 else sides[::-1]:
                self._tell(f"{self._model}: {what} of {side.name}, round {k + 1} of {n_round}")
                answers = self.ask(side.name, what, n(side))
                timed = self.table[side.name]["work"][what]
                timed["rate"].append(rate(answers, n(side)))
                if "cpu_s" in timed:
                    timed["cpu_s"].append(float(np.mean([a["cpu_s"] / n(side) for a in answers])))

    def slower_settings(self) -> list[str]:
        """Of each rival's two settings of memory the one that took longer for steps; and ours with stock memory."""
        slower = []
        for name in self.table:
            other = name.removesuffix(STOCK)
            if other != name and other in self.table:
                speed = {n: np.median(self.table[n]["work"]["steps"]["rate"]) for n in (name, other)}
                slower.append(name if other == "ours" else min(speed, key=lambda n: speed[n]))
        return slower
