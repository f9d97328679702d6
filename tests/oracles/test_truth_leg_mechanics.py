"""The simulated leg against energy, against its own derivatives, and against OpenSim."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import myodrive as md
from myodrive.from_simulation.muscle_signals import muscle_problem
from myodrive.from_simulation.simulate import simulate
from myodrive.from_simulation.static_optimization import solve_static_optimization
from myodrive.truth import leg
from myodrive.truth.leg_movement import draw_trial
from myodrive.truth.leg_opensim import write_trials
from myodrive.truth.musculoskeletal import LEG, UNDISTORTED, simulate_trials

TIME = np.linspace(0.0, 1.5, 40)


def energy(motion: leg.Motion) -> np.ndarray:
    """Kinetic and potential, J, from the definition."""
    total = np.zeros(len(motion.angle))
    for k, segment in enumerate(leg.SEGMENTS):
        place, velocity, _ = motion.follow(k, segment.center)
        turning = motion.speed[:, : k + 1].sum(axis=1)
        total += 0.5 * segment.mass_kg * np.abs(velocity) ** 2 + 0.5 * segment.inertia * turning**2
        total += segment.mass_kg * leg.GRAVITY * place.imag
    return total


def test_the_power_of_joints_and_load_is_the_change_of_energy() -> None:
    trial, step = draw_trial("irregular", LEG.cadence_hz, LEG.load_n, np.random.default_rng(0)), 1e-5
    change = (energy(trial.motion(TIME + step)) - energy(trial.motion(TIME - step))) / (2 * step)
    motion = trial.motion(TIME)
    force, velocity = trial.load(motion), motion.follow(2, leg.BALL_OF_FOOT)[1]
    power = (leg.joint_torques(motion, force) * motion.speed).sum(axis=1) + (np.conj(force) * velocity).real
    assert np.abs(power - change).max() < 1e-4 * np.abs(change).max()


def test_moment_arms_are_minus_the_slopes_of_the_lengths() -> None:
    motion, step = draw_trial("cyclic", LEG.cadence_hz, LEG.load_n, np.random.default_rng(1)).motion(TIME), 1e-6
    _, arms = leg.muscle_geometry(motion)
    for j in range(len(leg.JOINTS)):
        turned = [
            leg.muscle_geometry(leg.Motion(motion.angle + sign * step * np.eye(3)[j], motion.speed, motion.speed))[0]
            for sign in (1, -1)
        ]
        assert np.abs(arms[:, j] + (turned[0] - turned[1]) / (2 * step)).max() < 1e-8


def test_speeds_and_accelerations_are_the_derivatives_of_the_angles() -> None:
    trial, step = draw_trial("irregular", LEG.cadence_hz, LEG.load_n, np.random.default_rng(2)), 1e-4
    before, now, after = (trial.motion(TIME + d) for d in (-step, 0.0, step))
    assert np.abs((after.angle - before.angle) / (2 * step) - now.speed).max() < 1e-5
    assert np.abs((after.speed - before.speed) / (2 * step) - now.acceleration).max() < 1e-4


def test_muscles_are_strongest_at_rest_and_make_nothing_at_their_largest_speed() -> None:
    hill, rest = leg.hill_muscles(), np.array([leg.REST_RAD])
    lengths, _ = leg.muscle_geometry(leg.Motion(rest, 0 * rest, 0 * rest))
    still, _ = hill.forces(lengths, 0 * lengths)
    assert still == pytest.approx(hill.max_isometric_force[None], rel=0.002)
    shortening, _ = hill.forces(lengths, -hill.optimal_fiber_length[None] * hill.max_speed)
    assert np.abs(shortening).max() < 1e-6 * still.max()


@pytest.mark.skipif(
    find_spec("opensim") is None, reason="the package opensim, of the extra of that name, is not installed"
)
def test_opensim_finds_the_same_moments_muscle_geometry_forces_and_activations_from_the_files(tmp_path: Path) -> None:
    study = simulate_trials(1000, 1, duration_s=2.0, setting=UNDISTORTED)
    (command,) = write_trials(study, tmp_path)
    assert command.endswith("--force-on foot_force=calcn_r --out trial01")
    # A cut-off far above the movement, so that the filter leaves it as it is.
    found = simulate(
        tmp_path / "leg.osim",
        tmp_path / "trial01.trc",
        tmp_path / "trial01.mot",
        force_on={"foot_force": "calcn_r"},
        cutoff_hz=40.0,
        accuracy=1e-8,
        start_s=0.8,
        end_s=1.1,
    )
    known = {name: s.sel(time=found["moments"].time, method="nearest") for name, s in study[0].signals.items()}
    for name, tolerance in {"angles": 0.02, "moments": 0.3, "moment_arms": 1e-5, "active_force": 10.0}.items():
        dims = [d for d in ("joint", "muscle") if d in known[name].dims]
        same = found[name].sel({d: known[name][d] for d in dims})
        assert np.abs(same.values - known[name].values).max() < tolerance, name
    activations = solve_static_optimization(muscle_problem(found)).activations
    assert np.abs(activations.values - known["simulated"].values).max() < 0.003


def test_the_study_beside_the_files_joins_what_was_simulated_with_the_emg(tmp_path: Path) -> None:
    study = simulate_trials(1000, 2, duration_s=2.0)
    write_trials(study, tmp_path)
    for k, recording in enumerate(study, 1):
        (tmp_path / f"trial{k:02d}").mkdir()
        done = recording.replace(signals={"simulated": recording["simulated"]}, repetition="")
        md.write(done, tmp_path / f"trial{k:02d}" / "simulated.nc")
    joined = md.read_study(tmp_path / "study.toml")
    for one, recording in zip(joined, study):
        assert (one.subject, one.movement, one.repetition) == ("simulated 1000", "cyclic", recording.repetition)
        for name in ("simulated", "emg", "activation"):
            assert np.array_equal(one[name].values, recording[name].values)
