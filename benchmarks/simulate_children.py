"""Simulate the children of gait-biomechzoo from their C3D files, and compare with the results that lie beside them.

python benchmarks/simulate_children.py DATA_FOLDER MODEL.osim [--json FILE]

The generic model is scaled from each child's static trial. The results beside the data come from another scaling (segment
lengths of Plug-in Gait), another choice of markers and other weights, so angles and moments are compared by correlation and
root-mean-square difference, over the stretch that was simulated there, of the leg whose muscles were recorded. The same angles
by Plug-in Gait, which are in the C3D file, judge both: the correlation with it, and the mean difference.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import myodrive as md
from myodrive.io.opensim_tables import read_storage

PLUG_IN_GAIT = {"hip_flexion": "HipAngles_x", "knee_angle": "KneeAngles_x", "ankle_angle": "AnkleAngles_x"}
JOINTS = ("hip_flexion", "hip_adduction", "knee_angle", "ankle_angle")
ACTIVE = 0.1  # peak activation of the muscles that are compared


def table(path: Path, labels: list[str], at: np.ndarray) -> np.ndarray:
    """Columns of a file at given times."""
    signal = next(iter(read_storage(path).signals.values()))
    return signal.sel({str(signal.dims[1]): labels}).interp(time=at).values


def agreement(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Correlation and root-mean-square difference."""
    return float(np.corrcoef(ours, theirs)[0, 1]), float(np.sqrt(np.mean((ours - theirs) ** 2)))


def one_trial(model: Path, child: Path, results: Path) -> dict[str, Any]:
    """The figures of one trial."""
    about = json.loads((results / "info.json").read_text(encoding="utf-8"))
    start, end = about["so_window"]
    (movement,) = child.glob(f"*/{results.name}.c3d")
    (static,) = (child / "Static").glob("*.c3d")
    found = md.simulate(model, movement, static=static, mass_kg=about["mass"], start_s=start, end_s=end)
    time = found["moments"].time.values
    joints = [f"{joint}_{about['side']}" for joint in JOINTS]
    angles = table(results / "ik.mot", joints, time)
    moments = table(results / "id.sto", [f"{joint}_moment" for joint in joints], time)
    muscles = [m for m in map(str, found["simulated"].muscle.values) if m.endswith(f"_{about['side']}")]
    activation = table(results / "activation.sto", muscles, time)
    ours: xr.DataArray = found["simulated"].sel(muscle=muscles)
    active = activation.max(axis=0) > ACTIVE
    gait = md.read(movement)["angles"].interp(time=time)
    judged = {}
    for joint, label in PLUG_IN_GAIT.items():
        name = f"{joint}_{about['side']}"
        third = gait.sel(joint=f"{about['side'].upper()}{label}").values
        both = found["angles"].sel(joint=name).values, angles[:, joints.index(name)]
        judged[joint] = {
            who: (agreement(a, third)[0], float((a - third).mean())) for who, a in zip(("ours", "theirs"), both)
        }
    findings = {f["what"]: f["value"] for f in found.info["simulation"]["findings"]}
    return {
        "trial": results.name,
        "marker_rms_m": findings["marker error, RMS"],
        "angles": {j: agreement(found["angles"].sel(joint=j).values, angles[:, i]) for i, j in enumerate(joints)},
        "moments": {j: agreement(found["moments"].sel(joint=j).values, moments[:, i]) for i, j in enumerate(joints)},
        "plug_in_gait": judged,
        "activation_r": float(
            np.median([agreement(ours.values[:, i], activation[:, i])[0] for i in np.flatnonzero(active)])
        ),
        "scale_factors": found.info["simulation"]["model"]["scale_factors"],
        "their_scale_factors": about["scale"],
    }


def columns(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Every figure over the trials, sides together."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault("markers, RMS (mm)", []).append(1000 * row["marker_rms_m"])
        for kind, unit in (("angles", "deg"), ("moments", "N m")):
            for joint, (r, rms) in zip(JOINTS, row[kind].values()):
                found.setdefault(f"{kind}, {joint}: r", []).append(r)
                found.setdefault(f"{kind}, {joint}: RMS ({unit})", []).append(rms)
        for joint, both in row["plug_in_gait"].items():
            for who, (r, mean) in both.items():
                found.setdefault(f"Plug-in Gait, {joint}, {who}: r", []).append(r)
                found.setdefault(f"Plug-in Gait, {joint}, {who}: mean (deg)", []).append(mean)
        found.setdefault("activations, median r of a trial", []).append(row["activation_r"])
    return found


def main() -> None:
    """Print one line for each trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for results in sorted(options.data.glob("*/simulated/*/info.json")):
        row = one_trial(options.model, results.parents[2], results.parent)
        rows.append(row)
        angles = ", ".join(f"{j} r {r:.3f} RMS {d:.1f} deg" for j, (r, d) in row["angles"].items())
        moments = ", ".join(f"{j} r {r:.3f} RMS {d:.1f} N m" for j, (r, d) in row["moments"].items())
        print(
            f"{row['trial']}: markers {1000 * row['marker_rms_m']:.0f} mm; angles {angles}; moments {moments}; ", end=""
        )
        for joint, both in row["plug_in_gait"].items():
            words = ", ".join(f"{who} r {r:.3f} mean {d:+.1f} deg" for who, (r, d) in both.items())
            print(f"{joint} against Plug-in Gait: {words}; ", end="")
        print(f"median r of activations {row['activation_r']:.2f}", flush=True)
    print(f"\nmedian (least to largest) of {len(rows)} trials of {len({r['trial'][:6] for r in rows})} children")
    for what, values in columns(rows).items():
        print(f"{what:44s} {np.median(values):8.3f} ({min(values):.3f} to {max(values):.3f})")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
