"""The mean curve of each movement: what needs no motion at all, and what every network has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from myodrive.estimator import Context, Estimate
from myodrive.from_motion.base import MotionEstimator
from myodrive.learning.curves import cycle_spans, place_curve, stretched
from myodrive.learning.linear import mean_curve
from myodrive.paired import Stretch


class MeanCurve(MotionEstimator):
    """The mean training curve of the movement, stretched in time to each new trial.

    A recording with events is cut into cycles by them; one without is one cycle. The curve is that of the same person
    doing the same movement; of a person not seen in training, or seen without that movement, the mean of the other
    people's mean curves. A movement that nobody did in training gets the training mean of each muscle, which is constant.
    """

    method = "mean-curve"
    labels_: list[list[str]]  # (curve, [subject, movement])
    curves_: np.ndarray  # (curve, phase, muscle)
    lengths_: np.ndarray  # (curve,), of a cycle in samples

    def _fit_stretches(self, stretches: list[Stretch]) -> None:
        kinds = list(dict.fromkeys((s.subject, s.movement) for s in stretches))
        self.labels_ = [list(kind) for kind in kinds]
        own = [[s for s in stretches if (s.subject, s.movement) == kind] for kind in kinds]
        self.curves_ = np.stack([_mean_cycle(trials) for trials in own])
        self.lengths_ = np.array([_mean_length(trials) for trials in own])

    def _estimate_stretch(self, stretch: Stretch) -> Estimate:
        same = np.array([movement == stretch.movement for _, movement in self.labels_])
        owned = np.array([subject == stretch.subject for subject, _ in self.labels_])
        chosen = next(c for c in (same & owned, same, owned, np.ones_like(same)) if c.any())
        curve = mean_curve(self.curves_[chosen])
        if not same.any():
            curve = np.broadcast_to(mean_curve(curve), curve.shape)
        length = float(np.mean(self.lengths_[chosen]))
        return Estimate(place_curve(curve, stretch.time, stretch.starts, length))

    def context(self) -> Context:
        return Context(left=np.inf, right=np.inf)

    def methods_text(self) -> str:
        return (
            "The mean training envelope of each movement was stretched in time to each trial, and the motion itself was "
            "not used."
        )


def _mean_cycle(stretches: Sequence[Stretch]) -> np.ndarray:
    """The mean over whole cycles, or over all stretches as they are where none is whole: (phase, muscle)."""
    whole = [(s, a, b) for s in stretches for a, b, kind in cycle_spans(s.time, s.starts) if kind == "whole"]
    whole = whole or [(s, 0, s.time.size) for s in stretches]
    return mean_curve(np.stack([stretched(s.targets[a:b]) for s, a, b in whole]))


def _mean_length(stretches: Sequence[Stretch]) -> float:
    whole = [b - a for s in stretches for a, b, kind in cycle_spans(s.time, s.starts) if kind == "whole"]
    return float(np.mean(whole or [s.time.size for s in stretches]))
