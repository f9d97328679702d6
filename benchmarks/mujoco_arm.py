"""What the repairs of the arm in MuJoCo change: joint moments and activations of movements, with and without each.

python benchmarks/mujoco_arm.py [--json FILE]

Minimum-jerk movements of 1.2 s there and back at 100 Hz, nothing in the hand, a person of 75.3 kg and 1.70 m.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import xarray as xr

import myodrive as md
from myodrive.evaluation.machine import cpu_seconds
from myodrive.from_simulation import mujoco_model
from myodrive.from_simulation.mujoco_simulate import simulate_with_mujoco
from myodrive.recording import make_signal

T = np.arange(0, 4.0, 0.01)
REST = {"elv_angle": 20.0, "shoulder_elv": 10.0, "shoulder_rot": 0.0, "elbow_flexion": 20.0, "pro_sup": 0.0}
MOVES = {  # joint: from, to (deg)
    "elbow flexion": {"elbow_flexion": (10, 120)},
    "abduction": {"elv_angle": (0, 0), "shoulder_elv": (10, 90)},
    "external rotation": {"elbow_flexion": (90, 90), "shoulder_rot": (-35, 35)},
    "pronation": {"elbow_flexion": (90, 90), "pro_sup": (-60, 60)},
    "reaching": {"elv_angle": (20, 75), "shoulder_elv": (15, 85), "elbow_flexion": (95, 25)},
}


def movement(move: dict[str, tuple[float, float]]) -> md.Recording:
    """There, a rest, and back."""

    def eased(start: float) -> np.ndarray:
        s = np.clip((T - start) / 1.2, 0, 1)
        return 10 * s**3 - 15 * s**4 + 6 * s**5

    way = eased(0.5) - eased(2.3)
    ends = {j: move.get(j, (rest, rest)) for j, rest in REST.items()}
    values = np.column_stack([low + (high - low) * way for low, high in ends.values()])
    return md.Recording({"angles": make_signal(values, ("time", "joint"), {"joint": [*ends]}, units="deg", time=T)})


def run(repairs: tuple, name: str) -> tuple[dict[str, xr.DataArray], float]:
    """Moments (time, joint) and activations (time, muscle) of one movement, and the CPU time of simulating it."""
    kept = mujoco_model.REPAIRS
    mujoco_model.REPAIRS = repairs
    try:
        size = {"mass_kg": mujoco_model.MODEL_MASS_KG, "height_m": mujoco_model.MODEL_HEIGHT_M}
        began = cpu_seconds()
        found = simulate_with_mujoco(movement(MOVES[name]), "arm", static_optimization="none", **size)
        took = cpu_seconds() - began
        activations = md.solve_static_optimization(md.muscle_problem(found)).activations
        return {"moments": found["moments"], "activations": activations}, took
    finally:
        mujoco_model.REPAIRS = kept


def main() -> None:
    """Print, for each movement, the largest change that leaving out one repair makes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    run(mujoco_model.REPAIRS, next(iter(MOVES)))  # compiles
    for name in MOVES:
        repaired, took = run(mujoco_model.REPAIRS, name)
        speed = T.size / took
        sizes = np.abs(repaired["moments"]).max("time")
        print(f"{name}: {speed:.0f} frames per CPU second; largest moments, N m: "
              + ", ".join(f"{j} {v:.1f}" for j, v in zip(sizes.joint.values, sizes.values)))  # fmt: skip
        found[name] = {"frames_per_cpu_s": speed}
        for repair in mujoco_model.REPAIRS:
            without, _ = run(tuple(r for r in mujoco_model.REPAIRS if r is not repair), name)
            moment = np.abs(without["moments"] - repaired["moments"]).max("time")
            muscles = np.sqrt(((without["activations"] - repaired["activations"]) ** 2).mean("time"))
            worst, muscle = int(np.argmax(moment.values)), int(np.argmax(muscles.values))
            row = {
                "joint": str(moment.joint.values[worst]),
                "moment": float(moment[worst]),
                "muscle": str(muscles.muscle.values[muscle]),
                "activation_rmse": float(muscles[muscle]),
            }
            found[name][repair.__name__] = row
            if row["moment"] > 1e-3 or row["activation_rmse"] > 1e-3:
                print(f"  without {repair.__name__}: {row['joint']} {row['moment']:.2f} N m, "
                      f"{row['muscle']} RMSE {row['activation_rmse']:.3f}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
