"""Each published analysis finds an effect that was planted, and nothing where there is none: on arrays, no network."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from myodrive.activation import Activation
from myodrive.errors import OptionError, SignalError
from myodrive.estimator import Estimator
from myodrive.evaluation.experiments import experiments, run_experiment
from myodrive.evaluation.experiments.contract import Experiment, Finding, find_experiment
from myodrive.evaluation.experiments.force_coherence import coherence, survival
from myodrive.evaluation.experiments.frequency_response import RATE_HZ, lags_of, response
from myodrive.evaluation.experiments.layout import chance, lay_out, same_channels, shifted_copies
from myodrive.evaluation.experiments.runner import _seen, _unseen
from myodrive.recording import Recording, data_hash, make_signal
from myodrive.truth import simulate_for_analysis

ANALYSES = ("cortical", "decoding", "force-coherence", "frequency-response")


def analysed(name: str, effect: bool, seed: int, estimate: xr.DataArray | None = None) -> Finding:
    """The finding with the true activation, or something else, in the place of an estimate."""
    recording = simulate_for_analysis(name, effect=effect, seed=seed, n_muscles=4, rate_hz=1000.0)
    found = recording["activation"] if estimate is None else estimate
    return experiments()[name].analyse([recording], [[found]])


def test_the_four_published_analyses_are_found_by_looking() -> None:
    assert tuple(experiments()) == ANALYSES


@pytest.mark.parametrize("name", ANALYSES)
def test_a_planted_effect_is_found_and_nothing_where_there_is_none(name: str) -> None:
    assert analysed(name, True, 1100).found
    assert not analysed(name, False, 1100).found


@pytest.mark.parametrize("name", ANALYSES)
def test_a_finding_has_the_measures_and_the_panels_that_are_promised(name: str) -> None:
    experiment: Experiment = experiments()[name]
    finding = analysed(name, True, 1101)
    assert list(finding.measures) == list(experiment.measures)
    assert {curve.panel for curve in finding.curves} == {panel.title for panel in experiment.panels}
    assert 0 < finding.p <= 1


@pytest.mark.parametrize("name", ("cortical", "decoding", "force-coherence"))
def test_without_the_effect_the_emg_is_the_same_to_the_bit(name: str) -> None:
    with_it, without = (
        simulate_for_analysis(name, effect=e, seed=1102, duration_s=4, n_muscles=2) for e in (True, False)
    )
    assert data_hash(with_it["emg"]) == data_hash(without["emg"])
    other = ({*with_it.signals} - {"emg", "activation"}).pop()
    assert data_hash(with_it[other]) != data_hash(without[other])


def test_a_movement_that_follows_from_more_than_one_instant_is_decoded_from_the_surroundings() -> None:
    rng = np.random.default_rng(1104)
    time = np.arange(3000) / 100
    drive = gaussian_filter1d(rng.standard_normal((time.size, 2)), 5.0, axis=0)
    angle = np.roll(drive[:, 0], -30) - np.roll(drive[:, 0], 30) + drive[:, 1]
    coords = {"time": ("time", time, {"units": "s"})}
    estimate = xr.DataArray(drive, dims=("time", "muscle"), coords={**coords, "muscle": ["a", "b"]})
    joint = xr.DataArray(
        angle[:, None], dims=("time", "joint"), coords={**coords, "joint": ["knee"]}, attrs={"units": "deg"}
    )
    recording = Recording({"emg": estimate.assign_attrs(units="V"), "angles": joint})
    r2 = {
        h: find_experiment("decoding", {"history_s": h}).analyse([recording], [[estimate]]).measures["r2"]
        for h in (0, 0.3)
    }
    assert r2[0] < 0.4 and r2[0.3] > 0.75


def test_a_recording_for_an_analysis_that_is_not_known_is_refused() -> None:
    with pytest.raises(OptionError, match="There are: decoding"):
        simulate_for_analysis("dancing")


def test_a_fixed_filter_does_not_adapt_however_the_emg_changes() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(3000) / RATE_HZ
    loud = 1 + 9 * (time % 1.0 > 0.5)  # bursts of ten times the pause
    x = loud * np.abs(rng.standard_normal(time.size))
    y = gaussian_filter1d(x, 3.0)[:, None]
    widths = [response([lags_of(x)], y, chosen).bandwidth_hz for chosen in (loud > 5, loud < 5)]
    assert widths[0] == pytest.approx(widths[1], rel=0.02)
    # A Gaussian of sigma s lets pass noise of the bandwidth 1/(4 sqrt(pi) s).
    assert widths[0] == pytest.approx(1 / (4 * np.sqrt(np.pi) * 3.0 / RATE_HZ), rel=0.05)


def test_noise_in_the_estimate_does_not_widen_its_response() -> None:
    rng = np.random.default_rng(1)
    x = np.abs(rng.standard_normal(6000))
    clean = gaussian_filter1d(x, 5.0)
    noisy = clean + 2 * clean.std() * rng.standard_normal(x.size)
    widths = [response([lags_of(x)], y[:, None], np.ones(x.size, bool)).bandwidth_hz for y in (clean, noisy)]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)


def spectra_of(values: np.ndarray) -> np.ndarray:
    return np.fft.rfft(values, axis=1)[:, 5:25]


def test_coherence_is_one_for_a_gained_copy_and_survival_is_the_gain() -> None:
    rng = np.random.default_rng(2)
    force = spectra_of(rng.standard_normal((40, 100, 2)))
    rectified = np.concatenate([force, 2 * force], axis=2)
    assert coherence(force[:, :, :1], force[:, :, :1]) == pytest.approx(1.0)
    assert survival(0.3 * rectified, rectified, force) == pytest.approx(0.3)


def test_coherence_is_not_raised_by_strength_that_comes_and_goes_together() -> None:
    rng = np.random.default_rng(3)
    strong = np.where(np.arange(60) % 10 == 0, 30.0, 1.0)[:, None, None]
    a, b = (strong * spectra_of(rng.standard_normal((60, 100, 3))) for _ in range(2))
    assert coherence(a, b).mean() == pytest.approx(1 / 60, rel=0.5)


def test_recordings_are_laid_behind_each_other_with_a_gap_that_no_lag_crosses() -> None:
    recordings = [_angles(start_s) for start_s in (0.0, 100.0)]
    laid = lay_out(recordings, [[r["angles"] for r in recordings]], 50.0, 0.3)
    values = laid.columns[0]
    missing = np.flatnonzero(np.isnan(values[:, 0]))
    assert missing.size >= 15
    assert np.ptp(missing) == missing.size - 1
    assert np.allclose(np.diff(laid.time), 0.02)
    assert all(np.isfinite(values[(laid.time >= a) & (laid.time < b)]).all() for a, b, _ in laid.cycles)
    assert len(laid.cycles) >= 10


def _angles(start_s: float) -> Recording:
    time = np.arange(0, 10, 0.01)
    angle = 30 * np.sin(2 * np.pi * time)[:, None] + 5 * np.sin(4 * np.pi * time)[:, None]
    signal = make_signal(angle, ("time", "joint"), {"joint": ["knee"]}, units="deg", rate_hz=100.0, start_s=start_s)
    return Recording({"angles": signal})


def test_shifted_copies_hold_the_same_samples_and_leave_gaps_where_they_are() -> None:
    target = np.arange(40.0)[:, None]
    usable = np.ones(40, dtype=bool)
    usable[10:14] = False
    copies = shifted_copies(target, usable, 5, 4, np.random.default_rng(0))
    assert copies.shape == (40, 5)
    assert np.isnan(copies[~usable]).all()
    for copy in copies[usable].T:
        assert sorted(copy) == sorted(target[usable, 0])
        assert not np.any(copy == target[usable, 0])
    with pytest.raises(SignalError, match="too few to shift"):
        shifted_copies(target, usable, 5, 10, np.random.default_rng(0))


def test_chance_counts_the_value_itself_and_a_missing_value_is_never_found() -> None:
    assert chance(2.0, np.array([1.0, 3.0, 0.0])) == pytest.approx(2 / 4)
    assert chance(9.0, np.zeros(99)) == pytest.approx(0.01)
    assert chance(float("nan"), np.zeros(9)) == 1.0
    assert chance(1.0, np.array([np.nan])) == 1.0  # a surrogate that has no score proves nothing


def test_unknown_experiments_methods_and_options_are_refused_by_name() -> None:
    with pytest.raises(OptionError, match="no experiment 'dancing'"):
        run_experiment("dancing")
    with pytest.raises(OptionError, match="no method 'magic'"):
        run_experiment("cortical", methods=["magic"])
    with pytest.raises(OptionError, match="no option 'target'"):
        run_experiment("cortical", methods=["low-pass"], options={"target": "angle"})


@pytest.mark.parametrize(
    ("option", "value"), [("target", "angel"), ("history_s", -1), ("history_s", "long"), ("channels", "knee")]
)
def test_an_option_of_an_experiment_with_a_value_that_makes_no_sense_is_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"^decoding: {option}.*{value}"):
        run_experiment("decoding", options={option: value})


def test_without_recordings_and_seeds_there_is_nothing_to_run() -> None:
    with pytest.raises(OptionError, match="--seeds: there are no recordings"):
        run_experiment("decoding", seeds=range(0))


def test_recordings_laid_behind_each_other_must_have_the_same_channels() -> None:
    first = simulate_for_analysis("decoding", seed=1000, effect=True)
    joint = first["angles"].dims[1]
    second = first.with_signal("angles", first["angles"].isel({joint: [0]}))
    lost = str(first["angles"][joint].values[1])
    with pytest.raises(SignalError, match=f"no channel '{lost}' in 'angles'"):
        same_channels([first, second], "angles", [lost])


def test_own_recordings_that_lack_what_is_needed_say_so_and_stop_no_other() -> None:
    good = simulate_for_analysis("cortical", seed=1103, n_muscles=2, rate_hz=1000.0).replace(subject="A", movement="")
    bad = good.replace(subject="B", signals={"emg": good["emg"]})
    result = run_experiment("cortical", [bad, good], methods=["low-pass"])
    assert [("failed" in e) for e in result.entries] == [True, False]
    assert "no signal 'spikes'" in result.rows[0]["why"]
    assert result.rows[0]["n"] == 1
    assert "this supports that the estimate varies" in " ".join(result.verdict)


def test_findings_are_kept_and_not_computed_again(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    arguments = {"methods": ["low-pass"], "seeds": [1104], "folder": tmp_path}
    monkeypatch.setattr(
        "myodrive.evaluation.experiments.cortical.simulate_for_analysis",
        lambda name, **given: simulate_for_analysis(name, **given, n_muscles=2, duration_s=20, rate_hz=1000.0),
    )
    first = run_experiment("cortical", **arguments)
    monkeypatch.setattr("myodrive.evaluation.experiments.cortical.decode", None)  # would raise if it were called
    again = run_experiment("cortical", **arguments)
    assert again.to_json() == first.to_json()
    assert {row["effect"]: row["found"] for row in again.rows} == {True: 1, False: 0}


class Remembering(Estimator):
    """Says of every sample whether the fit had it among its own: 1 if so, 0 if not."""

    seen: np.ndarray

    def fit(self, data, mvc=None):  # type: ignore[no-untyped-def]
        self.seen = np.concatenate([r["emg"].values.ravel() for r in data])
        return self

    def estimate(self, data):  # type: ignore[no-untyped-def]
        emg = data["emg"]
        return Activation(emg.copy(data=np.isin(emg.values, self.seen).astype(float)), method="m", relative_to="unit")


def test_unseen_means_that_no_sample_is_estimated_by_a_fit_that_had_it() -> None:
    rng = np.random.default_rng(4)
    recordings = [
        Recording(
            {"emg": make_signal(rng.random((n, 2)), ("time", "muscle"), {"muscle": ["a", "b"]}, units="V", rate_hz=200)}
        )
        for n in (2001, 1500)
    ]
    seen, unseen = _seen(Remembering, recordings), _unseen(Remembering, recordings)
    for recording, known, unknown in zip(recordings, seen, unseen):
        assert (known.values == 1).all()
        assert (unknown.values == 0).all()
        assert np.array_equal(unknown.time.values, recording["emg"].time.values)
