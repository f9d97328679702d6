"""What the bench promises: one rule for all, floors that are floors, failures that are rows, runs that resume."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from myodrive.errors import OptionError, SignalError
from myodrive.estimator import Context, Estimate, Estimator, EstimatorConfig
from myodrive.evaluation import truth_bench
from myodrive.evaluation.machine import cpu_seconds
from myodrive.evaluation.metrics import MonotoneCalibration
from myodrive.evaluation.truth_bench import run_truth_bench
from myodrive.evaluation.truth_scoring import score_arrays
from myodrive.trials import per_run

SMALL = {"scenarios": ["gait"], "seeds": [1000], "snr_db": [20.0], "n_muscles": [3], "duration_s": 6.0, "workers": 1}


class BoxConfig(EstimatorConfig):
    cutoff_hz: float = 4.0


class Box(Estimator):
    """A moving average, as a stand-in for a low-pass filter."""

    method = "low-pass"
    Config = BoxConfig

    def _estimate(self, trial: xr.DataArray) -> Estimate:
        box = np.ones(max(1, round(250 / self.config.cutoff_hz)))
        return Estimate(per_run(trial, lambda x: np.convolve(x, box / box.size, "same")))

    def context(self) -> Context:
        return Context(1.0, 1.0)


class OtherDefaultConfig(BoxConfig):
    cutoff_hz: float = 5.0


class OtherDefault(Box):
    method = ""
    Config = OtherDefaultConfig


class Broken(Estimator):
    method = "broken"

    def _fit(self, trials: list[xr.DataArray]) -> None:
        raise SignalError("the filter diverged.")


@pytest.fixture(autouse=True)
def two_estimators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth_bench, "estimators", lambda route: {"low-pass": Box, "broken": Broken})


def smooth(seed: int, n_time: int = 2000) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((n_time, 2))
    return np.apply_along_axis(lambda x: np.convolve(x, np.hanning(50), "same"), 0, noise)


def missing(like: np.ndarray) -> np.ndarray:
    return np.full(like.shape, np.nan)


def test_calibration_is_learned_on_the_first_half_alone() -> None:
    estimate, truth = smooth(0), smooth(0) + 0.3 * smooth(1)
    calibration = MonotoneCalibration.fit(estimate[:1000], truth[:1000])
    truth[1000:] = calibration.apply(estimate[1000:])
    score = score_arrays(estimate, truth, missing(truth), missing(truth))
    assert score.r2 == pytest.approx(1.0, abs=1e-12), "another second half has changed the calibration"
    assert np.isnan(score.coverage)


def test_a_monotone_change_of_the_estimate_changes_no_score() -> None:
    estimate, truth = smooth(0), smooth(0) + 0.3 * smooth(1)
    spread = 2.0
    plain = score_arrays(estimate, truth, estimate - spread, estimate + spread)
    bent = score_arrays(
        np.arctan(estimate / 9), truth, np.arctan((estimate - spread) / 9), np.arctan((estimate + spread) / 9)
    )
    assert bent.r2 == pytest.approx(plain.r2, abs=5e-3)
    assert bent.coverage == pytest.approx(plain.coverage, abs=0.02)
    assert 0.1 < plain.coverage < 1


def test_bounds_go_on_in_proportion_where_the_calibration_has_seen_no_estimate() -> None:
    estimate = np.linspace(1.0, 2.0, 50)[:, None]
    calibration = MonotoneCalibration.fit(estimate, 0.1 * estimate)
    beyond = np.array([[0.0], [0.5], [1.5], [4.0]])
    np.testing.assert_allclose(calibration.apply_to_bound(beyond), 0.1 * beyond, atol=1e-12)
    np.testing.assert_allclose(calibration.apply(beyond)[[0, -1]], [[0.1], [0.2]])


def test_coverage_is_told_for_each_quarter_of_the_truth() -> None:
    truth = np.tile(np.arange(1.0, 401.0), 2)[:, None]
    reach = np.where(truth > 300, 50.0, 1.0)  # too high by 30, and wide enough in the highest quarter alone
    score = score_arrays(truth, truth, truth + 30 - reach, truth + 30 + reach)
    quarters = [score.coverage_q1, score.coverage_q2, score.coverage_q3, score.coverage_q4]
    np.testing.assert_allclose(quarters, [0, 0, 0, 1], atol=0.02)
    assert score.coverage == pytest.approx(0.25, abs=0.01)


def test_a_late_estimate_has_a_positive_lag_and_nothing_finite_is_refused() -> None:
    truth = smooth(0)
    assert score_arrays(np.roll(truth, 7, axis=0), truth, missing(truth), missing(truth)).lag_s == pytest.approx(
        0.07, abs=0.005
    )
    with pytest.raises(SignalError, match="second half"):
        score_arrays(np.r_[truth[:1000], missing(truth[1000:])], truth, missing(truth), missing(truth))


def test_an_oracle_is_never_below_the_same_method_without_its_knowledge() -> None:
    rows = {row["estimator"]: row for row in run_truth_bench(methods=["low-pass-10hz", "oracle-lowpass"], **SMALL).rows}
    assert rows["oracle-lowpass"]["r2"] >= rows["low-pass-10hz"]["r2"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell the time of children")
def test_the_cpu_time_of_processes_that_an_estimator_starts_is_counted() -> None:
    before, alone = cpu_seconds(), time.process_time()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert cpu_seconds() - before - (time.process_time() - alone) > 0.25


def test_a_failure_is_a_row_with_its_reason() -> None:
    result = run_truth_bench(methods=["broken", "low-pass"], **SMALL)
    rows = {row["estimator"]: row for row in result.rows}
    assert rows["broken"]["n"] == 0 and rows["broken"]["why"] == "SignalError: the filter diverged."
    assert rows["low-pass"]["n"] == 1
    table = result.table()
    assert table.row_count == 2
    assert str(table.caption) == "broken failed 1 times: SignalError: the filter diverged."


def test_a_run_takes_up_what_is_done_and_repeats_what_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    scored = truth_bench._score
    monkeypatch.setattr(truth_bench, "_score", lambda c, r: [calls.append(c.method), scored(c, r)][1])
    options = {**SMALL, "seeds": [1000, 1001], "folder": tmp_path}
    first = run_truth_bench(methods=["low-pass"], **options)
    assert calls == ["low-pass"] * 2
    again = run_truth_bench(methods=["low-pass", "broken"], **options)
    assert calls[2:] == ["broken"] * 2
    assert [s["r2"] for s in again.scores if s["estimator"] == "low-pass"] == [s["r2"] for s in first.scores]
    sorted(tmp_path.glob("*.json"))[0].write_text('{"half', encoding="utf-8")
    repeated = run_truth_bench(methods=["low-pass"], **options)
    assert calls[4:] == ["low-pass"]
    assert [s["r2"] for s in repeated.scores] == [s["r2"] for s in first.scores]
    run_truth_bench(methods=["low-pass"], settings={"low-pass": {"cutoff_hz": 3.0}}, **options)
    assert calls[5:] == ["low-pass"] * 2, "other options are another result"
    monkeypatch.setattr(truth_bench, "estimators", lambda route: {"low-pass": OtherDefault})
    run_truth_bench(methods=["low-pass"], **options)
    assert calls[7:] == ["low-pass"] * 2, "another default is another result"


def test_scores_of_other_methods_stay_in_the_folder(tmp_path: Path) -> None:
    for method in ("low-pass", "low-pass-10hz"):
        run_truth_bench(methods=[method], folder=tmp_path, **SMALL)
    kept = json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))
    assert {entry["estimator"] for entry in kept} == {"low-pass", "low-pass-10hz"}


def test_the_json_has_the_promised_fields_and_no_nan(tmp_path: Path) -> None:
    run_truth_bench(methods=["low-pass", "broken"], json_path=tmp_path / "bench.json", **SMALL)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert {"estimator", "r2", "r2_sd", "nrmse", "lag_s", "coverage", "n"} <= set(content["rows"][0])
    assert content["machine"] and content["versions"]["numpy"]


def test_a_bench_without_a_seed_is_refused_and_not_run_with_all_of_them() -> None:
    with pytest.raises(OptionError, match="--seeds: no recording is asked for"):
        run_truth_bench(seeds=range(0))


def test_an_unknown_method_or_scenario_is_refused() -> None:
    with pytest.raises(OptionError, match="magic"):
        run_truth_bench(methods=["magic"], **SMALL)
    with pytest.raises(OptionError, match="dance"):
        run_truth_bench(**{**SMALL, "scenarios": ["dance"]})


def test_options_given_to_a_method_join_those_that_the_bench_has_for_it() -> None:
    settings = run_truth_bench(methods=["low-pass"], settings={"autolfads": {"population": 4}}, **SMALL).settings
    assert settings["autolfads"] == {"minutes": 10.0, "workers": 0, "population": 4}
