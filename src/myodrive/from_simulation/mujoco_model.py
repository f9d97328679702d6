"""Legs and right arm of the package myo-sim in MuJoCo, with what their conversion from OpenSim got wrong put right.

The legs (80 muscles) are those of Rajagopal et al. (2016, 10.1109/TBME.2016.2586891), the arm (63 muscles) that of Saul
et al. (2015, 10.1080/10255842.2014.916698) with a hand. Each repair is one function below (that of the legs' forces is in
`mujoco_muscles`), says what was wrong, and has a test that fails without it. What could not be repaired is named in
`UNTRUSTED`; ``docs/mujoco.md`` has the measurements.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from myodrive.errors import MissingExtraError, OptionError
from myodrive.from_simulation.hill_muscles import HillMuscles
from myodrive.from_simulation.mujoco_muscles import hill_muscles, read_published
from myodrive.from_simulation.person import check_person

# OpenSim's ground (x forwards, y up, z to the right) in MuJoCo's world, in which z is up and the models face along -y.
FROM_OPENSIM: Float[np.ndarray, "3 3"] = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
MODEL_MASS_KG, MODEL_HEIGHT_M = 75.3, 1.70  # of the person of both models
PELVIS_JOINTS = ("pelvis_tx", "pelvis_ty", "pelvis_tz", "pelvis_tilt", "pelvis_list", "pelvis_rotation")

_NAMES = {"legs": "myolegs", "arm": "myoarm_r"}  # here: in myo-sim
_WRAPS = {  # muscle: the surface that its path goes round between its second and third point
    "psoas": "PS_at_brim",
    "iliacus": "IL_at_brim",
    "glmax1": "Gmax1_at_pelvis",
    "glmax2": "Gmax2_at_pelvis",
}
_HALF_LENGTH_M = 0.05  # of the cylinders that had become balls
_KNEE_IN_TIBIA_M = (-0.00808954, -0.0035348, -0.00148474)  # right; Rajagopal2016.osim, walker_knee_r
_TISSUE = 1050.0  # kg/m³
_STRENGTH_N = {"INFSP": 1075.8, "TMIN": 269.5}  # as in Saul et al.'s model
_POSES = 400  # drawn over the ranges of the joints, for a muscle's longest and shortest path

# Place among MuJoCo's parameters of a muscle (range of lengths, least and largest length with active force, speed): its
# own number where nobody gave one.
_DEFAULTS = {0: 0.75, 1: 1.05, 4: 0.5, 5: 1.6, 6: 1.5}

_ARMS = "its moment arms at the shoulder are off by more than a centimetre"
_SHANK = "within 20 degrees of knee extension its moment arm at the knee is 4 mm too small"
_GUESSED = "its force-length curve and speed are MuJoCo's defaults, not those of the original"
UNTRUSTED: dict[str, dict[str, str]] = {
    "legs": {"gasmed_r": _SHANK, "gasmed_l": _SHANK},
    "arm": {
        **dict.fromkeys(("DELT2", "DELT3", "PECM1", "PECM3", "TRIlong"), _ARMS),
        "LAT1": "it came without any force, and its fibre length was only estimated again",
    },
}


@dataclasses.dataclass(frozen=True)
class Coupling:
    """A joint that follows another: value = polynomial(value of the other), lowest power first."""

    joint: str
    follows: str
    polynomial: Float[np.ndarray, "5"]


@dataclasses.dataclass(frozen=True)
class MujocoModel:
    """A repaired model: of every joint one number, in rad or m."""

    name: str
    compiled: Any  # mujoco.MjModel
    place: dict[str, int]  # joint: its place among qpos, qvel and qacc, which is one and the same
    couplings: tuple[Coupling, ...]
    muscles: tuple[str, ...]
    hill: HillMuscles
    untrusted: dict[str, str]  # muscle: why

    @property
    def joints(self) -> list[str]:
        """Joints that follow no other."""
        followers = {c.joint for c in self.couplings}
        return [j for j in self.place if j not in followers]

    @property
    def bodies(self) -> list[str]:
        """Names of the bodies."""
        return [self.compiled.body(i).name for i in range(1, self.compiled.nbody)]


def load_mujoco_model(
    name: str,
    *,
    mass_kg: float = MODEL_MASS_KG,
    height_m: float = MODEL_HEIGHT_M,
    load_kg: Mapping[str, float] | None = None,
    changes: tuple[Callable[[Any], None], ...] = (),
) -> MujocoModel:
    """A model of the wheel of myo-sim, repaired, of a person's size.

    Parameters
    ----------
    name : "legs" or "arm"
    mass_kg, height_m : float
        Of the person: all lengths grow with the height, all masses with the mass, strength with neither.
    load_kg : dict, optional
        Body: what it carries at its centre of mass.
    changes : tuple of functions
        Each is given the specification (`mujoco.MjSpec`) before it is compiled, after the repairs of paths.

    Raises
    ------
    MissingExtraError
        If `mujoco` or `myo-sim` is not installed.
    OptionError
        If there is no such model or body, or a size is no person's.
    """
    check_person(mass_kg, height_m)
    model = compile_model(name, PATH_REPAIRS, changes)
    for repair in REPAIRS:
        repair(model)
    resize(model, mass_kg, height_m)
    _without_constraints(model)
    names = [model.body(i).name for i in range(1, model.nbody)]
    for body, kg in (load_kg or {}).items():
        if body not in names:
            raise OptionError(f"there is no body '{body}' in the {name}.", remedy=f"It can be {', '.join(names)}.")
        model.body_mass[model.body(body).id] += kg
    place = {model.joint(i).name: int(model.jnt_dofadr[i]) for i in range(model.njnt)}
    muscles = tuple(model.actuator(i).name for i in range(model.nu))
    guessed = (model.actuator_gainprm[:, [*_DEFAULTS]] == [*_DEFAULTS.values()]).all(axis=1)
    known = {m: why for m, why in UNTRUSTED[name].items() if m in muscles}
    untrusted = {**known, **{m: _GUESSED for m, is_guessed in zip(muscles, guessed) if is_guessed}}
    published = read_published() if name == "legs" else None
    hill = hill_muscles(model, published, height_m / MODEL_HEIGHT_M)
    return MujocoModel(name, model, place, find_couplings(model), muscles, hill, untrusted)


def compile_model(
    name: str, repairs: tuple[Callable[[Any], None], ...] = (), changes: tuple[Callable[[Any], None], ...] = ()
) -> Any:
    """The compiled model of myo-sim after these repairs of its specification; the pelvis gets the joints of OpenSim.

    The repairs are those of the legs; `changes` are made to any model.

    Raises
    ------
    MissingExtraError, OptionError
        See `load_mujoco_model`.
    """
    if name not in _NAMES:
        raise OptionError(f"there is no model '{name}'.", where="model", remedy=f"It can be {' or '.join(_NAMES)}.")
    return copy.copy(_compile(name, repairs, changes))


def find_couplings(model: Any) -> tuple[Coupling, ...]:
    """The joints that equality constraints tie to others."""
    import mujoco

    tied = np.flatnonzero((model.eq_type == mujoco.mjtEq.mjEQ_JOINT) & model.eq_active0.astype(bool))
    return tuple(
        Coupling(
            model.joint(model.eq_obj1id[i]).name, model.joint(model.eq_obj2id[i]).name, model.eq_data[i, :5].copy()
        )
        for i in tied
    )


def resize(model: Any, mass_kg: float, height_m: float) -> None:
    """Change every length by the same factor, and every mass by the same factor."""
    import mujoco

    longer, heavier = height_m / MODEL_HEIGHT_M, mass_kg / MODEL_MASS_KG
    lengths = ("body_pos", "body_ipos", "jnt_pos", "geom_pos", "geom_size", "site_pos", "site_size")
    for name in (*lengths, "actuator_lengthrange"):
        getattr(model, name)[:] *= longer
    model.body_mass[:] *= heavier
    model.body_inertia[:] *= heavier * longer**2
    slides = model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE
    tied = model.eq_type == mujoco.mjtEq.mjEQ_JOINT
    model.eq_data[tied & slides[np.where(tied, model.eq_obj1id, 0)], :5] *= longer


# -- repairs: one of the legs' specification, the others of a compiled model ------------------------------------------


def restore_wraps(spec: Any) -> None:
    """Psoas and gluteus maximus had lost the cylinders that they go round, and the iliacus had a ball for one.

    Their moment arms at the hip were off by up to 9 mm. The cylinders and the side on which the path passes are still in
    the model; with them the moment arms are the original's within .3 mm.
    """
    import mujoco

    for muscle, surface in _WRAPS.items():
        for side in "rl":
            geom = spec.geom(f"{surface}_wrap_{side}")
            if geom.type == mujoco.mjtGeom.mjGEOM_SPHERE:
                geom.type, geom.size = mujoco.mjtGeom.mjGEOM_CYLINDER, (geom.size[0], _HALF_LENGTH_M, 0.0)
            first, second, third, fourth = (f"{muscle}-P{i}_{side}" for i in range(1, 5))
            path = spec.add_tendon(name=f"{muscle}_{side}_whole")
            path.wrap_site(first)
            path.wrap_site(second)
            path.wrap_geom(geom.name, f"{surface}_site_{muscle}_{side}")
            path.wrap_site(third)
            path.wrap_site(fourth)
            spec.actuator(f"{muscle}_{side}").target = path.name


def centre_knees(model: Any) -> None:
    """The knee turned about the origin of the tibia, 8 mm behind and below the joint centre of the original.

    All knee moment arms were wrong by that: 8 mm for the hamstrings, 5 mm for the quadriceps.
    """
    for i in range(model.njnt):
        name = model.joint(i).name
        if name.startswith("knee_angle") and "beta" not in name:
            model.jnt_pos[i] = np.array(_KNEE_IN_TIBIA_M) * (1, 1, 1 if name.endswith("_r") else -1)


def straighten_pelvis(model: Any) -> None:
    """The rounded numbers of the pelvis' orientation tilted it by a tenth of a degree."""
    for i in range(model.nbody):
        if model.body(i).name == "pelvis":
            model.body_quat[i] = (0.5, 0.5, -0.5, -0.5)  # FROM_OPENSIM as a quaternion


def free_joints(model: Any) -> None:
    """Damping, friction, springs and rotor inertia, there for stable forward simulation, are no work of muscles."""
    for name in ("dof_damping", "dof_frictionloss", "dof_armature", "jnt_stiffness"):
        getattr(model, name)[:] = 0.0


def shrink_placeholders(model: Any) -> None:
    """Bodies of a gram had 1 kg m², small bones a floor of .001 or .0001: three equal moments that nobody measured.

    They become balls of tissue of the same mass. Reaching showed up to 9.6 N m of false torque.
    """
    moments, mass = model.body_inertia, model.body_mass
    equal = (np.ptp(moments, axis=1) <= 1e-9 * moments[:, 0]) & (mass > 0)
    radius = np.cbrt(3 * mass / (4 * np.pi * _TISSUE))
    moments[equal] = np.minimum(moments, (0.4 * mass * radius**2)[:, None])[equal]


def match_active_to_passive(model: Any) -> None:
    """Supraspinatus had the supinator's active parameters beside its own passive ones."""
    model.actuator_gainprm[:, :9] = model.actuator_biasprm[:, :9]


def restore_strength(model: Any) -> None:
    """Infraspinatus and teres minor came out twice as strong as in the source: 2151 and 539 N."""
    for i in range(model.nu):
        if model.actuator(i).name in _STRENGTH_N:
            for parameters in (model.actuator_gainprm, model.actuator_biasprm):
                parameters[i, 2] = _STRENGTH_N[model.actuator(i).name]


def restore_length_range(model: Any) -> None:
    """Latissimus dorsi (LAT1) had the length range of a path 12 cm longer than its own, and so no force anywhere.

    A muscle whose path in the neutral pose lies farther from its range than this is wide gets the range of its path over
    the ranges of the joints.
    """
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_fwdPosition(model, data)
    low, high = model.actuator_lengthrange.T
    away = np.maximum(low - data.actuator_length, data.actuator_length - high)
    lost = np.flatnonzero(away > high - low)
    if lost.size:
        lengths = _lengths_over_ranges(model, data)[:, lost]
        model.actuator_lengthrange[lost] = np.column_stack([lengths.min(axis=0), lengths.max(axis=0)])


PATH_REPAIRS: tuple[Callable[[Any], None], ...] = (restore_wraps,)
REPAIRS: tuple[Callable[[Any], None], ...] = (
    centre_knees,
    straighten_pelvis,
    free_joints,
    shrink_placeholders,
    match_active_to_passive,
    restore_strength,
    restore_length_range,
)


# -- inside ----------------------------------------------------------------------------------------------------------


@functools.cache  # it takes a second, and a study has many trials
def _compile(name: str, repairs: tuple[Callable[[Any], None], ...], changes: tuple[Callable[[Any], None], ...]) -> Any:
    with _quiet_myo_sim() as myo_sim:
        spec = myo_sim.load_spec(_NAMES[name])
        for change in (*((_give_pelvis_joints, *repairs) if name == "legs" else ()), *changes):
            change(spec)
        return spec.compile()


@contextlib.contextmanager
def _quiet_myo_sim() -> Iterator[Any]:
    """The package myo-sim, without a warning that MuJoCo's compiler also writes into a file where one stands."""
    try:
        import mujoco
        import myo_sim
    except ImportError as error:
        raise MissingExtraError("Simulation with MuJoCo", "mujoco") from error
    mujoco.set_mju_user_warning(lambda _: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield myo_sim
    finally:
        mujoco.set_mju_user_warning(None)


def _give_pelvis_joints(spec: Any) -> None:
    """Three translations and three turns as OpenSim has them, in place of a free joint with a quaternion."""
    import mujoco

    root = spec.joint("root")
    body = root.parent
    spec.delete(root)
    body.pos = (0.0, 0.0, 0.0)
    kinds = [mujoco.mjtJoint.mjJNT_SLIDE] * 3 + [mujoco.mjtJoint.mjJNT_HINGE] * 3
    for name, kind, axis in zip(PELVIS_JOINTS, kinds, "xyzzxy"):
        body.add_joint(name=name, type=kind, axis=FROM_OPENSIM[:, "xyz".index(axis)])


def _without_constraints(model: Any) -> None:
    """Who moves the model follows the couplings exactly; as constraints, MuJoCo would hold them softly."""
    import mujoco

    flags = mujoco.mjtDisableBit
    model.opt.disableflags |= flags.mjDSBL_EQUALITY | flags.mjDSBL_CONTACT | flags.mjDSBL_LIMIT


def _lengths_over_ranges(model: Any, data: Any) -> Float[np.ndarray, "pose muscle"]:
    import mujoco

    random = np.random.default_rng(0)
    low, high = np.where(model.jnt_limited.astype(bool)[:, None], model.jnt_range, 0.0).T
    couplings = find_couplings(model)
    lengths = np.empty((_POSES, model.nu))
    for k in range(_POSES):
        data.qpos[model.jnt_qposadr] = random.uniform(low, high)
        for c in couplings:
            follows = data.qpos[model.joint(c.follows).qposadr[0]]
            data.qpos[model.joint(c.joint).qposadr[0]] = np.polyval(c.polynomial[::-1], follows)
        mujoco.mj_fwdPosition(model, data)
        lengths[k] = data.actuator_length
    return lengths
