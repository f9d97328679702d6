"""Promises of the networks from movement: people, intervals, delay, novelty, streaming, and what they refuse."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from scipy import signal as sps

from myodrive.conditioning.kinematics import differentiate
from myodrive.conditioning.options import EmgConditioning
from myodrive.errors import FileError, OptionError, SignalError
from myodrive.estimator import Estimate
from myodrive.from_motion.adaptation import HeldOut, Personal, blocks_in_turn, first_seconds_of_emg, parts_in_turn
from myodrive.from_motion.base import MotionEstimator
from myodrive.from_motion.causal import causal_features, one_sided_taps
from myodrive.from_motion.delay import electromechanical_delay
from myodrive.from_motion.interval import Untaught
from myodrive.from_motion.lstm import MotionLSTM
from myodrive.from_motion.networks import MotionNetwork, member_folds
from myodrive.from_motion.ridge import RidgeFIR
from myodrive.from_motion.tcn import TCN
from myodrive.from_motion.transformer import Transformer
from myodrive.paired import Stretch
from myodrive.recording import Recording, Study, make_signal
from myodrive.streaming import Stream

RATE = 100.0
MVC = EmgConditioning(relative_to="mvc")
TINY = {"n_unit": 12, "n_folds": 3, "n_steps": 120, "batch_size": 4, "window_s": 0.5, "conditioning": MVC}
SMALL = {MotionLSTM: {}, TCN: {"n_layer": 3}, Transformer: {"n_layer": 1, "n_head": 2, "reach_s": 0.16}}


def trial(
    seed: int, *, subject: str = "A", movement: str = "reach", gain: float = 1.0, pace: float = 1.0, n: int = 150
) -> Recording:
    """Two angles that swing, and the envelopes of two muscles that follow from them."""
    random = np.random.default_rng(seed)
    time = np.arange(n) / RATE
    phase = 2 * np.pi * pace * (0.8 + 0.2 * random.random()) * time + 6 * random.random()
    angles = np.stack([40 * np.sin(phase), 25 * np.cos(phase)], axis=1) + random.normal(0, 1, 2)
    emg = gain * (0.05 + 0.2 * np.maximum(np.stack([np.sin(phase + 0.4), np.cos(phase + 0.4)], axis=1), 0))
    joints, muscles = {"joint": ["shoulder", "elbow"]}, {"muscle": ["deltoid", "biceps"]}
    return Recording(
        {
            "angles": make_signal(angles, ("time", "joint"), joints, units="deg", rate_hz=RATE),
            "emg": make_signal(emg, ("time", "muscle"), muscles, units="1", rate_hz=RATE, stage="envelope"),
        },
        subject=subject,
        movement=movement,
        repetition=str(seed),
    )


def study(people: str = "ABC", n: int = 3, **how: float) -> Study:
    return Study([trial(10 * i + k, subject=who, **how) for i, who in enumerate(people) for k in range(n)])


def stretches(n_person: int, n_trial: int, n_time: int = 50) -> list[Stretch]:
    time = np.arange(n_time) / RATE
    return [
        Stretch(time, np.ones((n_time, 1)), np.ones((n_time, 1)), who, np.zeros(0), who, "reach", f"{who}{k}")
        for who in "ABCDEFGH"[:n_person]
        for k in range(n_trial)
    ]


@pytest.fixture(scope="module", params=list(SMALL), ids=lambda cls: cls.method)
def fitted(request: pytest.FixtureRequest) -> MotionNetwork:
    """A tiny network of three people, one of whom is stronger."""
    return request.param(**TINY, **SMALL[request.param]).fit(three_people())


@pytest.fixture(scope="module")
def lstm() -> MotionLSTM:
    return MotionLSTM(**TINY).fit(three_people())


@pytest.fixture(scope="module")
def causal() -> MotionLSTM:
    return MotionLSTM(causal=True, look_ahead_s=0.13, **{**TINY, "n_layer": 2, "n_steps": 3}).fit(study())


def three_people() -> Study:
    return Study([*study("AB", 4), *[trial(50 + k, subject="C", gain=3.0) for k in range(4)]])


# -- networks --------------------------------------------------------------------------------------------------------


def test_a_network_learns_a_movement_and_says_the_same_once_saved(fitted: MotionNetwork, tmp_path: Path) -> None:
    new = trial(70)
    wanted, found = fitted.measured(new).values, fitted.estimate(new)
    off = ((found.activation.values - wanted) ** 2).mean(axis=0) / wanted.var(axis=0)
    assert off.max() < 0.5
    assert float(found.lower.min()) >= 0.0
    assert (found.lower <= found.activation).all() and (found.activation <= found.upper).all()
    again = type(fitted).load(fitted.save(tmp_path / "kept"))
    assert again.estimate(new).dataset.identical(found.dataset)


@pytest.mark.parametrize("lost", ["typical_", "centre_", "own_part_"])
def test_a_model_that_another_version_saved_is_refused_by_a_sentence(
    lstm: MotionLSTM, lost: str, tmp_path: Path
) -> None:
    older = copy.copy(lstm)
    delattr(older, lost)
    with pytest.raises(FileError, match=f"another version of myodrive: it does not hold {lost}"):
        MotionLSTM.load(older.save(tmp_path / "kept"))


def test_a_saved_network_with_other_options_or_weights_is_refused_by_a_sentence(
    lstm: MotionLSTM, tmp_path: Path
) -> None:
    folder = lstm.save(tmp_path / "kept")
    told = (folder / "estimator.json").read_text(encoding="utf-8")
    refused = "kept: was saved by another version of myodrive: .*{}.* Learn the model anew"
    (folder / "estimator.json").write_text(told.replace('"n_embed"', '"n_told"'), encoding="utf-8")
    with pytest.raises(FileError, match=refused.format("n_told")):
        MotionLSTM.load(folder)
    (folder / "estimator.json").write_text(told.replace('"n_embed": 4', '"n_embed": 3'), encoding="utf-8")
    with pytest.raises(FileError, match=refused.format("embedding should be")):
        MotionLSTM.load(folder)


def test_what_is_learned_of_a_person_is_saved_and_changes_nobody_else(lstm: MotionLSTM, tmp_path: Path) -> None:
    new = Study([trial(90 + k, subject="Z", gain=2.0) for k in range(2)])
    started = lstm._copy()
    given = started._to_adapt_to(started._all_inputs(new), "Z", None)
    adapted = started._towards(given, 0.9)
    estimate = adapted.estimate(new[0])
    again = MotionLSTM.load(adapted.save(tmp_path / "kept"))
    assert again.estimate(new[0]).dataset.identical(estimate.dataset)
    np.testing.assert_array_equal(adapted.estimate(trial(1)).activation, lstm.estimate(trial(1)).activation)
    wanted = adapted.measured(new[0]).values
    before, after = (np.mean((e.activation.values - wanted) ** 2) for e in (lstm.estimate(new[0]), estimate))
    assert after < before


def test_in_a_movement_of_another_kind_a_known_person_has_the_interval_of_a_new_one(lstm: MotionLSTM) -> None:
    usual, other = trial(70), trial(70, pace=6.0)
    assert float(lstm.novelty(usual).max()) < 1 < float(lstm.novelty(other).min())
    careful = lstm._copy()
    careful.conformal_ = np.tile(2 * lstm.conformal_.max(axis=0), (2, 1))
    bold = lstm._copy()
    bold.conformal_ = np.stack([lstm.conformal_[0], careful.conformal_[1]])
    upper = {name: [model.estimate(r).upper.values for r in (usual, other)] for name, model in
             (("lstm", lstm), ("careful", careful), ("bold", bold))}  # fmt: skip
    np.testing.assert_array_equal(upper["bold"][0], upper["lstm"][0])
    np.testing.assert_array_equal(upper["bold"][1], upper["careful"][1])
    assert (upper["bold"][1] > upper["lstm"][1]).all()


def test_padding_changes_nothing(lstm: MotionLSTM) -> None:
    alone, longer = trial(3), trial(4, n=400)
    given = [lstm._inputs(lstm._with_inputs(r))[1][0][1] for r in (alone, longer)]
    together = lstm._of_fold(0, given)
    np.testing.assert_allclose(together[0], lstm._of_fold(0, given[:1])[0], atol=1e-5)


def test_no_network_looks_farther_than_it_says(fitted: MotionNetwork) -> None:
    whole = trial(3, n=300)
    changed = whole.with_signal("angles", whole["angles"].copy(deep=True))
    changed["angles"].values[200:] += 30.0
    one, other = (fitted.estimate(r).activation.values for r in (whole, changed))
    assert not np.allclose(one[200:], other[200:], atol=1e-6)
    reach = min(fitted.context().right + 0.13, 2.0)  # and half the window of the derivatives
    np.testing.assert_allclose(one[: 200 - round(reach * RATE)], other[: 200 - round(reach * RATE)], atol=1e-6)


def test_each_network_is_without_its_trials_and_its_people_and_every_trial_teaches_most() -> None:
    some = stretches(5, 4)
    folds = member_folds(some, 5)
    assert len(folds) == 5
    for fold, who in zip(folds, "ABCDE"):
        assert all(not t.any() for s, t in zip(some, fold.train) if s.subject == who)
        held = [s for s, t in zip(some, fold.test) if t.any()]
        assert {s.subject for s in held} > {who}  # and repetitions of others
        assert all((a ^ b).all() for a, b in zip(fold.train, fold.test))
    taught = np.array([[t.all() for t in fold.train] for fold in folds])
    assert taught.sum(axis=0).min() >= 3


def test_the_interval_is_wider_for_somebody_new(lstm: MotionLSTM) -> None:
    width = {}
    for who in ("A", "Z"):
        found = lstm.estimate(trial(1, subject=who))
        width[who] = float((found.upper - found.lower).mean())
    assert width["Z"] > 1.5 * width["A"]
    assert any("No EMG of Z" in note for note in lstm.estimate(trial(1, subject="Z")).notes)


def test_the_mean_of_several_networks_has_a_narrower_interval_than_one_of_them_by_what_they_differ(
    lstm: MotionLSTM,
) -> None:
    one, other = 0.1 * np.random.default_rng(0).standard_normal((2, 40_000, 2))  # errors of two networks
    said, scale = 1.0 + one, np.ones(one.shape)
    alone, two = lstm._copy(), lstm._copy()
    alone.config = two.config = lstm.config.model_copy(update={"interval_of": "measured"})
    both = Untaught(0 * one + 1.0, said, scale, (one - other) / 2)
    alone._calibrate(([both._replace(apart=0 * one)], [both]))
    two._calibrate(([both], [both]))
    covered = np.abs((one + other) / 2)
    assert np.quantile(covered, 0.9) == pytest.approx(two.conformal_[0].mean(), rel=0.1)
    assert np.quantile(np.abs(one), 0.9) == pytest.approx(alone.conformal_[0].mean(), rel=0.1)


# -- a new person ----------------------------------------------------------------------------------------------------


def test_somebody_new_is_the_mean_of_the_people_that_each_network_knows(lstm: MotionLSTM) -> None:
    assert [len(known) for known in lstm.knows_] == [2, 2, 2]
    for nets, knows in zip(lstm.networks_, lstm.knows_):
        known = [lstm.subjects_.index(who) for who in knows]
        for table in (nets[0].embedding, nets[0].log_gain):
            *people, nobody = np.asarray(table)
            np.testing.assert_allclose(nobody, np.mean([people[i] for i in known], axis=0), atol=1e-6)
    strong, *weak = (lstm.estimate(trial(70, subject=who)).activation.values.mean(axis=0) for who in "CAB")
    new = lstm.estimate(trial(70, subject="Z")).activation.values.mean(axis=0)
    assert (np.max(weak, axis=0) < new).all() and (new < strong).all()


def test_somebody_new_is_drawn_half_way_to_what_held_out_people_say(lstm: MotionLSTM) -> None:
    said = lstm.size_ * np.random.default_rng(0).uniform(0, 3, (50_000, lstm.size_.size))
    scale = np.ones(said.shape)
    drawn, plain = lstm._copy(), lstm._copy()
    untold = Untaught(said, said, scale, 0 * said)
    drawn._calibrate(([untold], [untold._replace(measured=0.4 * said)]))
    plain._calibrate(([untold], [untold]))
    np.testing.assert_allclose(drawn.typical_[0], 0.7, atol=0.02)
    np.testing.assert_allclose(plain.typical_, [np.ones_like(lstm.size_), np.zeros_like(lstm.size_)], atol=1e-9)
    recording = trial(70)
    for who, gain in ((recording.subject, 1.0), ("Z", 0.7)):
        one = recording.replace(subject=who)
        expected = gain * plain.estimate(one).activation.values
        np.testing.assert_allclose(drawn.estimate(one).activation.values, expected, atol=0.03 * expected.max())


def test_the_first_seconds_are_those_of_the_first_recordings() -> None:
    some = first_seconds_of_emg(Study([trial(1), trial(2), trial(3)]), 2.0)
    assert len(some) == 2
    assert [int(np.isfinite(r["emg"].values).all(axis=1).sum()) for r in some] == [150, 50]
    assert some[1]["emg"].attrs == trial(2)["emg"].attrs


def test_gain_and_offset_are_found_and_drawn_to_those_of_others_without_data() -> None:
    x = 0.2 + np.random.default_rng(0).random((4000, 2))
    y = 0.3 + 2.5 * x
    y[:, 1] = np.nan
    size = np.full(2, 0.3)
    found = Personal.fit(x, y, size, RATE, prior_s=0.0)
    np.testing.assert_allclose(found.gain, [2.5, 1.0], atol=1e-6)
    np.testing.assert_allclose(found.offset, [0.3, 0.0], atol=1e-6)
    drawn = Personal.fit(x[:20], 2.5 * x[:20], size, RATE)
    assert np.all((drawn.gain > 1.0) & (drawn.gain < 1.2))


def test_a_muscle_that_does_little_keeps_the_gain_of_others() -> None:
    random = np.random.default_rng(0)
    works, rests = random.random((3000, 1)), 0.05 * random.random((3000, 1))
    x = np.hstack([works, rests])
    found = Personal.fit(x, 2.0 * x, np.full(2, 0.3), RATE)
    assert found.gain[0] > 1.6 and found.gain[1] < 1.1


def test_adapting_finds_the_scale_of_a_new_person_and_leaves_alone_whom_nothing_helps() -> None:
    fitted = RidgeFIR(conditioning=MVC).fit(study("ABC", 4))
    strong = [trial(90 + k, subject="Z", gain=3.0) for k in range(21)]
    adapted = fitted.adapt(Study(strong[1:]), seconds=25.0)
    assert adapted.adapted_["Z"] > 0.5 and fitted.adapted_ == {}

    def off(model: MotionEstimator, recording: Recording) -> float:
        return float(((model.estimate(recording).activation - model.measured(recording)) ** 2).mean())

    assert off(adapted, strong[0]) < 0.4 * off(fitted, strong[0])
    alike = [trial(95 + k, subject="Y") for k in range(5)]
    assert off(fitted.adapt(Study(alike[:4])), alike[4]) < 1.05 * off(fitted, alike[4])


def test_relative_to_own_trials_the_scale_of_a_new_person_is_where_the_general_estimate_fits() -> None:
    fitted = RidgeFIR().fit(study("ABC", 4))
    quiet = Study([trial(90 + k, subject="Z", gain=0.2) for k in range(4)])
    (scale,) = (n.scale for s, n in fitted.adapt(quiet).normalisations_.items() if s == "Z")
    (known,) = (n.scale for s, n in fitted.normalisations_.items() if s == "A")
    np.testing.assert_allclose(np.array(scale) / known, 0.2, rtol=0.15)


def held_out(own: np.ndarray, n_time: int = 200) -> HeldOut:
    """Of a muscle that is at 1 all the time and a little off, and in general estimated as 0."""
    white = np.random.default_rng(0).standard_normal((n_time, 1))
    noise = sps.sosfiltfilt(sps.butter(4, 6.0, fs=RATE, output="sos"), white, axis=0)  # as of an envelope
    noise *= 0.1 / noise.std()
    zero, one = np.zeros((n_time, 1)), np.ones((n_time, 1))
    return HeldOut([1.0 + noise], [Estimate(zero, zero, zero + 0.2)], [Estimate(own * one, 0 * one, own * one + 0.2)])


@pytest.mark.parametrize(("own", "share"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.75), (-1.0, 0.0), (0.0, 0.0)])
def test_one_goes_as_far_from_the_general_estimate_as_held_out_data_say(own: float, share: float) -> None:
    assert held_out(np.array(own)).share(np.ones(1)) == pytest.approx(share, abs=0.02)


def test_after_adapting_the_interval_is_as_wide_as_held_out_errors_ask_for() -> None:
    found = held_out(np.array(1.0), 40000)
    (measured,) = found.width(1.0, 0.9, RATE, None)
    trust = 400 / 430  # s
    assert measured == pytest.approx((1.645 * 0.1 / 0.2) ** trust, rel=0.02)
    (activity,) = found.width(1.0, 0.9, RATE, 6.0)
    assert activity < 0.5 * measured


def test_the_interval_of_a_person_with_an_offset_reaches_as_far_down_as_up(lstm: MotionLSTM) -> None:
    moved, offset = lstm._copy(), 5.0
    moved.conformal_ = 20.0 * lstm.conformal_  # so wide that it ends at 0 for others
    moved._set_personal("A", Personal(np.ones(2), np.full(2, offset), np.ones(2)))
    found = moved.estimate(trial(70, subject="A")).dataset
    np.testing.assert_allclose(found.activation - found.lower, found.upper - found.activation, atol=1e-6)
    assert (found.lower < offset).any()  # below what the offset alone would leave


def test_blocks_hold_out_every_known_sample_once_and_leave_a_gap() -> None:
    some = stretches(1, 2, 400)
    folds = blocks_in_turn(some, 4)
    assert (sum(np.concatenate(f.test).astype(int) for f in folds) == 1).all()
    for fold in folds:
        train, test = (np.concatenate(x) for x in (fold.train, fold.test))
        assert not (train & test).any() and (~train & ~test).any()


def test_of_three_trials_each_is_held_out_whole() -> None:
    some = stretches(1, 3)
    folds = parts_in_turn(some)
    assert len(folds) == 3
    for k, fold in enumerate(folds):
        assert [t.all() for t in fold.test] == [i == k for i in range(3)]
        assert [t.all() for t in fold.train] == [i != k for i in range(3)]


def test_one_person_at_a_time_is_adapted_to() -> None:
    fitted = RidgeFIR(conditioning=MVC).fit(study())
    with pytest.raises(SignalError, match="adapted to one person, not to A, B"):
        fitted.adapt(study("AB"))


def test_maximum_contractions_give_the_unit_and_must_be_there_for_everybody() -> None:
    def in_volts(recording: Recording, times: float) -> Recording:
        emg = recording["emg"]
        return recording.with_signal("emg", (times * emg).assign_attrs({**emg.attrs, "units": "V"}))

    volts = Study([in_volts(r, 1e-3) for r in study("AB", 3)])
    steady = trial(0)["emg"].copy(data=np.full((150, 2), 2e-3)).assign_attrs({**volts[0]["emg"].attrs})
    most = {who: Recording({"emg": steady}, subject=who) for who in "AB"}
    fitted = RidgeFIR(conditioning=MVC).fit(volts, mvc=most)
    inside = slice(20, 130)
    found, wanted = fitted.measured(volts[0]).values[inside], volts[0]["emg"].values[inside] / 2e-3
    np.testing.assert_allclose(found, wanted, atol=0.02)
    with pytest.raises(OptionError, match="no maximum contraction of 'B'"):
        RidgeFIR(conditioning=MVC).fit(volts, mvc={"A": most["A"]})
    with pytest.raises(OptionError, match="amplitude is relative to q95"):
        RidgeFIR().fit(volts, mvc=most)
    with pytest.raises(OptionError, match="none is given"):
        RidgeFIR(conditioning=MVC).fit(volts)


# -- delay, novelty ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0, 8])
def test_the_lead_of_emg_before_movement_is_found(lag: int) -> None:
    values = np.cumsum(np.random.default_rng(0).normal(size=(2000, 1)), axis=0)
    smooth = np.convolve(values[:, 0], np.hanning(21) / 10, mode="same")[:, None]
    time = np.arange(2000) / RATE
    emg = np.roll(smooth, -lag, axis=0)
    one = Stretch(time, smooth, np.hstack([emg, np.full_like(emg, np.nan)]), "A", np.zeros(0))
    found = electromechanical_delay([one], RATE)
    assert found[0] == pytest.approx(lag / RATE, abs=0.004)
    assert np.isnan(found[1])


def test_twice_the_speed_is_novel_and_another_repetition_is_not() -> None:
    fitted = RidgeFIR(conditioning=MVC).fit(study("ABC", 5))
    usual = fitted.novelty(trial(77)).values
    fast = fitted.novelty(trial(77, pace=2.0)).values
    assert np.nanmedian(usual) < 1 < np.nanmedian(fast)
    assert any("outside of what was trained on" in note for note in fitted.estimate(trial(77, pace=2.0)).notes)


# -- causal ----------------------------------------------------------------------------------------------------------


def test_a_filter_that_sees_half_a_window_ahead_is_that_of_a_whole_recording() -> None:
    values = np.cumsum(np.random.default_rng(0).normal(size=(200, 1)), axis=0)
    signal = make_signal(values, ("time", "joint"), {"joint": ["elbow"]}, units="deg", rate_hz=RATE)
    taps, ahead = one_sided_taps(6.0, RATE, 1000, 2)
    found = causal_features(values, taps, ahead)
    expected = np.concatenate([differentiate(signal, order, 6.0).values for order in range(3)], axis=1)
    inside = slice(taps.shape[1], -taps.shape[1])
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("subject", ["A", "Z"])
def test_sample_by_sample_the_estimates_are_those_of_the_whole_recording(causal: MotionLSTM, subject: str) -> None:
    recording = trial(70, subject=subject)
    whole = causal.estimate(recording)
    stream = Stream(causal, subject)
    found = [stream.step(sample) for sample in recording["angles"].values]
    delay = round(stream.delay_s * RATE)
    assert 0 < stream.delay_s <= 0.13
    assert all(now is None for now in found[:delay])
    known = [now for now in found[delay:] if now is not None]
    assert len(known) == 150 - delay
    for name in ("mean", "lower", "upper"):
        expected = whole.dataset[{"mean": "activation"}.get(name, name)].values[: len(known)]
        np.testing.assert_allclose([getattr(now, name) for now in known], expected, atol=2e-5)


def test_a_causal_network_sees_no_more_of_the_future_than_it_says(causal: MotionLSTM) -> None:
    whole = trial(70)
    changed = whole.with_signal("angles", whole["angles"].copy(deep=True))
    changed["angles"].values[100:] += 30.0
    one, other = (causal.estimate(r).activation.values for r in (whole, changed))
    ahead = round(causal.context().right * RATE)
    np.testing.assert_allclose(one[: 100 - ahead], other[: 100 - ahead], atol=1e-6)
    assert not np.allclose(one[100 - ahead], other[100 - ahead], atol=1e-6)


def test_a_stream_refuses_what_it_cannot_follow(causal: MotionLSTM, lstm: MotionLSTM) -> None:
    with pytest.raises(OptionError, match="reads both ways"):
        Stream(lstm)
    with pytest.raises(SignalError, match="2 numbers \\(shoulder, elbow\\)"):
        Stream(causal).step(np.zeros(3))


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_movement_at_another_rate_is_refused() -> None:
    fitted = RidgeFIR(conditioning=MVC).fit(study())
    slow = trial(1)["angles"][::4]
    with pytest.raises(SignalError, match="sampled at 25 Hz, and that of the training at 100 Hz"):
        fitted.estimate(Recording({"angles": slow}))


def test_other_joints_and_other_units_are_refused() -> None:
    fitted = RidgeFIR(conditioning=MVC).fit(study())
    angles = trial(1)["angles"]
    with pytest.raises(SignalError, match=r"elbow.* are missing"):
        fitted.estimate(Recording({"angles": angles[:, :1]}))
    with pytest.raises(SignalError, match="'shoulder' is in 'mm', and that of the training in 'deg'"):
        fitted.estimate(Recording({"angles": angles.assign_attrs(units="mm")}))


def test_gaps_stay_gaps(lstm: MotionLSTM) -> None:
    broken = trial(1, n=300)
    broken["angles"].values[140:160] = np.nan
    found = lstm.estimate(broken).activation.values
    assert np.isnan(found[140:160]).all() and np.isfinite(found[:140]).all() and np.isfinite(found[160:]).all()


def test_heads_divide_units() -> None:
    with pytest.raises(OptionError, match="divisor of n_unit"):
        Transformer(n_unit=10, n_head=4)
