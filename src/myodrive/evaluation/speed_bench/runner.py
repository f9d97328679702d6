"""The benchmark: workers of both sides, kept alive, told in turn to do the same work; ratios of what they took.

Rounds run A B C … C B A, so that a machine that warms up or is shared treats both sides alike. Every round gives one
ratio; reported are their median and range. Compilation and first calls are apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from myodrive.errors import OptionError
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.speed_bench.result import SpeedResult
from myodrive.evaluation.speed_bench.work import MODELS, gflop_per_step, measure_matrix_peak
from myodrive.learning.processes import usable_cores, worker_environment

Tell = Callable[[str, float, float], None]
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

    def start(self, model: str) -> list[subprocess.Popen[str]]:
        """Its processes, each on cores of its own."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(self.n_thread))
        environment = {**os.environ, **worker_environment(), **threads, **self.environment}
        environment["PYTHONPATH"] = os.pathsep.join([*_source(), os.environ.get("PYTHONPATH", "")])
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


def _source() -> list[str]:
    """Where this package is imported from, for another interpreter."""
    return [str(Path(__file__).resolve().parents[3])]


def contenders(python: str | None, n_core: int) -> list[Contender]:
    """Ours, and PyTorch's: what its users get, and the best that they could arrange; each with huge pages and without."""
    ours = Contender("ours", "our_worker", n_core, 1, {}, sys.executable)
    if python is None:
        return [ours]
    rivals = []
    for name, environment in (("", {}), (", stock memory", WITHOUT_HUGE_PAGES)):
        rivals += [
            Contender(
                f"PyTorch, one process of {n_core} threads{name}", "torch_worker", 1, n_core, environment, python
            ),
            Contender(
                f"PyTorch, {n_core} processes of one thread{name}", "torch_worker", n_core, 1, environment, python
            ),
        ]
    return [ours, *rivals, dataclasses.replace(ours, name="ours, stock memory", environment=WITHOUT_HUGE_PAGES)]


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


def run_speed_bench(
    *,
    quick: bool = False,
    models: Sequence[str] | None = None,
    torch_python: str | None = None,
    json_path: Path | None = None,
    progress: Tell | None = None,
) -> SpeedResult:
    """Time optimiser steps, epochs and posterior means, beside PyTorch where it is installed.

    Parameters
    ----------
    quick : bool
        Steps of one model in few rounds, within 50 s.
    models : sequence of str, optional
        Of `work.MODELS`; all without it, and `emg_paper` alone with `quick`.
    torch_python : str, optional
        An interpreter that has PyTorch and NumPy; this one without it, if it has.
    """
    unknown = [m for m in models or () if m not in MODELS]
    if unknown:
        raise OptionError(f"there is no model '{unknown[0]}'.", where="--model", remedy=f"Models: {', '.join(MODELS)}.")
    python = torch_python or (sys.executable if importlib.util.find_spec("torch") else None)
    if torch_python:
        _check_torch(torch_python)
    machine = describe_machine() | _versions() | {"matrix_peak_gflop_s": _peak_of_one_core()}
    chosen = list(models or (["emg_paper"] if quick else MODELS))
    tables = {}
    for i, model in enumerate(chosen):

        def tell(what: str, done: int = i) -> None:
            if progress:
                progress(what, done, len(chosen))

        tables[model] = _time_model(model, python, quick, tell, full=model == "emg_paper" and not quick)
    result = SpeedResult(machine, tables, {m: gflop_per_step(MODELS[m]) for m in chosen}, python is not None)
    if json_path:
        result.write(json_path)
    return result


def _check_torch(python: str) -> None:
    try:
        subprocess.run([python, "-c", "import torch"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OptionError(
            f"'{python}' is no interpreter that has PyTorch.",
            where="--torch-python",
            remedy="Name one, as venv/bin/python, or leave it out to time our side alone.",
        ) from error


def _versions() -> dict[str, str | None]:
    def found(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {
        "python": platform.python_version(),
        **{name: found(name) for name in ("jax", "numba", "scipy", "torch", "myodrive")},
    }


def _peak_of_one_core() -> float:
    """Measured in a process of one thread, as the workers are."""
    code = f"from {__package__}.work import measure_matrix_peak as m; print(m())"
    environment = {**os.environ, **worker_environment(), "PYTHONPATH": os.pathsep.join(_source())}
    try:
        return float(
            subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
        )
    except (OSError, ValueError, subprocess.CalledProcessError):
        return measure_matrix_peak()


def _time_model(model: str, python: str | None, quick: bool, tell: Callable[[str], None], full: bool) -> dict[str, Any]:
    """For each contender and kind of work the rates of all rounds, the first call and the memory."""
    sides = contenders(python, usable_cores())
    if quick:
        sides = [s for s in sides if not s.name.endswith("stock memory")]
    plan = {"steps": (2, 2 if quick else 6)} | ({"epochs": (1, 3), "posterior": (1, 3)} if full else {})
    table: dict[str, Any] = {}
    running: dict[str, list[subprocess.Popen[str]]] = {}
    try:
        for side in sides:
            tell(f"{model}: starting {side.name}")
            running[side.name] = side.start(model)
        for what, (n, n_round) in plan.items():
            for side in sides:
                tell(f"{model}: first {what} of {side.name}")
                first = ask(running[side.name], what, n)
                row = table.setdefault(side.name, {"processes": side.n_process, "threads": side.n_thread, "work": {}})
                row["work"][what] = {"first_s": max(a["wall_s"] for a in first), "rate": [], "cpu_s": []}
            for k in range(n_round):
                for side in sides if k % 2 == 0 else sides[::-1]:
                    tell(f"{model}: {what} of {side.name}, round {k + 1} of {n_round}")
                    answers = ask(running[side.name], what, n)
                    row = table[side.name]
                    row["work"][what]["rate"].append(rate(answers, n))
                    row["work"][what]["cpu_s"].append(float(np.mean([a["cpu_s"] / n for a in answers])))
                    row["peak_mib"] = max(a["peak_mib"] for a in answers)
        if full:
            tell(f"{model}: memory of more members")
            more = ask(running["ours"], "more_members", 1)
            table["ours"]["mib_per_member"] = (max(a["peak_mib"] for a in more) - table["ours"]["peak_mib"]) / 4
    finally:
        for process in (p for group in running.values() for p in group):
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
    return table
