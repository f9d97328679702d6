"""A pool of motor units: who is recruited when, how fast each discharges, and what force that gives.

Fuglevand, Winter & Patla 1993, J Neurophysiol 70:2470-2488, 10.1152/jn.1993.70.6.2470. The formulas
are theirs; where this differs it says so.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from scipy.signal import lfilter

Positive = Annotated[float, Field(gt=0)]


class MotorUnitPool(BaseModel):
    """The constants of one muscle's pool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_units: Annotated[int, Field(ge=2)] = 100
    recruitment_range: Annotated[float, Field(gt=1)] = 30.0  # largest over smallest recruitment threshold
    min_rate_hz: Positive = 8.0  # at recruitment, the same for all units
    peak_rate_hz: Positive = 35.0  # of the first unit
    peak_rate_difference_hz: Annotated[float, Field(ge=0)] = 10.0  # by which the last unit's peak rate is lower
    rate_gain_hz: Positive = 1.0  # rise of the rate per unit of excitation
    interval_cv: Annotated[float, Field(ge=0, lt=0.33)] = 0.15  # of the intervals between discharges
    # Largest over smallest action potential at the skin. Fibre numbers differ by 100, as twitches do, but larger units
    # are spread over more depth.
    amplitude_range: Annotated[float, Field(ge=1)] = 30.0
    twitch_range: Annotated[float, Field(ge=1)] = 100.0  # strongest over weakest twitch
    slowest_contraction_s: Positive = 0.09  # of the weakest unit
    contraction_range: Annotated[float, Field(gt=1)] = 3.0  # slowest over fastest contraction time


def size_ordered(n_units: int, spread: float) -> Float[np.ndarray, " unit"]:
    """A property that grows exponentially over the pool up to `spread`: exp(ln(spread) i / n), i = 1 … n."""
    return np.exp(np.log(spread) * np.arange(1, n_units + 1) / n_units)


def peak_rates_hz(pool: MotorUnitPool) -> Float[np.ndarray, " unit"]:
    """The highest rate of each unit, lower for those recruited later."""
    thresholds = size_ordered(pool.n_units, pool.recruitment_range)
    return pool.peak_rate_hz - pool.peak_rate_difference_hz * thresholds / thresholds[-1]


def maximal_excitation(pool: MotorUnitPool) -> float:
    """The excitation at which the last unit reaches its peak rate, the activation of 1."""
    return float(pool.recruitment_range + (peak_rates_hz(pool)[-1] - pool.min_rate_hz) / pool.rate_gain_hz)


def discharge_rates_hz(activation: Float[np.ndarray, " time"], pool: MotorUnitPool) -> Float[np.ndarray, "unit time"]:
    """The mean discharge rate of every unit: silent below its threshold, then linear up to its peak.

    Parameters
    ----------
    activation : array (time,)
        In [0, 1], as a fraction of `maximal_excitation`.
    """
    excess = maximal_excitation(pool) * activation - size_ordered(pool.n_units, pool.recruitment_range)[:, None]
    rates = np.minimum(pool.min_rate_hz + pool.rate_gain_hz * excess, peak_rates_hz(pool)[:, None])
    return np.where(excess >= 0, rates, 0.0)


def discharges(
    rates_hz: Float[np.ndarray, "unit time"], sampling_hz: float, interval_cv: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " discharge"], Int[np.ndarray, " discharge"]]:
    """When each unit discharges: a renewal process whose intervals are normal on the clock that its own rate drives.

    A unit that falls silent keeps its place in the interval. So at every instant the expected discharges per second
    are the rate itself; a pool whose units all fired at the moment of recruitment would lead its own drive.

    Parameters
    ----------
    rates_hz : array (unit, time)
    sampling_hz : float
        Of `rates_hz`.
    interval_cv : float
        Standard deviation of an interval over its mean.

    Returns
    -------
    times_s, units : array (discharge,)
        The time of each discharge and the unit it belongs to, unit by unit.
    """
    n_units, n_time = rates_hz.shape
    clock = np.concatenate([np.zeros((n_units, 1)), np.cumsum(rates_hz, axis=1) / sampling_hz], axis=1)
    most = int(np.ceil(clock[:, -1].max() * (1 + 2 * interval_cv))) + 10
    # An interval is never below a tenth of its mean: the refractory period, at a cv that makes it rare.
    intervals = np.maximum(1 + interval_cv * rng.standard_normal((n_units, most)), 0.1)
    intervals[:, 0] *= rng.random(n_units)
    due = np.cumsum(intervals, axis=1)
    time_s = np.arange(n_time + 1) / sampling_hz
    per_unit = [np.interp(d[d < c[-1]], c, time_s) for d, c in zip(due, clock)]
    return np.concatenate(per_unit), np.repeat(np.arange(n_units), [t.size for t in per_unit])


def twitch_force(
    times_s: Float[np.ndarray, " discharge"],
    units: Int[np.ndarray, " discharge"],
    pool: MotorUnitPool,
    n_time: int,
    sampling_hz: float,
) -> Float[np.ndarray, " time"]:
    """The sum of all twitches, 1 where every unit discharges at its peak rate.

    A twitch is P t/T exp(1 − t/T), stronger units being faster, T = T_L P^(−1/c). The gain of a
    twitch falls with the rate at which it follows the last one, g = (1 − exp(−2 r³)) / r relative to its value at
    r = T/interval = 0.4, which gives the sigmoid of force over rate.
    """
    strength = size_ordered(pool.n_units, pool.twitch_range)
    exponent = np.log(pool.contraction_range) / np.log(pool.twitch_range)
    contraction_s = pool.slowest_contraction_s * strength**-exponent
    force = np.zeros(n_time)
    for unit in range(pool.n_units):
        own = times_s[units == unit]
        if not own.size:
            continue
        gain = _twitch_gain(contraction_s[unit] / np.diff(own, prepend=-np.inf))
        bins = np.minimum((own * sampling_hz).astype(int), n_time - 1)
        impulses = np.bincount(bins, weights=strength[unit] * gain, minlength=n_time)
        force += _twitches(impulses, contraction_s[unit] * sampling_hz)
    rate = contraction_s * peak_rates_hz(pool)
    fused = np.e * rate * _twitch_gain(rate)  # the mean of a train of twitches: area e·T·P times rate times gain
    return force / float(np.sum(strength * fused))


def _twitch_gain(rate: Float[np.ndarray, " discharge"]) -> Float[np.ndarray, " discharge"]:
    clipped = np.maximum(rate, 0.4)
    return (1 - np.exp(-2 * clipped**3)) / clipped / ((1 - np.exp(-2 * 0.4**3)) / 0.4)


def _twitches(impulses: Float[np.ndarray, " time"], contraction: float) -> Float[np.ndarray, " time"]:
    """Convolve with n/T exp(1 − n/T), T in samples: exactly, as a filter of second order."""
    decay = np.exp(-1 / contraction)
    return lfilter([0.0, np.e * decay / contraction], [1.0, -2 * decay, decay**2], impulses)
