"""Comparisons of methods from movement: what is scored is what was asked, nothing leaks, nothing is computed twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from moving_people import MUSCLES, moving_people
from myodrive.errors import OptionError, SignalError
from myodrive.evaluation import metrics
from myodrive.evaluation.motion.comparison import Fit, Test, compare_methods, make_model
from myodrive.evaluation.motion.experiments import find_plan, run_motion_experiment
from myodrive.evaluation.motion.plans import (
    MULTI,
    PLANS,
    SINGLE,
    Diversity,
    Inputs,
    NewPerson,
    UnseenMovement,
    last_quarter,
    numbered,
    taking_turns,
)
from myodrive.evaluation.motion.result import Weight, weight
from myodrive.evaluation.motion.scoring import (
    MEASURES,
    Said,
    Yardstick,
    auroc,
    measures,
    muscle_measures,
    other_repetitions,
    trial_sums,
)
from myodrive.evaluation.statistics import compare_subjects
from myodrive.from_motion.mean_curve import MeanCurve
from myodrive.recording import Recording, Study

PLAIN = ("mean-curve", "ridge-fir")
QUICK = {"ridge-fir": {"reaches_s": (0.1,)}}


def rows_of(trials: list[tuple[np.ndarray, ...]], yardstick: Yardstick) -> pd.DataFrame:
    parts = []
    for k, (said, low, high, truth, curve) in enumerate(trials):
        sums = trial_sums(Said(said, low, high), truth, curve, yardstick)
        parts.append(pd.DataFrame({"trial": str(k), "method": "m", "muscle": ["a", "b"], **sums}))
    return pd.concat(parts, ignore_index=True)


def drawn_trials() -> tuple[list[tuple[np.ndarray, ...]], Yardstick]:
    rng = np.random.default_rng(5)
    trials = []
    for n in (40, 60, 50):
        truth = rng.gamma(2.0, 0.1, (n, 2))
        said = truth + 0.05 * rng.standard_normal((n, 2))
        said[:3, 0] = np.nan
        trials.append((said, said - 0.06, said + 0.06, truth, truth + 0.1 * rng.standard_normal((n, 2))))
    return trials, Yardstick.of([rng.gamma(2.0, 0.1, (70, 2))])


def test_sums_over_trials_give_the_scores_of_all_samples_together() -> None:
    trials, yardstick = drawn_trials()
    found = muscle_measures(rows_of(trials, yardstick), ["method"]).set_index("muscle")
    said, low, high, truth, _ = (np.concatenate(v) for v in zip(*trials))
    np.testing.assert_allclose(found["r2"], metrics.r2(said, truth, yardstick.mean))
    np.testing.assert_allclose(found["r"], metrics.pearson_r(said, truth))
    np.testing.assert_allclose(found["mse"], metrics.rmse(said, truth) ** 2)
    np.testing.assert_allclose(found["coverage"], metrics.coverage(low, high, truth))
    signed = np.stack([metrics.peak_error(s, t) * np.max(t, axis=0) for s, _, _, t, _ in trials])
    assert not np.isnan(signed).any()
    expected = [np.median([abs(np.nanmax(s[np.isfinite(s[:, k]), k]) - t[np.isfinite(s[:, k]), k].max())
                           for s, _, _, t, _ in trials]) / yardstick.highest[k] for k in range(2)]  # fmt: skip
    np.testing.assert_allclose(found["peak_error"], expected)
    pooled = measures(rows_of(trials, yardstick), ["method"])
    np.testing.assert_allclose(pooled[list(MEASURES)].iloc[0], found[list(MEASURES)].mean())


def test_the_truth_explains_all_of_a_trial_and_the_mean_curve_nothing_of_it() -> None:
    trials, yardstick = drawn_trials()
    for which, expected in ((3, 1.0), (4, 0.0)):
        told = [(t[which], t[1], t[2], t[3], t[4]) for t in trials]
        found = measures(rows_of(told, yardstick), ["method"])
        np.testing.assert_allclose(found["residual_r2"], expected, atol=1e-12)


def test_the_training_mean_has_an_r2_of_zero_and_no_correlation() -> None:
    trials, yardstick = drawn_trials()
    told = [(np.broadcast_to(yardstick.mean, t[3].shape).copy(), t[1], t[2], t[3], t[4]) for t in trials]
    found = measures(rows_of(told, yardstick), ["method"]).iloc[0]
    assert abs(found["r2"]) < 1e-12 and np.isnan(found["r"])


def test_a_trials_own_curve_is_no_part_of_the_mean_it_is_held_against() -> None:
    curves = np.random.default_rng(0).normal(size=(4, 11, 2))
    found = other_repetitions(curves)
    np.testing.assert_allclose(found[1], curves[[0, 2, 3]].mean(axis=0))
    assert np.isnan(other_repetitions(curves[:1])).all()


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(size=30).round(1), rng.normal(0.8, size=20).round(1)
    pairs = [(o > i) + 0.5 * (o == i) for i in inside for o in outside]
    assert auroc(inside, outside) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(np.empty(0), outside))


# -- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [UnseenMovement(n_folds=2), Diversity(n_folds=2), NewPerson(seconds=(0.0, 2.0, 4.0))])
def test_nothing_that_is_tested_is_learned_from_or_adapted_to(plan: UnseenMovement | Diversity | NewPerson) -> None:
    made = plan.plan(moving_people(3, 4, 4))
    for fit in made.fits:
        assert fit.train and fit.tests
        for test in fit.tests:
            assert test.recordings and not set(test.recordings) & (set(fit.train) | set(test.adapt))
            assert not set(test.adapt) & set(fit.train)


def test_new_repetitions_and_unseen_movements_are_scored_on_the_same_trials() -> None:
    made = UnseenMovement(n_folds=2).plan(moving_people(2, 4, 4))
    tested: dict[str, list[int]] = {}
    for fit in made.fits:
        for test in fit.tests:
            tested.setdefault(test.condition, []).extend(test.recordings)
            if test.condition == "unseen movement":
                known = {made.study[i].movement for i in fit.train}
                assert not known & {made.study[i].movement for i in test.recordings}
    assert sorted(tested["new repetition"]) == sorted(tested["unseen movement"])


def test_training_sets_of_one_kind_and_of_both_last_equally_long_and_are_of_that_kind() -> None:
    made = Diversity(n_folds=2).plan(moving_people(2, 4, 4))
    for k in ("1", "2"):
        own = {f.tests[0].condition: f for f in made.fits if f.name.endswith(k)}
        kinds = {name: {made.study[i].info["kind"] for i in f.train} for name, f in own.items()}
        assert kinds == {f"{SINGLE} only": {SINGLE}, f"{MULTI} only": {MULTI}, "diverse": {SINGLE, MULTI}}
        lasts = [sum(made.study[i].duration_s for i in f.train) for f in own.values()]
        assert max(lasts) - min(lasts) <= 2.0  # a trial more or less
        assert len({f.tests[0].recordings for f in own.values()}) == 1


def test_a_new_person_is_tested_on_the_same_trials_whatever_the_model_has_seen_of_them() -> None:
    study = moving_people(3, 3, 4)
    made = NewPerson(seconds=(0.0, 2.0, 4.0), known=("P1", "P2")).plan(study)
    tested = {(t.condition, t.recordings) for f in made.fits for t in f.tests}
    assert len({c for c, _ in tested}) == 4 and len({r for _, r in tested}) == 1
    general = [f for f in made.fits if f.tests[0].condition != "subject-specific"]
    assert len({f.train for f in general}) == 1
    assert {study[i].subject for i in general[0].train} == {"P1", "P2"}
    (alone,) = [f for f in made.fits if f.tests[0].condition == "subject-specific"]
    assert {study[i].subject for i in alone.train} == {"P3"} and alone.yardstick == general[0].train


def test_repetitions_are_numbered_where_they_have_no_label_and_the_last_quarter_is_rounded_up() -> None:
    study = moving_people(1, 2, 5)
    blank = Study([r.replace(repetition="") for r in study])
    assert [r.repetition for r in numbered(blank)] == [r.repetition for r in study]
    assert last_quarter(study) == ("4", "5")
    assert taking_turns(moving_people(1, 4, 1)) == ("movement 1", "movement 3", "movement 2", "movement 4")


def test_experiments_refuse_what_they_do_not_have() -> None:
    with pytest.raises(OptionError, match="no option 'folds'"):
        find_plan("diversity", {"folds": 3})
    with pytest.raises(OptionError, match="n_folds"):
        find_plan("diversity", {"n_folds": "many"})
    with pytest.raises(OptionError, match="no experiment 'speed'"):
        find_plan("speed", {})
    unlabelled = Study([r.replace(info={}) for r in moving_people(2, 4, 2)])
    with pytest.raises(OptionError, match="not told apart"):
        Diversity().plan(unlabelled)
    assert Diversity(single_joint=("movement 1", "movement 2"), n_folds=2).plan(unlabelled).fits
    with pytest.raises(OptionError, match="no method 'lsmt'"):
        make_model("lsmt", {})
    only_emg = [Recording({"emg": r["emg"]}, subject=r.subject) for r in moving_people(1, 1, 2)]
    with pytest.raises(SignalError, match="both EMG and a movement"):
        run_motion_experiment("unseen-movement", only_emg)
    assert set(PLANS) == {"unseen-movement", "segmentation", "inputs", "diversity", "new-person"}


# -- comparisons -----------------------------------------------------------------------------------------------------


def two_fits(study: Study) -> list[Fit]:
    sides = [
        tuple(i for i, r in enumerate(study) if (r.repetition in ("1", "2")) == learned) for learned in (True, False)
    ]
    train, test = sides
    unknown = tuple(i for i in train if study[i].movement != "movement 1")
    first = tuple(i for i in test if study[i].movement == "movement 1")
    return [
        Fit("known", train, (Test("new repetition", test),), "repetition"),
        Fit("unknown", unknown, (Test("unseen movement", first),), "movement"),
    ]


def test_methods_are_scored_beside_each_other_and_the_curves_kept(tmp_path: Path) -> None:
    study = moving_people(2, 3, 3)
    found = compare_methods(study, two_fits(study), PLAIN, QUICK, folder=tmp_path)
    assert found.conditions == ["new repetition", "unseen movement"] and found.methods == list(PLAIN)
    assert set(found.rows["muscle"]) == set(MUSCLES) and found.against == "the true activation"
    table = found.summary.set_index(["condition", "method"])
    assert table.loc[("new repetition", "ridge-fir"), "r2"] > table.loc[("new repetition", "mean-curve"), "r2"] > 0
    assert table.loc[("new repetition", "ridge-fir"), "n_trial"] == 6
    assert 0.3 < table.loc[("new repetition", "ridge-fir"), "coverage"] <= 1
    assert {t.condition for t in found.traces} == set(found.conditions)
    json.dumps(found.content())


def test_a_second_run_computes_nothing_and_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = moving_people(2, 3, 3)
    first = compare_methods(study, two_fits(study), PLAIN[:1], folder=tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this was computed before")

    monkeypatch.setattr(MeanCurve, "fit", refuse)
    monkeypatch.setattr(MeanCurve, "_estimate_stretch", refuse)
    pd.testing.assert_frame_equal(compare_methods(study, two_fits(study), PLAIN[:1], folder=tmp_path).rows, first.rows)
    with pytest.raises(AssertionError, match="computed before"):  # other data are not taken for the same
        other = moving_people(2, 3, 3, seed=1501)
        compare_methods(other, two_fits(other), PLAIN[:1], folder=tmp_path)


def test_a_stopped_run_keeps_what_is_done_and_learns_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = moving_people(2, 3, 3)
    fit, estimate = MeanCurve.fit, MeanCurve._estimate_stretch
    learned = []
    monkeypatch.setattr(MeanCurve, "fit", lambda self, data: learned.append(len(data)) or fit(self, data))

    def stop(self: MeanCurve, data: object) -> object:
        if len(learned) == 2:
            raise KeyboardInterrupt
        return estimate(self, data)

    monkeypatch.setattr(MeanCurve, "_estimate_stretch", stop)
    with pytest.raises(KeyboardInterrupt):
        compare_methods(study, two_fits(study), PLAIN[:1], folder=tmp_path)
    monkeypatch.setattr(MeanCurve, "_estimate_stretch", estimate)
    found = compare_methods(study, two_fits(study), PLAIN[:1], folder=tmp_path)
    assert len(learned) == 2 and len(found.conditions) == 2


def test_a_damaged_kept_score_is_computed_again(tmp_path: Path) -> None:
    study = moving_people(1, 2, 3)
    fits = two_fits(study)[:1]
    first = compare_methods(study, fits, PLAIN[:1], folder=tmp_path)
    (kept,) = tmp_path.glob("*.json")
    kept.write_text("{", encoding="utf-8")
    pd.testing.assert_frame_equal(compare_methods(study, fits, PLAIN[:1], folder=tmp_path).rows, first.rows)


def test_the_curve_to_activation_is_that_of_the_training_people_alone() -> None:
    study = moving_people(2, 3, 3)
    doubled = Study(
        [r if r.repetition in ("1", "2") else r.with_signal("activation", r["activation"] * 2) for r in study]
    )
    plain, wrong = (compare_methods(s, two_fits(s)[:1], PLAIN[:1]) for s in (study, doubled))
    said = [[t.curves["biceps"]["estimate"] for t in found.traces] for found in (plain, wrong)]
    assert said[0] == said[1]
    assert wrong.summary["r2"][0] < plain.summary["r2"][0]


def test_without_a_known_activation_estimates_are_held_against_the_measured_envelopes() -> None:
    study = Study([r.replace(signals={n: r[n] for n in ("angles", "emg")}) for r in moving_people(2, 3, 3)])
    found = compare_methods(study, two_fits(study)[:1], PLAIN[:1])
    assert found.against == "measured envelopes"
    assert found.summary["r2"][0] > 0.3


def test_only_the_given_spans_are_scored_and_pieces_are_learned_and_estimated_alone() -> None:
    study = moving_people(2, 2, 3)
    spans = {i: [(0.2, 0.85)] for i in range(len(study))}
    whole = two_fits(study)[0]
    pieces = Fit("pieces", whole.train, (Test("pieces", whole.tests[0].recordings),), "repetition", pieces=True)
    found = compare_methods(study, [whole, pieces], ["mean-curve"], spans=spans)
    per_trial = found.rows.groupby(["condition", "subject", "movement", "repetition"])["n"].first()
    assert set(per_trial) == {66.0}
    inside, outside = found.traces[-1].curves["biceps"], found.traces[-1].time
    assert all((v is not None) == (0.19 < t < 0.86) for v, t in zip(inside["estimate"], outside))


def test_few_people_hint_and_eight_can_show() -> None:
    def row(*differences: float) -> dict[str, object]:
        table = pd.DataFrame({"a": np.zeros(len(differences)), "b": differences})
        return compare_subjects(table, "a").iloc[0].to_dict()

    assert weight(row(0.1, 0.2, 0.3)) == Weight(1, shown=False)
    assert weight(row(-0.1, -0.2)) == Weight(-1, shown=False)
    assert weight(row(0.1, 0.2, 0.3, -0.01)) == Weight(0, shown=False)
    assert weight(row(*np.linspace(-0.01, 0.2, 9))) == Weight(1, shown=True)
    assert weight(row(*np.linspace(-0.1, 0.1, 9))) == Weight(0, shown=True)


def test_an_experiment_says_in_words_what_it_supports(tmp_path: Path) -> None:
    found = run_motion_experiment(
        "unseen-movement", list(moving_people(2, 3, 3)), methods=["mean-curve"], options={"n_folds": 3}, folder=tmp_path
    )
    told = " ".join(found.verdict)
    assert "R² of new repetition against unseen movement: mean-curve +" in told
    assert "this hints, and so few people cannot show, that the estimate is better" in told
    assert "fewer than 8 people" in told and found.experiment.limits in told
    content = json.loads(found.to_json())
    assert {"summary", "by_subject", "contrasts", "verdict", "machine", "versions"} <= set(content)


def test_moments_are_asked_about_where_the_angles_are_those_of_an_arm() -> None:
    def conditions(study: Study) -> set[str]:
        return {test.condition for fit in Inputs().plan(study).fits for test in fit.tests}

    study = moving_people()
    labels = ["elv_angle", "shoulder_elv", "shoulder_rot", "elbow_flexion"]
    arms = [r.with_signal("angles", r["angles"].isel(joint=[0, 1, 0, 1]).assign_coords(joint=labels)) for r in study]
    assert conditions(Study(arms)) - conditions(study) == {"joint angles and moments"}
