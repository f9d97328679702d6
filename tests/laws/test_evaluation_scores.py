"""Scores of recordings: what is known is found, references stand beside it, and nothing short or odd makes it raise."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from myodrive.activation import Activation
from myodrive.errors import SignalError
from myodrive.evaluation.scores import COLUMNS, EVENT_MEAN, PLAIN, TRAINING_MEAN, compare, score, score_recording
from myodrive.recording import Recording, make_events, make_signal

RATE = 200.0


def muscles(values: np.ndarray, rate_hz: float = RATE, **attrs: str) -> xr.DataArray:
    names = [f"m{i}" for i in range(values.shape[1])]
    return make_signal(values, ("time", "muscle"), {"muscle": names}, units="1", rate_hz=rate_hz, **attrs)


def estimate(
    values: np.ndarray, method: str = "some", rate_hz: float = RATE, **more: xr.DataArray | float
) -> Activation:
    return Activation(muscles(values, rate_hz), method=method, relative_to="unit", **more)  # type: ignore[arg-type]


def walking(duration_s: float = 30.0, n_muscle: int = 3, seed: int = 0) -> tuple[Recording, np.ndarray]:
    """Bursts that repeat every 1.2 s with sizes that differ, EMG made of them, an angle that they drive, and strikes."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, duration_s, 1 / RATE)
    strikes = np.arange(0.2, duration_s, 1.2)
    truth = np.full((t.size, n_muscle), 0.02)
    for start in strikes:
        for m in range(n_muscle):
            truth[:, m] += rng.uniform(0.3, 1.0) * np.exp(-(((t - start - 0.3 * (m + 1)) / 0.12) ** 2))
    emg = muscles(truth * rng.normal(size=truth.shape), stage="filtered")
    pull = np.convolve(truth[:, 0] - truth[:, 1], np.exp(-np.arange(100) / 20.0), "full")[: t.size]
    angle = make_signal(10 * pull[:, None], ("time", "joint"), {"joint": ["knee"]}, units="deg", rate_hz=RATE)
    events = make_events([(float(s), "Foot Strike", "right") for s in strikes])
    return Recording({"emg": emg, "activation": muscles(truth), "angles": angle}, events=events), truth


def median(table, task: str, metric: str, method: str) -> float:
    chosen = table[(table.task == task) & (table.metric == metric) & (table.method == method)]
    return float(chosen["value"].median())


def test_the_truth_under_any_rising_distortion_scores_one_and_the_references_stand_beside_it() -> None:
    recording, truth = walking()
    noisy = truth + 0.2 * np.random.default_rng(1).normal(size=truth.shape)
    table = score_recording(recording, {"warped": estimate(np.exp(truth)), "noisy": estimate(noisy)})
    assert tuple(table.columns) == COLUMNS
    assert median(table, "truth", "r2", "warped") > 0.999
    assert median(table, "truth", "residual_r2", "warped") > 0.99
    assert abs(median(table, "truth", "lag_s", "warped")) < 1e-3
    assert 0.3 < median(table, "truth", "r2", EVENT_MEAN) < 0.97
    assert median(table, "truth", "r2", TRAINING_MEAN) == 0.0
    assert set(table.method) >= {PLAIN, EVENT_MEAN, TRAINING_MEAN}
    assert median(table, "decoding angles", "r2", "warped") > median(table, "decoding angles", "r2", "noisy")
    assert median(table, "repetition", "odd_even_r", "warped") > median(table, "repetition", "odd_even_r", "noisy")


def test_with_emg_alone_each_muscle_is_predicted_from_the_others_and_the_event_mean_is_the_bar() -> None:
    recording, truth = walking()
    bare = Recording({"emg": recording["emg"]}, events=recording.events)
    shared = truth[:, [0]] + 0.05 * np.random.default_rng(2).random((len(truth), 3))
    table = score_recording(bare, {"one": estimate(truth), "shared": estimate(shared)})
    assert set(table.task) == {"held-out muscle", "repetition"}
    assert np.isfinite(median(table, "held-out muscle", "r2", EVENT_MEAN))
    assert median(table, "held-out muscle", "residual_r2", "one") < 0.2  # sizes were drawn independently


def test_a_copy_of_a_channel_does_not_predict_it() -> None:
    recording, truth = walking()
    doubled = truth[:, [0, 1, 2, 0]]
    emg = recording["emg"].values[:, [0, 1, 2, 0]]
    bare = Recording({"emg": muscles(emg, stage="filtered")}, events=recording.events)
    table = score_recording(bare, {"one": estimate(doubled)})
    assert table[(table.muscle == "m0") & (table.metric == "residual_r2")]["value"].max() < 0.2


def test_intervals_are_scored_by_their_coverage_after_the_same_calibration() -> None:
    rng = np.random.default_rng(3)
    mean = np.repeat(np.abs(np.cumsum(rng.normal(size=(500, 2)), axis=0)), 10, axis=0) / 10
    truth = mean + 0.1 * rng.normal(size=mean.shape)
    half = 0.1 * 1.645
    bounded = estimate(
        mean, rate_hz=100.0, lower=muscles(mean - half, 100.0), upper=muscles(mean + half, 100.0), interval_level=0.9
    )
    table = score(bounded, muscles(truth, 100.0)).set_index(["muscle", "metric"])["value"]
    assert table["m0", "coverage"] == pytest.approx(0.9, abs=0.03)
    assert table["m0", "interval_width"] == pytest.approx(2 * half)


def test_trials_are_scored_together_and_a_late_estimate_is_found_late() -> None:
    _, truth = walking(12.0)
    late = np.roll(truth, 10, axis=0)
    stacked = [xr.concat([muscles(x[:1200]), muscles(x[1200:])], dim="trial", join="override") for x in (late, truth)]
    found = score(Activation(stacked[0], method="late", relative_to="unit"), stacked[1])
    lag = found[found.metric == "lag_s"]["value"]
    np.testing.assert_allclose(lag, 0.05, atol=0.003)


def test_invalid_samples_count_for_nothing_and_unknown_muscles_are_refused() -> None:
    _, truth = walking(10.0)
    spoiled = truth.copy()
    spoiled[300:500] = 50.0
    valid = muscles(truth).copy(data=np.ones(truth.shape, dtype=bool))
    valid[300:500] = False
    table = score(estimate(spoiled, valid=valid), muscles(truth)).set_index(["muscle", "metric"])["value"]
    assert table["m0", "r2"] == pytest.approx(1.0)
    with pytest.raises(SignalError, match="share no muscle"):
        score(estimate(truth), muscles(truth).assign_coords(muscle=["x", "y", "z"]))


def test_methods_are_compared_with_each_other_where_there_is_no_truth() -> None:
    _, truth = walking(10.0)
    table = compare({"a": estimate(truth), "b": estimate(np.roll(truth, 4, axis=0))})
    assert set(table.method) == {"a against b"}
    np.testing.assert_allclose(table[table.metric == "lag_s"]["value"], -0.02, atol=2e-3)
    assert compare({"a": estimate(truth)}, muscles(truth)).method.unique() == ["a"]


@pytest.mark.parametrize("duration_s", [0.05, 0.5, 4.0])
@pytest.mark.parametrize("spoil", ["nothing", "all missing", "constant", "one muscle", "slow"])
def test_short_and_odd_recordings_give_a_table_with_reasons_and_never_raise(duration_s: float, spoil: str) -> None:
    recording, truth = walking(duration_s)
    values = {"all missing": np.nan * truth, "constant": 0 * truth + 1, "one muscle": truth[:, :1]}.get(spoil, truth)
    keep = [f"m{i}" for i in range(values.shape[1])]
    signals = {k: s.sel(muscle=keep) if "muscle" in s.dims else s for k, s in recording.signals.items()}
    if spoil == "slow":
        signals = {k: s.isel(time=slice(None, None, 20)) for k, s in signals.items()}
    for names in (("emg", "activation", "angles"), ("emg", "angles"), ("emg",)):
        bare = Recording({k: signals[k] for k in names}, events=recording.events)
        table = score_recording(bare, {"some": estimate(values)})
        assert tuple(table.columns) == COLUMNS
        assert (table["note"].str.len() > 0).any() or table["value"].notna().any()
    assert len(score_recording(recording, {})) == 0
