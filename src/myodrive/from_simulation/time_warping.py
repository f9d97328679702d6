"""Dynamic time warping: at which phase of a template is each sample (Sakoe & Chiba 1978, 10.1109/TASSP.1978.1163055)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def warp(
    template: Float[np.ndarray, "phase channel"],
    signal: Float[np.ndarray, "time channel"],
    *,
    open_start: bool = False,
    open_end: bool = False,
) -> Float[np.ndarray, " time"]:
    """The phase of each sample, in samples of the template, on the path of least cost.

    The cost is the sum of squared distances along the path, with steps (1, 0), (0, 1) and (1, 1) weighted 1, 1 and 2, so
    that no path is cheaper for being shorter. Where a sample lies over several phases, their mean counts.

    Parameters
    ----------
    template, signal : array
        In the same units; standardise them before.
    open_start, open_end : bool
        Whether the path may begin, or end, at any phase: for a signal that is part of a cycle.
    """
    distance = ((signal[:, None, :] - template[None, :, :]) ** 2).sum(axis=2)  # (time, phase)
    total = _sums(distance, open_start)
    return _path(total, distance, int(np.argmin(total[-1])) if open_end else len(template) - 1, open_start)


def _sums(distance: Float[np.ndarray, "time phase"], open_start: bool) -> Float[np.ndarray, "time phase"]:
    """The least cost of a path from the start to each pair of sample and phase."""
    total = np.full(distance.shape, np.inf)
    # A path that may begin anywhere gains nothing by staying at the first sample.
    total[0] = distance[0] if open_start else np.cumsum(distance[0])
    for t in range(1, len(distance)):
        enter = total[t - 1] + distance[t]
        enter[1:] = np.minimum(enter[1:], total[t - 1, :-1] + 2 * distance[t, 1:])
        # Staying at this sample while the phase goes on: a running minimum of what is left after the sums are taken out.
        along = np.cumsum(distance[t])
        total[t] = along + np.minimum.accumulate(enter - along)
    return total


def _path(total: np.ndarray, distance: np.ndarray, phase: int, open_start: bool) -> Float[np.ndarray, " time"]:
    """Backwards along the least cost; the mean phase of each sample."""
    t = len(total) - 1
    sums, counts = np.zeros(len(total)), np.zeros(len(total))
    while True:
        sums[t] += phase
        counts[t] += 1
        if t == 0 and (phase == 0 or open_start):
            return sums / counts
        came = [(np.inf, t, phase)]
        if t > 0:
            came.append((total[t - 1, phase] + distance[t, phase], t - 1, phase))
        if phase > 0:
            came.append((total[t, phase - 1] + distance[t, phase], t, phase - 1))
        if t > 0 and phase > 0:
            came.append((total[t - 1, phase - 1] + 2 * distance[t, phase], t - 1, phase - 1))
        _, t, phase = min(came)
