"""People who move two joints, each movement its own way, and whose muscle activity follows from angle, speed and load."""

from __future__ import annotations

import numpy as np

from myodrive.recording import Recording, Study, make_signal

MUSCLES = ("biceps", "triceps", "deltoid")
RATE_HZ = 100.0


def moving_people(
    n_subject: int = 3, n_movement: int = 4, n_repetition: int = 4, *, seed: int = 1500, duration_s: float = 1.5
) -> Study:
    """Recordings with ``angles`` (deg), ``emg`` (an envelope, a fraction of the maximum contraction) and ``activation``.

    The first half of the movements is called single-joint.
    """
    return Study(
        [
            _trial(np.random.default_rng([seed, person, kind, k]), person, kind, k, seed, duration_s).replace(
                info={"kind": "single-joint" if 2 * kind < n_movement else "multi-joint"}
            )
            for person in range(n_subject)
            for kind in range(n_movement)
            for k in range(n_repetition)
        ],
        "moving people",
    )


def _trial(
    rng: np.random.Generator, person: int, kind: int, repetition: int, seed: int, duration_s: float
) -> Recording:
    own = np.random.default_rng([seed, person])
    gain, tonic = own.uniform(0.6, 1.4, len(MUSCLES)), own.uniform(0.02, 0.1)
    way = np.random.default_rng([7, kind])
    time = np.arange(round(duration_s * RATE_HZ * rng.uniform(0.9, 1.1))) / RATE_HZ
    phase = 2 * np.pi * rng.uniform(0.9, 1.1) * time / time[-1]
    size = 30.0 * way.uniform(0.5, 1.0, 2) * rng.uniform(0.9, 1.1)
    angles = np.stack([size[0] * (1 - np.cos(phase)), size[1] * np.sin(phase * way.integers(1, 3))], axis=1)
    speed = np.gradient(angles, 1 / RATE_HZ, axis=0) / 200.0
    drive = np.stack([angles[:, 0] / 60 + speed[:, 0], -speed[:, 0], angles[:, 1] / 60 + speed[:, 1]], axis=1)
    activation = tonic + gain * np.log1p(np.exp(8 * drive)) / 12
    activation = activation * rng.uniform(0.9, 1.1)
    emg = activation * np.exp(0.05 * rng.standard_normal(activation.shape))
    labels = {"muscle": list(MUSCLES)}
    return Recording(
        {
            "angles": make_signal(angles, ("time", "joint"), {"joint": ["shoulder", "elbow"]}, units="deg", time=time),
            "emg": make_signal(emg, ("time", "muscle"), labels, units="1", time=time, stage="envelope"),
            "activation": make_signal(activation, ("time", "muscle"), labels, units="1", time=time),
        },
        subject=f"P{person + 1}",
        movement=f"movement {kind + 1}",
        repetition=str(repetition + 1),
    )
