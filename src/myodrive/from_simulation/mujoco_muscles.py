"""Forces of the muscles of MuJoCo's models: published fibres, tendons and curves where they are known, else MuJoCo's own."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from myodrive.from_simulation.hill_muscles import CURVE_POINTS, CURVE_SPANS, Curve, HillMuscles

_MUJOCO_POINTS = 201  # its curves are pieces of parabolas, and each point is a call
_SPEED = 10.0  # optimal lengths per second
_SHORTEST = 0.25  # optimal lengths: below, no curve gives force


@dataclasses.dataclass(frozen=True)
class Published:
    """What is known of the muscles of a model from its source.

    Attributes
    ----------
    architecture : dict
        Muscle, without its side: largest isometric force (N), optimal fibre length (m), tendon slack length (m),
        pennation (deg).
    curves : dict
        The name of a curve: its values at even steps over its span.
    """

    architecture: dict[str, tuple[float, float, float, float]]
    curves: dict[str, Float[np.ndarray, "point"]]


def read_published() -> Published:
    """The muscles of the legs in ``mujoco_muscles.toml``."""
    table = tomllib.loads(resources.files(__package__).joinpath("mujoco_muscles.toml").read_text(encoding="utf-8"))
    curves = {}
    for name, curve in table["curves"].items():
        start, end = CURVE_SPANS[name]
        given = np.linspace(start, end, len(curve["values"]))
        curves[name] = PchipInterpolator(given, curve["values"])(np.linspace(start, end, CURVE_POINTS))
    return Published({name: tuple(row) for name, row in table["legs"].items()}, curves)


def hill_muscles(model: Any, published: Published | None, longer: float = 1.0) -> HillMuscles:
    """The muscles of a compiled model, in its order, with rigid tendons.

    The conversion to MuJoCo fitted fibres, tendons and strengths of the legs anew, and turned the knee about a wrong centre
    meanwhile: in running the forces of ten muscles were a third or more away from the original's, of semimembranosus
    71 %. So what is published goes first.

    Parameters
    ----------
    model : mujoco.MjModel
        Of the person's size.
    published : Published, optional
        Of the size of the model as it is shipped.
    longer : float
        The person's size over the model's.
    """
    rows: list[tuple[float, ...]] = []
    curves = {name: np.empty((model.nu, CURVE_POINTS)) for name in CURVE_SPANS}
    for i in range(model.nu):
        name = model.actuator(i).name.removesuffix("_r").removesuffix("_l")
        if published and name in published.architecture:
            force, fiber, tendon, pennation = published.architecture[name]
            rows.append((force, fiber * longer, tendon * longer, np.radians(pennation), _SPEED))
            own: Mapping[str, np.ndarray] = published.curves
        else:
            row, own = _as_in_mujoco(model, i)
            rows.append(row)
        for curve in CURVE_SPANS:
            curves[curve][i] = own[curve]
    force, fiber, tendon, pennation, speed = np.array(rows).T
    sampled = (Curve(*span, curves[name]) for name, span in CURVE_SPANS.items())
    return HillMuscles(force, fiber, tendon, pennation, speed, _SHORTEST * fiber, *sampled)


def _as_in_mujoco(model: Any, i: int) -> tuple[tuple[float, ...], dict[str, Float[np.ndarray, "point"]]]:
    """Force, fibre, tendon, pennation and speed of a muscle, and its curves, from MuJoCo's parameters and functions."""
    import mujoco

    span, strength = model.actuator_lengthrange[i], model.actuator_acc0[i]
    gain, bias = model.actuator_gainprm[i, :9], model.actuator_biasprm[i, :9]
    fiber = (span[1] - span[0]) / (gain[1] - gain[0])
    tendon, speed = span[0] - gain[0] * fiber, gain[6]
    points = {name: np.linspace(*ends, _MUJOCO_POINTS) for name, ends in CURVE_SPANS.items()}
    force = -mujoco.mju_muscleGain(tendon + fiber, 0.0, span, strength, gain)
    lengths = {name: tendon + points[name] * fiber for name in ("active", "passive")}
    values = {
        "active": [mujoco.mju_muscleGain(x, 0.0, span, strength, gain) for x in lengths["active"]],
        "passive": [mujoco.mju_muscleBias(x, span, strength, bias) for x in lengths["passive"]],
        "velocity": [
            mujoco.mju_muscleGain(tendon + fiber, v * fiber * speed, span, strength, gain) for v in points["velocity"]
        ],
    }
    fine = {name: np.linspace(*ends, CURVE_POINTS) for name, ends in CURVE_SPANS.items()}
    curves = {name: np.interp(fine[name], points[name], np.array(v)) / -force for name, v in values.items()}
    return (force, fiber, tendon, 0.0, speed), curves
