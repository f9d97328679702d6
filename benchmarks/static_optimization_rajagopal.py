"""Static optimisation of a trial of gait-rajagopal2016 in four ways, in one run: OpenSim's own tool and three of ours.

python benchmarks/static_optimization_rajagopal.py DATA_FOLDER [--trial walk] [--poses 2000] [--degree 6] [--json FILE]

From the same angles to activations: OpenSim's tool; our solver on OpenSim's geometry, frame by frame (with inverse
dynamics, as the tool); our solver on fitted paths and curves with torques given (the fit and inverse dynamics timed
apart); and the solver alone. CPU seconds, those of child processes included. Poses for the fit fill the range of the
trial's own angles, widened by a tenth on either side.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from simulate_rajagopal import CUTOFF_HZ, STRETCH_S, table

import myodrive as md
from myodrive.evaluation.machine import cpu_seconds, describe_machine
from myodrive.from_simulation.findings import SATURATED
from myodrive.from_simulation.ground_forces import place_forces, read_forces, write_loads
from myodrive.from_simulation.model_muscles import fit_model_muscles
from myodrive.from_simulation.muscle_signals import LEAST_ACTIVATION, muscle_joints
from myodrive.from_simulation.opensim import read_model
from myodrive.from_simulation.steps import (
    inverse_dynamics,
    smooth_motion,
    static_optimization_of_opensim,
)
from myodrive.from_simulation.trial import as_angles
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_text

REPEATS = 20  # of what takes milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--trial", choices=[*CUTOFF_HZ], default="walk")
    parser.add_argument("--poses", type=int, default=2000)
    parser.add_argument("--degree", type=int, default=6)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = measure(options.data / options.trial, options.trial, options.poses, options.degree)
    print(json.dumps(result, indent=1))
    if options.json:
        safe_write_text(options.json, json.dumps(result, indent=1))


def measure(data: Path, trial: str, n_pose: int, degree: int) -> dict[str, Any]:
    model, cutoff = read_model(data / f"subject_scaled_{trial}.osim"), CUTOFF_HZ[trial]
    angles = as_angles(md.read(data / "simulated" / f"ik_{trial}.mot"), model)
    start_s, end_s = STRETCH_S[trial]
    when = angles.time.values[(angles.time.values >= start_s - 1e-9) & (angles.time.values <= end_s + 1e-9)]
    forces = place_forces(read_forces(data / f"grf_{trial}.mot"), [*model.bodies])
    with tempfile.TemporaryDirectory() as name:
        loads = write_loads(forces, Path(name))
        signals, dynamics_s = timed(lambda: inverse_dynamics(model, angles, cutoff, when, loads))
        exact = Recording(signals)
        (theirs, complaints), opensim_s = timed(
            lambda: static_optimization_of_opensim(model, angles, cutoff, exact["moment_arms"], loads, Path(name))
        )
    problem = md.muscle_problem(exact)
    solve(problem)  # compiles
    with_arms, solve_s = timed(lambda: solve(problem), REPEATS)

    joints = muscle_joints(exact["moment_arms"])
    poses = smooth_motion(angles, cutoff, angles.time.values)["value"]
    columns = {str(j): poses[:, i] for i, j in enumerate(angles.joint.values) if str(j) in joints}
    ranges = {j: widened(values) for j, values in columns.items()}
    muscles, fit_s = timed(lambda: fit_model_muscles(model, ranges, poses=n_pose, most_degree=degree, seed=1001))
    own = angles.sel(joint=list(muscles.paths.coordinates))
    torques = exact["moments"].sel(joint=own.joint).values

    def by_paths() -> xr.DataArray:
        motion = smooth_motion(own, cutoff, when)
        return solve(muscles.problem(when, motion["value"], motion["speed"], torques))

    with_paths, paths_s = timed(by_paths, REPEATS)
    free = (with_arms < SATURATED).all("muscle").values
    lengths, moment_arms = muscles.paths(smooth_motion(own, cutoff, when)["value"])
    stored = table(data / "simulated" / f"{trial}_StaticOptimization_activation.sto")
    stored = stored.sel(label=list(problem.muscles)).interp(time=when).rename(label="muscle")
    cpu_s = {
        "OpenSim's tool": opensim_s,
        "inverse dynamics and exact geometry": dynamics_s,
        "exact geometry, all": dynamics_s + solve_s,
        "fit of the model": fit_s,
        "fitted paths, torques given": paths_s,
        "solver alone": solve_s,
    }
    return {
        "trial": trial,
        "frames": when.size,
        "complaints_of_opensim": complaints,
        "cpu_s": cpu_s,
        "frames_per_cpu_s": {k: round(when.size / s, 1) for k, s in cpu_s.items()},
        "times_opensim": {k: round(opensim_s / s, 1) for k, s in cpu_s.items()},
        "activation_rmse": {
            "OpenSim's tool against its stored result": differences(theirs["simulated"], stored),
            "exact geometry against OpenSim's tool": differences(with_arms, theirs["simulated"]),
            "fitted paths against OpenSim's tool": differences(with_paths, theirs["simulated"]),
            "fitted paths against exact geometry": differences(with_paths, with_arms),
            "the same where no muscle is saturated": differences(with_paths[free], with_arms[free]),
            "the same where one is": differences(with_paths[~free], with_arms[~free]),
        },
        "held_out_error_mm": {n: summary(muscles.paths.error_mm[:, i]) for i, n in enumerate(muscles.paths.ERRORS)},
        "trial_error_mm": {
            "length_rms": summary(rms(1e3 * (lengths - exact["muscle_lengths"].values))),
            "moment_arm_rms": summary(
                rms(1e3 * np.abs(moment_arms - exact["moment_arms"].sel(joint=own.joint).values).max(axis=1))
            ),
        },
        "machine": describe_machine(),
    }


def solve(problem: md.MuscleProblem) -> xr.DataArray:
    return md.solve_static_optimization(problem, bounds=(LEAST_ACTIVATION, 1.0)).activations


def widened(values: np.ndarray) -> tuple[float, float]:
    margin = max(0.1 * float(np.ptp(values)), 0.02)
    return float(values.min()) - margin, float(values.max()) + margin


def differences(ours: xr.DataArray, theirs: xr.DataArray) -> dict[str, float]:
    off = ours.values - theirs.values
    return {
        "all": round(float(rms(off.ravel())), 4),
        **summary(rms(off)),
        "largest frame": round(float(np.abs(off).max()), 3),
    }


def rms(off: np.ndarray) -> np.ndarray:
    return np.sqrt((off**2).mean(axis=0))


def summary(values: np.ndarray) -> dict[str, float]:
    """Over muscles."""
    return {"median": round(float(np.median(values)), 4), "worst muscle": round(float(values.max()), 4)}


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[Any, float]:
    """What it gives, and its CPU seconds, the mean of `repeats` calls."""
    before = cpu_seconds()
    for _ in range(repeats):
        done = work()
    return done, (cpu_seconds() - before) / repeats


if __name__ == "__main__":
    main()
