"""Simulation of an arm whose motion is known: against Lagrange's equations, geometry by hand, and its own derivatives."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import myodrive as md
import tiny_arm as arm
from myodrive.errors import SignalError
from myodrive.from_simulation.model_muscles import fit_model_muscles
from myodrive.from_simulation.muscle_signals import muscle_joints
from myodrive.from_simulation.results import tell
from myodrive.io.opensim_tables import write_storage
from myodrive.recording import Recording

pytestmark = pytest.mark.skipif(
    find_spec("opensim") is None, reason="the package opensim, of the extra of that name, is not installed"
)
STRETCH = {"start_s": 0.4, "end_s": 0.6}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, a TRC file of its movement, and a force on its hand."""
    return arm.write_all(tmp_path_factory.mktemp("arm"))


@pytest.fixture(scope="session")
def alone(folder: Path) -> Recording:
    """The arm that moves freely."""
    return md.simulate(folder / "arm.osim", folder / "moving.trc", **STRETCH)


def test_the_joints_follow_the_motion_that_moved_the_markers(alone: Recording) -> None:
    angles = alone["angles_unfiltered"].sel(joint=["shoulder", "elbow"])
    assert np.abs(np.radians(angles.values) - arm.motion(angles.time.values)).max() < 1e-4
    assert float(alone["marker_errors"].max()) < 1e-4


def test_moments_are_those_of_the_equations_of_motion(alone: Recording) -> None:
    moments = alone["moments"].sel(joint=["shoulder", "elbow"])
    true = arm.moments(moments.time.values)
    assert np.abs(moments.values - true).max() < 0.01 * np.ptp(true)


def test_a_force_on_the_hand_adds_its_lever(folder: Path, alone: Recording) -> None:
    pushed = md.simulate(
        folder / "arm.osim",
        folder / "moving.trc",
        folder / "force.mot",
        force_on={"hand_force": "fore"},
        static_optimization="none",
        **STRETCH,
    )
    difference = (pushed["moments"] - alone["moments"]).sel(joint=["shoulder", "elbow"])
    t = difference.time.values
    elbow = arm.place(arm.motion(t), "upper", (0.0, -arm.LENGTH_M[0], 0.0))
    levers = [arm.hand(t), arm.hand(t) - elbow]
    true = np.column_stack([-np.cross(lever, arm.HAND_FORCE_N)[:, 2] for lever in levers])
    np.testing.assert_allclose(difference.values, true, atol=1e-3)
    assert "simulated" not in pushed


def test_moment_arms_are_the_slopes_of_muscle_length(alone: Recording) -> None:
    """A muscle shortens by its moment arm for each radian, and faster with more speed."""
    joints, step = ["shoulder", "elbow"], 1e-4
    t = alone["moment_arms"].time.values
    speed = (arm.motion(t + step) - arm.motion(t - step)) / (2 * step)
    arms = alone["moment_arms"].sel(joint=joints).values
    velocity = -(speed[:, :, None] * arms).sum(axis=1)
    np.testing.assert_allclose(alone["muscle_velocities"].values, velocity, atol=1e-3)
    assert muscle_joints(alone["moment_arms"]) == joints


def test_one_muscle_length_is_the_distance_of_its_points(alone: Recording) -> None:
    t = alone["muscle_lengths"].time.values
    insertion = arm.place(arm.motion(t), "upper", (0.03, -0.12, 0.0))
    length = np.linalg.norm(insertion - [0.05, 0.03, 0.0], axis=1)
    np.testing.assert_allclose(alone["muscle_lengths"].sel(muscle="deltoid").values, length, atol=1e-4)


def test_the_simulated_activity_makes_the_moments(alone: Recording) -> None:
    forces = alone["simulated"] * alone["active_force"]
    made = (alone["moment_arms"] * forces).sum("muscle") + alone["reserves"]
    np.testing.assert_allclose(made.values, alone["moments"].sel(joint=made.joint).values, atol=0.02)
    assert float(alone["simulated"].min()) >= 0.01 and float(alone["simulated"].max()) <= 1


def test_our_static_optimisation_answers_as_opensims_own_tool(folder: Path, alone: Recording) -> None:
    theirs = md.simulate(folder / "arm.osim", folder / "moving.trc", static_optimization="opensim", **STRETCH)
    assert theirs["simulated"].dims == alone["simulated"].dims
    # The tool stops at a tolerance of 1e-4, which leaves activations that cost next to nothing unsettled.
    np.testing.assert_allclose(alone["simulated"].values, theirs["simulated"].values, atol=3e-3)
    np.testing.assert_allclose(alone["reserves"].values, theirs["reserves"].values, atol=1e-3)
    np.testing.assert_allclose(alone["muscle_forces"].values, theirs["muscle_forces"].values, atol=1.5)


def test_from_its_own_angles_a_simulation_comes_out_the_same(folder: Path, alone: Recording, tmp_path: Path) -> None:
    angles = md.simulate(folder / "arm.osim", folder / "moving.trc", static_optimization="none")["angles_unfiltered"]
    table = write_storage(angles.rename("Coordinates"), tmp_path / "ik.mot")
    again = md.simulate(folder / "arm.osim", angles=table, **STRETCH)
    np.testing.assert_allclose(again["moments"].values, alone["moments"].values, atol=5e-3)
    np.testing.assert_allclose(again["simulated"].values, alone["simulated"].values, atol=1e-3)
    assert "markers" not in again and not again.info["simulation"]["markers"]
    assert "no markers were followed" in tell(again)[0]


def test_muscles_fitted_once_stand_in_for_opensims_geometry(folder: Path, alone: Recording) -> None:
    muscles = fit_model_muscles(folder / "arm.osim", {"elbow": (0.3, 1.5), "shoulder": (0.0, 0.8)}, poses=300)
    exact = md.muscle_problem(alone)
    joints, step = muscles.paths.coordinates, 1e-4
    assert joints == exact.coordinates == ("shoulder", "elbow")
    speeds = (arm.motion(exact.time + step) - arm.motion(exact.time - step)) / (2 * step)
    fitted = muscles.problem(exact.time, arm.motion(exact.time), speeds, exact.torques)
    np.testing.assert_allclose(fitted.moment_arms, exact.moment_arms, atol=2e-4)
    np.testing.assert_allclose(fitted.active_force, exact.active_force, atol=2.0)
    solved = md.solve_static_optimization(fitted, bounds=(0.01, 1.0)).activations.values
    np.testing.assert_allclose(solved, alone["simulated"].values, atol=0.015)  # a share of .1 mm decides


def test_a_coordinate_that_the_model_lacks_is_named(folder: Path) -> None:
    with pytest.raises(SignalError, match=r"knee cannot be moved in this model\. It moves in shoulder, elbow"):
        fit_model_muscles(folder / "arm.osim", {"elbow": (0.3, 1.5), "knee": (0.0, 1.0)})


def test_the_muscle_problem_holds_the_same_numbers(alone: Recording, tmp_path: Path) -> None:
    problem = md.muscle_problem(md.read(md.write(alone, tmp_path / "arm.nc")))
    assert problem.muscles == ("deltoid", "teres", "brachialis", "triceps", "biceps")
    np.testing.assert_array_equal(problem.torques, alone["moments"].sel(joint=list(problem.coordinates)).values)
    np.testing.assert_array_equal(problem.moment_arms, alone["moment_arms"].values)


def test_scaling_finds_the_size_and_puts_the_markers_in_place(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[own]\nlengths = {upper = [["A1", "A2"]], fore = [["F1", "F2"]]}\n', encoding="utf-8")
    larger = md.simulate(
        folder / "arm.osim",
        arm.markers(size=1.2),
        static=arm.markers(size=1.2, still=True),
        mass_kg=7.0,
        marker_map=own,
        static_optimization="none",
        **STRETCH,
    )
    said = larger.info["simulation"]["model"]
    assert said["scale_factors"] == pytest.approx({"upper": 1.2, "fore": 1.2}, rel=1e-6)
    assert said["mass_kg"] == pytest.approx(7.0)
    assert float(larger["marker_errors"].max()) < 1e-3
    # Twice the mass on a lever of 1.2: 2.4 times the weight's moment, and 2.88 times what is due to acceleration.
    ratio = larger["moments"].sel(joint="elbow").values / arm.moments(larger["moments"].time.values)[:, 1]
    assert ratio.min() > 2.3 and ratio.max() < 2.6


def test_nothing_is_left_in_the_working_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    md.simulate(folder / "arm.osim", folder / "moving.trc", start_s=0.4, end_s=0.55, static_optimization="none")
    assert [*tmp_path.iterdir()] == []
