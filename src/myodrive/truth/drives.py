"""What several muscles are driven by together: latent drives over time, and how much of each a muscle gets."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

Event = tuple[float, str, str]  # time in seconds, label, side


@dataclasses.dataclass(frozen=True)
class Drive:
    """Latent drives, none negative, and the events of the movement that they belong to."""

    latents: Float[np.ndarray, "time latent"]
    events: list[Event]


def preferred_phases(n_latents: int) -> Float[np.ndarray, " latent"]:
    """Where in the cycle, or in which direction, each latent drive is strongest: evenly spaced, as a fraction of a turn."""
    return np.arange(n_latents) / n_latents


def gait_drive(n_latents: int, n_time: int, sampling_hz: float, rng: np.random.Generator) -> Drive:
    """A burst of each latent in every stride, as in walking: strides of 1.1 s that differ in length, timing and size.

    The burst of a latent is a Gaussian bump at its phase of the stride; five of that kind account for most of the EMG of
    human walking (Ivanenko, Poppele & Lacquaniti 2004, 10.1113/jphysiol.2003.057174).
    """
    duration_s = n_time / sampling_hz
    strides_s = rng.normal(1.1, 0.03, int(duration_s / 0.9) + 4)
    strikes_s = np.cumsum(strides_s) - 2 * 1.1
    time = np.arange(n_time) / sampling_hz
    latents = np.full((n_time, n_latents), 0.02)
    for k, phase in enumerate(preferred_phases(n_latents)):
        for strike, stride in zip(strikes_s, strides_s):
            centre = strike + stride * (phase + rng.normal(0, 0.015))
            size = np.exp(rng.normal(0, 0.15))
            latents[:, k] += size * _bump(time, centre, 0.08 * stride)
    events = [(float(s), "heel strike", "right") for s in strikes_s]
    events += [(float(s + 0.5 * d), "heel strike", "left") for s, d in zip(strikes_s, strides_s)]
    return Drive(latents, [e for e in events if 0 <= e[0] < duration_s])


def reach_drive(n_latents: int, n_time: int, sampling_hz: float, rng: np.random.Generator) -> Drive:
    """Reaches in random directions at random times: an agonist burst, an antagonist burst, and the hold at the target.

    Each latent has a preferred direction and follows the cosine of the angle to it (as wrist muscles do: Hoffman & Strick 1999,
    10.1152/jn.1999.81.1.319).
    """
    duration_s = n_time / sampling_hz
    time = np.arange(n_time) / sampling_hz
    onsets_s = np.cumsum(rng.uniform(1.2, 2.2, int(duration_s / 1.2) + 2)) - 0.6
    directions = rng.random(onsets_s.size)
    preferred = preferred_phases(n_latents)
    hold = np.zeros((n_time, n_latents))
    latents = np.full((n_time, n_latents), 0.03)
    before = np.zeros(n_latents)
    for onset, direction in zip(onsets_s, directions):
        size = rng.uniform(0.5, 1.0)
        cosine = np.cos(2 * np.pi * (direction - preferred))
        latents += size * np.outer(_bump(time, onset, 0.09), np.maximum(cosine, 0))
        latents += 0.7 * size * np.outer(_bump(time, onset + 0.25, 0.09), np.maximum(-cosine, 0))
        after = 0.3 * size * np.maximum(cosine, 0)
        hold += np.outer(_smooth_step(time, onset, 0.5), after - before)
        before = after
    events = [(float(t), "movement onset", "right") for t in onsets_s if t < duration_s]
    return Drive(latents + np.maximum(hold, 0), events)


def step_drive(n_latents: int, n_time: int, sampling_hz: float, rng: np.random.Generator) -> Drive:
    """Isometric force in steps: a level in a random direction is reached, held for two to four seconds and let go."""
    duration_s = n_time / sampling_hz
    time = np.arange(n_time) / sampling_hz
    latents = np.zeros((n_time, n_latents))
    onset, events = 1.0, []
    while onset < duration_s:
        hold_s = rng.uniform(2.0, 4.0)
        parts = rng.dirichlet(np.full(n_latents, 0.7)) * rng.uniform(0.2, 1.0)
        shape = _smooth_step(time, onset, 0.4) - _smooth_step(time, onset + hold_s, 0.4)
        latents += np.outer(shape, parts)
        events.append((float(onset), "step onset", "right"))
        onset += hold_s + rng.uniform(0.8, 1.5)
    wander = gaussian_filter1d(rng.standard_normal((n_time, n_latents)), 0.2 * sampling_hz, axis=0, mode="reflect")
    wander /= np.maximum(wander.std(axis=0), np.finfo(float).tiny)
    return Drive(0.01 + latents * np.maximum(1 + 0.05 * wander, 0), events)


def smooth_drive(n_latents: int, n_time: int, sampling_hz: float, rng: np.random.Generator) -> Drive:
    """Independent smooth noise, rectified: no events and no repetition, so nothing but the EMG tells of it."""
    noise = gaussian_filter1d(
        rng.standard_normal((n_time, n_latents)), SMOOTH_SIGMA_S * sampling_hz, axis=0, mode="reflect"
    )
    noise /= np.maximum(noise.std(axis=0), np.finfo(float).tiny)
    return Drive(np.logaddexp(0, 3 * noise) / 3, [])


SMOOTH_SIGMA_S = 0.12  # a Gaussian spectrum that has fallen by half (power) at 1.1 Hz


def mix(
    latents: Float[np.ndarray, "time latent"],
    preferred: Float[np.ndarray, " muscle"],
    peak: tuple[float, float],
    rng: np.random.Generator,
) -> Float[np.ndarray, "time muscle"]:
    """Activation of each muscle: a sum of latents, weighted by how close their phases are to the muscle's own.

    The largest activation of each muscle in the recording is drawn between the two values of `peak`. It is a matter of
    scale alone, so with enough muscles the rank of what comes out is the number of latents.
    """
    distance = 2 * np.pi * np.subtract.outer(preferred_phases(latents.shape[1]), preferred)
    weights = np.exp(2.0 * (np.cos(distance) - 1)) * rng.uniform(0.7, 1.3, distance.shape)
    weights += rng.uniform(0, 0.1, distance.shape)
    mixed = latents @ weights
    return mixed / mixed.max(axis=0) * rng.uniform(*peak, preferred.size)


def _bump(time: np.ndarray, centre: float, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((time - centre) / sigma) ** 2)


def _smooth_step(time: np.ndarray, start: float, length: float) -> np.ndarray:
    """From 0 to 1 along the minimum-jerk polynomial."""
    u = np.clip((time - start) / length, 0, 1)
    return u**3 * (10 - 15 * u + 6 * u**2)
