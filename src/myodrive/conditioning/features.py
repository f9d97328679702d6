"""What the networks are told of a movement: angles, hand pose and swivel angle, with their derivatives."""

from __future__ import annotations

import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from myodrive.conditioning.kinematics import differentiate
from myodrive.recording import Recording

SUFFIXES = ("", " velocity", " acceleration")


class MotionOptions(BaseModel):
    """Which features of a movement are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[str, ...] = ("angles",)  # signals of the recording
    derivatives: int = Field(default=2, ge=0, le=2)  # 0: position alone; 1: and velocity; 2: and acceleration
    cutoff_hz: float = Field(default=6.0, gt=0)  # see `differentiate`


def motion_features(recording: Recording, options: MotionOptions) -> xr.DataArray:
    """The features of a movement (time, feature), on the clock of the first input."""
    angles = recording[options.inputs[0]]
    parts = []
    for order in range(options.derivatives + 1):
        part = differentiate(angles, order, options.cutoff_hz)
        names = [f"{label}{SUFFIXES[order]}" for label in map(str, part["joint"].values)]
        parts.append(xr.DataArray(part.values, dims=("time", "feature"), coords={"time": part.time, "feature": names}))
    return xr.concat(parts, dim="feature")


def derivative_of(feature: str) -> int:
    """Which derivative a feature is, by its name: 0, 1 or 2."""
    return next((order for order in (2, 1) if feature.endswith(SUFFIXES[order])), 0)
