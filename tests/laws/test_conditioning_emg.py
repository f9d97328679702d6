"""Laws of the conditioning: gains, the order of muscles, gaps, envelopes, and what a maximum contraction means."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from myodrive.conditioning.emg import condition_emg, filter_emg, rectify_emg
from myodrive.conditioning.normalisation import Normalisation
from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import OptionError, SignalError
from myodrive.recording import make_signal

RATE = 2000.0


def emg(n_time: int = 3000, n: int = 3, seed: int = 0, rate: float = RATE, **attrs: str) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(n_time, n))
    labels = {"muscle": [f"m{i}" for i in range(n)]}
    return make_signal(values, ("time", "muscle"), labels, units="V", rate_hz=rate, **attrs)


@given(exponent=st.integers(-9, 6))
@settings(max_examples=8, deadline=None)
def test_the_amplifiers_gain_cancels(exponent: int) -> None:
    signal = emg()
    np.testing.assert_allclose(condition_emg(signal * 2.0**exponent), condition_emg(signal), rtol=1e-9)


@given(order=st.permutations(range(3)))
@settings(max_examples=6, deadline=None)
def test_the_order_of_the_muscles_does_not_matter(order: list[int]) -> None:
    signal = emg()
    np.testing.assert_array_equal(condition_emg(signal.isel(muscle=order)), condition_emg(signal).isel(muscle=order))


@given(gap=st.integers(0, 2900), length=st.integers(1, 90), rate=st.sampled_from([500.0, 1926.0, 2000.0]))
@settings(max_examples=25, deadline=None)
def test_nothing_crosses_a_gap(gap: int, length: int, rate: float) -> None:
    options = EmgConditioning(highpass_hz=65, notch_hz=((50.0, 2.0),), resample_hz=450.0)
    one, other = emg(rate=rate), emg(rate=rate)
    one.values[gap : gap + length, 0] = np.nan
    other.values[gap : gap + length, 0] = np.nan
    other.values[gap + length :, 0] *= 100.0  # the far side is another signal altogether
    near, changed = (rectify_emg(filter_emg(e, options), options) for e in (one, other))
    before = near.time.values < one.time.values[gap] - 1e-9
    np.testing.assert_array_equal(near.values[before], changed.values[before])
    hidden = (near.time.values > one.time.values[gap] - 1e-9) & (near.time.values < gap / rate + (length - 1) / rate)
    assert np.isnan(near.values[hidden, 0]).all()
    assert np.isfinite(near.values[:, 1:]).all()


@pytest.mark.parametrize("stage", ["envelope", "rectified", "filtered"])
def test_what_was_filtered_already_is_not_filtered_again(stage: str) -> None:
    signal = abs(emg(rate=400.0)).assign_attrs(stage=stage, units="V")
    options = EmgConditioning(notch_hz=((50.0, 2.0),), ecg="template", lowpass_hz=150.0)
    filtered = filter_emg(signal, options)
    assert filtered.identical(signal)
    np.testing.assert_array_equal(rectify_emg(filtered, options), signal)
    assert rectify_emg(filtered, options).attrs["stage"] == ("envelope" if stage == "envelope" else "rectified")


@pytest.mark.parametrize(
    "options, names",
    [
        ({"highpass_hz": 1200.0}, "high-pass"),
        ({"lowpass_hz": 1000.0}, "low-pass"),
        ({"notch_hz": ((999.5, 2.0),)}, "notch"),
        ({"highpass_hz": 500.0, "lowpass_hz": 400.0}, "not below"),
        ({"ecg": "template", "ecg_muscles": ("heart",)}, "heart"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict, names: str) -> None:
    with pytest.raises((SignalError, OptionError), match=names):
        filter_emg(emg(), EmgConditioning(**options))


def test_a_clock_that_wanders_is_refused_and_one_with_rounded_stamps_is_not() -> None:
    signal = emg(rate=1926.0)
    rounded = signal.assign_coords(time=np.round(signal.time.values, 4))
    assert np.isfinite(filter_emg(rounded, EmgConditioning()).values).all()
    wandering = signal.assign_coords(time=signal.time.values + 2e-3 * np.sin(4 * signal.time.values))
    with pytest.raises(SignalError, match="not evenly spaced"):
        filter_emg(wandering, EmgConditioning())


# -- relative to a maximum contraction -----------------------------------------------------------------------------------

MVC = EmgConditioning(relative_to="mvc", peak_window_s=0.1, resample_hz=None)


def rectified(*levels: float, seconds: float = 1.0, muscles: tuple[str, ...] = ("m0", "m1")) -> xr.DataArray:
    """Constant levels, one for each muscle."""
    values = np.tile(levels, (int(seconds * 500), 1))
    labels = {"muscle": list(muscles)}
    return make_signal(values, ("time", "muscle"), labels, units="V", rate_hz=500.0, stage="rectified")


def test_each_muscle_takes_its_largest_peak_over_all_contractions_whatever_their_order() -> None:
    contractions = [rectified(2.0, 3.0), rectified(5.0, 1.0, muscles=("m1", "other")), rectified(4.0, muscles=("m0",))]
    scale = Normalisation.fit([rectified(1.0, 1.0)], MVC, mvc=contractions).scale
    assert scale == pytest.approx((4.0, 5.0))


def test_the_peak_is_the_mean_over_the_stated_window_and_never_reaches_across_a_gap() -> None:
    contraction = rectified(0.0, 1.0)
    contraction.values[100:125, 0] = 10.0  # half of a window of 50 samples
    contraction.values[300:400, 0] = np.nan
    contraction.values[400:410, 0] = 99.0  # the largest of all
    contraction.values[410:, 0] = np.nan  # in a stretch that is shorter than the window
    scale = Normalisation.fit([rectified(1.0, 1.0)], MVC, mvc=[contraction]).scale
    assert scale[0] == pytest.approx(5.0)


def test_a_contraction_below_the_tasks_own_peak_is_noted_and_others_are_not() -> None:
    fitted = Normalisation.fit([rectified(2.0, 1.0)], MVC, mvc=[rectified(1.0, 1.5)])
    assert len(fitted.notes) == 1 and "of m0" in fitted.notes[0] and "2.00" in fitted.notes[0]


@pytest.mark.parametrize(
    "change, error, says",
    [
        (lambda m: m.sel(muscle=["m0"]), SignalError, "m1"),
        (lambda m: m.assign_attrs(units="mV"), SignalError, "mV"),
        (lambda m: m.assign_attrs(stage="envelope"), SignalError, "envelope"),
    ],
)
def test_a_contraction_that_does_not_fit_the_trials_is_refused(change, error, says) -> None:
    with pytest.raises(error, match=says):
        Normalisation.fit([rectified(1.0, 1.0)], MVC, mvc=[change(rectified(1.0, 1.0))])


def test_a_contraction_asked_for_and_not_given_is_refused_and_so_is_the_reverse() -> None:
    trial = rectified(1.0, 1.0)
    with pytest.raises(OptionError, match="none is given"):
        Normalisation.fit([trial], MVC)
    with pytest.raises(OptionError, match="relative to q95"):
        Normalisation.fit([trial], EmgConditioning(), mvc=[trial])


def test_an_estimator_scales_by_contractions_that_passed_the_same_filters_and_passes_the_note_on() -> None:
    from myodrive.estimator import Context, Estimate, Estimator

    class Bare(Estimator):
        """Learns only the normalisation, and gives it back."""

        def context(self) -> Context:
            return Context(0.0, 0.0)

        def _estimate(self, trial: xr.DataArray) -> Estimate:
            return Estimate(trial.values)

    trial = emg()
    contraction = (emg(seed=1) * np.array([3.0, 3.0, 0.5])).assign_attrs(trial.attrs)
    fitted = Bare(conditioning=MVC).fit(trial, mvc=[contraction.isel(muscle=[2, 0]), contraction.isel(muscle=[1])])
    expected = rectify_emg(filter_emg(contraction, MVC), MVC).rolling(time=200).mean().max("time")
    np.testing.assert_allclose(np.array(fitted.normalisation_.scale, dtype=float), expected, rtol=1e-9)
    activation = fitted.estimate(trial)
    assert activation.relative_to == "mvc"
    assert len(activation.notes) == 1 and "of m2;" in activation.notes[0]
