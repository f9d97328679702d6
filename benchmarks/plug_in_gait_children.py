"""Activations from a C3D file's own angles and moments, without a model file, beside OpenSim's from the same recording.

python benchmarks/plug_in_gait_children.py DATA_FOLDER

`DATA_FOLDER` is that of gait-biomechzoo, with the results of OpenSim in CHILD/simulated/TRIAL.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import myodrive as md
from myodrive.io.opensim_tables import read_storage

ACTIVE = 0.1  # peak activation of the muscles that are compared


def agreement(results: Path) -> tuple[float, str]:
    """Median correlation over the active muscles of the leg that was simulated there; what else is to be said."""
    about = json.loads((results / "info.json").read_text(encoding="utf-8"))
    (movement,) = results.parents[1].glob(f"*/{results.name}.c3d")
    problem = md.muscle_problem(md.simulate_with_mujoco(movement, "legs", static_optimization="none"))
    solved = md.solve_static_optimization(problem)
    ours = solved.activations.sel(time=slice(*about["so_window"]))
    theirs = next(iter(read_storage(results / "activation.sto").signals.values()))
    theirs = theirs.interp(time=ours.time)
    both = [m for m in map(str, ours.muscle.values) if m.endswith(f"_{about['side']}") and m in theirs.muscle.values]
    r = [
        np.corrcoef(ours.sel(muscle=m), theirs.sel(muscle=m))[0, 1] for m in both if theirs.sel(muscle=m).max() > ACTIVE
    ]
    left = f"largest share of a reserve {float(solved.reserve_share.max()):.1%}, {int(solved.saturated.sum())} at full activation"
    return float(np.nanmedian(r)), f"over {len(r)} muscles; {left}"


def main() -> None:
    """Print one line for each trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    found = []
    for about in sorted(parser.parse_args().data.glob("*/simulated/*/info.json")):
        r, more = agreement(about.parent)
        found.append(r)
        print(f"{about.parent.name}: median r {r:.2f} {more}", flush=True)
    print(f"{len(found)} trials: {min(found):.2f} to {max(found):.2f}, median {np.median(found):.2f}")


if __name__ == "__main__":
    main()
