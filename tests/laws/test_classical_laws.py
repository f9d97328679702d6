"""Laws that every estimator of the EMG route obeys, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from myodrive.conditioning.options import EmgConditioning
from myodrive.estimator import Estimator, estimators
from myodrive.recording import make_signal

# LFADS is trained, so what it says is stated in its own tests.
CLASSICAL = {name: cls for name, cls in estimators("from_emg").items() if "lfads" not in name}
RATE_HZ = 1000.0
# The default conditioning is zero-phase; these laws are about the estimators themselves.
AS_IS = EmgConditioning(highpass_hz=None, resample_hz=None, clip_quantile=1.0)


def burst_emg(seconds: float = 6.0, seed: int = 0) -> xr.DataArray:
    """Coloured noise in three muscles, with bursts that two drives share."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    drives = np.stack([np.sin(2 * np.pi * time), np.cos(2 * np.pi * time)], axis=1).clip(0) + 0.05
    white = rng.normal(size=(time.size + 1, 3))
    noise = white[1:] - 0.6 * white[:-1]
    values = noise * (drives @ np.array([[1.0, 0.1, 0.5], [0.1, 1.0, 0.5]]))
    return make_signal(
        values, ("time", "muscle"), {"muscle": ["TA", "SOL", "MG"]}, units="V", rate_hz=RATE_HZ, stage="filtered"
    )


def make(name: str) -> Estimator:
    options: dict[str, object] = {"conditioning": AS_IS}
    options |= {"synergies": {"rank": 2, "cutoff_hz": 6.0}, "bayes": {"n_levels": 32}}.get(name, {})
    return CLASSICAL[name](**options)


every = pytest.mark.parametrize("name", sorted(CLASSICAL))


@every
def test_a_louder_amplifier_changes_nothing(name: str) -> None:
    emg = burst_emg()
    before = make(name).fit(emg).estimate(emg).activation
    after = make(name).fit(1000 * emg).estimate(1000 * emg).activation
    np.testing.assert_allclose(after.values, before.values, rtol=1e-3, atol=1e-4)


@every
def test_the_order_of_the_muscles_does_not_matter(name: str) -> None:
    emg = burst_emg()
    shuffled = emg.isel(muscle=[2, 0, 1])
    before = make(name).fit(emg).estimate(emg).activation
    after = make(name).fit(shuffled).estimate(shuffled).activation.sel(muscle=before.muscle)
    np.testing.assert_allclose(after.values, before.values, rtol=2e-2, atol=2e-3)


@every
def test_another_time_zero_changes_nothing_but_the_clock(name: str) -> None:
    emg = burst_emg()
    later = emg.assign_coords(time=emg.time + 64.0)
    fitted = make(name).fit(emg)
    before, after = fitted.estimate(emg).activation, fitted.estimate(later).activation
    np.testing.assert_allclose(after.time.values, before.time.values + 64.0)
    np.testing.assert_allclose(after.values, before.values, rtol=1e-5, atol=1e-6)


@every
def test_a_causal_estimate_does_not_know_the_future(name: str) -> None:
    if "causal" not in CLASSICAL[name].Config.model_fields:
        assert make(name).context().right > 0
        return
    emg = burst_emg()
    fitted = CLASSICAL[name](conditioning=AS_IS, causal=True).fit(emg)
    assert fitted.context().causal and fitted.context().delay_s > 0
    other = emg.copy(data=np.where((emg.time.values < 3.0)[:, None], emg.values, 5.0 * emg.values[::-1]))
    before, after = (fitted.estimate(e).activation.sel(time=slice(None, 2.999)) for e in (emg, other))
    np.testing.assert_allclose(after.values, before.values, rtol=1e-5, atol=1e-6)
    assert np.isfinite(before.values[20:]).all()


@every
def test_what_is_loaded_estimates_what_was_saved(name: str, tmp_path) -> None:
    emg = burst_emg()
    fitted = make(name).fit(emg)
    loaded = CLASSICAL[name].load(fitted.save(tmp_path / "fitted"))
    xr.testing.assert_identical(fitted.estimate(emg).dataset, loaded.estimate(emg).dataset)
    assert loaded.methods_text() == fitted.methods_text()


@every
def test_nothing_crosses_a_gap(name: str) -> None:
    emg = burst_emg()
    emg.values[2900:3100, :] = np.nan
    fitted = make(name).fit(emg)
    louder_before = emg.copy(data=np.where((emg.time.values < 3.0)[:, None], 3.0 * emg.values, emg.values))
    before, after = fitted.estimate(emg), fitted.estimate(louder_before)
    assert not before.valid.sel(time=slice(2.9, 3.099)).any()
    np.testing.assert_allclose(
        after.activation.sel(time=slice(3.1, None)), before.activation.sel(time=slice(3.1, None)), rtol=1e-5, atol=1e-6
    )
    assert before.valid.sel(time=slice(3.1, None)).all()


@every
def test_a_muscle_without_data_is_missing_and_harms_no_other(name: str) -> None:
    emg = burst_emg()
    emg.values[:, 1] = np.nan
    estimate = make(name).fit(emg).estimate(emg)
    assert not estimate.valid.sel(muscle="SOL").any()
    assert estimate.valid.sel(muscle=["TA", "MG"]).all()


@every
def test_the_estimate_is_on_the_scale_of_the_mean_rectified_emg(name: str) -> None:
    emg = burst_emg()
    estimate = make(name).fit(emg).estimate(emg)
    scale = np.quantile(np.abs(emg.values), 0.95, axis=0)
    np.testing.assert_allclose(estimate.activation.mean("time"), np.abs(emg.values).mean(axis=0) / scale, rtol=0.06)


@every
def test_an_interval_contains_the_estimate(name: str) -> None:
    emg = burst_emg()
    estimate = make(name).fit(emg).estimate(emg)
    if estimate.has_interval:
        assert (estimate.lower <= estimate.activation).all() and (estimate.activation <= estimate.upper).all()
        assert 0 < estimate.interval_level < 1
    else:
        assert np.isnan(estimate.interval_level)


@every
def test_stretches_of_exact_zeros_and_very_short_recordings_are_estimated(name: str) -> None:
    emg = burst_emg()
    emg.values[1000:3000] = 0.0
    estimate = make(name).fit(emg).estimate(emg)
    assert estimate.valid.all()
    assert (estimate.activation.sel(time=slice(1.5, 2.5)) < 0.01).all()
    short = burst_emg(seconds=0.06)
    assert make(name).fit(short).estimate(short).valid.all()
