"""Every estimator that is found keeps the contract, without having been named here."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from myodrive import simulate_recording
from myodrive.errors import FileError, NotFittedError, OptionError, SignalError
from myodrive.estimator import Estimator, estimators
from myodrive.from_emg.lowpass import LowPass
from myodrive.recording import Recording

EVERY = list(estimators("from_emg").values())
names = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.method)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate_recording("gait", seed=1001, n_muscles=3, n_latents=2, duration_s=4.0, rate_hz=1000.0)


def test_the_published_estimators_are_found() -> None:
    assert {cls.method for cls in EVERY} >= {"low-pass", "whitened", "bayes", "synergies", "lfads"}


@names
def test_options_are_shown_kept_and_cloned(cls: type[Estimator]) -> None:
    import inspect

    estimator = cls()
    assert set(inspect.signature(cls).parameters) == set(estimator.get_params()) == set(cls.Config.model_fields)
    assert clone(estimator).get_params() == estimator.get_params()
    assert repr(estimator) == f"{cls.__name__}()"


@names
def test_an_unknown_option_is_refused_by_name(cls: type[Estimator]) -> None:
    with pytest.raises(OptionError, match=rf"{cls.__name__}: cutof"):
        cls(cutof=3)


@names
def test_nothing_is_estimated_before_fit(cls: type[Estimator], recording: Recording) -> None:
    with pytest.raises(NotFittedError, match=r"Call fit"):
        cls().estimate(recording)


@names
def test_every_estimator_cites_its_source(cls: type[Estimator]) -> None:
    assert cls.references and all(any(c.isdigit() for c in reference) for reference in cls.references)


def test_trials_of_an_array_come_back_as_trials(recording: Recording) -> None:
    emg = recording["emg"]
    halves = [emg.isel(time=slice(k, k + 2000)).assign_coords(time=emg.time.values[:2000]) for k in (0, 2000)]
    import xarray as xr

    both = xr.concat(halves, dim="trial", join="exact")
    activation = LowPass().fit(both).estimate(both)
    assert activation.activation.dims == ("trial", "time", "muscle") and activation.activation.sizes["trial"] == 2


def test_other_muscles_than_in_training_are_refused_and_an_order_does_not_matter(recording: Recording) -> None:
    estimator = LowPass().fit(recording)
    emg = recording["emg"]
    turned = estimator.estimate(recording.with_signal("emg", emg.isel(muscle=[2, 0, 1])))
    np.testing.assert_array_equal(turned.activation, estimator.estimate(recording).activation)
    with pytest.raises(SignalError, match="missing"):
        estimator.estimate(recording.with_signal("emg", emg.isel(muscle=[0])))


def test_a_saved_estimator_is_not_loaded_as_another(tmp_path, recording: Recording) -> None:  # type: ignore[no-untyped-def]
    LowPass().fit(recording).save(tmp_path / "kept")
    other = estimators("from_emg")["whitened"]
    with pytest.raises(FileError, match=r"holds the estimator 'low-pass'"):
        other.load(tmp_path / "kept")
    with pytest.raises(FileError, match=r"is not a folder that save"):
        LowPass.load(tmp_path)
