"""Hide one muscle after the other in the last third of a development recording, and reconstruct it from the others.

    python benchmarks/lfads_held_out_muscles.py reference 1001 --epochs 30

The network is trained on all muscles of the first 40 s of 60. VAF (not centred) and R² are against the true activation,
through a monotone relation that is learned in the first 40 s; coverage is that of the 90 % interval.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import xarray as xr

from myodrive.estimator import versions
from myodrive.evaluation.held_out import held_out_muscles
from myodrive.evaluation.truth_bench import Case
from myodrive.from_emg.lfads import LFADS
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_text


def between(recording: Recording, start_s: float, stop_s: float) -> Recording:
    def cut(signal: xr.DataArray) -> xr.DataArray:
        return signal.sel(time=slice(start_s, stop_s - 1e-9))

    return recording.replace(signals={name: cut(recording[name]) for name in ("emg", "activation")})


def main() -> None:
    parser = argparse.ArgumentParser(description="LFADS on muscles that are hidden from it")
    parser.add_argument("scenario", choices=("reference", "gait", "reach"))
    parser.add_argument("seed", type=int)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.seed < 1000:
        parser.error("seeds below 1000 belong to the bench")
    recording = Case(arguments.scenario, arguments.seed, 20.0, 8, 60.0).simulate()
    training, test = between(recording, 0.0, 40.0), between(recording, 40.0, 60.0)
    model = LFADS(max_epochs=arguments.epochs).fit(training.replace(signals={"emg": training["emg"]}))
    table = held_out_muscles(model, test, training)
    print(table.round(3).to_string(index=False))
    print(table.drop(columns="muscle").mean().round(3).to_string())
    if arguments.json:
        content = {
            "options": vars(arguments) | {"json": ""},
            "environment": versions(),
            "rows": table.to_dict("records"),
        }
        safe_write_text(arguments.json, json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
