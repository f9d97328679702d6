"""From discharges to volts: action potentials as a bipolar surface electrode sees them, and all that disturbs them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from scipy.signal import butter, sosfilt

from myodrive.truth.motor_units import MotorUnitPool, discharge_rates_hz, size_ordered

Share = Annotated[float, Field(ge=0)]
Range = tuple[float, float]

POTENTIAL_S = 0.03  # the stretch of time in which an action potential is drawn


class Electrode(BaseModel):
    """A bipolar surface electrode and the fibres below it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    distance_mm: float = 20.0  # between the two poles, as SENIAM recommends
    depth_mm: Range = (4.0, 9.0)  # of a unit's fibres below the skin, drawn per unit
    endplate_spread_mm: float = 4.0  # standard deviation over a unit's fibres: disperses the potential
    velocity_m_s: Range = (3.5, 5.0)  # of conduction, from the smallest unit to the largest
    maximum_mv: Range = (0.3, 1.0)  # root mean square at full activation, drawn per muscle


class Disturbance(BaseModel):
    """What is added to the EMG besides amplifier noise; each is relative to the channel's own root mean square."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crosstalk: Share = 0.0  # amplitude of the next channel that is seen in this one; falls by as much per channel
    mains_hz: float = 50.0
    mains: Share = 0.0
    motion: Share = 0.0  # peak of the slow transient at each event
    bursts_per_minute: Share = 0.0  # of noise that all channels share
    burst: Share = 0.0  # root mean square within a burst


def action_potentials(
    pool: MotorUnitPool, electrode: Electrode, sampling_hz: float, rng: np.random.Generator
) -> Float[np.ndarray, "unit lag"]:
    """The action potential of every unit between the two poles, size-ordered from peak to peak, the largest of 1.

    The transmembrane potential is Rosenfalck's, V(z) = 96 z³ exp(−z), z in mm (1969). Its second derivative is the
    current that travels along the fibre with velocity v; a pole at depth h sees it through 1/sqrt(x² + h²); the end
    plates of a unit's fibres are spread along the muscle.
    """
    step_mm = 0.1
    x = np.arange(-120.0, 120.0, step_mm)
    z = np.clip(x, 0, None)
    current = np.gradient(np.gradient(96 * z**3 * np.exp(-z), step_mm), step_mm)
    depth = rng.uniform(*electrode.depth_mm, pool.n_units)[:, None]
    half = electrode.distance_mm / 2
    seen = 1 / np.hypot(x - half, depth) - 1 / np.hypot(x + half, depth)
    spread = np.exp(-0.5 * (x / electrode.endplate_spread_mm) ** 2)
    along = np.fft.irfft(
        np.fft.rfft(np.fft.ifftshift(current)) * np.fft.rfft(np.fft.ifftshift(spread)) * np.fft.rfft(seen), n=x.size
    )
    sizes = size_ordered(pool.n_units, pool.amplitude_range) / pool.amplitude_range
    velocity = np.interp(sizes, (sizes[0], sizes[-1]), electrode.velocity_m_s)  # mm/ms = m/s
    lag_ms = 1e3 * (np.arange(round(POTENTIAL_S * sampling_hz)) / sampling_hz - POTENTIAL_S / 2)
    potentials = np.stack([np.interp(v * lag_ms, x, p) for v, p in zip(velocity, along)])
    potentials *= np.hanning(lag_ms.size)
    potentials -= potentials.mean(axis=1, keepdims=True)
    return sizes[:, None] * potentials / np.ptp(potentials, axis=1, keepdims=True)


def expected_rms(
    activation: Float[np.ndarray, " level"],
    potentials: Float[np.ndarray, "unit lag"],
    pool: MotorUnitPool,
    sampling_hz: float,
) -> Float[np.ndarray, " level"]:
    """Root mean square of the EMG of independent units at each activation, by Campbell's theorem.

    The variance is the sum over units of rate × energy of the action potential.
    """
    energy = np.sum(potentials**2, axis=1) / sampling_hz
    return np.sqrt(energy @ discharge_rates_hz(activation, pool))


def sum_potentials(
    times_s: Float[np.ndarray, " discharge"],
    units: Int[np.ndarray, " discharge"],
    potentials: Float[np.ndarray, "unit lag"],
    n_time: int,
    sampling_hz: float,
) -> Float[np.ndarray, " time"]:
    """Place the unit's action potential, centred, at each discharge and add them all."""
    n_lag = potentials.shape[1]
    starts = np.round(times_s * sampling_hz).astype(np.int64)
    total = np.zeros(n_time + n_lag)
    for lag in range(n_lag):  # one pass per lag: few large additions, in little memory
        total += np.bincount(starts + lag, weights=potentials[units, lag], minlength=total.size)[: total.size]
    return total[n_lag // 2 : n_lag // 2 + n_time]


def add_crosstalk(emg: Float[np.ndarray, "time muscle"], share: float) -> Float[np.ndarray, "time muscle"]:
    """Every channel sees the channel at distance d with amplitude share^d."""
    distance = np.abs(np.subtract.outer(np.arange(emg.shape[1]), np.arange(emg.shape[1])))
    return emg @ np.where(distance == 0, 1.0, float(share) ** distance)


def amplifier_noise(
    emg: Float[np.ndarray, "time muscle"], snr_db: float, rng: np.random.Generator
) -> Float[np.ndarray, "time muscle"]:
    """White noise whose power is `snr_db` below the mean power of each channel over the whole recording."""
    noise = rng.standard_normal(emg.shape)
    wanted = _rms(emg) * 10 ** (-snr_db / 20)
    return noise * wanted / np.maximum(_rms(noise), np.finfo(float).tiny)


def disturb(
    emg: Float[np.ndarray, "time muscle"],
    events_s: Float[np.ndarray, " event"],
    disturbance: Disturbance,
    sampling_hz: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "time muscle"]:
    """Mains, motion artefacts and shared bursts of noise, to be added to `emg`."""
    n_time, n_muscle = emg.shape
    scale = _rms(emg)
    time = np.arange(n_time)[:, None] / sampling_hz
    mains = np.zeros((n_time, n_muscle))
    for harmonic, part in ((1, 1.0), (3, 0.3), (5, 0.1)):
        frequency = disturbance.mains_hz * harmonic
        if frequency < sampling_hz / 2:
            mains += part * np.sin(2 * np.pi * (frequency * time + rng.random(n_muscle)))
    added = disturbance.mains * mains * np.sqrt(2) / np.sqrt(1 + 0.3**2 + 0.1**2)
    if disturbance.motion:
        added += disturbance.motion * _transients(time, events_s, n_muscle, rng)
    if disturbance.bursts_per_minute:
        added += disturbance.burst * _shared_bursts(time, disturbance.bursts_per_minute, n_muscle, sampling_hz, rng)
    return scale * added


def _transients(time: np.ndarray, events_s: np.ndarray, n_muscle: int, rng: np.random.Generator) -> np.ndarray:
    """A damped swing of 2 to 8 Hz after each event, of random size and sign in each channel."""
    result = np.zeros((time.size, n_muscle))
    for event in events_s:
        size, frequency = rng.standard_normal(n_muscle), rng.uniform(2, 8, n_muscle)
        after = np.flatnonzero((time[:, 0] >= event) & (time[:, 0] < event + 0.6))
        since = time[after] - event
        result[after] += size * np.exp(-since / 0.1) * np.sin(2 * np.pi * frequency * since)
    return result


def _shared_bursts(
    time: np.ndarray, per_minute: float, n_muscle: int, sampling_hz: float, rng: np.random.Generator
) -> np.ndarray:
    """Broad-band noise for a tenth to three tenths of a second, the same in every channel but for its gain."""
    duration_s = time.size / sampling_hz
    window = np.zeros(time.size)
    for _ in range(rng.poisson(per_minute * duration_s / 60)):
        start, length = rng.uniform(0, duration_s), rng.uniform(0.1, 0.3)
        window[(time[:, 0] >= start) & (time[:, 0] < start + length)] = 1
    return np.outer(window * rng.standard_normal(time.size), rng.uniform(0.5, 1.5, n_muscle))


def amplifier(emg: Float[np.ndarray, "time muscle"], sampling_hz: float) -> Float[np.ndarray, "time muscle"]:
    """The band-pass of a surface amplifier, 10 Hz to 450 Hz, causal as the hardware is."""
    top = min(450.0, 0.45 * sampling_hz)
    return sosfilt(butter(2, (10.0, top), "bandpass", fs=sampling_hz, output="sos"), emg, axis=0)


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(values**2, axis=0))
