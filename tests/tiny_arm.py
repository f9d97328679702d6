"""A planar arm of two pin joints and five muscles, built with OpenSim in a process of its own, and markers that it moves.

Run as a script, ``python tiny_arm.py FOLDER`` writes arm.osim there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

MASS_KG = (2.0, 1.5)  # upper arm, forearm: point masses at the middle
LENGTH_M = (0.3, 0.25)
RATE_HZ = 100.0
DURATION_S = 1.0
MARKERS = {  # name: body, place in it (m); the upper arm hangs along -y at zero angles
    "A1": ("upper", (0.03, -0.05, 0.02)),
    "A2": ("upper", (-0.03, -0.25, -0.02)),
    "F1": ("fore", (0.03, -0.05, 0.02)),
    "F2": ("fore", (-0.02, -0.22, 0.01)),
}
HAND_FORCE_N = (3.0, 12.0, 0.0)
T = np.arange(0, DURATION_S, 1 / RATE_HZ)


def motion(t: np.ndarray) -> np.ndarray:
    """Shoulder and elbow angle in rad, (time, 2): slow enough for a low-pass of 6 Hz to leave them as they are."""
    return np.column_stack([0.4 + 0.3 * np.sin(2 * np.pi * 0.5 * t), 0.9 + 0.4 * np.cos(2 * np.pi * 0.5 * t)])


def place(angles: np.ndarray, body: str, point: tuple[float, float, float]) -> np.ndarray:
    """Where a point of a body is, (time, 3)."""

    def turn(angle: np.ndarray, x: float, y: float) -> np.ndarray:
        return np.column_stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y])

    shoulder, elbow = angles.T
    if body == "upper":
        flat = turn(shoulder, point[0], point[1])
    else:
        flat = turn(shoulder, 0.0, -LENGTH_M[0]) + turn(shoulder + elbow, point[0], point[1])
    return np.column_stack([flat, np.full(angles.shape[0], point[2])])


def moments(t: np.ndarray) -> np.ndarray:
    """What the joints must make, (time, 2) in N m, by Lagrange's equations of two point masses."""
    (m1, m2), (l1, l2), g = MASS_KG, LENGTH_M, 9.80665
    step = 1e-3
    q = motion(t)
    speed = (motion(t + step) - motion(t - step)) / (2 * step)
    acceleration = (motion(t + step) - 2 * q + motion(t - step)) / step**2
    (a, b), (da, db), (dda, ddb) = q.T, speed.T, acceleration.T
    c1, c2 = l1 / 2, l2 / 2
    inertia_11 = m1 * c1**2 + m2 * (l1**2 + c2**2 + 2 * l1 * c2 * np.cos(b))
    inertia_12, inertia_22 = m2 * (c2**2 + l1 * c2 * np.cos(b)), m2 * c2**2
    swing = m2 * l1 * c2 * np.sin(b)
    weight_2 = m2 * g * c2 * np.sin(a + b)
    return np.column_stack(
        [
            inertia_11 * dda + inertia_12 * ddb - swing * (2 * da * db + db**2)
            + (m1 * c1 + m2 * l1) * g * np.sin(a) + weight_2,
            inertia_12 * dda + inertia_22 * ddb + swing * da**2 + weight_2,
        ]
    )  # fmt: skip


def hand(t: np.ndarray) -> np.ndarray:
    """Where the hand is, (time, 3)."""
    return place(motion(t), "fore", (0.0, -LENGTH_M[1], 0.0))


def markers(size: float = 1.0, *, still: bool = False) -> Any:
    """What a camera would see of an arm of that size, in mm, as a Recording."""
    from myodrive.recording import Recording, make_signal

    angles = np.zeros((T.size, 2)) if still else motion(T)
    places = np.stack([place(angles, *where) for where in MARKERS.values()], axis=1)
    labels = {"marker": [*MARKERS], "axis": ["x", "y", "z"]}
    return Recording(
        {"markers": make_signal(1000 * size * places, ("time", "marker", "axis"), labels, units="mm", time=T)}
    )


def write_force(path: Path, force: tuple[float, float, float] = HAND_FORCE_N, *, point_unit: float = 1.0) -> Path:
    """A constant force at the hand, at 500 Hz, as a MOT file."""
    from myodrive.io.opensim_tables import write_storage
    from myodrive.recording import make_signal

    t = np.arange(0, DURATION_S, 0.002)
    table = np.column_stack([np.tile(force, (t.size, 1)), hand(t) / point_unit, np.zeros((t.size, 3))])
    labels = [f"hand_force_{part}{axis}" for part in "vp" for axis in "xyz"] + [f"hand_torque_{a}" for a in "xyz"]
    return write_storage(make_signal(table, ("time", "channel"), {"channel": labels}, units="", time=t), path)


def write_all(folder: Path) -> Path:
    """arm.osim, moving.trc and force.mot in a folder."""
    from myodrive.io.opensim_tables import write_trc

    subprocess.run([sys.executable, __file__, str(folder)], check=True, capture_output=True, timeout=600)
    write_trc(markers(), folder / "moving.trc")
    write_force(folder / "force.mot")
    return folder


def build(folder: Path) -> None:
    """Write the model and the recordings."""
    import opensim as osim

    osim.Logger.removeFileSink()
    model = osim.Model()
    model.setName("arm")
    model.setGravity(osim.Vec3(0, -9.80665, 0))
    parent, bodies = model.getGround(), {}
    for name, joint, mass, length, above in (
        ("upper", "shoulder", MASS_KG[0], LENGTH_M[0], 0.0),
        ("fore", "elbow", MASS_KG[1], LENGTH_M[1], LENGTH_M[0]),
    ):
        body = osim.Body(name, mass, osim.Vec3(0, -length / 2, 0), osim.Inertia(1e-9, 1e-9, 1e-9))
        model.addBody(body)
        pin = osim.PinJoint(
            joint + "_joint", parent, osim.Vec3(0, -above, 0), osim.Vec3(0), body, osim.Vec3(0), osim.Vec3(0)
        )
        pin.updCoordinate().setName(joint)
        model.addJoint(pin)
        parent, bodies[name] = body, body
    ground = model.getGround()
    for name, force, points in (
        ("deltoid", 800.0, [(ground, (0.05, 0.03, 0)), (bodies["upper"], (0.03, -0.12, 0))]),
        ("teres", 500.0, [(ground, (-0.06, 0.02, 0)), (bodies["upper"], (-0.03, -0.10, 0))]),
        ("brachialis", 700.0, [(bodies["upper"], (0.03, -0.15, 0)), (bodies["fore"], (0.03, -0.04, 0))]),
        ("triceps", 700.0, [(bodies["upper"], (-0.03, -0.12, 0)), (bodies["fore"], (-0.03, 0.01, 0))]),
        ("biceps", 500.0, [(ground, (0.05, 0.02, 0)), (bodies["upper"], (0.04, -0.2, 0)),
                           (bodies["fore"], (0.03, -0.05, 0))]),
    ):  # fmt: skip
        muscle = osim.Millard2012EquilibriumMuscle(name, force, 0.12, 0.06, 0.0)
        for i, (body, point) in enumerate(points):
            muscle.addNewPathPoint(f"{name}{i}", body, osim.Vec3(*point))
        model.addForce(muscle)
    for name, (body, point) in MARKERS.items():
        model.addMarker(osim.Marker(name, bodies[body], osim.Vec3(*point)))
    model.finalizeConnections()
    model.printToXML(str(folder / "arm.osim"))


if __name__ == "__main__":
    build(Path(sys.argv[1]))
