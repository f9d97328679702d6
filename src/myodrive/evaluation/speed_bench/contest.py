"""Contenders in turn: told what to do, their processes answer how long it took."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from myodrive.errors import OptionError
from myodrive.evaluation.speed_bench.contenders import STOCK, Contender

Tell = Callable[[str, float], None]
COMPILE_S = {"steps": 16.0, "epochs": 7.0, "posterior": 4.0}  # about, on a slow machine


class Contest:
    """Contenders at one model, in turn.

    `table` has for each the number of its processes, the most memory of one of them in MiB, and by kind of work the
    first call and the rates of all rounds.

    Parameters
    ----------
    model : str
        Of `work.MODELS`.
    tell : callable
        Told what is next and about how many seconds it takes.
    environment : mapping, optional
        Further variables of all processes.
    """

    def __init__(self, model: str, tell: Tell, environment: Mapping[str, str] | None = None) -> None:
        self.table: dict[str, Any] = {}
        self.sides: dict[str, Contender] = {}
        self._running: dict[str, list[subprocess.Popen[str]]] = {}
        self._model, self._environment = model, environment or {}
        self._tell: Tell = lambda what, seconds: tell(f"{model}: {what}", seconds)

    def start(self, side: Contender) -> None:
        self._tell(f"starting {side.name}", side.start_s)
        self._begin(side.name, side)
        self.sides[side.name] = side
        n_process = side.n_process * side.n_worker
        self.table.setdefault(
            side.name, {"processes": n_process, "threads": side.n_thread, "peak_mib": 0.0, "work": {}}
        )

    def stop(self, *names: str) -> None:
        """Whatever they are at."""
        for process in (p for name in names for p in self._running.pop(name)):
            process.kill()
            process.communicate()
        self.sides = {name: side for name, side in self.sides.items() if name in self._running}

    def stop_all(self) -> None:
        self.stop(*self._running)

    def compile(self, side: Contender, works: Mapping[str, int]) -> dict[str, float]:
        """One process with all cores does everything for the first time; what it compiles, the others find on disk.

        Returns the seconds of each first call.
        """
        self._begin("compiler", dataclasses.replace(side, n_process=1, n_thread=side.n_process))
        seconds = {}
        for what, n in works.items():
            self._tell(f"compiling {what}", COMPILE_S[what])
            seconds[what] = self._answers("compiler", what, n)[0]["wall_s"]
        self.stop("compiler")
        return seconds

    def ask(self, name: str, what: str, n: int, *, note: str = "") -> list[dict[str, float]]:
        side = self.sides[name]
        self._tell(f"{what} of {name}{note}", side.expected_s(self._model, what, n))
        answers = self._answers(name, what, n)
        row = self.table[name]
        row["peak_mib"] = max(row["peak_mib"], *(a["peak_mib"] for a in answers))
        return answers

    def time(self, what: str, n: Callable[[Contender], int], n_round: int, n_first: Callable[[Contender], int]) -> None:
        """Rounds A B C … C B A of `n` pieces of work in each process, after a first call of `n_first`, or none for 0."""
        sides = list(self.sides.values())
        for side in sides:
            # Of processes that have others work the CPU time is not known.
            timed: dict[str, Any] = {"rate": []} if side.n_worker > 1 else {"rate": [], "cpu_s": []}
            self.table[side.name]["work"][what] = timed
            if n_first(side):
                first = self.ask(side.name, what, n_first(side), note=", first call")
                timed["first_s"] = max(a["wall_s"] for a in first)
        for k in range(n_round):
            for side in sides if k % 2 == 0 else sides[::-1]:
                answers = self.ask(side.name, what, n(side), note=f", round {k + 1} of {n_round}")
                timed = self.table[side.name]["work"][what]
                timed["rate"].append(rate(answers, n(side)))
                if "cpu_s" in timed:
                    timed["cpu_s"].append(float(np.mean([a["cpu_s"] / n(side) for a in answers])))

    def slower_settings(self) -> list[str]:
        """Of each rival's two settings of memory the one that took longer for steps."""
        slower = []
        for name in self.table:
            other = name.removesuffix(STOCK)
            if other != name and other in self.table:
                speed = {n: np.median(self.table[n]["work"]["steps"]["rate"]) for n in (name, other)}
                slower.append(min(speed, key=lambda n: speed[n]))
        return slower

    def _begin(self, name: str, side: Contender) -> None:
        self._running[name] = side.start(self._model, self._environment)

    def _answers(self, name: str, what: str, n: int) -> list[dict[str, float]]:
        return ask(self._running[name], what, n)


class Rehearsal(Contest):
    """The same without a process: what it tells adds up to the seconds that the contest takes."""

    def _begin(self, name: str, side: Contender) -> None:
        self._running[name] = []

    def _answers(self, name: str, what: str, n: int) -> list[dict[str, float]]:
        return [{"wall_s": 1.0, "cpu_s": 1.0, "peak_mib": 0.0, "mib": 0.0}]


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
