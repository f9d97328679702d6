"""What the simulated leg promises: known distortions, and nothing else, between static optimisation and the truth."""

from __future__ import annotations

import dataclasses
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from myodrive.errors import MissingExtraError, OptionError, SignalError
from myodrive.from_simulation import mujoco_model
from myodrive.from_simulation.mujoco_simulate import simulate_with_mujoco
from myodrive.from_simulation.muscle_signals import muscle_problem
from myodrive.from_simulation.static_optimization import solve_static_optimization
from myodrive.recording import Recording
from myodrive.truth import leg, leg_mujoco
from myodrive.truth.leg_movement import draw_trial
from myodrive.truth.leg_opensim import write_trials
from myodrive.truth.musculoskeletal import LEG, UNDISTORTED, LegSetting, simulate_trials

myo_sim = pytest.mark.skipif(
    find_spec("mujoco") is None or find_spec("myo_sim") is None,
    reason="the packages mujoco and myo-sim, of the extra mujoco, are not installed",
)
EACH_BODY = pytest.mark.parametrize("body", ["leg", pytest.param("myo-sim", marks=myo_sim)])


def one(setting: LegSetting, seed: int = 1000, body: str = "leg") -> Recording:
    return simulate_trials(seed, 1, duration_s=4.0, setting=setting, body=body)[0]


def test_the_same_seed_gives_the_same_bits_and_more_trials_leave_the_first_as_they_are() -> None:
    few, many = simulate_trials(1000, 1, duration_s=2.0), simulate_trials(1000, 2, duration_s=2.0)
    for name, signal in few[0].signals.items():
        assert np.array_equal(signal.values, many[0][name].values), name
    other = simulate_trials(1001, 1, duration_s=2.0)
    assert not np.array_equal(few[0]["simulated"].values, other[0]["simulated"].values)


@EACH_BODY
def test_without_any_distortion_the_simulated_activity_is_the_truth(body: str) -> None:
    recording = one(UNDISTORTED, body=body)
    assert np.array_equal(recording["simulated"].values, recording["activation"].values)
    assert np.array_equal(recording["emg"].values, 5e-4 * recording["activation"].values)


@EACH_BODY
def test_simulated_is_static_optimisation_of_the_moments_in_the_recording(body: str) -> None:
    recording = one(LEG, body=body)
    again = solve_static_optimization(muscle_problem(recording)).activations
    assert np.abs(again.values - recording["simulated"].values).max() < 1e-6


def test_moments_of_a_laboratory_do_not_stand_for_those_of_the_simulation() -> None:
    recording = one(LEG)
    moments = recording["moments"]
    renamed = moments.assign_coords(joint=[f"{j}Moment_x" for j in moments.joint.values])
    alone = recording.with_signal("moments", renamed)
    found = muscle_problem(alone.with_signal("moments_2", moments))
    np.testing.assert_array_equal(found.torques, muscle_problem(recording).torques)
    with pytest.raises(SignalError, match=f"no moments of .*{moments.joint.values[0]}"):
        muscle_problem(alone)


def test_the_truth_comes_before_the_simulation_by_the_delay_that_the_recording_states() -> None:
    recording = one(UNDISTORTED.model_copy(update={"delay_s": (0.14, 0.02)}))
    delay_s = recording.info["truth"]["delay_s"]
    time, truth = recording["simulated"].time.values, recording["activation"].values
    lags_s = np.arange(0.0, 0.2, 0.001)
    inner = (time > 0.2) & (time < time[-1] - 0.2)
    for muscle in range(truth.shape[1]):
        later = [np.interp(time[inner] + lag, time, recording["simulated"].values[:, muscle]) for lag in lags_s]
        match = [np.corrcoef(x, truth[inner, muscle])[0, 1] for x in later]
        assert lags_s[np.argmax(match)] == pytest.approx(delay_s, abs=0.002)


def test_the_delay_shortens_with_speed_and_cocontraction_grows_with_speed_and_load() -> None:
    said = [r.info["truth"] for r in simulate_trials(1000, 6, duration_s=2.0)]
    cadence, load = (np.array([s[k] for s in said]) for k in ("cadence_hz", "load_n"))
    delay, share = (np.array([s[k] for s in said]) for k in ("delay_s", "cocontraction"))
    assert np.all(np.diff(delay[np.argsort(cadence)]) < 0)
    effort = np.c_[cadence, load, np.ones(6)]
    weights, rest, *_ = np.linalg.lstsq(effort, share, rcond=None)
    assert rest < 1e-20 and np.all(weights[:2] > 0)


@EACH_BODY
def test_cocontraction_adds_activity_and_leaves_the_moments_of_the_joints(body: str) -> None:
    setting = UNDISTORTED.model_copy(update={"cocontraction": (0.5, 0.5)})
    recording = one(setting, body=body)
    problem = muscle_problem(recording)
    made = problem.torques_of(recording["activation"].values)
    peak = np.abs(problem.torques).max(axis=0)
    assert np.all(np.abs(made - problem.torques).max(axis=0) < 0.02 * peak)
    assert recording["activation"].values.mean() > 1.15 * recording["simulated"].values.mean()


def test_gain_and_crosstalk_are_the_same_in_all_trials_of_a_person() -> None:
    setting = UNDISTORTED.model_copy(update={"gain": (0.4, 1.0), "crosstalk": 0.2})
    first, second = simulate_trials(1000, 2, duration_s=2.0, setting=setting)
    mixing = np.linalg.lstsq(first["simulated"].values, first["activation"].values, rcond=None)[0]
    assert np.abs(second["simulated"].values @ mixing - second["activation"].values).max() < 1e-9
    gain = np.diag(mixing)
    assert gain == pytest.approx(first.info["truth"]["gain"], abs=1e-9)
    assert mixing[0, 1] == pytest.approx(0.2 * gain[0], abs=1e-9)


def test_raw_emg_shows_the_same_activity_as_the_envelope() -> None:
    raw = simulate_trials(1000, 1, duration_s=4.0, emg="raw")[0]
    envelope = simulate_trials(1000, 1, duration_s=4.0)[0]
    assert np.array_equal(raw["activation"].values, envelope["activation"].values)
    assert raw["emg"].attrs["stage"] == "raw" and raw["emg"].sizes["time"] == 8000
    smooth = np.sqrt((raw["emg"].values.reshape(40, 200, -1) ** 2).mean(axis=1))
    level = raw["activation"].values.reshape(40, 10, -1).mean(axis=1)
    shown = level.max(axis=0) > 0.1  # below .02 no motor unit is recruited
    assert shown.sum() >= 3
    for muscle in np.flatnonzero(shown):
        assert np.corrcoef(smooth[:, muscle], level[:, muscle])[0, 1] > 0.9


@pytest.mark.parametrize(
    "wrong", [{"n_trial": 0}, {"duration_s": 1.0}, {"movement": "dance"}, {"emg": "sound"}, {"body": "tail"}]
)
def test_what_cannot_be_simulated_is_refused_with_what_can(wrong: dict) -> None:
    with pytest.raises(OptionError, match="At least one trial"):
        simulate_trials(1000, **wrong)


def test_a_cycle_starts_where_the_hip_flexes_through_its_mean() -> None:
    trial = draw_trial("cyclic", LEG.cadence_hz, LEG.load_n, np.random.default_rng(3))
    main = dataclasses.replace(trial, sizes=trial.sizes * [[1], [0], [0]])
    starts = trial.cycle_starts(10.0)
    motion = main.motion(starts)
    assert len(starts) >= int(10 * trial.cadence_hz) and starts[0] >= 0 and starts[-1] < 10
    assert motion.angle[:, 0] == pytest.approx(leg.REST_RAD[0]) and np.all(motion.speed[:, 0] > 0)


def test_the_leg_is_frozen() -> None:
    recording = simulate_trials(1000, 1, duration_s=2.0)[0]
    known = {"simulated": 0.03487892489, "emg": 1.638855782e-05, "activation": 0.03287013921, "moments": 1.581386035}
    for name, mean in known.items():
        assert float(recording[name].mean()) == pytest.approx(mean, rel=1e-6), name


@myo_sim
def test_the_muscles_of_myo_sim_are_those_that_the_angles_and_moments_of_the_recording_give() -> None:
    recording = one(UNDISTORTED, body="myo-sim")
    problem = muscle_problem(simulate_with_mujoco(recording, "legs", height_m=leg_mujoco.HEIGHT_M))
    chosen = [problem.muscles.index(m) for m in map(str, recording["simulated"].muscle.values)]
    inner = slice(50, -50)  # where the filter of the angles is not at its end
    arms, force = problem.moment_arms[inner][..., chosen], problem.active_force[inner, chosen]
    assert np.abs(arms - recording["moment_arms"].values[inner]).max() < 1e-4
    assert np.abs(force / recording["active_force"].values[inner] - 1).max() < 0.01
    assert problem.torques == pytest.approx(recording["moments"].values)
    assert not set(problem.untrusted) & set(leg_mujoco.MyoSimTrial.muscles)


@myo_sim
def test_trials_with_the_muscles_of_myo_sim_are_not_written_for_opensim(tmp_path: Path) -> None:
    study = simulate_trials(1000, 1, duration_s=2.0, setting=UNDISTORTED, body="myo-sim")
    with pytest.raises(SignalError, match=r"no markers.*body='leg'"):
        write_trials(study, tmp_path / "leg")
    assert not (tmp_path / "leg").exists()


def test_without_the_extra_the_muscles_of_myo_sim_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for cached in (mujoco_model._compile, leg_mujoco._legs):
        cached.cache_clear()
    for package in ("mujoco", "myo_sim"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'myodrive\[mujoco\]'"):
        simulate_trials(1000, 1, body="myo-sim")
