"""Fit polynomial muscle paths to the model of gait-rajagopal2016, and solve its walking trial with them.

python benchmarks/muscle_paths_rajagopal.py DATA_FOLDER [--trial walk] [--poses 2000] [--degree 6] [--json FILE]

Poses fill the range of the trial's own angles, widened by a tenth on either side. The trial's moment arms and lengths are
then compared with OpenSim's, and so are activations from both, with OpenSim's torques and active forces.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from simulate_rajagopal import CUTOFF_HZ, LEAST_ACTIVATION, STRETCH_S, table

import myodrive as md
from myodrive.evaluation.machine import cpu_seconds, describe_machine
from myodrive.from_simulation.opensim import read_model, run_opensim
from myodrive.from_simulation.steps import inverse_dynamics, muscle_joints
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_text


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
    model = read_model(data / f"subject_scaled_{trial}.osim")
    angles = table(data / "simulated" / f"ik_{trial}.mot")
    angles = angles.sel(label=[c.name for c in model.coordinates]).rename(label="joint")
    turns = np.array([c.units == "rad" for c in model.coordinates])
    angles = angles.copy(data=np.where(turns, np.radians(angles.values), angles.values))
    start_s, end_s = STRETCH_S[trial]
    when = angles.time.values[(angles.time.values >= start_s - 1e-9) & (angles.time.values <= end_s + 1e-9)]
    exact, _ = timed(lambda: Recording(inverse_dynamics(model, angles, CUTOFF_HZ[trial], when, None)))
    problem = md.muscle_problem(exact)

    joints, muscles = muscle_joints(exact["moment_arms"]), list(problem.muscles)
    frames = exact["angles"].sel(joint=joints).values
    low, high = frames.min(axis=0), frames.max(axis=0)
    margin = np.maximum(0.1 * (high - low), 0.02)
    poses = np.random.default_rng(1001).uniform(low - margin, high + margin, (n_pose, len(joints)))
    still = np.zeros_like(poses)
    motion = {"time": np.arange(n_pose) / 100, "value": poses, "speed": still, "acceleration": still}
    sampled, sampling_s = timed(
        lambda: run_opensim("dynamics", model.path, {"coordinates": joints, "loads": ""}, motion)
    )
    arms = sampled.arrays["moment_arms"][:, [sampled.answer["coordinates"].index(j) for j in joints]]
    fitted, fit_s = timed(
        lambda: md.fit_muscle_paths(
            poses, sampled.arrays["muscle_lengths"], arms, muscles=muscles, coordinates=joints, most_degree=degree
        )
    )
    (lengths, moment_arms), paths_s = timed(lambda: fitted(frames))
    ours = md.MuscleProblem(
        muscles=muscles,
        coordinates=joints,
        time=problem.time,
        torques=problem.torques,
        moment_arms=moment_arms,
        active_force=problem.active_force,
        reserves=problem.reserves,
    )
    md.solve_static_optimization(ours)  # compiles
    with_paths, solve_s = timed(lambda: md.solve_static_optimization(ours, bounds=(LEAST_ACTIVATION, 1.0)))
    with_arms = md.solve_static_optimization(problem, bounds=(LEAST_ACTIVATION, 1.0))
    off = (with_paths.activations - with_arms.activations).values
    worst = np.argsort(fitted.error_mm[:, 2])[::-1][:5]
    return {
        "trial": trial,
        "frames": when.size,
        "poses": n_pose,
        "cpu_s": {"sampling": sampling_s, "fit": fit_s, "paths of all frames": paths_s, "static optimisation": solve_s},
        "frames_per_cpu_s": round(when.size / (paths_s + solve_s)),
        "held_out_error_mm": {n: summary(fitted.error_mm[:, i]) for i, n in enumerate(fitted.ERRORS)},
        "worst_moment_arms_mm": {muscles[i]: [round(float(e), 3) for e in fitted.error_mm[i]] for i in worst},
        "trial_error_mm": {
            "length_rms": summary(rms(1e3 * (lengths - exact["muscle_lengths"].values))),
            "moment_arm_rms": summary(rms(1e3 * np.abs(moment_arms - problem.moment_arms).max(axis=1))),
        },
        "activation_rmse": {"all": round(float(rms(off.ravel())), 4), **summary(rms(off))},
        "activation_largest": round(float(np.abs(off).max()), 4),
        "machine": describe_machine(),
    }


def rms(off: np.ndarray) -> np.ndarray:
    return np.sqrt((off**2).mean(axis=0))


def summary(values: np.ndarray) -> dict[str, float]:
    """Over muscles."""
    return {"median": round(float(np.median(values)), 4), "largest": round(float(values.max()), 4)}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    before = cpu_seconds()
    done = work()
    return done, round(cpu_seconds() - before, 4)


if __name__ == "__main__":
    main()
