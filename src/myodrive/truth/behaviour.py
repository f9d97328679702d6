"""What a recording comes with besides EMG: joint angles, force, and spikes of a cortical population."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from myodrive.truth.scenarios import SimulatedMuscle

JOINT_TIME_S = 0.08  # a joint of 2 Hz natural frequency, critically damped
CORTICAL_LEAD_S = 0.05  # by which motor cortex leads the muscle
N_NEURONS = 60


def pull_matrix(muscles: tuple[SimulatedMuscle, ...]) -> tuple[list[str], Float[np.ndarray, "muscle joint"]]:
    """The joints that these muscles turn, and the degrees by which a steady full activation would turn each."""
    joints = list(dict.fromkeys(joint for muscle in muscles for joint in muscle.pulls))
    return joints, np.array([[muscle.pulls.get(joint, 0.0) for joint in joints] for muscle in muscles])


def joint_angles(
    activation: Float[np.ndarray, "time muscle"], pulls: Float[np.ndarray, "muscle joint"], sampling_hz: float
) -> Float[np.ndarray, "time joint"]:
    """The angles of joints with springs, in degrees: each a critically damped response to the muscles' summed pull."""
    return critically_damped(activation @ pulls, JOINT_TIME_S, sampling_hz)


def critically_damped(
    pull: Float[np.ndarray, "time channel"], time_s: float, sampling_hz: float
) -> Float[np.ndarray, "time channel"]:
    """The response of second order of a mass on a damped spring, without overshoot, its gain 1 for what lasts."""
    decay = np.exp(-1 / (time_s * sampling_hz))
    return lfilter([(1 - decay) ** 2], [1.0, -2 * decay, decay**2], pull, axis=0)


def cortical_spikes(
    latents: Float[np.ndarray, "time latent"], sampling_hz: float, rng: np.random.Generator, bin_s: float = 0.01
) -> Float[np.ndarray, "bin neuron"]:
    """Spikes per bin of Poisson neurons whose rate follows a random mixture of the latents, 50 ms ahead of them.

    The rate is 5 Hz at rest and rises, or falls, by up to 40 Hz with the mixture; it never goes below 0.
    """
    per_bin = round(bin_s * sampling_hz)
    n_bin = latents.shape[0] // per_bin
    lead = round(CORTICAL_LEAD_S * sampling_hz)
    ahead = np.concatenate([latents[lead:], np.repeat(latents[-1:], lead, axis=0)])[: n_bin * per_bin]
    binned = ahead.reshape(n_bin, per_bin, -1).mean(axis=1)
    tuning = rng.normal(0, 1, (latents.shape[1], N_NEURONS)) / np.sqrt(latents.shape[1])
    rates_hz = np.maximum(5.0 + 40.0 * (binned / np.maximum(binned.max(axis=0), 1e-12)) @ tuning, 0)
    return rng.poisson(rates_hz * bin_s).astype(np.float64)
