"""Frames that static optimisation solves per second of CPU time: `python benchmarks/static_optimization_speed.py [--json FILE]`.

A problem of the size of a gait model (80 muscles, 20 coordinates) is made in code, at torques that the muscles can make
and at three times as much, where a third of them saturate. OpenSim's own tool solves 6 to 7 frames a second of this
size, from coordinates on; the goal is 500 times as many for the solver alone. Compilation is timed apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from myodrive import MuscleProblem, fit_muscle_paths, solve_static_optimization
from myodrive.estimator import versions
from myodrive.evaluation.machine import describe_machine
from myodrive.from_simulation.frame_solver import solve_frames
from myodrive.from_simulation.static_optimization import crossings
from myodrive.safe_write import safe_write_text

TESTS = str(Path(__file__).resolve().parents[1] / "tests")
sys.path.insert(0, TESTS)
from musculoskeletal import made_problem  # noqa: E402

OPENSIM_FRAMES_PER_S = 6.5
N_TIME, N_COORDINATE, N_MUSCLE = 1000, 20, 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows = []
    first = first_call_s()
    for load in (1.0, 3.0):
        problem = made_problem(1001, n_time=N_TIME, n_coordinate=N_COORDINATE, n_muscle=N_MUSCLE, load=load)
        rows += [row for exponent in (2, 3) for row in measure(problem, load, exponent, options.repeats)]
        part = made_problem(1001, n_time=100, n_coordinate=N_COORDINATE, n_muscle=N_MUSCLE, load=load)
        seconds = cpu_s(lambda p=part: solve_static_optimization(p, smoothness_s=0.05), 1)
        rows.append(describe("all, smoothness .05 s", load, 2, 100, seconds))
        rows.append(describe("daqp, a frame a call", load, 2, 100, [by_daqp(part)]))
    rows += paths(options.repeats)
    unsolved = frames_without_optimum()
    result = {
        "setting": f"{N_MUSCLE} muscles, {N_COORDINATE} coordinates, {N_TIME} frames, frames per CPU second",
        "first_call_with_imports_s": first,
        "rows": rows,
        "frames_without_optimum": unsolved,
        "machine": describe_machine(),
        "versions": versions(),
    }
    for row in rows:
        print(
            "{what:28s} load {load:3.0f}  p {exponent}  {frames_per_s:9,.0f} ({lowest:,.0f}–{highest:,.0f})".format(
                **row
            )
        )
    for row in unsolved:
        print(
            "load {load:3.0f}  reserves of {reserve} N m  p 3: {frames} of {of} frames without an optimum".format(**row)
        )
    print(f"first call of a program, with imports: {first['compiling']} s, and {first['kept']} s once compiled")
    if options.json:
        safe_write_text(options.json, json.dumps(result, indent=1))


def measure(problem: MuscleProblem, load: float, exponent: int, repeats: int) -> list[dict]:
    """The solver alone, its arrays ready, and the whole call with its checks."""
    rows, counts = crossings(problem.moment_arms)
    need = problem.torques - (problem.moment_arms @ problem.passive_force[..., None])[..., 0]
    none = np.zeros_like(problem.active_force)

    def alone() -> None:
        arrays = problem.moment_arms, problem.active_force, need, problem.reserves
        solve_frames(*arrays, rows, counts, none, none, 0.0, 1.0, exponent)

    assert solve_static_optimization(problem, exponent=exponent).converged.all()
    n = problem.time.size
    return [
        describe("solver alone", load, exponent, n, cpu_s(alone, repeats)),
        describe(
            "all", load, exponent, n, cpu_s(lambda: solve_static_optimization(problem, exponent=exponent), repeats)
        ),
    ]


def frames_without_optimum() -> list[dict]:
    """With p = 3, dear reserves and torques far beyond the muscles, rounding leaves frames unsolved: how many."""
    rows = []
    for load in (3.0, 6.0):
        for reserve in (0.05, 0.2, 1.0):
            size = {"n_time": N_TIME, "n_coordinate": N_COORDINATE, "n_muscle": N_MUSCLE}
            problem = made_problem(1001, **size, load=load, reserve=reserve)
            left = int((~solve_static_optimization(problem, exponent=3).converged).sum())
            rows.append({"load": load, "reserve": reserve, "frames": left, "of": N_TIME})
    return rows


def first_call_s() -> dict[str, float]:
    """CPU seconds of a program of one call, imports included, before and after Numba has kept what it compiled."""
    program = (
        "from musculoskeletal import made_problem; import myodrive as m; m.solve_static_optimization(made_problem(1))"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": TESTS}
        seconds = []
        for _ in range(2):
            before = os.times().children_user
            subprocess.run([sys.executable, "-c", program], env=environment, check=True)
            seconds.append(os.times().children_user - before)
    return {"compiling": round(seconds[0], 1), "kept": round(seconds[1], 1)}


def by_daqp(problem: MuscleProblem) -> float:
    """CPU seconds of an exact solver of another make, arrays ready."""
    import daqp

    n, m = len(problem.muscles), len(problem.coordinates)
    hessian, linear = 2 * np.eye(n + m), np.zeros(n + m)
    equalities = np.r_[np.zeros(n + m), np.full(m, 5)].astype(np.int32)
    spent = 0.0
    for t in range(problem.time.size):
        pull = problem.moment_arms[t] * problem.active_force[t]
        right = problem.torques[t] - problem.moment_arms[t] @ problem.passive_force[t]
        matrix = np.hstack([pull, np.diag(problem.reserves)])
        upper, lower = (np.r_[np.full(n, a), np.full(m, b), right] for a, b in ((1.0, 1e30), (0.0, -1e30)))
        start = time.process_time()
        daqp.solve(hessian, linear, matrix, upper, lower, equalities)
        spent += time.process_time() - start
    return spent


def paths(repeats: int) -> list[dict]:
    """Polynomial paths of muscles over one to three coordinates: the fit to 1500 poses, and all frames from it."""
    generator = np.random.default_rng(1002)
    first, over = generator.integers(0, N_COORDINATE - 2, N_MUSCLE), generator.integers(1, 4, N_MUSCLE)

    def geometry(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths, arms = np.empty((len(q), N_MUSCLE)), np.zeros((len(q), N_COORDINATE, N_MUSCLE))
        for i, (start, n) in enumerate(zip(first, over)):
            angle = 1.5 + q[:, start : start + n].sum(axis=1)
            lengths[:, i] = np.sqrt(0.05**2 + 0.2**2 - 0.02 * np.cos(angle))
            arms[:, start : start + n, i] = (-0.01 * np.sin(angle) / lengths[:, i])[:, None]
        return lengths, arms

    samples, frames = (
        generator.uniform(-0.6, 0.6, (1500, N_COORDINATE)),
        generator.uniform(-0.5, 0.5, (N_TIME, N_COORDINATE)),
    )
    names = {"muscles": [f"m{i}" for i in range(N_MUSCLE)], "coordinates": [f"c{j}" for j in range(N_COORDINATE)]}
    start = time.process_time()
    fitted = fit_muscle_paths(samples, *geometry(samples), **names)
    fit_s = time.process_time() - start
    worst = fitted.error_mm.max(axis=0)
    print(
        f"fit of {N_MUSCLE} paths: {fit_s:.1f} s; largest rms error {worst[0]:.3f} mm of length, {worst[2]:.3f} mm of arm"
    )
    return [describe("polynomial paths", 0.0, 0, N_TIME, cpu_s(lambda: fitted(frames), repeats))]


def describe(what: str, load: float, exponent: int, n: int, seconds: list[float]) -> dict:
    per_s = sorted(n / s for s in seconds)
    return {
        "what": what,
        "load": load,
        "exponent": exponent,
        "frames_per_s": round(statistics.median(per_s)),
        "lowest": round(per_s[0]),
        "highest": round(per_s[-1]),
        "times_opensim": round(statistics.median(per_s) / OPENSIM_FRAMES_PER_S),
    }


def cpu_s(work: Callable[[], object], repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return seconds


if __name__ == "__main__":
    main()
