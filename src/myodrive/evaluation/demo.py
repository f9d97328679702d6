"""The recording of `myodrive demo`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from myodrive.io import write
from myodrive.truth import simulate_recording

LOST_CONTACT_V = 4e-4  # what an electrode without contact reads: white noise, louder than a muscle at rest


def write_demo_recording(path: Path) -> Path:
    """Simulate a minute of walking with its activation: eight muscles of one leg, the last electrode without contact."""
    recording = simulate_recording("gait", seed=7, n_muscles=8, duration_s=60.0)
    emg = recording["emg"].copy(deep=True)
    emg[:, -1] = LOST_CONTACT_V * np.random.default_rng(7).normal(size=emg.sizes["time"])
    return write(recording.with_signal("emg", emg), path)
