"""How far a simulation can be trusted: figures beside what is usual, in plain words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from myodrive.from_simulation.muscle_problem import distrust
from myodrive.from_simulation.muscle_signals import muscle_joints
from myodrive.from_simulation.opensim import Model

# Hicks et al. 2015 (10.1115/1.4029304): markers within 2 cm RMS and 4 cm at most, residual forces under 5 % of the
# largest external force, residual moments under 1 % of height times that force, reserves under 5 % of joint moments.
MARKER_RMS_M, MARKER_MAX_M = 0.02, 0.04
RESIDUAL_FORCE, RESIDUAL_MOMENT = 0.05, 0.01
RESERVE = 0.05
HEIGHT_M = 1.7  # of the person, where nothing says it: residual moments are only compared in order of magnitude
SATURATED = 0.99  # activation
_MISFIT = " Motion and forces do not fit: masses, filter or units are wrong, or the forces of one foot are missing."
LEAST_MOMENT_NM = 5.0  # a joint whose moment stays below it is not compared with its reserve


@dataclasses.dataclass(frozen=True)
class Finding:
    """One figure, whether it is as it should be, and what it means."""

    what: str
    value: float
    units: str
    good: bool
    words: str


def judge(
    signals: Mapping[str, xr.DataArray],
    residuals: Sequence[str] = (),
    *,
    complaints: int = 0,
    untrusted: Mapping[str, str] | None = None,
) -> list[Finding]:
    """What the signals of a simulation say of its worth.

    Parameters
    ----------
    signals : dict of str to DataArray
        As `simulate` and `simulate_with_mujoco` have them.
    residuals : sequence of str
        The coordinates whose moments nothing can make.
    complaints : int
        Of OpenSim's optimiser.
    untrusted : dict of str to str, optional
        Muscles that the model does not get right: why.
    """
    found = _markers(signals["marker_errors"]) if "marker_errors" in signals else []
    found += _residuals(signals["moments"].sel(joint=list(residuals)), _largest_force_n(signals))
    if "simulated" in signals:
        found += _failed(signals["simulated"], complaints)
        found += _reserves(signals["reserves"], signals["moments"], muscle_joints(signals["moment_arms"]))
        found += _saturated(signals["simulated"])
    return found + _untrusted(untrusted or {})


def full_share(activation: xr.DataArray) -> xr.DataArray:
    """The share of frames in which each muscle is fully active."""
    return (activation > SATURATED).mean("time")


def residual_coordinates(model: Model) -> list[str]:
    """Those that carry the body through the world, so that nothing can make their moment; none in a model that is bolted down."""
    of_ground = [c for c in model.free if c.of_ground]
    return [c.name for c in of_ground] if any(c.units == "m" for c in of_ground) else []


# -- inside ----------------------------------------------------------------------------------------------------------


def _markers(errors: xr.DataArray) -> list[Finding]:
    rms = float(np.sqrt((errors**2).mean()))
    k, j = np.unravel_index(int(errors.values.argmax()), errors.shape)
    largest = float(errors[k, j])
    place = f"{errors.marker.values[j]} at {float(errors.time[k]):.2f} s"
    return [
        Finding(
            "marker error, RMS", rms, "m", rms <= MARKER_RMS_M,
            f"The model's markers are {1000 * rms:.0f} mm from those recorded (RMS; usual is under 20 mm)."
            + ("" if rms <= MARKER_RMS_M else " The model does not have this person's size, or markers are misplaced."),
        ),
        Finding(
            "marker error, largest", largest, "m", largest <= MARKER_MAX_M,
            f"The largest error is {1000 * largest:.0f} mm, of {place} (usual is under 40 mm).",
        ),
    ]  # fmt: skip


def _largest_force_n(signals: Mapping[str, xr.DataArray]) -> float:
    """From outside; 0 without any."""
    forces = signals.get("forces")
    return float(np.abs(forces.where(forces.unit == "N")).max()) if forces is not None else 0.0


def _residuals(residuals: xr.DataArray, largest_force_n: float) -> list[Finding]:
    found = []
    for what, units, scale, limit in (
        ("residual force", "N", largest_force_n, RESIDUAL_FORCE),
        ("residual moment", "N m", largest_force_n * HEIGHT_M, RESIDUAL_MOMENT),
    ):
        of_unit = residuals.values[:, residuals.unit.values == units]
        if not of_unit.size:
            continue
        peak = float(np.abs(of_unit).max())
        good = peak <= limit * scale
        against = "the largest external force" if units == "N" else "it times 1.7 m"
        share = f", {100 * peak / scale:.1f} % of {against}" if scale else ""
        found.append(
            Finding(
                what, peak, units, good,
                f"The largest {what} is {peak:.0f} {units}{share} (usual is under {100 * limit:.0f} %)."
                + ("" if good else _MISFIT),
            )
        )  # fmt: skip
    return found


def _failed(activation: xr.DataArray, complaints: int) -> list[Finding]:
    missing = int(activation.isnull().any("muscle").sum())
    if not missing and not complaints:
        return []
    words = (
        f"{missing} of {activation.sizes['time']} frames have no optimum that could be found; they are NaN."
        if missing
        else f"OpenSim's optimiser complained {complaints} times; it writes such frames like any other, and their "
        "activations mean nothing."
    )
    return [Finding("failed frames", missing or complaints, "1", False, words)]


def _reserves(reserves: xr.DataArray, moments: xr.DataArray, joints: list[str]) -> list[Finding]:
    """Of the joints that muscles act on; elsewhere there is nothing but the reserve."""
    found = []
    for joint in joints:
        taken = abs(reserves.sel(joint=joint)).fillna(0.0)
        used, largest = float(taken.max()), float(abs(moments.sel(joint=joint)).max())
        if used > RESERVE * max(largest, LEAST_MOMENT_NM):
            at = float(taken.time[int(taken.values.argmax())])
            found.append(
                Finding(
                    f"reserve of {joint}", used, "N m", False,
                    f"The reserve of {joint} takes up to {used:.1f} N m (at {at:.2f} s), beside a moment of at most "
                    f"{largest:.1f} N m: the muscles of the model are too weak for it.",
                )
            )  # fmt: skip
    if not found:
        share = max(
            (float(abs(reserves.sel(joint=j)).max() / abs(moments.sel(joint=j)).max()) for j in joints), default=0.0
        )
        found.append(
            Finding(
                "reserves", share, "1", True,
                f"The reserves take at most {100 * share:.1f} % of a joint's largest moment (usual is under "
                f"{100 * RESERVE:.0f} %): the muscles make the moments.",
            )
        )  # fmt: skip
    return found


def _saturated(activation: xr.DataArray) -> list[Finding]:
    share = full_share(activation)
    full = {str(m): float(v) for m, v in zip(share.muscle.values, share.values) if v > 0}
    if not full:
        return []
    listed = ", ".join(f"{m} {100 * v:.0f} %" for m, v in sorted(full.items(), key=lambda item: -item[1]))
    return [
        Finding(
            "saturated muscles", len(full), "1", False,
            f"Fully active, in a share of the frames: {listed}. There the model is too weak, and the shape of their "
            "activity is cut off.",
        )
    ]  # fmt: skip


def _untrusted(untrusted: Mapping[str, str]) -> list[Finding]:
    return [Finding("untrusted muscles", len(untrusted), "1", False, words) for words in distrust(untrusted)]
