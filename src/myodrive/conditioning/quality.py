"""The quality check of each EMG channel, before anything else: it reports and masks; it never silently repairs."""

from __future__ import annotations

import dataclasses

import xarray as xr


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the quality check found in one channel."""

    muscle: str  # the channel's label; "" for the whole recording
    kind: str  # "unplugged", "saturated", "artefact", "mains", "drift", "duplicate", "rate", "unit", …
    masked: bool  # whether the channel, or the stretch, is kept out of every estimate
    text: str  # one plain sentence with the number that decided
    start_s: float = float("nan")  # of a stretch; NaN for the whole channel
    stop_s: float = float("nan")


def check_emg(emg: xr.DataArray) -> tuple[Finding, ...]:
    """Everything doubtful about the channels of one recording."""
    return ()


def mask_emg(emg: xr.DataArray, findings: tuple[Finding, ...]) -> xr.DataArray:
    """The EMG with NaN wherever a finding says so."""
    return emg
