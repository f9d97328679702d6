"""Two sessions in one network beside a network for each, and a saved network on a session of which there is little.

    python benchmarks/lfads_sessions.py reference 1001 --epochs 20

One development recording stands for two sessions: its first half as the six first muscles see it, its second half as
the six last ones do. R² is against the true activation, by the rule of the bench within each half. For the new session
the network of the first half sees SHORT_S of the second one and is scored on what comes after.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import xarray as xr

from myodrive.activation import Activation
from myodrive.estimator import versions
from myodrive.evaluation.truth_bench import Case
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg.lfads import LFADS
from myodrive.recording import Recording, Study
from myodrive.safe_write import safe_write_text

SHORT_S = 10.0


def part(recording: Recording, start_s: float, stop_s: float, muscles: slice, session: str = "") -> Recording:
    def cut(signal: xr.DataArray) -> xr.DataArray:
        piece = signal.sel(time=slice(start_s, stop_s - 1e-9)).isel(muscle=muscles)
        return piece.assign_coords(time=piece.time - float(piece.time[0]))

    return recording.replace(signals={name: cut(recording[name]) for name in ("emg", "activation")}, session=session)


def blind(recording: Recording) -> Recording:
    return recording.replace(signals={"emg": recording["emg"]})


def r2(estimate: Activation, recording: Recording) -> float:
    return score_against_truth(estimate, recording).r2


def compare(recording: Recording, **options: Any) -> dict[str, float]:
    first = part(recording, 0, 30, slice(0, 6), "first")
    second = part(recording, 30, 60, slice(2, 8), "second")
    alone = [LFADS(**options).fit(blind(half)) for half in (first, second)]
    both = LFADS(**options).fit(Study([blind(first), blind(second)]))
    rows = {}
    for name, half, own in (("first", first, alone[0]), ("second", second, alone[1])):
        rows[f"{name}, its own network"] = r2(own.estimate(blind(half)), half)
        rows[f"{name}, one network for both"] = r2(both.estimate(blind(half)), half)
    little, later = part(recording, 30, 30 + SHORT_S, slice(2, 8)), part(recording, 30 + SHORT_S, 60, slice(2, 8))
    adapted = alone[0].adapt(blind(little))
    rows[f"after {SHORT_S:g} s of the second, adapted"] = r2(adapted.estimate(blind(later)), later)
    scratch = LFADS(**options).fit(blind(little))
    rows[f"after {SHORT_S:g} s of the second, from scratch"] = r2(scratch.estimate(blind(later)), later)
    return rows | {f"nats a hidden sample, {name}": score for name, score in adapted.adaptation_.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="LFADS over sessions")
    parser.add_argument("scenario", choices=("reference", "gait", "reach"))
    parser.add_argument("seed", type=int)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.seed < 1000:
        parser.error("seeds below 1000 belong to the bench")
    rows = compare(Case(arguments.scenario, arguments.seed, 20.0, 8, 60.0).simulate(), max_epochs=arguments.epochs)
    for name, value in rows.items():
        print(f"{name:50s}{value:8.3f}")
    if arguments.json:
        content = {"options": vars(arguments) | {"json": ""}, "environment": versions(), "rows": rows}
        safe_write_text(arguments.json, json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
