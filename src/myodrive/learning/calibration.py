"""What networks that learn from signals are scaled by: centre and spread of the training, and the errors of held-out samples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def moments(
    values: Float[np.ndarray, "time column"],
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Mean and standard deviation of each column over what is known; 0 and 1 for what is not, 1 for what does not vary."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (values - centre) ** 2, 0.0).sum(axis=0) / count)
    return centre, np.where(spread > 1e-9, spread, 1.0)


def calibrated(ratio: Float[np.ndarray, "time muscle"], level: float) -> Float[np.ndarray, " muscle"]:
    """The quantile of held-out |error| / scale (split conformal, 10.1080/01621459.2017.1307116); NaN without a sample.

    Neighbouring samples are not independent, so the promise holds over many trials and not for each.
    """
    factors = np.full(ratio.shape[1], np.nan)
    for i, column in enumerate(ratio.T):
        column = column[np.isfinite(column)]
        if column.size:
            factors[i] = np.quantile(column, min(level * (1 + 1 / column.size), 1.0))
    return factors
