"""The recording of `myodrive demo`."""

from __future__ import annotations

from pathlib import Path

from myodrive.io import write
from myodrive.truth import simulate_recording


def write_demo_recording(path: Path) -> Path:
    """Simulate a minute of walking with its activation and write it; one leg, eight muscles, one channel unplugged."""
    return write(simulate_recording("gait", seed=7, n_muscles=8, duration_s=60.0), path)
