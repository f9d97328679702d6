"""Promises of the corrections of simulated activity, of the network, and of the choice among them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from myodrive.errors import NotFittedError, OptionError, SignalError
from myodrive.estimator import estimators
from myodrive.evaluation.metrics import lag_s, pearson_r, rmse
from myodrive.from_simulation.corrections import GainLagCorrection, GainOffset, RidgeFIR, SimulatedAsIs, WarpedMean
from myodrive.from_simulation.refinement import Refinement
from myodrive.from_simulation.stdrnet import KinematicsRNN, STDRNet
from myodrive.paired import PairedEstimator, Stretch, make_folds
from myodrive.recording import Recording, Study, make_events, make_signal

MUSCLES = ["soleus", "tibialis", "vastus"]
TINY = {"n_unit": 4, "n_folds": 3, "n_steps": 4, "batch_size": 4, "window_s": 0.5, "reach_s": 0.1}
RATE = 100.0


def bursts(time: np.ndarray, seed: int) -> np.ndarray:
    """Smooth bursts of each muscle, other ones in each trial."""
    random = np.random.default_rng(seed)
    phase = np.arange(len(MUSCLES)) / len(MUSCLES) + 0.2 * random.random(len(MUSCLES))
    period = 0.8 + 0.3 * random.random()
    return 0.05 + 0.7 * np.exp(3 * (np.cos(2 * np.pi * (time[:, None] / period - phase)) - 1))


def trial(seed: int, *, gain: float = 0.5, offset: float = 0.0, late_s: float = 0.0, subject: str = "A") -> Recording:
    """Simulated activity, and an envelope that is the same with a gain, an offset and a lag."""
    time = np.arange(200) / RATE
    emg = offset + gain * bursts(time - late_s, seed)
    labels = {"muscle": MUSCLES}
    return Recording(
        {
            "simulated": make_signal(bursts(time, seed), ("time", "muscle"), labels, units="1", rate_hz=RATE),
            "emg": make_signal(emg, ("time", "muscle"), labels, units="V", rate_hz=RATE, stage="envelope"),
            "angles": make_signal(
                np.cumsum(bursts(time, seed), axis=0)[:, :2], ("time", "joint"), {"joint": ["knee", "ankle"]},
                units="deg", rate_hz=RATE,
            ),
        },
        subject=subject,
        repetition=str(seed),
    )  # fmt: skip


def study(n: int = 5, **how: float) -> Study:
    return Study([trial(1000 + k, **how) for k in range(n)])


def without_emg(recording: Recording) -> Recording:
    return recording.replace(signals={k: v for k, v in recording.signals.items() if k != "emg"})


def make(cls: type[PairedEstimator], **options: object) -> PairedEstimator:
    if issubclass(cls, STDRNet):
        return cls(**{**TINY, **options})
    return cls(network=TINY, n_folds=3, **options) if cls is Refinement else cls(**options)


EVERY = list(estimators("from_simulation").values())
names = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.method)


def test_all_refinements_are_found_by_looking_and_none_of_them_among_those_from_emg() -> None:
    found = set(estimators("from_simulation"))
    assert found == {
        "simulated-as-is", "gain-offset", "gain-lag", "ridge-fir", "dtw-mean", "stdr-net", "kinematics-rnn", "refined",
    }  # fmt: skip
    assert not found & set(estimators("from_emg"))


@names
def test_a_new_recording_without_emg_is_estimated_and_a_saved_estimator_gives_the_same_bits(
    cls: type[PairedEstimator], tmp_path: Path
) -> None:
    fitted = make(cls).fit(study(3))
    new = without_emg(trial(1010))
    estimate = fitted.estimate(new)
    assert np.isfinite(estimate.activation).all() and estimate.method == cls.method
    again = cls.load(fitted.save(tmp_path / "kept")).estimate(new)
    np.testing.assert_array_equal(again.activation, estimate.activation)
    np.testing.assert_array_equal(again.lower, estimate.lower)
    assert again.notes == estimate.notes


@names
def test_the_emg_of_what_is_estimated_changes_nothing(cls: type[PairedEstimator]) -> None:
    fitted = make(cls).fit(study(3))
    new = trial(1010)
    other = new.with_signal("emg", new["emg"] * 7 + 1)
    assert fitted.estimate(new).dataset.identical(fitted.estimate(other).dataset)


@names
def test_a_missing_channel_is_named(cls: type[PairedEstimator]) -> None:
    fitted = make(cls).fit(study(3))
    new = trial(1010)
    signal = fitted.signals[0]
    dim = new[signal].dims[1]
    with pytest.raises(SignalError, match=rf"the channels {new[signal][dim].values[-1]} of '{signal}'.* are missing"):
        fitted.estimate(new.with_signal(signal, new[signal][:, :-1]))
    with pytest.raises(SignalError, match=f"no signal '{signal}'"):
        fitted.estimate(Recording({"emg": new["emg"]}))


@names
def test_contract_of_every_estimator(cls: type[PairedEstimator]) -> None:
    with pytest.raises(NotFittedError):
        cls().estimate(trial(1000))
    assert cls.references and make(cls).methods_text().endswith(".") and repr(cls()) == f"{cls.__name__}()"
    with pytest.raises(OptionError, match=r"cutof"):
        cls(cutof=3)


def test_recordings_without_both_signals_at_once_are_refused() -> None:
    apart = trial(1000)
    late = apart["emg"].assign_coords(time=apart["emg"].time + 50.0)
    with pytest.raises(SignalError, match="nowhere are simulated and EMG there at the same time"):
        GainOffset().fit(apart.with_signal("emg", late))
    with pytest.raises(SignalError, match="recordings that hold both"):
        GainOffset().fit(apart["emg"])
    with pytest.raises(OptionError, match="maximum contractions"):
        GainOffset().fit(apart, mvc=apart)


def test_a_pure_gain_and_offset_is_undone_by_gain_and_offset() -> None:
    fitted = GainOffset().fit(study(gain=0.3, offset=0.02))
    new = trial(1010, gain=0.3, offset=0.02)
    np.testing.assert_allclose(fitted.estimate(new).activation, fitted.measured(new), atol=1e-9)


@pytest.mark.parametrize("late_s", [0.07, -0.05])
def test_a_pure_lag_is_undone_by_one_lag(late_s: float) -> None:
    fitted = GainLagCorrection().fit(study(late_s=late_s))
    assert (fitted.gain_[:, 2] == round(late_s * RATE)).all()
    new = trial(1010, late_s=late_s)
    estimate, truth = fitted.estimate(new).activation.values[20:-20], fitted.measured(new).values[20:-20]
    np.testing.assert_allclose(pearson_r(estimate, truth), 1)
    assert (rmse(estimate, truth) < 0.05 * truth.max(axis=0)).all()  # the ends of the training trials are held
    as_is = SimulatedAsIs().fit(study()).estimate(new).activation.values[20:-20]
    np.testing.assert_allclose(lag_s(as_is, truth, RATE), -late_s, atol=2e-3)


def test_a_mixture_of_delayed_channels_is_undone_by_the_filter() -> None:
    def mixed(recording: Recording) -> Recording:
        s = recording["simulated"].values
        emg = 0.6 * s + 0.3 * np.roll(s, 1, axis=1)
        late = np.vstack([emg[:1].repeat(6, axis=0), emg[:-6]])
        return recording.with_signal("emg", recording["emg"].copy(data=late))

    fitted = RidgeFIR(tap_s=0.01).fit(Study([mixed(r) for r in study()]))
    new = mixed(trial(1010))
    estimate, truth = fitted.estimate(new).activation.values[25:-25], fitted.measured(new).values[25:-25]
    assert (rmse(estimate, truth) < 0.02 * truth.max(axis=0)).all()


def test_the_warped_mean_follows_the_pace_of_a_new_cycle() -> None:
    def paced(pace: float) -> Recording:
        phase = np.linspace(0, 1, round(100 * pace))[:, None]
        values = 0.1 + np.exp(-(((phase - np.array([0.2, 0.5, 0.8])) / 0.1) ** 2))
        labels = {"muscle": MUSCLES}
        signals = {"simulated": make_signal(values, ("time", "muscle"), labels, units="1", rate_hz=RATE)}
        signals["emg"] = make_signal(
            2 * values[:, ::-1], ("time", "muscle"), labels, units="V", rate_hz=RATE, stage="envelope"
        )
        return Recording(signals, subject="A")

    fitted = WarpedMean().fit(Study([paced(p) for p in (0.9, 1.0, 1.1)]))
    new = paced(1.6)
    assert (pearson_r(fitted.estimate(new).activation.values, fitted.measured(new).values) > 0.99).all()


def test_cycle_events_cut_a_recording_into_cycles_and_parts() -> None:
    whole = trial(1000)
    marked = whole.replace(events=make_events([(t, "foot strike", "right") for t in (0.3, 1.0, 1.7)]))
    fitted = WarpedMean().fit(marked)
    assert np.isfinite(fitted.estimate(marked).activation).all()


def test_muscles_are_paired_by_name_or_as_told_and_one_without_a_pair_is_said_to_be_left_out() -> None:
    renamed = [r.with_signal("emg", r["emg"].assign_coords(muscle=["SOL", "TA", "tongue"])) for r in study()]
    fitted = GainOffset(pairs={"SOL": ("soleus",), "TA": ("tibialis",)}).fit(Study(renamed))
    estimate = fitted.estimate(renamed[0])
    assert np.isnan(estimate.activation.sel(muscle="tongue")).all()
    assert any("tongue" in note for note in estimate.notes)
    np.testing.assert_allclose(estimate.activation[:, :2], fitted.measured(renamed[0])[:, :2], atol=1e-9)


def test_a_new_subject_is_scored_in_the_unit_of_all_their_own_trials() -> None:
    fitted = GainOffset().fit(study())
    loud = [trial(1010, gain=5.0, subject="B"), trial(1011, gain=5.0, subject="B")]
    soft = [trial(1010, gain=0.1, subject="C"), trial(1011, gain=0.1, subject="C")]
    for a, b in zip(fitted.measured(Study(loud)), fitted.measured(Study(soft))):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_folds_hold_out_subjects_where_there_are_three_trials_of_one_subject_and_else_blocks() -> None:
    several = Study([trial(1000 + k, subject="ABC"[k // 2]) for k in range(6)])

    def folds(data: Study) -> list[str]:
        estimator = GainOffset().fit(data)
        stretches = [
            s
            for i, r in enumerate(data)
            for s in estimator._stretches(r, estimator._envelope(r), estimator._group(data, i))
        ]
        found = make_folds(stretches, 3)
        assert all(not (a & b).any() for f in found for a, b in zip(f.train, f.test))
        return [f.held_out for f in found]

    assert folds(several) == ["A", "B", "C"]
    assert folds(study(3)) == ["trial 1", "trial 2", "trial 3"]
    assert folds(study(1)) == ["block 1", "block 2", "block 3"]


def test_refinement_takes_the_simplest_correction_that_is_as_good_and_says_why() -> None:
    plain = ("gain-offset", "gain-lag", "ridge-fir")
    for how, wanted in ({"gain": 0.4}, {"gain-offset", "gain-lag"}), ({"late_s": 0.06}, {"gain-lag"}):
        fitted = Refinement(candidates=plain, n_folds=3).fit(study(**how))
        assert set(fitted.choices.chosen) <= wanted
        new = trial(1010, **how)
        estimate, truth = fitted.estimate(new), fitted.measured(new)[20:-20]
        np.testing.assert_allclose(pearson_r(estimate.activation.values[20:-20], truth.values), 1)
        assert (estimate.lower <= estimate.activation).all() and (estimate.activation <= estimate.upper).all()
        assert all("→" in why for why in fitted.choices.why)


def test_refinement_falls_back_to_the_simulation_where_nothing_is_better() -> None:
    noise = np.random.default_rng(1000)

    def unrelated(recording: Recording) -> Recording:
        """The envelope is the simulation in the unit in which it is normalised, plus what nothing can tell."""
        values = recording["simulated"].values / np.quantile(recording["simulated"].values, 0.95, axis=0)
        made = np.abs(values + 0.02 * noise.normal(size=values.shape))
        scaled = recording["simulated"].copy(data=values)
        return recording.with_signal("emg", recording["emg"].copy(data=made)).with_signal("simulated", scaled)

    data = Study([unrelated(r) for r in study(4)])
    fitted = Refinement(candidates=("dtw-mean", "stdr-net"), network={**TINY, "skip": False}, n_folds=4).fit(data)
    assert list(fitted.choices.chosen) == ["simulated-as-is"] * 3
    assert (fitted.choices["rmse simulated-as-is"] <= fitted.choices["rmse stdr-net"]).all()
    as_is = SimulatedAsIs().fit(data).estimate(data[0])
    np.testing.assert_array_equal(fitted.estimate(data[0]).activation, as_is.activation)


def test_refinement_refuses_what_it_does_not_know() -> None:
    with pytest.raises(OptionError, match="no correction 'magic'"):
        Refinement(candidates=("magic",))
    with pytest.raises(OptionError, match="n_unit"):
        Refinement(network={"n_unit": 0})


def test_a_muscle_that_was_never_measured_is_nan_and_does_not_touch_the_others() -> None:
    def dead(recording: Recording) -> Recording:
        emg = recording["emg"].copy(deep=True)
        emg[:, 1] = np.nan
        return recording.with_signal("emg", emg)

    for cls in (GainLagCorrection, RidgeFIR, WarpedMean):
        whole = cls().fit(study()).estimate(trial(1010)).activation
        without = cls().fit(Study([dead(r) for r in study()])).estimate(trial(1010)).activation
        assert np.isnan(without[:, 1]).all()
        np.testing.assert_allclose(without[:, [0, 2]], whole[:, [0, 2]], atol=1e-9)


def test_the_network_learns_a_lag_by_itself_and_its_interval_holds_new_samples() -> None:
    how = {"late_s": 0.06, "gain": 0.4}
    options = {
        "n_unit": 12,
        "n_folds": 3,
        "n_steps": 250,
        "batch_size": 8,
        "window_s": 1.0,
        "reach_s": 0.1,
        "noise": 0.05,
    }
    fitted = STDRNet(skip=False, **options).fit(study(6, **how))
    new = trial(1010, **how)
    estimate, truth = fitted.estimate(new), fitted.measured(new)
    assert (pearson_r(estimate.activation.values, truth.values) > 0.9).all()
    late = np.abs(lag_s(estimate.activation.values, truth.values, RATE))
    assert late.max() < 0.05 and late.mean() < 0.03  # of the 60 ms by which the simulation leads
    inside = ((truth >= estimate.lower) & (truth <= estimate.upper)).mean()
    assert inside > 0.7


def test_what_goes_past_the_network_is_gain_offset_and_lag_and_a_network_of_noise_adds_little() -> None:
    how = {"late_s": 0.06, "gain": 0.4}
    fitted = STDRNet(**TINY).fit(study(**how))
    new = trial(1010, **how)
    assert (fitted.gains_[:, :, 2] == 6).all() and ((fitted.share_ >= 0) & (fitted.share_ <= 1)).all()
    assert (pearson_r(fitted.estimate(new).activation.values, fitted.measured(new).values) > 0.99).all()


def paced(hz: float, *, n_time: int = 200, late_s: float = 0.0) -> Recording:
    """Bursts at one pace, and an envelope that comes later."""
    time = np.arange(n_time) / RATE

    def made(when: np.ndarray) -> np.ndarray:
        return 0.05 + np.exp(3 * np.cos(2 * np.pi * (hz * when[:, None] - np.array([0.1, 0.4, 0.7]))) - 3)

    labels = {"muscle": MUSCLES}
    return Recording(
        {
            "simulated": make_signal(made(time), ("time", "muscle"), labels, units="1", rate_hz=RATE),
            "emg": make_signal(
                made(time - late_s), ("time", "muscle"), labels, units="V", rate_hz=RATE, stage="envelope"
            ),
        },
        subject="A",
    )


def test_the_network_is_told_the_pace_of_a_trial_as_far_as_trials_differ_in_it() -> None:
    def told(fitted: STDRNet, recording: Recording) -> list[float]:
        ((_, stretch),) = fitted._inputs(recording)[1]
        return list(np.unique(fitted._coarse(stretch).inputs[:, len(MUSCLES) :]))

    varied = STDRNet(**TINY).fit(Study([paced(hz) for hz in (1.8, 2.0, 2.5)]))
    for hz in (1.8, 2.2, 2.5):
        np.testing.assert_allclose(told(varied, paced(hz)), [(hz - 2.1) / np.std([1.8, 2.0, 2.5])], atol=0.1)
    assert told(varied, paced(2.5, n_time=110)) == [0.0]  # less than three cycles
    assert told(varied, paced(0.0)) == [0.0]  # nothing that repeats
    assert told(STDRNet(**TINY).fit(Study([paced(hz) for hz in (2.0, 2.05, 2.1)])), paced(3.0)) == [2.0]
    assert told(STDRNet(**TINY).fit(Study([paced(2.0)] * 3)), paced(3.0)) == []


def test_what_held_out_estimates_come_late_at_a_pace_is_taken_from_new_ones() -> None:
    fitted = STDRNet(**TINY).fit(Study([paced(hz) for hz in (1.8, 2.0, 2.2, 2.5)]))
    assert np.isfinite(fitted.late_).all() and np.isfinite(fitted.estimate(paced(2.1)).activation).all()
    at_mean_s, more_s = 0.004, -0.006

    def pair(hz: float) -> tuple[Stretch, np.ndarray]:
        """A stretch with its true targets, and an estimate that comes late."""
        ((_, stretch),) = fitted._inputs(paced(hz))[1]
        late_s = at_mean_s + more_s * fitted._told(stretch)
        late = fitted.measured(paced(hz, late_s=late_s)).values  # in the unit of the targets
        return dataclasses.replace(stretch, targets=fitted.measured(paced(hz)).values), late

    stretches, estimates = zip(*[pair(hz) for hz in (1.8, 2.0, 2.2, 2.5)])
    fitted.late_ = fitted._lateness([*stretches], [*estimates])
    np.testing.assert_allclose(fitted.late_, [at_mean_s * RATE, more_s * RATE], rtol=0.1)
    new, estimate = pair(1.9)
    assert (rmse(fitted._on_time(new, estimate), new.targets) < 0.2 * rmse(estimate, new.targets)).all()


def test_the_network_without_simulation_reads_angles_alone() -> None:
    fitted = KinematicsRNN(**TINY).fit(study(3))
    new = trial(1010)
    other = new.with_signal("simulated", new["simulated"] * 0)
    assert fitted.estimate(new).dataset.identical(fitted.estimate(other).dataset)
    both = STDRNet(with_angles=True, **TINY).fit(study(3))
    assert set(both.channels_) == {"simulated", "angles"} and both.estimate(new).muscles == MUSCLES
