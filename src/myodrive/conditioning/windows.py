"""Windows: cut a continuous recording into overlapping pieces of one length, and put estimates of the pieces together.

Exact for any length and overlap: ``merge(chop(x)) == x`` to rounding, also for a single window, for an overlap above
half, for a tail that does not fill a window and for a recording shorter than one. Nothing crosses a gap or the border
of a trial: cut each stretch that `stretches` gives on its own.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from jaxtyping import Float, Int

from myodrive.errors import OptionError
from myodrive.recording import gap_free_runs


def window_starts(n_time: int, window: int, overlap: int) -> Int[np.ndarray, " window"]:
    """The first sample of each window: every ``window - overlap`` samples, the last one flush with the end.

    A recording no longer than a window has one start, 0.

    Raises
    ------
    OptionError
        If the window has no sample, or the overlap is not between 0 and ``window - 1``.
    """
    if window < 1 or not 0 <= overlap < window:
        raise OptionError(f"a window of {window} samples cannot overlap by {overlap}.", remedy="Overlap less.")
    last = max(n_time - window, 0)
    starts = np.arange(0, last + 1, window - overlap)
    return starts if starts[-1] == last else np.r_[starts, last]


def chop(
    values: Float[np.ndarray, "time *rest"], window: int, overlap: int
) -> tuple[Float[np.ndarray, "window step *rest"], Int[np.ndarray, " window"]]:
    """Cut into windows; what a single window has beyond the end of a short recording is NaN.

    Parameters
    ----------
    values : array (time, …)
        One stretch without a gap in its clock; missing samples are NaN and stay NaN.
    window, overlap : int
        In samples.

    Returns
    -------
    windows : array (window, step, …)
    starts : array (window,)
        The first sample of each.
    """
    starts = window_starts(len(values), window, overlap)
    missing = max(window - len(values), 0)
    padded = np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1), constant_values=np.nan)
    return padded[starts[:, None] + np.arange(window)], starts


def merge(
    windows: Float[np.ndarray, "window step *rest"], starts: Int[np.ndarray, " window"], n_time: int, overlap: int
) -> Float[np.ndarray, "time *rest"]:
    """Put windows together, cross-faded where they overlap; the weights sum to one at every sample.

    The weight of a window rises linearly over `overlap` samples from either end, and what the windows over one sample
    weigh together is divided out, so that the first and the last samples count in full whatever covers them. A missing
    value (NaN) weighs nothing; a sample that no window has is NaN.

    Parameters
    ----------
    windows : array (window, step, …)
    starts : array (window,)
        As `chop` gave them.
    n_time : int
        Length of the whole.
    overlap : int
        In samples.
    """
    n_step = windows.shape[1]
    step = np.arange(n_step)
    fade = np.minimum(np.minimum(step + 1, n_step - step), overlap + 1).astype(float)
    fade = fade.reshape(-1, *[1] * (windows.ndim - 2))
    total = np.zeros((n_time, *windows.shape[2:]))
    weight = np.zeros_like(total)
    for piece, start in zip(windows, starts):
        inside = slice(start, min(start + n_step, n_time))
        piece = piece[: inside.stop - start]
        present = np.isfinite(piece)
        total[inside] += np.where(present, piece, 0.0) * fade[: len(piece)]
        weight[inside] += present * fade[: len(piece)]
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def stretches(time: Float[np.ndarray, " time"], values: Float[np.ndarray, "time muscle"]) -> list[slice]:
    """The stretches of a trial that windows may be cut from: no jump of the clock, and always some muscle present."""
    return gap_free_runs(time, np.isfinite(values).any(axis=1))


@dataclasses.dataclass(frozen=True)
class Partition:
    """Where windows of `window` samples may start in stretches laid end to end, for training and for validation."""

    training: Int[np.ndarray, " start"]  # every start at which a whole window lies in training samples
    validation: Int[np.ndarray, " window"]  # side by side in the validation blocks
    window: int


def partition(
    lengths: list[int], window: int, *, fraction: float, gap: int, windows_per_block: int = 3, first: int = 0
) -> Partition:
    """Set blocks of time aside for validation, a gap away from all training samples.

    Every stretch is divided into blocks of equal length of about `windows_per_block` windows, so that a short trial is
    one block and is set aside as a whole. One block in every ``round(1 / fraction)``, counted from `first`, is for
    validation; a block beside one gives up `gap` samples. A training window never shares a sample with a validation
    window (the default elsewhere, every fifth of overlapping windows, does).

    Parameters
    ----------
    lengths : list of int
        Samples in each stretch; each at least `window`.
    window, gap : int
        In samples.
    fraction : float
        About what share of the samples is for validation.
    first : int
        Which block is set aside first; it is taken modulo the period.

    Raises
    ------
    OptionError
        If no block would be left for training.
    """
    ends = np.cumsum(lengths).tolist()
    stretch = np.repeat(np.arange(len(lengths)), lengths)
    blocks = [
        block
        for length, end in zip(lengths, ends)
        for block in _blocks(end - length, end, windows_per_block * window + gap)
    ]
    if len(blocks) < 2:
        raise OptionError(
            f"{sum(lengths)} samples are too few for windows of {window} with some set aside for validation.",
            remedy="Shorten window_s, or record longer.",
        )
    period = min(round(1 / fraction), len(blocks))
    held_out = [block for i, block in enumerate(blocks) if i % period == first % period]
    free = np.ones(stretch.size, dtype=bool)
    for start, stop in held_out:
        near = np.arange(max(start - gap, 0), min(stop + gap, free.size))
        free[near[stretch[near] == stretch[start]]] = False
    starts = np.arange(free.size - window + 1)
    n_free = np.cumsum(np.r_[0, free])
    whole = (n_free[window:] - n_free[:-window] == window) & (stretch[starts] == stretch[starts + window - 1])
    validation = [np.arange(start, stop - window + 1, window) for start, stop in held_out]
    return Partition(starts[whole], np.concatenate(validation), window)


def _blocks(start: int, stop: int, about: int) -> list[tuple[int, int]]:
    """Equal parts of one stretch, each of at least `about` samples if the stretch has them."""
    borders = np.linspace(start, stop, max(1, (stop - start) // about) + 1).round().astype(int).tolist()
    return list(itertools.pairwise(borders))
