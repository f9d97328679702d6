"""How well the other muscles tell a muscle that is hidden: what a reconstruction is worth, before it is relied on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from myodrive.evaluation import metrics
from myodrive.from_emg.lfads import LFADS
from myodrive.recording import Recording
from myodrive.trials import to_clock


def held_out_muscles(model: LFADS, test: Recording, training: Recording | None = None) -> pd.DataFrame:
    """Hide each muscle of a recording in turn from a fitted model, which reconstructs it from the others.

    Parameters
    ----------
    model : LFADS
        Fitted on recordings that have all muscles; `test` should not be among them.
    test : Recording
        With the signal ``emg``. Where the true activation is known it is its signal ``activation``.
    training : Recording, optional
        With both; a monotone relation of estimate to true activation is learned from it, with the muscle seen.

    Returns
    -------
    DataFrame
        One row for each muscle. ``vaf``: of the estimate that sees the muscle, explained by the reconstruction (not
        centred, 1 − Σ(a − b)² / Σb²). ``width``: of the reconstruction's interval over that of the estimate. With a
        known truth and `training` also ``vaf_truth``, ``r2_truth``, ``coverage`` of the truth by the interval, and
        ``vaf_truth_seen``, that of the estimate that sees the muscle.
    """
    seen = model.estimate(test)
    known = training is not None and "activation" in training and "activation" in test
    before = model.estimate(training) if known and training is not None else None
    rows = []
    for muscle in model.muscles_:
        emg = test["emg"].copy(deep=True).astype(float)
        emg.loc[{"muscle": muscle}] = np.nan
        hidden = model.reconstruct(test.with_signal("emg", emg))
        found, lower, upper = (
            a.sel(muscle=muscle).values[:, None] for a in (hidden.activation, hidden.lower, hidden.upper)
        )
        own = seen.dataset.sel(muscle=muscle)
        row = {
            "muscle": muscle,
            "vaf": metrics.vaf(found, own["activation"].values[:, None])[0],
            "width": float(np.nanmedian(upper - lower) / np.nanmedian(own["upper"] - own["lower"])),
        }
        if known and training is not None and before is not None:
            clock = hidden.activation.time.values

            def truth(recording: Recording, time: np.ndarray, muscle: str = muscle) -> np.ndarray:
                actual = recording["activation"].sel(muscle=[muscle])
                return to_clock(actual.values, actual.time.values, time)

            learned = before.activation.sel(muscle=[muscle])
            relation = metrics.MonotoneCalibration.fit(learned.values, truth(training, learned.time.values))
            actual = truth(test, clock)
            estimate, low, high = (relation.apply(a) for a in (found, lower, upper))
            row |= {
                "vaf_truth": metrics.vaf(estimate, actual)[0],
                "r2_truth": metrics.r2(estimate, actual)[0],
                "coverage": metrics.coverage(low, high, actual)[0],
                "vaf_truth_seen": metrics.vaf(relation.apply(own["activation"].values[:, None]), actual)[0],
            }
        rows.append(row)
    return pd.DataFrame(rows)
