"""Simulate the walking and the running trial of gait-rajagopal2016, and compare with the results that lie beside them.

python benchmarks/simulate_rajagopal.py DATA_FOLDER [--trial walk] [--start-s 0.6 --end-s 0.9] [--json FILE]

Moments: the root-mean-square difference, and the largest, as a share of the moment's range; once from the markers on, and
once from the angles that lie beside the data, which leaves out inverse kinematics. Activations: RMSE, from the markers
on. The results beside the data come from OpenSim's own tools (inverse dynamics and AnalyzeTool, with their filter).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

import myodrive as md
from myodrive.from_simulation.ground_forces import place_forces, read_forces, write_loads
from myodrive.from_simulation.opensim import read_model
from myodrive.from_simulation.steps import inverse_dynamics
from myodrive.io.opensim_tables import read_storage

CUTOFF_HZ = {"walk": 6.0, "run": 15.0}
STRETCH_S = {"walk": (0.45, 1.80), "run": (0.33, 5.22)}


def table(path: Path, at: xr.DataArray) -> xr.DataArray:
    """The one table of a file, at the times of a signal."""
    signal = next(iter(read_storage(path).signals.values()))
    dim = str(signal.dims[1])
    return signal.rename({dim: "label"}).interp(time=at.time.values)


def moments_from_angles(data: Path, trial: str, at: xr.DataArray) -> xr.DataArray:
    """Inverse dynamics of the angles that lie beside the data."""
    model = read_model(data / f"subject_scaled_{trial}.osim")
    angles = next(iter(read_storage(data / "simulated" / f"ik_{trial}.mot").signals.values()))
    turns = np.array([c.units == "rad" for c in model.coordinates])
    angles = angles.sel(joint=[c.name for c in model.coordinates])
    angles = angles.copy(data=np.where(turns, np.radians(angles.values), angles.values))
    forces = place_forces(read_forces(data / f"grf_{trial}.mot"), [*model.bodies])
    with tempfile.TemporaryDirectory() as folder:
        loads = write_loads(forces, Path(folder))
        return inverse_dynamics(model, angles, CUTOFF_HZ[trial], at.time.values, loads)["moments"]


def compare(folder: Path, trial: str, start_s: float, end_s: float) -> dict:
    """One trial: the figures of its moments and activations."""
    data = folder / trial
    began = time.perf_counter()
    found = md.simulate(
        data / f"subject_scaled_{trial}.osim",
        data / f"motion_capture_{trial}.trc",
        data / f"grf_{trial}.mot",
        cutoff_hz=CUTOFF_HZ[trial],
        start_s=start_s,
        end_s=end_s,
    )
    seconds = time.perf_counter() - began
    moments, activation = found["moments"], found["simulated"]
    theirs = table(data / "simulated" / f"id_{trial}.sto", moments)
    angles = table(data / "simulated" / f"ik_{trial}.mot", found["angles_unfiltered"])
    alone = moments_from_angles(data, trial, moments)
    rows = {}
    for joint in map(str, moments.joint.values):
        label = f"{joint}_{'moment' if str(moments.sel(joint=joint).unit.values) == 'N m' else 'force'}"
        reference = theirs.sel(label=label).values
        difference = moments.sel(joint=joint).values - reference
        difference_alone = alone.sel(joint=joint).values - reference
        turned = found["angles_unfiltered"].sel(joint=joint).values - angles.sel(label=joint).values
        span = np.ptp(reference)
        rows[joint] = {
            "range": span,
            "rms_share": np.sqrt(np.mean(difference**2)) / span,
            "largest_share": np.abs(difference).max() / span,
            "rms_share_from_angles": np.sqrt(np.mean(difference_alone**2)) / span,
            "largest_share_from_angles": np.abs(difference_alone).max() / span,
            "angle_rms_deg_or_m": np.sqrt(np.mean(turned**2)),
        }
    reference = table(data / "simulated" / f"{trial}_StaticOptimization_activation.sto", activation)
    muscles = list(map(str, activation.muscle.values))
    rmse = np.sqrt(((activation.values - reference.sel(label=muscles).values) ** 2).mean(axis=0))
    return {
        "trial": trial,
        "stretch_s": (start_s, end_s),
        "frames": activation.sizes["time"],
        "wall_s": seconds,
        "moments": rows,
        "activation_rmse": dict(zip(muscles, rmse.tolist())),
        "findings": found.info["simulation"]["findings"],
    }


def main() -> None:
    """Print the figures of each trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--trial", choices=[*CUTOFF_HZ])
    parser.add_argument("--start-s", type=float)
    parser.add_argument("--end-s", type=float)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for trial in [options.trial] if options.trial else [*CUTOFF_HZ]:
        start, end = STRETCH_S[trial]
        result = compare(options.data, trial, options.start_s or start, options.end_s or end)
        results.append(result)
        print(f"{trial}: {result['frames']} frames in {result['wall_s']:.0f} s")
        for joint, row in result["moments"].items():
            print(
                f"  {joint:<18} range {row['range']:8.1f}  RMS {100 * row['rms_share']:6.2f} %  "
                f"largest {100 * row['largest_share']:6.2f} %  angle RMS {row['angle_rms_deg_or_m']:.4f}  from their angles: "
                f"RMS {100 * row['rms_share_from_angles']:.3f} %  largest {100 * row['largest_share_from_angles']:.3f} %"
            )
        rmse = np.array([*result["activation_rmse"].values()])
        worst = max(result["activation_rmse"], key=lambda m: result["activation_rmse"][m])
        print(f"  activation RMSE: mean {rmse.mean():.4f}, largest {rmse.max():.4f} ({worst})")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
