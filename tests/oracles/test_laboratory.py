"""Force plates and frames of a laboratory, against forces and turns that were put in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from myodrive.errors import SignalError
from myodrive.from_simulation import laboratory
from myodrive.from_simulation.laboratory import UP, read_plates, turn_force, turn_forwards, turn_markers
from myodrive.from_simulation.marker_map import match_markers
from myodrive.from_simulation.opensim import Coordinate, Model
from myodrive.recording import Recording, make_signal

T = np.arange(0, 0.1, 0.001)
CORNERS = np.array([[400.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 600.0, 0.0], [400.0, 600.0, 0.0]])  # mm


def plate(
    force: np.ndarray, point: np.ndarray, twist: float, *, depth: float = 40.0, turned: bool = False
) -> Recording:
    """What a plate writes when it is pushed up at a point, its z axis down and its sensor below the surface (mm)."""
    corners = CORNERS[:, [1, 0, 2]] * [-1, 1, 1] if turned else CORNERS  # a quarter turn about the vertical
    x = corners[0] - corners[1]
    y = corners[0] - corners[3]
    axes = np.column_stack([v / np.linalg.norm(v) for v in (x, y, np.cross(x, y))])
    middle = corners.mean(axis=0) / 1000
    sensor = middle - np.array([0.0, 0.0, depth / 1000])
    moment = np.cross(point - sensor, force) + np.array([0.0, 0.0, twist])
    values = np.tile(np.r_[force @ axes, 1000 * (moment @ axes)], (T.size, 1))
    labels = [f"{kind}{a}1" for kind in ("Force.F", "Moment.M") for a in "xyz"]
    signal = make_signal(values, ("time", "channel"), {"channel": labels}, units="mixed", time=T)
    signal = signal.assign_coords(unit=("channel", ["N"] * 3 + ["Nmm"] * 3))
    about = {
        "TYPE": [2],
        "CORNERS": corners.T[:, :, None].tolist(),
        "ORIGIN": [[0.0], [0.0], [-depth]],
    }
    return Recording({"forces": signal}, info={"FORCE_PLATFORM": about})


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_plate_gives_back_force_point_and_twist(turned: bool, sign: float) -> None:
    force, point = np.array([30.0, -20.0, 500.0]), np.array([0.1, 0.25, 0.0])
    point = point[[1, 0, 2]] * [-1, 1, 1] if turned else point
    recording = plate(force, point, 3.0, turned=turned)
    recording["forces"].values[:] *= sign  # what the ground does to the foot, or the foot to the plate
    (found,) = read_plates(recording)
    np.testing.assert_allclose(found.force[5], force, atol=1e-9)
    np.testing.assert_allclose(found.point[5], point, atol=1e-9)
    np.testing.assert_allclose(found.torque[5], [0, 0, 3.0], atol=1e-9)


def test_a_plate_of_another_type_is_refused() -> None:
    recording = plate(np.array([0.0, 0.0, 500.0]), np.array([0.1, 0.2, 0.0]), 0.0)
    recording.info["FORCE_PLATFORM"]["TYPE"] = [3]
    with pytest.raises(SignalError, match="force plate 1 is of type 3"):
        read_plates(recording)


@pytest.mark.parametrize("up", [*UP])
@pytest.mark.parametrize("angle_deg", [-170.0, -60.0, 0.0, 100.0])
def test_a_turned_laboratory_is_turned_back(up: str, angle_deg: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standing person's markers, turned about the vertical and written with another axis up, come back."""
    rng = np.random.default_rng(1000)
    standing = rng.uniform([-0.1, 0.0, -0.2], [0.15, 1.6, 0.2], size=(8, 3))  # m; x forwards, y up
    a = np.radians(angle_deg)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    labels = [f"M{i}" for i in range(8)]
    seen = np.tile(standing @ about_y.T @ UP[up], (3, 1, 1))
    markers = make_signal(
        seen, ("time", "marker", "axis"), {"marker": labels, "axis": ["x", "y", "z"]}, units="m", rate_hz=100.0
    )
    monkeypatch.setattr(
        laboratory,
        "run_opensim",
        lambda *_, **__: SimpleNamespace(arrays={"positions": standing + np.array([1.0, 2.0, 3.0])}),
    )
    match = match_markers(labels, dict.fromkeys(labels, "body"))
    model = Model(Path("person.osim"), 70.0, {}, {}, (Coordinate("pelvis_tx", "m", True, True),), ())
    turn = turn_forwards(markers, match, model)
    np.testing.assert_allclose(turn_markers(markers, turn).values[0], standing, atol=1e-9)
    force = read_plates(plate(np.array([0.0, 0.0, 500.0]), np.array([0.1, 0.2, 0.0]), 0.0))[0]
    if up == "z":
        np.testing.assert_allclose(turn_force(force, turn).force[0], [0.0, 500.0, 0.0], atol=1e-9)


def test_a_model_tied_to_the_ground_is_not_turned() -> None:
    markers = make_signal(
        np.zeros((2, 3, 3)),
        ("time", "marker", "axis"),
        {"marker": list("ABC"), "axis": list("xyz")},
        units="m",
        rate_hz=10.0,
    )
    with pytest.raises(SignalError, match="tied to the ground"):
        turn_forwards(
            markers, match_markers(list("ABC"), dict.fromkeys("ABC", "b")), Model(Path("arm.osim"), 3.0, {}, {}, (), ())
        )
