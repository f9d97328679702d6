"""What adapting to a new person needs: their first seconds, a gain and an offset of each muscle, and how far to go."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from myodrive.estimator import Estimate
from myodrive.from_motion.measurement_noise import noise_share
from myodrive.paired import Hidden, Stretch
from myodrive.recording import Recording, Study

PRIOR_S = 30.0  # so much of usual activity weighs as much as the belief that a person's gain is 1 and their offset 0
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
        size: Float[np.ndarray, " muscle"],
        rate_hz: float,
        prior_s: float = PRIOR_S,
    ) -> Personal:
        """Least squares, drawn towards gain 1 and offset 0 as by `prior_s` of data with the spread `size` that say so.

        `size` is the standard deviation of each muscle in training. So a muscle that does little in the few seconds there
        are keeps the gain of others: what it does there tells nothing of how it is when it works. Samples whose measured
        value is NaN do not count; a muscle without any keeps gain 1 and offset 0. A gain is not negative.
        """
        known = np.isfinite(measured)
        x, more = np.where(known, estimated, 0.0), np.where(known, measured - estimated, 0.0)
        prior = prior_s * rate_hz
        # The normal equations of more = (gain − 1) · x + offset, two for each muscle.
        xx, x1, n = (x**2).sum(axis=0) + prior * size**2, x.sum(axis=0), known.sum(axis=0) + prior
        xy, y1 = (x * more).sum(axis=0), more.sum(axis=0)
        left = np.maximum(xx * n - x1**2, 1e-12 * size**2)
        gain = np.maximum(1.0 + (n * xy - x1 * y1) / left, 0.0)
        offset = (y1 - (gain - 1.0) * x1) / np.maximum(n, 1e-12)
        return cls(gain, offset, np.ones(gain.size))

    def part_way(self, share: float) -> Personal:
        """The same for a share of the way from the general estimate."""
        return dataclasses.replace(self, gain=1.0 + share * (self.gain - 1.0), offset=share * self.offset)

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


def fitting_scale(
    estimated: Float[np.ndarray, "time muscle"], measured: Float[np.ndarray, "time muscle"]
) -> Float[np.ndarray, " muscle"]:
    """By how much each muscle's estimate is to be multiplied to fit best; 1 where nothing tells."""
    known = np.isfinite(measured)
    x, y = np.where(known, estimated, 0.0), np.where(known, measured, 0.0)
    times = (x * y).sum(axis=0) / np.maximum((x**2).sum(axis=0), 1e-12)
    return np.where(times > 0, times, 1.0)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What was said of parts of the data: by the general estimate, and by what learned the person from the other parts.

    Each is a list of pieces (time, muscle), one for every stretch of every part.
    """

    measured: list[Float[np.ndarray, "_time muscle"]]
    general: list[Estimate]
    own: list[Estimate]

    def share(self, size: Float[np.ndarray, " muscle"]) -> float:
        """How far to go from the general estimate to the adapted one, 0 to 1, for all muscles together.

        Half way between all of it, since what was learned is drawn towards the people of the training already, and what
        fits best: least squares of measured − general on adapted − general, in units of `size`. For one number all
        samples speak. 0 where the adapted one leads away from what is measured as much as it moves.
        """
        along = across = 0.0
        for y, g, o in zip(self.measured, self.general, self.own):
            step, left = (o.mean - g.mean) / size, (y - g.mean) / size
            known = np.isfinite(left)
            along += float((step * left)[known].sum())
            across += float((step**2)[known].sum())
        return float(np.clip((1.0 + along / across) / 2, 0.0, 1.0)) if across > 0 else 0.0

    def width(
        self, share: float, level: float, rate_hz: float, cutoff_hz: float | None
    ) -> Float[np.ndarray, " muscle"]:
        """How much wider the interval should be, drawn towards 1 as by `WIDTH_PRIOR_S` of data that say so.

        With the cut-off of the envelope the interval is one of the activity, and the sampling noise of what is measured
        does not count (see `noise_share`).
        """
        pieces, levels = [], []
        for y, g, o in zip(self.measured, self.general, self.own):
            half = half_width(o if share > 0 else g)
            pieces.append((y - g.mean - share * (o.mean - g.mean)) / half)
            levels.append(y / half)
        noise = noise_share(pieces, levels, rate_hz, cutoff_hz) if cutoff_hz else np.zeros(pieces[0].shape[1])
        ratio = np.abs(np.concatenate(pieces))
        widths = np.ones(ratio.shape[1])
        for i, column in enumerate(ratio.T):
            column = column[np.isfinite(column)]
            if column.size:
                trust = column.size / (column.size + WIDTH_PRIOR_S * rate_hz)
                widths[i] = (np.quantile(column, level) * np.sqrt(1.0 - noise[i])) ** trust
        return widths


def half_width(estimate: Estimate) -> Float[np.ndarray, "time muscle"]:
    """Of the interval upwards; of an estimate without one the estimate itself."""
    return np.maximum(estimate.mean if estimate.upper is None else estimate.upper - estimate.mean, 1e-9)


def piece_of(estimate: Estimate, where: Bool[np.ndarray, " time"]) -> Estimate:
    """Some samples of an estimate."""
    bounds = (None if v is None else v[where] for v in (estimate.lower, estimate.upper))
    return Estimate(estimate.mean[where], *bounds)
