"""Blocks of time that are held out in turn, with a gap around each."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from myodrive.errors import OptionError


@dataclasses.dataclass(frozen=True)
class TimeBlocks:
    """Contiguous blocks of time, each held out once, with a gap on both sides that neither side uses.

    Parameters
    ----------
    n_folds : int
    gap_s : float
        At least the length of a window or a filter's context, so that none reaches into both sides.
    """

    n_folds: int = 5
    gap_s: float = 0.5

    def split(
        self, time: Float[np.ndarray, " time"]
    ) -> list[tuple[Bool[np.ndarray, " time"], Bool[np.ndarray, " time"]]]:
        """For each fold, which samples to learn from and which to score on.

        Raises
        ------
        OptionError
            If a fold would leave nothing to learn from.
        """
        if self.n_folds < 2 or time.size < 2 * self.n_folds:
            raise OptionError(f"{time.size} samples cannot be cut into {self.n_folds} blocks to score on.")
        folds = []
        for block in np.array_split(np.arange(time.size), self.n_folds):
            test = np.zeros(time.size, dtype=bool)
            test[block] = True
            first, last = time[block[0]], time[block[-1]]
            train = (time < first - self.gap_s) | (time > last + self.gap_s)
            if not train.any():
                raise OptionError(
                    f"{time[-1] - time[0]:.3g} s are too short for {self.n_folds} blocks with gaps of {self.gap_s:g} s."
                )
            folds.append((train, test))
        return folds
