"""Muscle problems made in code, as those of a gait model: many muscles, each over one to three neighbouring coordinates."""

from __future__ import annotations

import numpy as np

from myodrive.from_simulation.muscle_problem import MuscleProblem


def made_problem(
    seed: int,
    *,
    n_time: int = 20,
    n_coordinate: int = 6,
    n_muscle: int = 14,
    load: float = 1.0,
    reserve: float = 1.0,
    passive: bool = True,
) -> MuscleProblem:
    """Torques of smooth known activations times `load`, beyond what any muscle can do where `load` is large."""
    generator = np.random.default_rng(seed)
    time = np.arange(n_time) / 100

    def wave(*shape: int) -> np.ndarray:
        return np.sin(6 * time.reshape(-1, *[1] * len(shape)) + generator.uniform(0, 6, shape))

    crossed = np.zeros((n_coordinate, n_muscle), bool)
    for muscle in range(n_muscle):
        first = generator.integers(0, n_coordinate)
        crossed[first : first + generator.integers(1, 4), muscle] = True
    moment_arms = crossed * generator.normal(0, 0.04, crossed.shape) * (1 + 0.2 * wave(*crossed.shape))
    active = generator.uniform(300, 4000, n_muscle) * (0.8 + 0.2 * wave(n_muscle))
    passive_force = passive * active * np.maximum(0, 0.1 * wave(n_muscle))
    forces = active * load * np.clip(0.3 + 0.4 * wave(n_muscle), 0, 1) + passive_force
    return MuscleProblem(
        muscles=tuple(f"muscle_{i}" for i in range(n_muscle)),
        coordinates=tuple(f"coordinate_{j}" for j in range(n_coordinate)),
        time=time,
        torques=np.einsum("tjm,tm->tj", moment_arms, forces) + generator.normal(0, 1, n_coordinate),
        moment_arms=moment_arms,
        active_force=active,
        passive_force=passive_force,
        reserves=np.full(n_coordinate, reserve),
    )
