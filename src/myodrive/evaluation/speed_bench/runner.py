"""The benchmark: workers of both sides, kept alive, told in turn to do the same work; ratios of what they took.

Rounds run A B C … C B A, so that a machine that warms up or is shared treats both sides alike. Every round gives one
ratio; reported are their median and range. Starting, compilation and first calls are apart.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from myodrive.errors import OptionError
from myodrive.estimator import versions
from myodrive.evaluation.machine import describe_machine
from myodrive.evaluation.speed_bench.contenders import STOCK, Contender, Contest, contenders, our_search, source
from myodrive.evaluation.speed_bench.result import SpeedResult
from myodrive.evaluation.speed_bench.work import MEMBER_STEPS, MODELS, gflop_per_step, measure_matrix_peak
from myodrive.learning.processes import usable_cores, worker_environment

Tell = Callable[[str, float, float], None]
LEAST_MEMBERS = 4  # of the small search, shared equally by the cores
FURTHER_MEMBERS = 8  # that memory is measured with


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
    sides = [side for side in contenders(python, usable_cores()) if not (quick and side.name.endswith(STOCK))]
    tables = {}
    for i, model in enumerate(chosen):

        def tell(what: str, done: int = i) -> None:
            if progress:
                progress(what, done, len(chosen))

        contest = Contest(model, tell)
        _time_model(contest, sides, quick, full=model == "emg_paper" and not quick)
        tables[model] = contest.table
        slower = contest.slower_settings()  # at the first model; the others are timed without them
        sides = [side for side in sides if side.name not in slower]
    result = SpeedResult(machine, tables, {m: gflop_per_step(MODELS[m]) for m in chosen}, python is not None)
    if json_path:
        result.write(json_path)
    return result


def _version_of_torch(python: str) -> str:
    try:
        code = "import torch; print(torch.__version__)"
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


def _time_model(contest: Contest, sides: Sequence[Contender], quick: bool, full: bool) -> None:
    """For each contender and kind of work the rates of all rounds, the first call and the memory."""
    try:
        for side in sides:
            contest.start(side)
        contest.time("steps", lambda side: 2, 2 if quick else 6 if full else 3)
        if full:
            contest.stop(*contest.slower_settings())
            contest.time("epochs", lambda side: 1, 2)
            contest.time("posterior", lambda side: 1, 2)
            _time_search(contest, usable_cores())
    finally:
        contest.stop_all()


def _time_search(contest: Contest, n_core: int) -> None:
    """A small search, in member-steps; then a larger one: by how much the process that searches grows, and the need."""
    needed = contest.ask("ours", "needed_memory", 1)[0]["mib"]
    contest.stop("ours")
    contest.start(our_search(n_core))
    n_member = -(-LEAST_MEMBERS // n_core) * n_core

    def one_each(side: Contender) -> int:
        return side.n_worker * MEMBER_STEPS

    contest.time("search", lambda side: n_member // side.n_process * MEMBER_STEPS, 2, one_each)
    sizes = (n_core, n_member + FURTHER_MEMBERS)  # the first has nothing to add to the peak of those before
    before, after = (contest.ask("ours", "search", n * MEMBER_STEPS)[0]["peak_mib"] for n in sizes)
    contest.table["ours"] |= {"mib_per_further_member": (after - before) / FURTHER_MEMBERS, "mib_of_a_member": needed}
