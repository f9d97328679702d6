"""The benchmark: workers of both sides, kept alive, told in turn to do the same work; ratios of what they took.

Rounds run A B C … C B A, so that a machine that warms up or is shared treats both sides alike. Every round gives one
ratio; reported are their median and range. Starting, compilation and first calls are apart. Numbers of rounds and pieces
are such that all of it takes five minutes on two slow cores.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from myodrive.errors import OptionError
from myodrive.estimator import versions
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.speed_bench.contenders import STOCK, Contender, our_search, our_training, rivals, source
from myodrive.evaluation.speed_bench.contest import Contest, Rehearsal
from myodrive.evaluation.speed_bench.result import SpeedResult
from myodrive.evaluation.speed_bench.work import (
    MEMBER_STEPS,
    MODELS,
    STEPS_PER_EPOCH,
    gflop_per_step,
    measure_matrix_peak,
)
from myodrive.learning.processes import usable_cores, worker_environment

Tell = Callable[[str, float, float], None]
LEAST_MEMBERS = 4  # of the small search, shared equally by the cores
FURTHER_MEMBERS = 4  # that memory is measured with


def run_speed_bench(
    *,
    quick: bool = False,
    models: Sequence[str] | None = None,
    torch_python: str | None = None,
    json_path: Path | None = None,
    progress: Tell | None = None,
) -> SpeedResult:
    """Time optimiser steps, epochs, posterior means and a small search, beside PyTorch where it is installed.

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
    machine = (
        describe_machine() | versions() | {"numba": version("numba"), "torch": python and _version_of_torch(python)}
    )
    machine["matrix_peak_gflop_s"] = _peak_of_one_core()
    chosen = list(models or (["emg_paper"] if quick else MODELS))
    total = sum(seconds for _, seconds in _rehearsed(chosen, python, quick))
    done = 0.0

    def tell(what: str, seconds: float) -> None:
        nonlocal done
        if progress:
            progress(what, done, total)
        done += seconds

    with tempfile.TemporaryDirectory(prefix="myodrive-", ignore_cleanup_errors=True) as programs:
        compiled = {"JAX_COMPILATION_CACHE_DIR": programs, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
        tables = _time_models(chosen, python, quick, lambda model: Contest(model, tell, compiled))
    result = SpeedResult(machine, tables, {m: gflop_per_step(MODELS[m]) for m in chosen}, python is not None)
    if json_path:
        result.write(json_path)
    return result


def _version_of_torch(python: str) -> str:
    try:
        code = "from importlib.metadata import version; print(version('torch'))"  # importing it takes seconds
        return subprocess.run([python, "-c", code], capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise OptionError(
            f"'{python}' is no interpreter that has PyTorch.",
            where="--torch-python",
            remedy="Name one, as venv/bin/python, or leave it out to time our side alone.",
        ) from error


def _peak_of_one_core() -> float:
    """Measured in a process of one thread, as the workers are."""
    code = f"from {__package__}.work import measure_matrix_peak as m; print(m())"
    environment = {**os.environ, **worker_environment(), **source()}
    try:
        return float(
            subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
        )
    except (OSError, ValueError, subprocess.CalledProcessError):
        return measure_matrix_peak()


def _rehearsed(models: Sequence[str], python: str | None, quick: bool) -> list[tuple[str, float]]:
    """What there is to do, and about how long each takes."""
    told: list[tuple[str, float]] = []
    _time_models(models, python, quick, lambda model: Rehearsal(model, lambda *what: told.append(what)))
    return told


def _time_models(
    models: Sequence[str], python: str | None, quick: bool, contest_of: Callable[[str], Contest]
) -> dict[str, Any]:
    """The tables of all models. Which setting of memory is the faster for PyTorch, the first one shows."""
    n_core, tables = usable_cores(), {}
    theirs = [r for r in rivals(python, n_core) if not (quick and r.name.endswith(STOCK))] if python else []
    for model in models:
        contest = contest_of(model)
        try:
            _time_model(contest, our_training(n_core), theirs, quick, full=model == "emg_paper" and not quick)
        finally:
            contest.stop_all()
        tables[model] = {"ours": contest.table.pop("ours"), **contest.table}  # first, in whatever order they started
        theirs = [side for side in theirs if side.name not in contest.slower_settings()]
    return tables


def _time_model(contest: Contest, ours: Contender, theirs: Sequence[Contender], quick: bool, full: bool) -> None:
    """For each contender and kind of work the rates of all rounds, the first call and the memory."""
    for side in theirs:  # they start while ours are compiled
        contest.start(side)
    further = ("epochs", "posterior") if full else ()
    compile_s = contest.compile(ours, {"steps": STEPS_PER_EPOCH, **dict.fromkeys(further, 1)})
    contest.start(ours)
    contest.table["ours"]["compile_s"] = compile_s

    def steps(side: Contender) -> int:
        return STEPS_PER_EPOCH if side == ours else 1  # about as long

    # The second call of ours still takes new memory.
    contest.time("steps", steps, 5 if full else 2, lambda side: steps(side) * (2 if side == ours else 1))
    if full:
        contest.stop(*contest.slower_settings())
        for what in further:  # a rival's first step had all that is new to it
            contest.time(what, lambda side: 1, 2, lambda side: int(side == ours))
        _time_search(contest, usable_cores())


def _time_search(contest: Contest, n_core: int) -> None:
    """A small search, in member-steps; then a larger one: by how much the process that searches grows, and the need.

    A rival trains a network in each process: to it, which has no tournament, their number is nothing.
    """
    needed = contest.ask("ours", "needed_memory", 1)[0]["mib"]
    contest.stop("ours")
    searching = our_search(n_core)
    contest.start(searching)
    n_member = -(-LEAST_MEMBERS // n_core) * n_core
    contest.time(
        "search",
        lambda side: (n_member if side == searching else 1) * MEMBER_STEPS,
        2,
        lambda side: n_core * MEMBER_STEPS if side == searching else 0,
    )
    before = contest.ask("ours", "nothing", 0)[0]["peak_mib"]
    after = contest.ask("ours", "search", (n_member + FURTHER_MEMBERS) * MEMBER_STEPS)[0]["peak_mib"]
    contest.table["ours"] |= {"mib_per_further_member": (after - before) / FURTHER_MEMBERS, "mib_of_a_member": needed}
