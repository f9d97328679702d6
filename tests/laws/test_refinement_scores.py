"""Promises of the scores of refined activity: pairing, what is held out, lags, and what is said of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from myodrive.errors import SignalError
from myodrive.evaluation.refinement.comparison import MeanCurve, best_lag, compare_refinements, contenders, make_model
from myodrive.evaluation.refinement.folds import GAP_S, blocks_of_strides, by_what_there_is, new_parts, new_people
from myodrive.evaluation.refinement.pairing import pair_muscles
from myodrive.evaluation.refinement.result import Comparison
from myodrive.from_simulation.corrections import GainLagCorrection, SimulatedAsIs
from myodrive.from_simulation.refinement import Refinement
from myodrive.recording import Recording, Study, make_events, make_signal

MUSCLES = ["soleus", "tibialis"]
RATE = 100.0
PERIOD = 0.8


def recording(
    subject: str = "A",
    repetition: str = "1",
    *,
    measured: list[str] = MUSCLES,
    simulated: list[str] = MUSCLES,
    duration_s: float = 4.0,
    late_s: float = 0.05,
) -> Recording:
    """Strides, and EMG that leads the simulation, other ones in each recording."""
    time = np.arange(round(duration_s * RATE)) / RATE
    knots = np.arange(0, duration_s + PERIOD, PERIOD)
    random = np.random.default_rng([ord(subject), int(repetition)])
    beat = 0.1 * np.interp(time, knots, random.random(knots.size))

    def of(names: list[str], time: np.ndarray) -> np.ndarray:
        phase = np.arange(len(names)) / len(names)
        return 0.05 + np.exp(3 * (np.cos(2 * np.pi * (time[:, None] / PERIOD - phase)) - 1))

    emg = of(measured, time + late_s) + beat[:, None]
    return Recording(
        {
            "simulated": make_signal(
                of(simulated, time), ("time", "muscle"), {"muscle": simulated}, units="1", rate_hz=RATE
            ),
            "emg": make_signal(
                emg, ("time", "muscle"), {"muscle": measured}, units="V", rate_hz=RATE, stage="envelope"
            ),
        },
        events=make_events([(float(t), "foot strike", "right") for t in np.arange(0.4, duration_s, PERIOD)]),
        subject=subject,
        movement="walking",
        repetition=repetition,
    )


def people(n: int = 3) -> Study:
    return Study([recording(name) for name in "ABCDEFG"[:n]])


# -- pairs -------------------------------------------------------------------------------------------------------------


def pairs_of(measured: list[str], simulated: list[str], given: dict[str, list[str]] | None = None) -> dict:
    return pair_muscles(Study([recording(measured=measured, simulated=simulated)]), given)


def test_muscles_are_paired_by_label_then_by_anatomical_name_and_side() -> None:
    simulated = ["vaslat_r", "vaslat_l", "semimem_r", "semiten_r", "bflh_r", "gasmed_r", "gaslat_r", "soleus_r"]
    measured = ["R VL", "Hams", "R Gast", "soleus_r", "R Tib Ant"]
    assert pairs_of(measured, simulated) == {
        "R VL": ("vaslat_r",),
        "Hams": ("semimem_r", "semiten_r", "bflh_r"),
        "R Gast": ("gasmed_r", "gaslat_r"),
        "soleus_r": ("soleus_r",),
    }


def test_a_muscle_without_a_side_is_not_paired_with_both_sides() -> None:
    assert pairs_of(["VL", "R TA"], ["vaslat_r", "vaslat_l", "tibant_r"]) == {"R TA": ("tibant_r",)}


def test_what_the_user_says_comes_first_and_a_name_that_is_not_there_is_refused() -> None:
    assert pairs_of(["soleus_r"], ["soleus_r", "gasmed_r"], {"soleus_r": ["gasmed_r"]}) == {"soleus_r": ("gasmed_r",)}
    with pytest.raises(SignalError, match=r"'soleus_r=gasmed' names a muscle that is not there. Measured: soleus_r"):
        pairs_of(["soleus_r"], ["soleus_r"], {"soleus_r": ["gasmed"]})


def test_without_any_pair_both_lists_and_the_remedy_are_told() -> None:
    with pytest.raises(SignalError, match=r"Measured: EMG1, EMG2\. Simulated: a, b\..*--pair 'EMG1=a'"):
        pairs_of(["EMG1", "EMG2"], ["a", "b"])


# -- what is held out --------------------------------------------------------------------------------------------------


def test_a_person_that_is_held_out_is_not_learned_from() -> None:
    folds = new_people(people(3))
    assert [f.name for f in folds] == ["A", "B", "C"]
    assert all(f.name not in f.train.subjects and f.test.subjects == [f.name] for f in folds)
    with pytest.raises(SignalError, match="needs at least 3; this study has 2"):
        new_people(people(2))


def test_people_are_dealt_out_and_each_is_held_out_once() -> None:
    folds = by_what_there_is(people(5), 2)
    assert len(folds) == 2
    assert sorted(who for f in folds for who in f.test.subjects) == list("ABCDE")
    assert all(not set(f.train.subjects) & set(f.test.subjects) for f in folds)


def test_three_trials_of_one_person_are_held_out_as_trials() -> None:
    folds = new_parts(Study([recording(repetition=str(k)) for k in range(4)]), 7)
    assert len(folds) == 4 and all(len(f.train) == 3 and len(f.test) == 1 for f in folds)


def test_blocks_of_one_trial_begin_and_end_with_strides_and_cover_it_once() -> None:
    spans = blocks_of_strides(recording(), 3)
    assert spans[0][0] == 0.0 and spans[-1][1] == pytest.approx(3.99)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    inner = np.array([a for a, _ in spans[1:]])
    assert np.allclose((inner - 0.4) / PERIOD % 1, 0)


def test_the_emg_of_a_block_and_of_its_surroundings_is_not_learned_from() -> None:
    for fold in new_parts(Study([recording()]), 4):
        emg, (start, stop) = fold.train[0]["emg"], fold.spans[0]
        near = (emg.time >= start - GAP_S) & (emg.time <= stop + GAP_S)
        assert emg.where(near, drop=True).isnull().all() and emg.where(~near, drop=True).notnull().all()
        assert fold.test[0]["emg"].notnull().all()


# -- scores ------------------------------------------------------------------------------------------------------------


def test_the_best_lag_is_that_by_which_the_estimate_was_moved() -> None:
    random = np.random.default_rng(1)
    truth = np.convolve(random.random(300), np.hanning(9), "same")[:, None]
    late = np.r_[np.zeros((7, 1)), truth[:-7]]
    r, lag = best_lag(late, truth, RATE)
    assert lag == pytest.approx(0.07) and r == pytest.approx(1.0)
    place = np.arange(300)[:, None]
    r, lag = best_lag(late, np.where((place > 100) & (place < 160), truth, np.nan), RATE)
    assert lag == pytest.approx(0.07) and r == pytest.approx(1.0)
    assert np.isnan(best_lag(np.zeros((300, 1)), truth, RATE)).all()


def test_the_mean_curve_gives_strides_back_that_are_all_alike() -> None:
    same = Study([recording(repetition=str(k), late_s=0.0) for k in range(3)])
    same = Study([r.with_signal("emg", r["simulated"].assign_attrs(units="V", stage="envelope")) for r in same])
    fitted = MeanCurve(cutoff_hz=20.0).fit(same)
    estimate, truth = fitted.estimate(same[0]).activation, fitted.measured(same[0])
    assert float(np.abs(estimate - truth).max()) < 0.1
    assert float(np.abs(estimate - truth).mean()) < 0.02


def test_the_emg_of_what_is_held_out_changes_its_measurement_but_no_estimate() -> None:
    study = people(3)
    other = Study(
        [
            study[0].with_signal("emg", study[0]["emg"][::-1].assign_coords(time=study[0]["emg"].time)),
            *study.recordings[1:],
        ]
    )
    traces = []
    for data in (study, other):
        traces.append(compare_refinements(new_people(data)[:1], [GainLagCorrection(), SimulatedAsIs()]).traces[0])
    first, second = (t.curves["soleus"] for t in traces)
    assert first["simulated-as-is"] == second["simulated-as-is"] and first["measured"] != second["measured"]
    rows = [compare_refinements(new_people(d)[:1], [GainLagCorrection()]).rows for d in (study, other)]
    assert not rows[0]["rmse"].equals(rows[1]["rmse"])


def test_a_lead_of_the_emg_is_seen_in_the_simulation_and_gone_after_the_correction() -> None:
    rows = compare_refinements(new_people(people(3)), [SimulatedAsIs(), GainLagCorrection()]).rows
    lag = rows.groupby("method")["lag_s"].median()
    assert lag["simulated-as-is"] == pytest.approx(0.05, abs=0.011)
    assert lag["gain-lag"] == pytest.approx(0.0, abs=0.011)


def test_of_a_refinement_each_candidate_is_scored_before_any_choice() -> None:
    made = [Refinement(candidates=("gain-offset", "gain-lag"), n_folds=3)]
    found = compare_refinements(new_people(people(4)), made)
    assert found.methods == ["simulated-as-is", "gain-offset", "gain-lag", "refined"]
    assert len(found.chosen) == 4 * len(MUSCLES) and all(row["why"] for row in found.chosen)
    refined = found.summary.set_index(["method", "muscle"])["rmse"]
    assert all(refined["refined", m] < refined["simulated-as-is", m] for m in MUSCLES)


def test_what_was_kept_is_not_learned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folds, made = new_people(people(3)), [SimulatedAsIs(), GainLagCorrection()]
    first = compare_refinements(folds, made, folder=tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("learned again")

    monkeypatch.setattr(GainLagCorrection, "fit", refuse)
    again = compare_refinements(folds, made, folder=tmp_path)
    pd.testing.assert_frame_equal(again.rows, first.rows)
    assert again.traces == first.traces
    with pytest.raises(AssertionError, match="learned again"):
        compare_refinements(folds, [SimulatedAsIs(), GainLagCorrection(max_lag_s=0.1)], folder=tmp_path)


def test_every_method_is_scored_against_the_same_envelope() -> None:
    settings = {"refined": {"cutoff_hz": 3.0, "rate_hz": 50.0}}
    made = contenders("refined", {}, settings)
    made.append(make_model("kinematics-rnn", {}, settings))
    assert [m.method for m in made] == ["refined", "mean-curve", "kinematics-rnn"]
    assert {(m.config.cutoff_hz, m.config.rate_hz) for m in made} == {(3.0, 50.0)}


# -- what is said ------------------------------------------------------------------------------------------------------


def comparison(network: list[float], correlation: float = 0.9) -> Comparison:
    """Three people, one muscle: the simulation errs by .3 with r .5."""
    rows = []
    for k, error in enumerate(network):
        about = {"unit": f"P{k}", "subject": f"P{k}", "recording": "", "muscle": "soleus"}
        for method, rmse, r in (("simulated-as-is", 0.3, 0.5), ("stdr-net", error, correlation)):
            rows.append({**about, "method": method, "rmse": rmse, "r": r, "best_r": 0.9, "lag_s": 0.0})
    return Comparison(pd.DataFrame(rows), [], [])


def test_a_muscle_counts_as_better_by_the_median_of_paired_differences_in_both_measures() -> None:
    assert comparison([0.1, 0.2, 0.9]).counts("stdr-net") == (["soleus"], [])
    assert comparison([0.1, 0.8, 0.9]).counts("stdr-net") == ([], ["soleus"])
    assert comparison([0.1, 0.2, 0.2], correlation=0.4).counts("stdr-net") == ([], ["soleus"])
    assert comparison([0.1, 0.2, 0.2], correlation=0.5 - 1e-15).counts("stdr-net") == ([], []), "rounding is no loss"
    row = comparison([0.1, 0.2, 0.9]).differences.set_index("measure").loc["rmse"]
    assert row["median_difference"] == pytest.approx(-0.1) and row["better"] == 2 and row["n"] == 3
    assert "for 1 of 1 muscles; worse in either for none" in comparison([0.1, 0.2, 0.9]).verdict[0]
