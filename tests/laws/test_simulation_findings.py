"""What is said of a simulation, and what the filter of its motion does, on signals made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from myodrive.errors import SignalError
from myodrive.from_simulation.findings import judge
from myodrive.from_simulation.muscle_signals import muscle_joints
from myodrive.from_simulation.steps import smooth_motion
from myodrive.recording import make_signal

T = np.arange(0, 4, 0.01)
RESIDUALS = ["pelvis_ty"]


def over(values: np.ndarray, **labels: list[str]) -> xr.DataArray:
    return make_signal(values, ("time", *labels), labels, units="", time=T)


def signals(
    residual_n: float, reserve_nm: float, error_m: float, saturated: float, force_n: float = 800.0
) -> dict[str, xr.DataArray]:
    one = np.ones((T.size, 1))
    arms = np.zeros((T.size, 2, 2))
    arms[:, 0], arms[:, 1, 0] = 3e-4, 0.04
    activation = np.full((T.size, 2), 0.3)
    activation[: int(saturated * T.size), 1] = 1.0
    moments = over(np.hstack([residual_n * one, 100.0 * one]), joint=["pelvis_ty", "knee"])
    forces = over(np.hstack([force_n * one, 2e3 * one]), channel=["f_vy", "f_py"])
    return {
        "forces": forces.assign_coords(unit=("channel", ["N", "m"])),
        "marker_errors": over(error_m * one, marker=["RASI"]),
        "moments": moments.assign_coords(unit=("joint", ["N", "N m"])),
        "moment_arms": over(arms, joint=["pelvis_ty", "knee"], muscle=["quadriceps", "soleus"]),
        "reserves": over(np.hstack([residual_n * one, reserve_nm * one]), joint=["pelvis_ty", "knee"]),
        "simulated": over(activation, muscle=["quadriceps", "soleus"]),
    }


def test_a_sound_simulation_has_no_complaint() -> None:
    found = judge(signals(20.0, 1.0, 0.01, 0.0), RESIDUALS)
    assert all(f.good for f in found) and {f.what for f in found} >= {"marker error, RMS", "residual force"}


def test_each_fault_is_found_with_its_figure() -> None:
    found = {f.what: f for f in judge(signals(400.0, 30.0, 0.05, 0.25), RESIDUALS, complaints=3)}
    assert all(not f.good for f in found.values())
    assert found["residual force"].value == 400 and "50.0 %" in found["residual force"].words
    assert found["reserve of knee"].value == 30
    assert "30.0 N m (at 0.00 s), beside a moment of at most 100.0 N m" in found["reserve of knee"].words
    assert "soleus 25 %" in found["saturated muscles"].words and "quadriceps" not in found["saturated muscles"].words
    assert found["failed frames"].value == 3
    assert "RASI at 0.00 s" in found["marker error, largest"].words


def test_residuals_without_any_force_from_outside_are_told_in_newtons_alone() -> None:
    found = {f.what: f for f in judge(signals(400.0, 1.0, 0.01, 0.0, force_n=0.0), RESIDUALS)}
    assert not found["residual force"].good
    assert "The largest residual force is 400 N (usual is under 5 %)" in found["residual force"].words


def test_muscles_that_the_model_does_not_get_right_are_named() -> None:
    found = judge(signals(20.0, 1.0, 0.01, 0.0), untrusted={"soleus": "its path is wrong"})
    assert [f.words for f in found if not f.good] == ["Not to be trusted, soleus: its path is wrong."]
    assert not any("residual" in f.what for f in found)


def test_frames_without_an_optimum_are_counted() -> None:
    given = signals(20.0, 1.0, 0.01, 0.0)
    given["simulated"][3:7] = np.nan
    found = {f.what: f for f in judge(given, RESIDUALS)}
    assert found["failed frames"].value == 4 and "4 of 400 frames" in found["failed frames"].words


def test_an_arm_of_a_third_of_a_millimetre_is_none() -> None:
    assert muscle_joints(signals(0, 0, 0, 0)["moment_arms"]) == ["knee"]


@pytest.mark.parametrize(("frequency_hz", "gain"), [(0.5, 1.0), (6.0, 0.5), (20.0, 0.0)])
def test_the_filter_halves_a_sine_at_its_cut_off_without_delay(frequency_hz: float, gain: float) -> None:
    omega = 2 * np.pi * frequency_hz
    angles = over(np.sin(omega * T)[:, None], joint=["knee"])
    middle = T[100:300]
    motion = smooth_motion(angles, 6.0, middle)
    np.testing.assert_allclose(motion["value"][:, 0], gain * np.sin(omega * middle), atol=0.005)
    if frequency_hz == 0.5:
        np.testing.assert_allclose(motion["speed"][:, 0], omega * np.cos(omega * middle), atol=0.02)
        np.testing.assert_allclose(motion["acceleration"][:, 0], -(omega**2) * np.sin(omega * middle), atol=0.1)


def test_too_slow_or_too_short_a_motion_is_refused() -> None:
    angles = over(np.zeros((T.size, 1)), joint=["knee"])
    with pytest.raises(SignalError, match="100 frames per second, too few for a cut-off of 60 Hz"):
        smooth_motion(angles, 60.0, T)
    with pytest.raises(SignalError, match="5 frames, too few"):
        smooth_motion(angles.isel(time=slice(0, 5)), 6.0, T[:5])
