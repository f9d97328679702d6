"""Whether a movement is like those of the training: the distance to the nearest of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from myodrive.paired import Stretch

N_EXAMPLE = 4000  # samples of the training that are kept
SMOOTH_S = 0.2  # over which distances are averaged: one odd sample is no other movement
AROUND_S = 2.0  # whose farthest sample counts: a movement is as odd as its oddest part
LIMIT = 0.99  # share of what was held out that lies inside
HELD = 5  # every fifth trial is held out to know what distances are usual


@dataclasses.dataclass(frozen=True)
class Novelty:
    """Examples of the training's features, and the distance from them below which 99 % of held-out trials lie.

    Features are positions and velocities in standard deviations of the training, so that the same posture at twice the
    speed is far away; accelerations tell no more of speed and hide the posture. Held out are every fifth trial and, where
    there are at least three people, one person: neither another repetition nor another person is a movement of another
    kind.
    """

    examples: Float[np.ndarray, "example feature"]
    centre: Float[np.ndarray, " feature"]
    spread: Float[np.ndarray, " feature"]
    usual: float

    @classmethod
    def fit(cls, stretches: Sequence[Stretch], rate_hz: float) -> Novelty:
        everything = np.concatenate([s.inputs for s in stretches])
        centre, spread = everything.mean(axis=0), everything.std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        trials = list(dict.fromkeys(s.trial for s in stretches))
        people = list(dict.fromkeys(s.subject for s in stretches))
        distances = []
        held_trials = trials[::HELD] if len(trials) >= HELD else []
        rest = [s for s in stretches if s.trial not in held_trials]
        held = [s for s in stretches if s.trial in held_trials]
        tests = [(rest, held)] if held else []
        if len(people) >= 3:
            tests.append(
                ([s for s in stretches if s.subject != people[0]], [s for s in stretches if s.subject == people[0]])
            )
        for train, test in tests:
            learned = cls(_examples(train), centre, spread, 1.0)
            distances.append(np.concatenate([learned.of(s.inputs[::4], rate_hz / 4) for s in test]))
        usual = max((float(np.quantile(d, LIMIT)) for d in distances), default=1.0)
        return cls(_examples(stretches), centre, spread, max(usual, 1e-9))

    def of(self, features: Float[np.ndarray, "time feature"], rate_hz: float) -> Float[np.ndarray, " time"]:
        """The distance at each sample, in units of the usual one: above 1 is outside of what was trained on."""
        z, known = (features - self.centre) / self.spread, (self.examples - self.centre) / self.spread
        nearest = np.empty(len(z))
        for first in range(0, len(z), 512):  # so that the table of distances stays small
            some = z[first : first + 512]
            squared = (some**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * some @ known.T
            nearest[first : first + 512] = np.sqrt(np.maximum(squared.min(axis=1), 0.0))
        smooth = uniform_filter1d(nearest, max(1, round(SMOOTH_S * rate_hz)), mode="nearest")
        return maximum_filter1d(smooth, max(1, round(AROUND_S * rate_hz)), mode="nearest") / self.usual


def _examples(stretches: Sequence[Stretch]) -> Float[np.ndarray, "example feature"]:
    """Samples at random, the same for the same data."""
    together = np.concatenate([s.inputs for s in stretches])
    if len(together) <= N_EXAMPLE:
        return together
    return together[np.sort(np.random.default_rng(0).choice(len(together), N_EXAMPLE, replace=False))]
