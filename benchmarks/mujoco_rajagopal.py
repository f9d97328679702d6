"""The legs in MuJoCo beside those in OpenSim, in the walking and the running trial of gait-rajagopal2016.

python benchmarks/mujoco_rajagopal.py DATA_FOLDER [--trial walk] [--json FILE]

Both models are of one size (Rajagopal2016.osim, not scaled) and move by the angles that lie beside the data. Compared
are moments from the forces under the feet, moment arms and active forces of each muscle, and the activations that
static optimisation finds for OpenSim's moments with the one and the other muscles. The same once more with the model as
it is shipped, without repairs. Then the moments of the person, from mass and height, beside those of the scaled model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import myodrive as md
from myodrive.evaluation.machine import cpu_seconds
from myodrive.from_simulation import mujoco_model
from myodrive.from_simulation.mujoco_model import load_mujoco_model
from myodrive.from_simulation.mujoco_simulate import simulate_with_mujoco
from myodrive.from_simulation.muscle_signals import muscle_joints

CUTOFF_HZ = {"walk": 6.0, "run": 15.0}
STRETCH_S = {"walk": (0.45, 1.80), "run": (0.33, 5.22)}
PERSON = {"walk": (85.1, 1.80), "run": (72.8, 1.76)}  # kg; m, from the lengths of thigh and shank in the scaled models


@contextmanager
def as_shipped() -> Iterator[None]:
    """No repair, but for the pelvis, by which angles are told."""
    kept = {name: getattr(mujoco_model, name) for name in ("REPAIRS", "PATH_REPAIRS", "read_published")}
    mujoco_model.REPAIRS, mujoco_model.PATH_REPAIRS = (mujoco_model.straighten_pelvis,), ()
    mujoco_model.read_published = lambda: None
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(mujoco_model, name, value)


def rms(difference: xr.DataArray, dim: str | tuple[str, ...] = "time") -> xr.DataArray:
    """Root mean square."""
    return np.sqrt((difference**2).mean(dim))


def compare_muscles(ours: md.Recording, theirs: md.Recording, joints: list[str]) -> dict[str, Any]:
    """Moment arms, forces and activations of every muscle."""
    muscles = list(map(str, ours["moment_arms"].muscle.values))
    pick = {"joint": joints, "muscle": muscles}
    arms = {k: r["moment_arms"].sel(pick) for k, r in (("ours", ours), ("theirs", theirs))}
    off = rms(arms["ours"] - arms["theirs"]) * 1e3
    force = {k: r["active_force"].sel(muscle=muscles) for k, r in (("ours", ours), ("theirs", theirs))}
    share = rms(force["ours"] - force["theirs"]) / force["theirs"].mean("time")
    activation = {}
    for k in ("ours", "theirs"):
        problem = md.MuscleProblem(
            muscles=muscles,
            coordinates=joints,
            time=theirs["moments"].time.values,
            torques=theirs["moments"].sel(joint=joints).values,
            moment_arms=arms[k].transpose("time", "joint", "muscle").values,
            active_force=np.maximum(force[k].values, 0.0),
            reserves=np.ones(len(joints)),
        )
        activation[k] = md.solve_static_optimization(problem).activations
    error = rms(activation["ours"] - activation["theirs"])
    r = xr.corr(activation["ours"], activation["theirs"], "time")
    worst = off.argmax("joint")
    rows = {
        m: {
            "arm_mm": float(off.sel(muscle=m).max()),
            "joint": joints[int(worst.sel(muscle=m))],
            "arm_size_mm": float(rms(arms["theirs"].sel(muscle=m))[int(worst.sel(muscle=m))]) * 1e3,
            "force_share": float(share.sel(muscle=m)),
            "activation_rmse": float(error.sel(muscle=m)),
        }
        for m in muscles
    }
    by_joint = {
        j: float(rms(arms["ours"].sel(joint=j) - arms["theirs"].sel(joint=j), ("time", "muscle"))) * 1e3 for j in joints
    }
    return {
        "muscles": rows,
        "arm_mm_of_joint": by_joint,
        "activation_rmse": float(error.mean()),
        "activation_r_median": float(r.median()),
    }


def compare_moments(ours: xr.DataArray, theirs: xr.DataArray) -> dict[str, dict[str, float]]:
    """RMS difference and range, N m."""
    rows = {}
    for joint in map(str, ours.joint.values):
        a, b = ours.sel(joint=joint).values, theirs.sel(joint=joint).values
        rows[joint] = {
            "rms": float(np.sqrt(np.mean((a - b) ** 2))),
            "range": float(np.ptp(b)),
            "r": float(np.corrcoef(a, b)[0, 1]),
        }
    return rows


def compare(folder: Path, trial: str) -> dict[str, Any]:
    """All of one trial."""
    data, (start, end) = folder / trial, STRETCH_S[trial]
    angles, forces = data / "simulated" / f"ik_{trial}.mot", data / f"grf_{trial}.mot"
    options: dict[str, Any] = {"cutoff_hz": CUTOFF_HZ[trial]}
    stretch = {"start_s": start, "end_s": end, "static_optimization": "none"}
    theirs = md.simulate(folder / "Rajagopal2016.osim", angles=angles, forces=forces, **stretch, **options)
    scaled = md.simulate(data / f"subject_scaled_{trial}.osim", angles=angles, forces=forces, **stretch, **options)
    recording = md.Recording(
        {"angles": md.read(angles)["angles"], "forces": next(iter(md.read(forces).signals.values()))}
    )
    size = {"mass_kg": mujoco_model.MODEL_MASS_KG, "height_m": mujoco_model.MODEL_HEIGHT_M}
    time = theirs["moments"].time.values

    def ours(**size: float) -> tuple[md.Recording, float]:
        began = cpu_seconds()
        found = simulate_with_mujoco(recording, static_optimization="none", **options, **size)
        speed = found["moments"].sizes["time"] / (cpu_seconds() - began)
        at = {k: found[k].interp(time=time) for k in ("moments", "moment_arms", "active_force")}
        return found.replace(signals=at), speed

    load_mujoco_model("legs")  # compiles
    repaired, speed = ours(**size)
    with as_shipped():
        shipped, _ = ours(**size)
    joints = [j for j in muscle_joints(theirs["moment_arms"]) if j in repaired["moments"].joint.values]
    mass, height = PERSON[trial]
    return {
        "trial": trial,
        "frames": int(time.size),
        "frames_per_cpu_s": speed,
        "moments": compare_moments(repaired["moments"], theirs["moments"]),
        "moments_as_shipped": compare_moments(shipped["moments"], theirs["moments"]),
        "moments_of_person": compare_moments(ours(mass_kg=mass, height_m=height)[0]["moments"], scaled["moments"]),
        "repaired": compare_muscles(repaired, theirs, joints),
        "as_shipped": compare_muscles(shipped, theirs, joints),
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures of a trial."""
    print(f"{result['trial']}: {result['frames']} frames; {result['frames_per_cpu_s']:.0f} frames per CPU second")
    print("  moments, RMS of the range: repaired, as shipped, of the person by mass and height (r)")
    for joint, row in result["moments"].items():
        others = [result[k][joint] for k in ("moments_as_shipped", "moments_of_person")]
        shares = "  ".join(f"{r['rms']:5.2f} N m = {r['rms'] / r['range']:6.2%} ({r['r']:.3f})" for r in (row, *others))
        print(f"    {joint:<16} {shares}")
    for way in ("repaired", "as_shipped"):
        found = result[way]
        print(
            f"  {way}: activation RMSE {found['activation_rmse']:.4f}, median r {found['activation_r_median']:.3f}; moment arms, mm:"
        )
        print("    " + "  ".join(f"{j} {mm:.2f}" for j, mm in found["arm_mm_of_joint"].items()))
    print("  each muscle, repaired (as shipped): moment arm where it is farthest off, force, activation")
    for muscle, row in result["repaired"]["muscles"].items():
        if muscle.endswith("_r"):
            old = result["as_shipped"]["muscles"][muscle]
            print(
                f"    {muscle:<13} {row['arm_mm']:5.2f} ({old['arm_mm']:5.2f}) mm of {row['arm_size_mm']:3.0f} {row['joint']:<16} "
                f"{row['force_share']:5.1%} ({old['force_share']:5.1%})  {row['activation_rmse']:.3f} ({old['activation_rmse']:.3f})"
            )


def main() -> None:
    """Print the figures of each trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--trial", choices=[*CUTOFF_HZ])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for trial in [options.trial] if options.trial else [*CUTOFF_HZ]:
        results.append(compare(options.data, trial))
        show(results[-1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
