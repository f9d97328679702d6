"""The 23 movements of the arm scenario as joint angles: postures that are passed or held, and how people differ in them.

Between two rests the angles are the quintic spline through the postures, which is the smoothest in the sense of the least
jerk (Flash and Hogan 1985, 10.1523/JNEUROSCI.05-07-01688.1985).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.interpolate import make_interp_spline

Posture = tuple[float, ...]
Range = tuple[float, float]
LOWEST = np.array([-95.0, 3.0, -90.0, 15.0, -90.0, -10.0, -45.0])  # deg, of `JOINTS`; the model's, but for margins
HIGHEST = np.array([130.0, 150.0, 120.0, 132.0, 90.0, 25.0, 45.0])
# How far habits and trials move a posture, deg standard deviation of each joint; the wrist little.
OF_HABIT = np.array([6.5, 4.0, 6.5, 5.0, 8.0, 2.0, 4.0])
OF_TRIAL = np.array([4.0, 2.2, 4.0, 4.0, 5.0, 1.2, 2.5])


@dataclasses.dataclass(frozen=True)
class Movement:
    """Postures and their times: a stroke goes through its postures without a stop, and between strokes the arm rests.

    Postures are `JOINTS` in deg. Where the plane of elevation counts from the side (0) to the front (90); rotation is
    inwards, elbow flexion, pronation, ulnar deviation and wrist flexion positive.
    """

    name: str
    kind: Literal["single-joint", "multi-joint"]
    strokes: tuple[tuple[Posture, ...], ...]  # each starts where the one before ended
    stroke_s: tuple[float, ...]  # duration of each at a speed of 1
    load_kg: Range = (0.0, 1.0)  # in the hand, drawn per trial
    resistance_n: float = 0.0  # largest force on the hand during the first stroke, forwards positive


def _back_and_forth(
    name: str, start: Posture, end: Posture, stroke_s: float, kind: str = "single-joint", **more: object
) -> Movement:
    return Movement(name, kind, ((start, end), (end, start)), (stroke_s, stroke_s), **more)  # type: ignore[arg-type]


def _hanging(plane: float, rotation: float = 0.0, elbow: float = 24.0, pronation: float = 10.0) -> Posture:
    return (plane, 8.0, rotation, elbow, pronation, 5.0, -5.0)


def _bent(rotation: float = 10.0, pronation: float = 0.0, deviation: float = 5.0, wrist: float = -5.0) -> Posture:
    """The upper arm hangs, the elbow is at a right angle."""
    return (20.0, 10.0, rotation, 90.0, pronation, deviation, wrist)


def _round(centre: Posture, size: float, ups: int, n_round: int) -> tuple[Posture, ...]:
    """A circle (`ups` 1) or an eight (2) about a posture: the plane swings once a round, elevation `ups` times."""
    turn = np.linspace(0, 2 * np.pi * n_round, 6 * n_round * ups + 1)
    across, up = np.sin(turn), (1 - np.cos(turn)) - 1 if ups == 1 else np.sin(2 * turn)
    swing = np.outer(across, (1, 0, 0.5, 0, 0, 0, 0)) + np.outer(up, (0, 1, 0, -0.8, 0, 0, 0))
    return tuple(map(tuple, np.add(centre, size * swing)))


_TABLE: Posture = (40.0, 22.0, 15.0, 85.0, 35.0, 5.0, -15.0)  # the hand above a table
_CUP: Posture = (65.0, 42.0, 15.0, 60.0, 5.0, 5.0, -10.0)
_MOUTH: Posture = (70.0, 55.0, 25.0, 122.0, -10.0, 5.0, -5.0)
_WRITING: Posture = (65.0, 68.0, 10.0, 55.0, 40.0, 5.0, -10.0)
_AIM: Posture = (10.0, 92.0, -70.0, 108.0, 20.0, 5.0, -15.0)
_PRESS: Posture = (50.0, 88.0, -40.0, 112.0, 20.0, 5.0, -10.0)
_OVERHEAD: Posture = (60.0, 132.0, -20.0, 32.0, 10.0, 5.0, -5.0)
_NECK: Posture = (45.0, 108.0, -45.0, 122.0, 20.0, 5.0, -5.0)
_CROWN: Posture = (60.0, 92.0, -40.0, 105.0, 20.0, 5.0, 5.0)


def _turned(posture: Posture, joint: int, *angles: float) -> tuple[Posture, ...]:
    return tuple((*posture[:joint], angle, *posture[joint + 1 :]) for angle in angles)


MOVEMENTS = (
    _back_and_forth("shoulder flexion", _hanging(80), (82.0, 95.0, 0.0, 24.0, 10.0, 5.0, -5.0), 1.2),
    _back_and_forth("shoulder extension", _hanging(-65), (-75.0, 42.0, 0.0, 24.0, 10.0, 5.0, -5.0), 1.0),
    _back_and_forth("shoulder abduction", _hanging(0), (2.0, 92.0, -5.0, 24.0, 10.0, 5.0, -5.0), 1.2),
    _back_and_forth(
        "shoulder horizontal abduction",
        (100.0, 82.0, 10.0, 24.0, 10.0, 5.0, -5.0),
        (-10.0, 82.0, -5.0, 24.0, 10.0, 5.0, -5.0),
        1.2,
    ),
    _back_and_forth("shoulder internal rotation", _bent(0), _bent(65), 0.9),
    _back_and_forth("shoulder external rotation", _bent(15), _bent(-48), 0.9),
    _back_and_forth("elbow flexion", _hanging(20, pronation=-60), (20.0, 12.0, 0.0, 122.0, -65.0, 5.0, 0.0), 1.1),
    _back_and_forth(
        "elbow flexion, forearm pronated", _hanging(20, pronation=65), (20.0, 12.0, 5.0, 118.0, 65.0, 5.0, -5.0), 1.1
    ),
    Movement("pronation-supination", "single-joint", (_turned(_bent(), 4, 0, 65, -65, 65, -65, 0),), (3.0,)),
    Movement("wrist flexion-extension", "single-joint", (_turned(_bent(), 6, 0, 38, -38, 38, -38, 0),), (2.8,)),
    Movement("wrist deviation", "single-joint", (_turned(_bent(), 5, 5, 22, -8, 22, -8, 5),), (2.8,)),
    _back_and_forth("reaching forward", _TABLE, (75.0, 70.0, 10.0, 28.0, 40.0, 5.0, -10.0), 1.0, "multi-joint"),
    _back_and_forth("reaching across", _TABLE, (112.0, 72.0, 25.0, 38.0, 40.0, 5.0, -5.0), 1.0, "multi-joint"),
    Movement(
        "reaching overhead", "multi-joint", ((_TABLE, _PRESS, _OVERHEAD), (_OVERHEAD, _PRESS, _TABLE)), (1.4, 1.4)
    ),
    Movement(
        "drinking",
        "multi-joint",
        ((_TABLE, _CUP), (_CUP, _MOUTH), (_MOUTH, _CUP, _TABLE)),
        (0.8, 0.9, 1.3),
        load_kg=(0.1, 0.6),
    ),
    Movement(
        "combing", "multi-joint", ((_TABLE, _CROWN), (_CROWN, _NECK, _CROWN, _NECK), (_NECK, _TABLE)), (0.8, 1.5, 0.9)
    ),
    _back_and_forth(
        "hand to opposite shoulder", _TABLE, (115.0, 72.0, 45.0, 118.0, 30.0, 5.0, 5.0), 1.0, "multi-joint"
    ),
    _back_and_forth(
        "pushing",
        (25.0, 30.0, 15.0, 115.0, 60.0, 5.0, -30.0),
        (85.0, 70.0, 15.0, 28.0, 60.0, 5.0, -30.0),
        1.0,
        "multi-joint",
        resistance_n=-30.0,
    ),
    _back_and_forth(
        "pulling",
        (80.0, 62.0, 10.0, 28.0, 30.0, 5.0, -5.0),
        (-30.0, 32.0, 10.0, 105.0, 30.0, 5.0, -5.0),
        1.0,
        "multi-joint",
        resistance_n=30.0,
    ),
    _back_and_forth(
        "lifting a box onto a shelf",
        (60.0, 20.0, 10.0, 70.0, 0.0, 5.0, -5.0),
        (82.0, 100.0, 0.0, 42.0, 0.0, 5.0, -10.0),
        1.3,
        "multi-joint",
        load_kg=(0.4, 1.2),
    ),
    Movement("drawing a circle", "multi-joint", ((_TABLE, _WRITING), _round(_WRITING, 15.0, 1, 2)), (0.8, 2.8)),
    Movement("drawing an eight", "multi-joint", ((_TABLE, _WRITING), _round(_WRITING, 16.0, 2, 1)), (0.8, 2.6)),
    Movement(
        "throwing",
        "multi-joint",
        ((_TABLE, _AIM), (_AIM, (80.0, 90.0, 15.0, 35.0, 30.0, 5.0, 10.0), (105.0, 40.0, 40.0, 35.0, 50.0, 5.0, 10.0))),
        (1.0, 1.1),
        load_kg=(0.0, 0.5),
    ),
)


@dataclasses.dataclass(frozen=True)
class Habit:
    """How one person does things: fixed in all trials."""

    speed: float
    posture: Float[np.ndarray, " joint"]  # deg, added to every posture
    of_movement: dict[str, Float[np.ndarray, "posture joint"]]  # deg, added to each posture of that movement
    amplitude: dict[str, float]
    rest_s: float


@dataclasses.dataclass(frozen=True)
class Motion:
    """The angles of one trial as a function of time, at rest before and after."""

    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]
    duration_s: float
    strokes: tuple  # splines over 0 to 1, rad

    def __call__(self, time: Float[np.ndarray, " time"], order: int = 0) -> Float[np.ndarray, "time joint"]:
        """Angles (order 0) or their first or second derivative, rad and s."""
        found = np.empty((time.size, 7))
        found[:] = self.strokes[0](0.0) if order == 0 else 0.0
        for start, end, spline in zip(self.starts_s, self.ends_s, self.strokes):
            share = np.clip((time - start) / (end - start), 0, 1)
            after = time >= start
            inside = after & (time <= end)
            if order == 0:
                found[after] = spline(share[after])
            else:
                found[inside] = spline(share[inside], order) / (end - start) ** order
        return found

    def pressing(self, time: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """How hard the hand presses during the first stroke: rises and falls smoothly, 1 half-way."""
        share = np.clip((time - self.starts_s[0]) / (self.ends_s[0] - self.starts_s[0]), 0, 1)
        return np.sin(np.pi * share) ** 2


def draw_habit(rng: np.random.Generator) -> Habit:
    """A person's own way of moving."""
    speed, posture, rest_s = (
        float(np.exp(0.12 * rng.standard_normal())),
        OF_HABIT * rng.standard_normal(7),
        rng.uniform(0.3, 0.45),
    )
    of_movement, amplitude = {}, {}
    for movement in MOVEMENTS:
        n_posture = sum(map(len, movement.strokes))
        common, each = rng.standard_normal((1, 7)), rng.standard_normal((n_posture, 7))
        of_movement[movement.name] = OF_HABIT * (0.8 * common + 0.4 * each)
        amplitude[movement.name] = float(np.exp(0.08 * rng.standard_normal()))
    return Habit(speed, posture, of_movement, amplitude, rest_s)


def draw_motion(movement: Movement, habit: Habit, speed: float, reach: float, rng: np.random.Generator) -> Motion:
    """One trial: the person's postures, each a little different this time, at this trial's speed and size.

    Parameters
    ----------
    speed, reach : float
        By how much all trials of the recording are faster and wider than usual.
    """
    faster = habit.speed * speed * float(np.exp(0.12 * rng.standard_normal()))
    wider = habit.amplitude[movement.name] * reach * float(np.exp(0.08 * rng.standard_normal()))
    common = OF_TRIAL * rng.standard_normal(7)
    starts, ends, strokes = [], [], []
    clock, used = habit.rest_s * float(np.exp(0.1 * rng.standard_normal())), 0
    first = np.array(movement.strokes[0][0])
    last: np.ndarray | None = None
    for postures, stroke_s in zip(movement.strokes, movement.stroke_s):
        own = habit.of_movement[movement.name][used : used + len(postures)]
        used += len(postures)
        own = own + habit.posture + common + 0.6 * OF_TRIAL * rng.standard_normal(own.shape)
        meant = first + wider * (np.array(postures) - first) + own
        if last is not None:
            meant[0] = last
        meant = np.radians(np.clip(meant, LOWEST, HIGHEST))
        last = np.degrees(meant[-1])
        duration = stroke_s / faster * float(np.exp(0.06 * rng.standard_normal()))
        strokes.append(_through(meant))
        starts.append(clock)
        ends.append(clock + duration)
        clock += duration + rng.uniform(0.05, 0.2)
    return Motion(tuple(starts), tuple(ends), clock - 0.05 + habit.rest_s, tuple(strokes))


def _through(postures: Float[np.ndarray, "posture joint"]):  # type: ignore[no-untyped-def]
    """The quintic spline through postures at even steps, at rest at both ends."""
    still = [(1, np.zeros(postures.shape[1])), (2, np.zeros(postures.shape[1]))]
    return make_interp_spline(np.linspace(0, 1, len(postures)), postures, k=5, bc_type=(still, still))
