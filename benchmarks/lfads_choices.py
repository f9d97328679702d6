"""What held-out likelihood chooses on a development recording, and what hearing no future costs.

    python benchmarks/lfads_choices.py reference 1001 --choices --causal

``--choices``: the score (nats a hidden sample, lower is better) of each window and each density after short trainings.
``--causal``: R² against the true activation, and lag, of networks that hear 0 or .1 s ahead and of one that hears all.
"""

from __future__ import annotations

import argparse

from myodrive.evaluation.truth_bench import Case
from myodrive.evaluation.truth_scoring import score_against_truth
from myodrive.from_emg.lfads import LFADS


def main() -> None:
    parser = argparse.ArgumentParser(description="What LFADS chooses, and what causality costs")
    parser.add_argument("scenario", choices=("reference", "gait", "reach"))
    parser.add_argument("seed", type=int)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--choices", action="store_true")
    parser.add_argument("--causal", action="store_true")
    arguments = parser.parse_args()
    if arguments.seed < 1000:
        parser.error("seeds below 1000 belong to the bench")
    recording = Case(arguments.scenario, arguments.seed, 20.0, 8, 60.0).simulate()
    blind = recording.replace(signals={"emg": recording["emg"]})
    if arguments.choices:
        model = LFADS(window_s="auto", density="auto", max_epochs=1).fit(blind)
        for what, scores in model.choices_.items():
            print(f"{what:10s}", {name: round(score, 4) for name, score in scores.items()}, flush=True)
    if arguments.causal:
        for name, options in (
            ("all", {"whiten": False}),
            ("0.1 s ahead", {"causal": True, "look_ahead_s": 0.1}),
            ("0 s ahead", {"causal": True}),
        ):
            estimate = LFADS(max_epochs=arguments.epochs, **options).fit(blind).estimate(blind)
            score = score_against_truth(estimate, recording)
            print(f"{name:12s} R2 {score.r2:.3f}  lag {1000 * score.lag_s:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
