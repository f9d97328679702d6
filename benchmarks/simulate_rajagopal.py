"""Simulate the walking and the running trial of gait-rajagopal2016, and compare with the results that lie beside them.

python benchmarks/simulate_rajagopal.py DATA_FOLDER [--trial walk] [--start-s 0.6 --end-s 0.9] [--json FILE]

The results beside the data come from OpenSim's own tools, with their filter. Two comparisons: from the angles that lie
there (inverse dynamics, OpenSim's static optimisation, and our own of the same frames), and from the markers on, where
the accuracy at which inverse kinematics stops makes a difference too. Moments: difference as a share of the moment's
range. Activations: root-mean-square error.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import myodrive as md
from myodrive.from_simulation.ground_forces import place_forces, read_forces, write_loads
from myodrive.from_simulation.opensim import read_model
from myodrive.from_simulation.steps import inverse_dynamics, static_optimization_of_opensim
from myodrive.io.opensim_tables import read_storage
from myodrive.recording import Recording

CUTOFF_HZ = {"walk": 6.0, "run": 15.0}
ACCURACY = {"walk": 1e-5, "run": 1e-4}  # of inverse kinematics in the setups beside the data
STRETCH_S = {"walk": (0.45, 1.80), "run": (0.33, 5.22)}
LEAST_ACTIVATION = 0.01  # of the models' muscles


def table(path: Path) -> xr.DataArray:
    """The one table of a file."""
    signal = next(iter(read_storage(path).signals.values()))
    return signal.rename({str(signal.dims[1]): "label"})


def compare_moments(moments: xr.DataArray, reference: xr.DataArray) -> dict[str, dict[str, float]]:
    """Differences as shares of each moment's range."""
    rows = {}
    for joint in map(str, moments.joint.values):
        label = f"{joint}_{'moment' if str(moments.sel(joint=joint).unit.values) == 'N m' else 'force'}"
        theirs = reference.sel(label=label).interp(time=moments.time.values).values
        difference, span = moments.sel(joint=joint).values - theirs, float(np.ptp(theirs))
        rows[joint] = {
            "range": span,
            "rms": float(np.sqrt(np.mean(difference**2))) / span,
            "largest": float(np.abs(difference).max()) / span,
        }
    return rows


def compare_activations(activation: xr.DataArray, reference: xr.DataArray) -> dict[str, float]:
    """RMSE of each muscle."""
    muscles = list(map(str, activation.muscle.values))
    theirs = reference.sel(label=muscles).interp(time=activation.time.values).values
    return dict(zip(muscles, np.sqrt(((activation.values - theirs) ** 2).mean(axis=0)).tolist()))


def own_optimization(recording: Recording) -> xr.DataArray:
    """Our own static optimisation of the same frames."""
    problem = md.muscle_problem(recording)
    return md.solve_static_optimization(problem, bounds=(LEAST_ACTIVATION, 1.0)).activations


def compare(folder: Path, trial: str, start_s: float, end_s: float) -> dict[str, Any]:
    """Both comparisons of one trial."""
    data, cutoff = folder / trial, CUTOFF_HZ[trial]
    results = data / "simulated"
    moments_there = table(results / f"id_{trial}.sto")
    activation_there = table(results / f"{trial}_StaticOptimization_activation.sto")
    model = read_model(data / f"subject_scaled_{trial}.osim")
    forces = place_forces(read_forces(data / f"grf_{trial}.mot"), [*model.bodies])
    angles = table(results / f"ik_{trial}.mot").sel(label=[c.name for c in model.coordinates]).rename(label="joint")
    turns = np.array([c.units == "rad" for c in model.coordinates])
    angles = angles.copy(data=np.where(turns, np.radians(angles.values), angles.values))
    when = angles.time.values[(angles.time.values >= start_s - 1e-9) & (angles.time.values <= end_s + 1e-9)]
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        loads = write_loads(forces, Path(name))
        began = time.perf_counter()
        signals = inverse_dynamics(model, angles, cutoff, when, loads)
        seconds["inverse dynamics and geometry"] = time.perf_counter() - began
        began = time.perf_counter()
        theirs, failed = static_optimization_of_opensim(
            model, angles, cutoff, signals["moment_arms"], loads, Path(name)
        )
        seconds["OpenSim's static optimisation"] = time.perf_counter() - began
    began = time.perf_counter()
    chain = md.simulate(
        data / f"subject_scaled_{trial}.osim",
        data / f"motion_capture_{trial}.trc",
        data / f"grf_{trial}.mot",
        cutoff_hz=cutoff,
        accuracy=ACCURACY[trial],
        start_s=start_s,
        end_s=end_s,
        static_optimization="none",
    )
    seconds["from markers to moments and geometry"] = time.perf_counter() - began
    return {
        "trial": trial,
        "stretch_s": (start_s, end_s),
        "frames": when.size,
        "wall_s": seconds,
        "failed_frames": failed,
        "from_angles": {
            "moments": compare_moments(signals["moments"], moments_there),
            "opensim": compare_activations(theirs["simulated"], activation_there),
            "own": compare_activations(own_optimization(Recording(signals)), activation_there),
        },
        "from_markers": {
            "moments": compare_moments(chain["moments"], moments_there),
            "own": compare_activations(own_optimization(chain), activation_there),
        },
        "findings": chain.info["simulation"]["findings"],
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures of a trial."""
    times = ", ".join(f"{what} {s:.1f} s" for what, s in result["wall_s"].items())
    print(f"{result['trial']}: {result['frames']} frames; {times}")
    print(f"  {'':<18} {'range':>8}   {'from their angles':^22}   {'from the markers':^22}")
    for joint, row in result["from_angles"]["moments"].items():
        chain = result["from_markers"]["moments"][joint]
        shares = "   ".join(f"RMS {100 * r['rms']:5.2f} % most {100 * r['largest']:6.2f} %" for r in (row, chain))
        print(f"  {joint:<18} {row['range']:8.1f}   {shares}")
    for way, solvers in (("from_angles", ("opensim", "own")), ("from_markers", ("own",))):
        for solver in solvers:
            rmse = result[way][solver]
            worst = max(rmse, key=lambda muscle: rmse[muscle])
            mean = np.mean([*rmse.values()])
            print(f"  activation RMSE, {way}, {solver}: mean {mean:.4f}, largest {rmse[worst]:.4f} ({worst})")


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
        results.append(compare(options.data, trial, options.start_s or start, options.end_s or end))
        show(results[-1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
