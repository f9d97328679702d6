"""The work that both sides do: sizes, data, steps, and how many operations they take."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

N_TRAIN, N_VALID, N_TIME, N_MUSCLE, BATCH, N_DRAWS = 320, 80, 200, 12, 64, 50
STEPS_PER_EPOCH = N_TRAIN // BATCH
MEMBER_EPOCHS = 2  # of each member in the small search, with a tournament between them
MEMBER_STEPS = MEMBER_EPOCHS * STEPS_PER_EPOCH


@dataclasses.dataclass(frozen=True)
class Model:
    """Numbers of units."""

    encoder: int
    controller: int
    generator: int
    n_initial: int
    n_input: int
    n_factor: int


MODELS = {
    "emg_paper": Model(128, 64, 64, 30, 3, 10),
    "snel_lab": Model(100, 100, 100, 20, 3, 10),
    "large": Model(128, 128, 128, 64, 4, 40),
}


def make_trials(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation trials (trial, time, muscle): gamma noise around smooth bursts, in single precision.

    The time that a step takes does not depend on what the data are; that they can be learned keeps the numbers tame.
    """
    rng = np.random.default_rng(seed)
    n_trial = N_TRAIN + N_VALID
    time_, centre = np.linspace(0, 1, N_TIME), rng.uniform(0, 1, (n_trial, 3, 1))
    bursts = np.exp(-0.5 * ((time_ - centre) / 0.1) ** 2)  # (trial, factor, time)
    mean = np.einsum("bft,fm->btm", bursts, rng.gamma(1.0, 1.0, (3, N_MUSCLE))) + 0.05
    emg = (rng.gamma(2.0, 0.5, mean.shape) * mean).astype(np.float32)
    return emg[:N_TRAIN], emg[N_TRAIN:]


def gflop_per_step(model: Model) -> float:
    """10⁹ operations in the products of an optimiser step: forward, slopes at what came in, slopes at the weights.

    The slope at what the encoders read is wanted by nobody and not counted.
    """
    m, seen = model, 3 * N_MUSCLE
    encoders = 4 * 3 * m.encoder * (3 * (seen + m.encoder) - seen)
    heard = 2 * m.encoder + m.n_factor
    controller = 3 * 3 * m.controller * (heard + m.controller) + 3 * 2 * m.n_input * m.controller
    generator = 3 * 3 * m.generator * (m.n_input + m.generator)
    read_out = 3 * m.n_factor * (m.generator + 2 * N_MUSCLE)
    return 2e-9 * N_TIME * BATCH * (encoders + controller + generator + read_out)


def measure_matrix_peak(seconds: float = 0.5) -> float:
    """The best rate of a large product in single precision, on as many threads as this process may use, in GFLOP/s."""
    n = 1536
    a, b = (np.random.default_rng(i).standard_normal((n, n), np.float32) for i in range(2))
    out, best, until = np.empty_like(a), np.inf, time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        np.dot(a, b, out=out)
        best = min(best, time.perf_counter() - begun)
    return 2e-9 * n**3 / best


def peak_memory_mib() -> float:
    """The most memory that this process has held; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:
        return float("nan")
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)
