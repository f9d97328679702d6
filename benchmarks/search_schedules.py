"""The branching schedule of AutoLFADS beside the published one: held-out likelihood, truth R², member-steps.

    python benchmarks/search_schedules.py --seeds 1101 1102 1103 --folder schedules --json result.json

A smaller model and shorter recordings than the defaults, so that the published schedule (20 members, burn-in of 105
epochs, then 25 a generation until 4 generations gain nothing) can be run: 6 muscles, 30 s, windows of 20 bins of 40 ms,
encoders and controller of 12 units, generator of 16, batches of 16.
Both searches see the same recording and start from the same weights. Each one that is done is kept in the folder, and
each generation as well: the same command goes on after a stop. Held-out
score and R² are given for the best network alone, and for the default number of best networks together.

The last lines compare over recordings: the mean difference branching − plain, and the bounds beyond which it lies with
5 % probability on each side (t distribution). `…_together` compares each as it is used: the two networks of the
branching search with the one of the published.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from myodrive.estimator import versions
from myodrive.evaluation.truth_bench import Case
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg.lfads import AutoLFADS
from myodrive.from_emg.lfads.decoder import decode
from myodrive.from_emg.lfads.densities import DENSITIES
from myodrive.from_emg.lfads.model import NO_DROPOUT, Network, encode
from myodrive.from_emg.lfads.objective import (
    BLOCKS_IN_VALIDATION,
    DRAWS_IN_VALIDATION,
    HIDDEN_IN_VALIDATION,
    hide,
    take,
)
from myodrive.from_emg.lfads.problem import Problem
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_text

SMALL = {
    "bin_s": 0.04, "window_s": 0.8, "overlap_s": 0.6, "ic_encoder": 12, "ci_encoder": 12, "controller": 12, "generator": 16,
    "n_initial": 8, "n_input": 2, "n_factor": 5, "batch_size": 16,
}  # fmt: skip
SCENARIOS = ("reference", "gait", "reach")  # taken in turn


class Kept(AutoLFADS):
    """Remembers what it learned from, for scores that an estimator does not need."""

    problem: Problem

    def _train(self, problem: Problem) -> Network:
        self.problem = problem
        return super()._train(problem)

    def held_out(self) -> float:
        """Mean negative log-likelihood of hidden samples under the mixture of all networks, as `validate` draws them."""
        task, data = self.problem.task, self.problem.validation
        batch = take(data, jnp.tile(data.starts, DRAWS_IN_VALIDATION), task.n_time)
        key_hide, key_draw = jax.random.split(jax.random.PRNGKey(0))
        hidden = hide(batch.emg.shape, HIDDEN_IN_VALIDATION, BLOCKS_IN_VALIDATION, task.block, key_hide)
        likelihoods = []
        for i in range(len(self.members_)):
            net = jax.tree.map(lambda a, i=i: a[i], self.networks_)
            code = encode(net, batch.x, batch.present * ~hidden, NO_DROPOUT)
            drawn = decode(net, code, key_draw, NO_DROPOUT)
            likelihoods.append(DENSITIES[net.density].log_likelihood(batch.emg, drawn.parameters))
        mixture = jax.scipy.special.logsumexp(jnp.stack(likelihoods), axis=0) - np.log(len(likelihoods))
        counts = batch.present * hidden
        return float(-jnp.where(counts > 0, mixture, 0.0).sum() / counts.sum())


def run(schedule: str, seed: int, folder: Path, workers: int | None, options: dict[str, Any]) -> dict[str, Any]:
    """One search on one recording, or what an earlier call found."""
    file = folder / f"{schedule}-{seed}.json"
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    scenario = SCENARIOS[seed % len(SCENARIOS)]
    recording = Case(scenario, seed, 20.0, 6, 30.0).simulate()
    blind = recording.replace(signals={"emg": recording["emg"]})
    checkpoint = folder / f"{schedule}-{seed}.safetensors"
    model = Kept(**SMALL | options, schedule=schedule, seed=seed, workers=workers, checkpoint=str(checkpoint))
    start = time.monotonic()
    model.fit(blind)
    seconds = time.monotonic() - start
    together, held_out = _r2(model, recording, blind), model.held_out()
    model.networks_ = jax.tree.map(lambda a: a[:1], model.networks_)
    row = {
        "schedule": schedule,
        "scenario": scenario,
        "seed": seed,
        "held_out": min(row["validation"] for row in model.history_),
        "held_out_together": held_out,
        "r2": _r2(model, recording, blind),
        "r2_together": together,
        "member_steps": model.member_steps_,
        "generations": int(model.history()["generation"].max()),
        "stopped": model.stopped_,
        "seconds": seconds,
        "chosen": model.hyperparameters_,
        "history": model.history_,
    }
    safe_write_text(file, json.dumps(row, indent=1))
    checkpoint.unlink(missing_ok=True)
    return row


def _r2(model: AutoLFADS, recording: Recording, blind: Recording) -> float:
    return score_against_truth(model.estimate(blind), recording).r2


def compared(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Branching minus plain over recordings."""
    by = {schedule: [r for r in rows if r["schedule"] == schedule] for schedule in ("plain", "branching")}
    summary: dict[str, float] = {"n": len(by["plain"])}
    for name in ("held_out", "r2", "held_out_together", "r2_together"):  # the last two: as each is meant to be used
        alone = name.removesuffix("_together")
        difference = np.array([b[name] - p[alone] for p, b in zip(by["plain"], by["branching"])])
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
        reach = stats.t.ppf(0.95, len(difference) - 1) * error if len(difference) > 1 else np.nan
        summary |= {name: difference.mean(), f"{name}_low": difference.mean() - reach}
        summary[f"{name}_high"] = difference.mean() + reach
    steps = [b["member_steps"] / p["member_steps"] for p, b in zip(by["plain"], by["branching"])]
    return summary | {"share_of_steps": float(np.mean(steps)), "largest_share_of_steps": float(np.max(steps))}


def main() -> None:
    parser = argparse.ArgumentParser(description="Branching against plain schedule")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1101, 1109)))
    parser.add_argument("--folder", type=Path, default=Path("myodrive-results/search-schedules"))
    parser.add_argument("--workers", type=int)
    parser.add_argument("--only", choices=("plain", "branching"))
    parser.add_argument(
        "--set", nargs="*", default=[], help="options of AutoLFADS for the branching search: max_epochs=90"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if min(arguments.seeds) < 1000:
        parser.error("seeds below 1000 belong to the bench")
    options = {name: json.loads(value) for name, value in (pair.split("=") for pair in arguments.set)}
    head = (
        "schedule",
        "scenario",
        "seed",
        "held_out",
        "r2",
        "held_out_together",
        "r2_together",
        "member_steps",
        "seconds",
    )
    print("  ".join(f"{h:>18s}" for h in head))
    rows = []
    for seed in arguments.seeds:
        for schedule in [arguments.only] if arguments.only else ["branching", "plain"]:
            own = options if schedule == "branching" else {}
            rows.append(run(schedule, seed, arguments.folder, arguments.workers, own))
            shown = (f"{rows[-1][h]:.4f}" if isinstance(rows[-1][h], float) else str(rows[-1][h]) for h in head)
            print("  ".join(f"{s:>18s}" for s in shown), flush=True)
    summary = {} if arguments.only else compared(rows)
    for name, value in summary.items():
        print(f"{name:24s}{value:10.5f}")
    if arguments.json:
        environment = {"machine": platform.machine(), "cores": os.cpu_count(), **versions()}
        safe_write_text(
            arguments.json,
            json.dumps(
                {"options": {**SMALL, **options}, "environment": environment, "rows": rows, **summary}, indent=1
            ),
        )


if __name__ == "__main__":
    main()
