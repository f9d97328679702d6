"""What the arm scenario promises: known activity behind movements of the arm, the same for the same seed."""

from __future__ import annotations

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from myodrive.errors import FileError, OptionError
from myodrive.recording import Recording, Study

pytestmark = pytest.mark.skipif(
    find_spec("mujoco") is None or find_spec("myo_sim") is None,
    reason="the packages mujoco and myo-sim, of the extra mujoco, are not installed",
)
from myodrive.from_simulation import static_optimization  # noqa: E402
from myodrive.truth import arm, arm_activity, arm_body, arm_emg, arm_movements  # noqa: E402
from myodrive.truth.arm import simulate_arm  # noqa: E402
from myodrive.truth.arm_emg import MEASURED  # noqa: E402
from myodrive.truth.arm_people import ARM, ArmSetting, draw_person  # noqa: E402

FEW = ("shoulder abduction", "elbow flexion")
ALONE = ARM.model_copy(
    update={"cocontraction": (0.0, 0.0), "tone": (0.0, 0.0), "delay_s": (0.0, 0.0), "rise_s": 1e-3, "load_spread": 0.0}
)


def one(movement: str, setting: ArmSetting = ARM, **options: object) -> Recording:
    options = {"n_known": 1, "n_new": 0, "n_repetition": 1, "emg": "none", **options}
    return simulate_arm(1000, movements=[movement], setting=setting, **options)[0]  # type: ignore[arg-type]


@functools.cache
def of_all_movements() -> dict[str, np.ndarray]:
    """The largest activity of each measured muscle, relative to its largest in any movement: mean over three people."""
    study = simulate_arm(1000, n_known=3, n_new=0, n_repetition=1, emg="none")
    peaks = {m.name: np.mean([r["activation"].values.max(axis=0) for r in study.where(movement=m.name)], axis=0)
             for m in arm_movements.MOVEMENTS}  # fmt: skip
    largest = np.max([*peaks.values()], axis=0)
    return {name: peak / largest for name, peak in peaks.items()}


def same(a: Recording, b: Recording) -> bool:
    return all(np.array_equal(a[name].values, b[name].values) for name in a.signals)


def test_the_same_seed_gives_the_same_bits_whatever_else_is_asked_for() -> None:
    few = simulate_arm(1000, n_known=1, n_new=1, n_repetition=1, n_repetition_new=1, movements=FEW)
    more = simulate_arm(1000, n_known=2, n_new=1, n_repetition=2, n_repetition_new=1, movements=FEW)
    assert [r.label for r in more][:2] == [r.label for r in few][:2]
    for recording in few:
        (again,) = more.where(subject=recording.subject, movement=recording.movement, repetition=recording.repetition)
        assert same(recording, again) and recording.info == again.info
    other = simulate_arm(1001, n_known=1, n_new=0, n_repetition=1, movements=FEW)
    assert not same(few[0], other[0])


def test_the_scenario_is_frozen() -> None:
    """Published scores are of this version: whoever changes it gives it another `VERSION`, and measures docs/arm.md anew."""
    movements = [
        (m.name, m.kind, [np.round(s, 6).tolist() for s in m.strokes], m.stroke_s, m.load_kg, m.resistance_n)
        for m in arm_movements.MOVEMENTS
    ]
    spreads = [arm_movements.OF_HABIT.tolist(), arm_movements.OF_TRIAL.tolist()]
    frozen = repr((arm.VERSION, ARM.model_dump_json(), movements, spreads, arm_body.PATHS))
    assert hashlib.sha256(frozen.encode()).hexdigest()[:16] == "8375b8e9b0493bd9"


def test_a_recording_says_who_did_what_in_which_units() -> None:
    recording = one("drinking", emg="envelope")
    assert (recording.subject, recording.movement, recording.repetition) == ("known 1", "drinking", "1")
    units = {name: signal.attrs["units"] for name, signal in recording.signals.items()}
    assert units == {"angles": "deg", "markers": "mm", "activation": "1", "emg": "1"}
    assert recording["emg"].attrs["stage"] == "envelope"
    assert list(recording["emg"].muscle.values) == list(MEASURED)
    assert list(recording["emg"].coords["name"].values[:2]) == ["anterior deltoid", "middle deltoid"]
    assert all(np.array_equal(s.time.values, recording["angles"].time.values) for s in recording.signals.values())
    truth = recording.info["truth"]
    assert 0.1 <= truth["load_kg"] <= 0.6 and 0.03 <= truth["delay_s"] <= 0.08


def test_markers_are_the_persons_arm_at_these_angles() -> None:
    recording, body = one("elbow flexion"), one("elbow flexion").info["body"]
    markers = recording["markers"] / 1e3
    upper = markers.sel(marker="elbow") - markers.sel(marker="shoulder")
    fore = markers.sel(marker="wrist") - markers.sel(marker="elbow")
    for part, name in ((upper, "upper_arm_m"), (fore, "forearm_m")):
        assert np.linalg.norm(part.values, axis=1) == pytest.approx(body[name], rel=0.02)
    cosine = np.sum(upper.values * fore.values, axis=1) / (body["upper_arm_m"] * body["forearm_m"])
    elbow = recording["angles"].sel(joint="elbow_flexion").values
    assert np.corrcoef(np.degrees(np.arccos(np.clip(cosine, -1, 1))), elbow)[0, 1] > 0.99
    assert upper.sel(axis="y").values.max() < -0.2  # y is up, and the upper arm hangs


def test_every_movement_rests_at_both_ends_and_lasts_seconds() -> None:
    study = simulate_arm(1000, n_known=1, n_new=0, n_repetition=1, emg="none")
    assert [r.movement for r in study] == [m.name for m in arm_movements.MOVEMENTS]
    kinds = [r.info["truth"]["kind"] for r in study]
    assert (kinds.count("single-joint"), kinds.count("multi-joint")) == (11, 12)
    for recording in study:
        angles = recording["angles"].values
        assert 1.5 < recording.duration_s < 6.5
        assert np.ptp(angles[:20], axis=0).max() < 0.01 and np.ptp(angles[-20:], axis=0).max() < 0.01
        assert np.abs(np.diff(angles, 3, axis=0)).max() < 0.5, recording.movement
        activation = recording["activation"].values
        assert activation.min() >= 0 and activation.max() <= 1


@pytest.mark.parametrize(
    ("muscle", "movements"),
    [
        ("R DELT ANT", ["shoulder flexion", "reaching across"]),
        ("R DELT MED", ["shoulder abduction"]),
        ("R DELT POST", ["shoulder extension", "shoulder horizontal abduction"]),
        ("R PEC MAJ", ["shoulder horizontal abduction", "reaching across", "throwing"]),
        ("R BIC", ["elbow flexion", "shoulder flexion"]),
        ("R BRD", ["elbow flexion, forearm pronated"]),
        ("R TRI LAT", ["combing", "pushing"]),
        ("R INFRA", ["shoulder external rotation", "reaching overhead"]),
    ],
)
def test_muscles_work_where_they_should(muscle: str, movements: list[str]) -> None:
    place = list(MEASURED).index(muscle)
    idle = np.mean([of_all_movements()[m][place] for m in ("wrist deviation", "wrist flexion-extension")])
    for movement in movements:
        assert of_all_movements()[movement][place] > idle + 0.1, movement


def test_the_biceps_gives_way_to_the_brachioradialis_in_pronation() -> None:
    supine, prone = (one(m)["activation"].max("time") for m in ("elbow flexion", "elbow flexion, forearm pronated"))
    ratio = [float(x.sel(muscle="R BRD") / x.sel(muscle="R BIC")) for x in (supine, prone)]
    assert ratio[1] > ratio[0]


def test_muscles_make_the_moments_that_the_movement_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    solved = []

    def keep(problem: object, **options: object) -> object:
        solved.append(static_optimization.solve_static_optimization(problem, **options))  # type: ignore[arg-type]
        return solved[-1]

    monkeypatch.setattr(arm_activity, "solve_static_optimization", keep)
    simulate_arm(1000, n_known=1, n_new=0, n_repetition=1, movements=FEW, emg="none")
    assert len(solved) == 2  # one call for all trials, and one with the co-contraction
    for result in solved:
        assert result.converged.all()
        assert np.abs(result.residual_torque).max() < 1e-6
        assert np.abs(result.reserves).max() < 0.03 * np.abs(result.problem.torques).max()


def test_a_load_in_the_hand_does_its_work() -> None:
    """The moments for a force on the hand make the power that the moving hand takes."""
    recording = one("lifting a box onto a shelf")
    body = recording.info["body"]
    model = arm_body.load_arm(body["mass_kg"], body["height_m"])
    time = recording["angles"].time.values
    motion = arm_movements.draw_motion(
        next(m for m in arm_movements.MOVEMENTS if m.name == recording.movement),
        arm_movements.draw_habit(np.random.default_rng(0)), 1.0, 1.0, np.random.default_rng(1),
    )  # fmt: skip
    value, speed, acceleration = (motion(time, k) for k in range(3))
    value[:, 5:], speed[:, 5:], acceleration[:, 5:] = 0, 0, 0  # the wrist takes part in no balance
    geometry = arm_body.study_motion(model, value, speed, acceleration)
    force = np.tile([1.0, -2.0, 0.5], (time.size, 1))
    power = np.sum(arm_body.load_moments(geometry, force) * speed[:, :5], axis=1)
    hand = np.gradient(geometry.markers[:, list(arm_body.MARKERS).index("hand")], time, axis=0)
    assert power[5:-5] == pytest.approx(-np.sum(force * hand, axis=1)[5:-5], abs=0.02)


def test_activity_leads_the_movement_by_the_delay() -> None:
    update = {"delay_s": (0.06, 0.06)}
    early, prompt = (one("shoulder abduction", ALONE.model_copy(update=u))["activation"].values for u in (update, {}))
    assert np.abs(early[:-6] - prompt[6:]).max() < 1e-6


def test_cocontraction_is_added_and_grows_with_speed() -> None:
    without = one("reaching forward", ALONE.model_copy(update={"strength_spread": 0.0}))["activation"]
    more = {"strength_spread": 0.0, "cocontraction": (0.3, 0.3)}
    share = ALONE.model_copy(update=more)
    slow, fast = (one("reaching forward", share.model_copy(update={"with_speed": w}))["activation"] for w in (0, 2))
    assert float((slow - without).sel(muscle="R TRI LAT").mean()) > 0
    assert float(fast.sum()) > float(slow.sum()) > float(without.sum())


def test_the_load_changes_the_activity_and_no_signal_but_emg() -> None:
    with_load, without = one("reaching forward"), one("reaching forward", ARM.model_copy(update={"load_spread": 0.0}))
    assert with_load.info["truth"]["load_kg"] != without.info["truth"]["load_kg"] == 0.5
    assert np.array_equal(with_load["angles"].values, without["angles"].values)
    assert np.array_equal(with_load["markers"].values, without["markers"].values)
    assert not np.array_equal(with_load["activation"].values, without["activation"].values)


def test_speed_shortens_and_reach_widens_the_same_trial() -> None:
    usual, fast, wide = one("elbow flexion"), one("elbow flexion", speed=2.0), one("elbow flexion", reach=0.5)
    assert fast.duration_s < 0.7 * usual.duration_s
    elbow = [float(np.ptp(r["angles"].sel(joint="elbow_flexion").values)) for r in (usual, fast, wide)]
    assert elbow[1] == pytest.approx(elbow[0], rel=1e-3)
    assert elbow[2] == pytest.approx(elbow[0] / 2, rel=0.35)


def test_emg_follows_the_activity_as_a_share_of_the_maximum() -> None:
    recording = one("shoulder abduction", emg="envelope")
    emg, activation = (recording[name].sel(muscle="R DELT MED").values for name in ("emg", "activation"))
    assert np.corrcoef(emg, activation)[0, 1] > 0.9
    assert 0.5 < emg.max() / activation.max() < 2
    raw = one("shoulder abduction", emg="raw")["emg"]
    assert raw.attrs["units"] == "V" and raw.attrs["stage"] == "raw"
    person = draw_person(1000, 0, True)
    assert person.electrodes is not None
    shares = arm_emg.emg_envelope(raw.values)[: emg.size] / person.electrodes.maximum
    assert shares[:, 1] == pytest.approx(emg, abs=1e-4)


def test_what_was_simulated_is_read_from_the_cache(tmp_path: Path) -> None:
    def ask(repetitions: int) -> Study:
        return simulate_arm(1000, n_known=1, n_new=0, n_repetition=repetitions, movements=FEW, cache=tmp_path)

    made, read = ask(1), ask(1)
    assert len(list(tmp_path.iterdir())) == 1
    for a, b in zip(made, read, strict=True):
        assert a.info == b.info and a.label == b.label and list(a.signals) == list(b.signals)
        for name in a.signals:
            assert a[name].identical(b[name]), name
    assert len(ask(2)) == 4 and len(list(tmp_path.iterdir())) == 2
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(FileError, match="damaged"):
        ask(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"movements": ["swimming"]}, "no movement 'swimming'"),
        ({"movements": []}, "no movement is asked for"),
        ({"n_known": 0, "n_new": 0}, "cannot be simulated"),
        ({"n_repetition": 0}, "cannot be simulated"),
        ({"speed": 0.0}, "must lie between"),
        ({"reach": float("nan")}, "must lie between"),
        ({"emg": "rectified"}, "'rectified'"),
    ],
)
def test_wrong_options_are_refused_with_a_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        simulate_arm(1000, **options)  # type: ignore[arg-type]
