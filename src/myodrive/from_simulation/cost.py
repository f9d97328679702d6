"""What static optimisation minimises."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Cost:
    """What is minimised: Σ a^p + Σ |x|^p, known activations' weight κ, and ω between neighbouring frames.

    Arrays are (time, muscle); `coupling` is ω (time - 1,).
    """

    exponent: int
    low: float
    high: float
    weight: Float[np.ndarray, "time muscle"]
    known: Float[np.ndarray, "time muscle"]
    coupling: Float[np.ndarray, "gap"]

    def slope(self, a: Float[np.ndarray, "time muscle"]) -> Float[np.ndarray, "time muscle"]:
        """Of the cost against each activation, reserves left out."""
        slope = self.exponent * a ** (self.exponent - 1) + 2 * self.weight * (a - self.known)
        if self.coupling.any():
            between = 2 * self.coupling[:, None] * np.diff(a, axis=0)
            between[self.coupling == 0] = 0  # a frame that is not known is NaN
            slope[1:] += between
            slope[:-1] -= between
        return slope
