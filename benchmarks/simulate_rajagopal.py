"""Simulate the walking and the running trial of gait-rajagopal2016, and compare with the results that lie beside them.

python benchmarks/simulate_rajagopal.py DATA_FOLDER [--trial walk] [--start-s 0.6 --end-s 0.9] [--json FILE]

The results beside the data come from OpenSim's own tools, with their filter, on another machine. Three comparisons: from
the angles that lie there; from the markers on; and from the angles that OpenSim's own tool of inverse kinematics gives
here, with the setup beside the data. Moments: difference as a share of the moment's range. Activations:
root-mean-square error. OpenSim's own static optimisation is compared in static_optimization_rajagopal.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import myodrive as md
from myodrive.evaluation.machine import cpu_seconds
from myodrive.io.opensim_tables import read_storage

CUTOFF_HZ = {"walk": 6.0, "run": 15.0}
ACCURACY = {"walk": 1e-5, "run": 1e-4}  # of inverse kinematics in the setups beside the data
WAYS = ("from_angles", "from_markers", "from_opensims_tool")
STRETCH_S = {"walk": (0.45, 1.80), "run": (0.33, 5.22)}


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


def compare(folder: Path, trial: str, start_s: float, end_s: float, accuracy: float) -> dict[str, Any]:
    """Both comparisons of one trial, each of them one call."""
    data = folder / trial
    results = data / "simulated"
    moments_there = table(results / f"id_{trial}.sto")
    activation_there = table(results / f"{trial}_StaticOptimization_activation.sto")
    started = {"from_angles": {"angles": results / f"ik_{trial}.mot"}}
    started["from_markers"] = {"markers": data / f"motion_capture_{trial}.trc"}
    found: dict[str, Any] = {"trial": trial, "stretch_s": (start_s, end_s), "cpu_s": {}}
    with tempfile.TemporaryDirectory() as name:
        started["from_opensims_tool"] = {"angles": md.read(opensims_tool(data, trial, Path(name)))}
    angles = {}
    for way, movement in started.items():
        began = cpu_seconds()
        simulated = md.simulate(
            data / f"subject_scaled_{trial}.osim",
            forces=data / f"grf_{trial}.mot",
            cutoff_hz=CUTOFF_HZ[trial],
            accuracy=accuracy,
            start_s=start_s,
            end_s=end_s,
            **movement,
        )
        found["cpu_s"][way] = cpu_seconds() - began
        angles[way] = simulated["angles_unfiltered"]
        found[way] = {
            "moments": compare_moments(simulated["moments"], moments_there),
            "activations": compare_activations(simulated["simulated"], activation_there),
            "findings": simulated.info["simulation"]["findings"],
        }
    found["marker_error_mm"] = {
        way: marker_error_mm(data, trial, motion.sel(time=slice(start_s, end_s))) for way, motion in angles.items()
    }
    off = abs(angles["from_markers"] - angles["from_opensims_tool"]).sel(joint=angles["from_opensims_tool"].joint)
    return found | {"frames": simulated["simulated"].sizes["time"], "off_opensims_tool_deg": float(off.max())}


def opensims_tool(data: Path, trial: str, folder: Path) -> Path:
    """Run OpenSim's own tool of inverse kinematics with the setup beside the data; give its file of angles."""
    setup = ElementTree.parse(data / f"ik_setup_{trial}.xml")
    for tag, value in {
        "model_file": data / f"subject_scaled_{trial}.osim",
        "marker_file": data / f"motion_capture_{trial}.trc",
        "output_motion_file": folder / "ik.mot",
        "results_directory": folder,
    }.items():
        for element in setup.iter(tag):
            element.text = str(Path(value).resolve())
    setup.write(folder / "setup.xml")
    program = "import opensim; opensim.InverseKinematicsTool('setup.xml').run()"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)
    return folder / "ik.mot"


def marker_error_mm(data: Path, trial: str, angles: xr.DataArray) -> float:
    """How far the model's markers are from those recorded at given angles: weighted root mean square, what is minimised."""
    import opensim

    opensim.Logger.setLevelString("Off")
    tasks = ElementTree.parse(data / f"ik_setup_{trial}.xml").iter("IKMarkerTask")
    weights = {t.get("name"): float(t.findtext("weight", "1")) for t in tasks if "true" in t.findtext("apply", "")}
    markers = md.read(data / f"motion_capture_{trial}.trc")["markers"].interp(time=angles.time)
    markers = markers.sel(marker=[m for m in markers.marker.values if m in weights])
    weight = np.array([weights[str(m)] for m in markers.marker.values])
    model = opensim.Model(str(data / f"subject_scaled_{trial}.osim"))
    state = model.initSystem()
    coordinates = [
        (model.getCoordinateSet().get(str(j)), str(u)) for j, u in zip(angles.joint.values, angles.unit.values)
    ]
    moved = [(i, c, np.radians(1.0) if u == "deg" else 1.0) for i, (c, u) in enumerate(coordinates)]
    moved = [row for row in moved if not row[1].isConstrained(state)]
    places = [model.getMarkerSet().get(str(m)) for m in markers.marker.values]
    squares = []
    for values, recorded in zip(angles.values, markers.values):
        for i, coordinate, scale in moved:
            coordinate.setValue(state, float(values[i] * scale), False)
        model.assemble(state)
        model.realizePosition(state)
        at = np.array([[p.getLocationInGround(state).get(a) for a in range(3)] for p in places])
        squares.append(weight @ ((1e3 * at - recorded) ** 2).sum(axis=1) / weight.sum())
    return float(np.sqrt(np.mean(squares)))


def show(result: dict[str, Any]) -> None:
    """Print the figures of a trial."""
    times = ", ".join(f"{way.replace('_', ' ')} {s:.1f} s" for way, s in result["cpu_s"].items())
    print(f"{result['trial']}: {result['frames']} frames; CPU time {times}")
    errors = ", ".join(f"{way.replace('_', ' ')} {mm:.2f} mm" for way, mm in result["marker_error_mm"].items())
    print(f"  distance of the markers, weighted RMS: {errors}")
    print(
        f"  angles from the markers are at most {result['off_opensims_tool_deg']:.2g} deg off OpenSim's tool run here"
    )
    print(f"  {'':<18} {'range':>8}" + "".join(f"   {way.replace('_', ' '):^22}" for way in WAYS))
    for joint, row in result["from_angles"]["moments"].items():
        rows = [result[way]["moments"][joint] for way in WAYS]
        shares = "   ".join(f"RMS {100 * r['rms']:5.2f} % most {100 * r['largest']:6.2f} %" for r in rows)
        print(f"  {joint:<18} {row['range']:8.1f}   {shares}")
    for way in WAYS:
        rmse = result[way]["activations"]
        worst = max(rmse, key=lambda muscle: rmse[muscle])
        print(f"  activation RMSE, {way}: mean {np.mean([*rmse.values()]):.4f}, largest {rmse[worst]:.4f} ({worst})")


def main() -> None:
    """Print the figures of each trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--trial", choices=[*CUTOFF_HZ])
    parser.add_argument("--start-s", type=float)
    parser.add_argument("--end-s", type=float)
    parser.add_argument("--accuracy", type=float, help="Of inverse kinematics, in place of that of the setup.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for trial in [options.trial] if options.trial else [*CUTOFF_HZ]:
        start, end = STRETCH_S[trial]
        accuracy = options.accuracy or ACCURACY[trial]
        results.append(compare(options.data, trial, options.start_s or start, options.end_s or end, accuracy))
        show(results[-1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
