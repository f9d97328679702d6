"""How wide the interval of several networks is: by what each says of what it was not taught."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from myodrive.estimator import Estimate
from myodrive.from_motion.adaptation import Personal
from myodrive.from_motion.measurement_noise import MOST, noise_share
from myodrive.learning.calibration import calibrated


class Untaught(NamedTuple):
    """What was measured of a trial, and what the networks of the fold said that were not taught it: (time, muscle) each.

    `apart` is by how much their mean differs from that of the networks of all folds that know the person.
    """

    measured: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    apart: np.ndarray


def width_of(
    held: Sequence[Untaught], personal: Personal, level: float, rate_hz: float, cutoff_hz: float | None
) -> Float[np.ndarray, " muscle"]:
    """The half-width of the interval in units of the predicted scale; NaN for a muscle that was never measured.

    The quantile of held-out |error| / scale (split conformal), less what the mean of all networks errs less than that of one
    fold, which is their spread (Krogh & Vedelsby 1995, Adv Neural Inf Process Syst 7:231–238). With the cut-off of the envelope
    it is an interval of the activity, and the sampling noise of what is measured is taken out as well (see `noise_share`).
    """
    errors = [(h.measured - personal.of(Estimate(h.mean)).mean) / (personal.gain * h.scale) for h in held]
    together = np.concatenate(errors)
    known = np.isfinite(together)
    apart = np.concatenate([h.apart / (personal.gain * h.scale) for h in held])
    spread, error = (np.where(known, v**2, 0.0).sum(axis=0) for v in (apart, together))
    less = spread / np.maximum(error, 1e-12)
    if cutoff_hz:
        levels = [h.measured / (personal.gain * h.scale) for h in held]
        less += noise_share(errors, levels, rate_hz, cutoff_hz)
    return calibrated(np.abs(together), level) * np.sqrt(1.0 - np.minimum(less, MOST))
