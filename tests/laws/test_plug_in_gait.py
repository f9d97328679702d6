"""Angles and moments of Plug-in Gait keep their meaning under OpenSim's names."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr

import myodrive as md
from myodrive.errors import OptionError, SignalError
from myodrive.recording import Recording

TIME = np.arange(120) / 100
COLUMNS = [f"{side}{joint}" for side in "LR" for joint in ("Hip", "Knee", "Ankle")]


def signal(kind: str, values: np.ndarray, units: str, prefix: str = "") -> xr.DataArray:
    labels = [f"{prefix}{column}{kind}_{axis}" for column in COLUMNS for axis in "xyz"]
    coords = {"time": ("time", TIME, {"units": "s"}), "joint": labels}
    return xr.DataArray(values, dims=("time", "joint"), coords=coords, attrs={"units": units})


def walk(prefix: str = "", mass: float | None = 50.0) -> Recording:
    phase = 2 * np.pi * TIME[:, None] + np.arange(18) / 3
    angles, moments = 20 + 10 * np.sin(phase), 400 * np.cos(phase)
    signals = {"angles": signal("Angles", angles, "deg", prefix), "moments": signal("Moment", moments, "Nmm", prefix)}
    return Recording(signals, info={"PROCESSING": {"Bodymass": [mass]}} if mass else {})


@pytest.mark.parametrize("prefix", ["", "Anna:"])
def test_moments_are_those_of_the_whole_body_with_the_sign_of_the_angle(prefix: str) -> None:
    given = walk(prefix)
    found = md.from_plug_in_gait(given)
    knee = given["moments"].sel(joint=f"{prefix}RKneeMoment_x")
    np.testing.assert_allclose(found["moments"].sel(joint="knee_angle_r"), -knee * 50 / 1000)
    np.testing.assert_array_equal(
        found["angles"].sel(joint="hip_adduction_l"), given["angles"].sel(joint=f"{prefix}LHipAngles_y")
    )
    assert found["moments"].attrs["units"] == "N m" and found["angles"].sizes["joint"] == 8
    twice = md.from_plug_in_gait(given, mass_kg=100.0)["moments"]
    np.testing.assert_allclose(twice, 2 * found["moments"])


def test_the_longest_stretch_without_a_gap_is_taken() -> None:
    given = walk()
    angles = given["angles"].copy(deep=True)
    angles[40, 0] = np.nan
    found = md.from_plug_in_gait(given.with_signal("angles", angles))
    assert found["moments"].time.values[0] == TIME[41] and found["angles"].sizes["time"] == 79


def test_what_is_not_plug_in_gait_or_has_no_mass_is_refused() -> None:
    with pytest.raises(OptionError, match="for each kg of body mass"):
        md.from_plug_in_gait(walk(mass=None))
    with pytest.raises(OptionError, match="no person's"):
        md.from_plug_in_gait(walk(), mass_kg=4000.0)
    given = walk()
    half = given.with_signal("moments", given["moments"].isel(joint=slice(0, 6)))
    with pytest.raises(SignalError, match="of a whole leg"):
        md.from_plug_in_gait(half)
    nowhere = given.with_signal("moments", given["moments"] * np.nan)
    with pytest.raises(SignalError, match="nowhere known together"):
        md.from_plug_in_gait(nowhere)


@pytest.mark.skipif(
    find_spec("mujoco") is None or find_spec("myo_sim") is None, reason="pip install 'myodrive[mujoco]'"
)
def test_a_leg_is_solved_from_them_without_any_model_file() -> None:
    found = md.simulate_with_mujoco(walk(), "legs", height_m=1.6)
    assert set(found["moments"].joint.values) == {
        f"{c}_{s}" for s in "rl" for c in ("hip_flexion", "hip_adduction", "knee_angle", "ankle_angle")
    }
    activations = found["simulated"]
    assert np.isfinite(activations).all() and float(activations.max()) > 0.05
    assert found.info["simulation"]["model"] == {"file": "legs", "mass_kg": 50.0, "height_m": 1.6}
