"""What adapting to a new person needs: their first seconds, a gain and an offset of each muscle, and a guarded choice."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from myodrive.estimator import Estimate
from myodrive.paired import Hidden, Stretch
from myodrive.recording import Recording, Study

PRIOR_S = 2.0  # so much data weighs as much as the belief that a person's gain is that of the training
OFFSET_PRIOR_S = 10.0  # and that there is no offset
WIDTH_PRIOR_S = 30.0  # and that the interval is as wide
N_BLOCKS = 4  # held out in turn
BLOCK_GAP_S = 0.2  # between what is learned from and what is held out: the envelope at 6 Hz reaches as far


@dataclasses.dataclass(frozen=True)
class Personal:
    """measured = offset + gain · estimated, for each muscle, in an interval that is `width` times as wide."""

    gain: Float[np.ndarray, " muscle"]
    offset: Float[np.ndarray, " muscle"]
    width: Float[np.ndarray, " muscle"]

    @classmethod
    def nothing(cls, n_muscle: int) -> Personal:
        return cls(np.ones(n_muscle), np.zeros(n_muscle), np.ones(n_muscle))

    @classmethod
    def fit(
        cls,
        estimated: Float[np.ndarray, "time muscle"],
        measured: Float[np.ndarray, "time muscle"],
        rate_hz: float,
        *,
        with_offset: bool = False,
        prior_s: float = PRIOR_S,
    ) -> Personal:
        """Least squares, drawn towards the gain 1 as by `prior_s` of data that say so, and towards the offset 0 by five times that.

        Samples whose measured value is NaN do not count; a muscle without any keeps gain 1 and offset 0. A gain is not
        negative.
        """
        known = np.isfinite(measured)
        x, y = np.where(known, estimated, 0.0), np.where(known, measured, 0.0)
        n, prior = known.sum(axis=0), prior_s * rate_hz
        offset_prior = prior * OFFSET_PRIOR_S / PRIOR_S
        mean_square = (x**2).sum(axis=0) / np.maximum(n, 1)
        squares = (x**2).sum(axis=0) + prior * mean_square + 1e-12
        cross = (x * y).sum(axis=0) + prior * mean_square
        offset = np.zeros(n.size)
        gain = np.maximum(cross / squares, 0.0)
        if with_offset:
            total = n + offset_prior + 1e-12
            left = squares - x.sum(axis=0) ** 2 / total  # of the squares once the offset has taken its part
            gain = np.maximum((cross - x.sum(axis=0) * y.sum(axis=0) / total) / left, 0.0)
            offset = (y.sum(axis=0) - gain * x.sum(axis=0)) / total
        return cls(np.where(n > 0, gain, 1.0), np.where(n > 0, offset, 0.0), np.ones(n.size))

    def of(self, estimate: Estimate) -> Estimate:
        """What the general estimate becomes; nothing is negative."""

        def moved(values: np.ndarray) -> np.ndarray:
            return self.offset + self.gain * values

        mean = np.maximum(moved(estimate.mean), 0.0)
        if estimate.lower is None or estimate.upper is None:
            return Estimate(mean)
        low, high = (mean + self.width * (moved(v) - mean) for v in (estimate.lower, estimate.upper))
        return Estimate(mean, np.maximum(low, 0.0), np.maximum(high, 0.0))


def first_seconds_of_emg(study: Study, seconds: float | None) -> Study:
    """The recordings in their order until the EMG of so many seconds is used up; the rest of the last one's is hidden."""
    if seconds is None:
        return study
    kept: list[Recording] = []
    left = seconds
    for recording in study:
        if left <= 0:
            break
        emg = recording["emg"]
        step = float(np.median(np.diff(emg.time.values)))
        within = emg.time.values - float(emg.time[0]) < left - 1e-9
        hidden = emg.copy(data=np.where(within[:, None], emg.values, np.nan))
        kept.append(recording.with_signal("emg", hidden))
        left -= float(emg.time[-1] - emg.time[0]) + step
    return Study(kept, study.name)


def parts_in_turn(stretches: Sequence[Stretch]) -> list[Hidden]:
    """Parts of what is known, each held out once: whole trials where there are three, else blocks of time.

    Of a trial that is cut one half teaches the other: only another trial shows what was learned of the person.
    """
    trials = list(dict.fromkeys(s.trial for s in stretches if np.isfinite(s.targets).any()))
    if len(trials) < 3:
        return blocks_in_turn(stretches)
    known = [np.isfinite(s.targets).any(axis=1) for s in stretches]
    folds = []
    for some in np.array_split(np.array(trials), min(N_BLOCKS, len(trials))):
        held = [k & (s.trial in some) for s, k in zip(stretches, known)]
        folds.append(Hidden([k & ~h for k, h in zip(known, held)], held, ", ".join(some)))
    return folds


def blocks_in_turn(stretches: Sequence[Stretch], n_blocks: int = N_BLOCKS) -> list[Hidden]:
    """Each of some blocks of what is known held out in turn, in the order of the stretches, with a gap around it."""
    known = [np.isfinite(s.targets).any(axis=1) for s in stretches]
    counts = np.split(np.cumsum(np.concatenate(known)) - 1, np.cumsum([k.size for k in known])[:-1])
    edges = np.linspace(0, sum(int(k.sum()) for k in known), n_blocks + 1)
    folds: list[Hidden] = []
    for low, high in itertools.pairwise(edges):
        train, test = [], []
        for s, own, count in zip(stretches, known, counts):
            held = own & (count >= low) & (count < high)
            near = np.zeros(held.size, dtype=bool)
            if held.any():
                inside = s.time[held]
                near = (s.time > inside[0] - BLOCK_GAP_S) & (s.time < inside[-1] + BLOCK_GAP_S)
            train.append(own & ~near)
            test.append(held)
        folds.append(Hidden(train, test, f"block {len(folds) + 1}"))
    return [f for f in folds if any(t.any() for t in f.test) and any(t.any() for t in f.train)]


@dataclasses.dataclass(frozen=True)
class Tried:
    """What a candidate said of the blocks that it did not learn from."""

    error: Float[np.ndarray, " fold"]  # squared, mean over muscles, in units of the variance of what is measured
    ratio: Float[np.ndarray, "time muscle"]  # |error| in half-widths of its interval

    @classmethod
    def of(cls, said: Sequence[list[Estimate]], stretches: Sequence[Stretch], folds: Sequence[Hidden]) -> Tried:
        """From the estimates of all stretches by what was learned in each fold."""
        measured = np.concatenate([s.targets for s in stretches])
        known = np.isfinite(measured)
        centre = known_mean(measured)
        variance = np.maximum(known_mean((measured - centre) ** 2), 1e-9)
        errors, ratios = [], []
        for estimates, fold in zip(said, folds):
            test = np.concatenate(fold.test)
            off = (measured - np.concatenate([e.mean for e in estimates]))[test]
            share = known_mean(off**2) / variance
            errors.append(float(share[known[test].any(axis=0)].mean()))
            half = np.concatenate([e.mean if e.upper is None else e.upper - e.mean for e in estimates])[test]
            ratios.append(np.abs(off) / np.maximum(half, 1e-9))
        return cls(np.array(errors), np.concatenate(ratios))

    def width(self, level: float, rate_hz: float) -> Float[np.ndarray, " muscle"]:
        """How much wider the interval should be, drawn towards 1 as by `WIDTH_PRIOR_S` of data that say so."""
        widths = np.ones(self.ratio.shape[1])
        for i, column in enumerate(self.ratio.T):
            column = column[np.isfinite(column)]
            if column.size:
                trust = column.size / (column.size + WIDTH_PRIOR_S * rate_hz)
                widths[i] = np.quantile(column, level) ** trust
        return widths


def simplest_good(tried: dict[str, Tried]) -> str:
    """Of candidates from the simplest on the first that is within one standard error of the best.

    The standard error is that of the difference to the best over the folds.
    """
    best = min(tried, key=lambda name: float(tried[name].error.mean()))
    for name, own in tried.items():
        difference = own.error - tried[best].error
        if float(difference.mean()) <= float(np.std(difference, ddof=1)) / np.sqrt(difference.size):
            return name
    return best


def known_mean(values: Float[np.ndarray, "time column"]) -> Float[np.ndarray, " column"]:
    """The mean of what is known; 0 without a sample."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
