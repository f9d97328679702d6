"""What a simulation in MuJoCo starts from: angles, and moments or forces, under the model's names, on one clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.ground_forces import ExternalForce, external_forces, place_forces
from myodrive.from_simulation.mujoco_model import PELVIS_JOINTS, MujocoModel
from myodrive.from_simulation.plug_in_gait import from_plug_in_gait, is_plug_in_gait
from myodrive.io.files import read
from myodrive.io.opensim_tables import read_storage
from myodrive.recording import Recording

_IN_RAD = {"rad": 1.0, "deg": np.pi / 180, "m": 1.0}
_FORCE_UNITS = ("N m", "Nm", "N·m", "mixed")
_LEFT_OUT = ("pelvis_", "subtalar_", "mtp_")


@dataclasses.dataclass(frozen=True)
class Movement:
    """What was read, under the model's names.

    Attributes
    ----------
    angles : DataArray (time, joint)
        In rad and m, on a clock of their own.
    moments : DataArray (time, joint), optional
        At `time`, N m; None where inverse dynamics has to find them.
    forces : list of ExternalForce
        What inverse dynamics takes.
    balanced : list of str
        The joints whose moments muscles have to make.
    time : array (time,)
        At which all is known.
    """

    angles: xr.DataArray
    moments: xr.DataArray | None
    forces: list[ExternalForce]
    balanced: list[str]
    time: Float[np.ndarray, " time"]

    @property
    def posed(self) -> list[str]:
        """The joints whose angles are known."""
        return list(map(str, self.angles.joint.values))


def read_recording(source: str | Path | Recording, forces: str | Path | None, mass_kg: float | None) -> Recording:
    """The recording; of Plug-in Gait under OpenSim's names, and with the forces of another file."""
    recording = source if isinstance(source, Recording) else read(source)
    if is_plug_in_gait(recording):
        recording = from_plug_in_gait(recording, mass_kg)
    if forces is not None:
        recording = recording.with_signal("forces", next(iter(read_storage(forces).signals.values())))
    return recording


def match_movement(
    recording: Recording,
    model: MujocoModel,
    *,
    joint_names: Mapping[str, str] | None,
    joints: Sequence[str] | None,
    force_on: Mapping[str, str] | None,
    stretch: tuple[float | None, float | None],
) -> Movement:
    """What the recording has of the model's joints; see `simulate_with_mujoco` for the options.

    Raises
    ------
    SignalError, OptionError
        If a signal or a joint is missing, in another unit, or not known at the same time as the others.
    """
    _check_names(recording, joint_names, model)
    angles = _angles(recording, model, joint_names)
    posed = list(map(str, angles.joint.values))
    balanced = _balanced(posed, joints, recording.label)
    if "moments" in recording:
        moments = _moments(recording, balanced, joint_names)
        time = _common_time(angles, [moments.time.values], stretch, recording.label)
        return Movement(angles, moments.interp(time=time), [], list(map(str, moments.joint.values)), time)
    forces = _forces(recording, model, posed, force_on)
    time = _common_time(angles, [f.time for f in forces], stretch, recording.label)
    return Movement(angles, None, forces, balanced, time)


# -- inside ----------------------------------------------------------------------------------------------------------


def _angles(recording: Recording, model: MujocoModel, names: Mapping[str, str] | None) -> xr.DataArray:
    """The angles of joints of the model, under its names, in rad and m."""
    signal = recording["angles_unfiltered" if "angles_unfiltered" in recording else "angles"]
    signal = _rename(signal.transpose("time", "joint"), model.joints, names)
    joints = [j for j in map(str, signal.joint.values) if j in model.joints]
    if not joints:
        raise SignalError(
            f"no angle is one of a joint of the {model.name}. Found: {', '.join(map(str, signal.joint.values[:12]))}, ….",
            where=recording.label,
            remedy=f"Say which is which with joint_names. The model has {', '.join(model.joints)}.",
        )
    signal = signal.sel(joint=joints)
    unit = signal.coords.get("unit", signal.attrs.get("units", "no unit"))
    units = [str(u) for u in np.broadcast_to(unit, len(joints))]
    wrong = [f"{j} in '{u}'" for j, u in zip(joints, units) if u not in _IN_RAD]
    if wrong:
        raise SignalError(f"angles must be in deg or rad, and are {', '.join(wrong)}.", where=recording.label)
    if not np.isfinite(signal.values).all():
        gaps = [j for j in joints if not np.isfinite(signal.sel(joint=j)).all()]
        raise SignalError(
            f"{', '.join(gaps)}: samples are missing.", where=recording.label, remedy="Fill the gaps or cut the trial."
        )
    signal = signal.astype(np.float64) * np.array([_IN_RAD[u] for u in units])
    return signal.assign_coords(unit=("joint", ["m" if u == "m" else "rad" for u in units]))


def _balanced(posed: Sequence[str], wanted: Sequence[str] | None, where: str) -> list[str]:
    """The joints whose moments muscles have to make; what acts at the pelvis are residuals."""
    if wanted is None:
        return [j for j in posed if not j.startswith(_LEFT_OUT)]
    unknown = [j for j in wanted if j not in posed or j in PELVIS_JOINTS]
    if unknown:
        raise OptionError(
            f"the angle of {', '.join(unknown)} is not known. Known: {', '.join(posed)}.", where=f"{where}, joints"
        )
    return list(wanted)


def _moments(recording: Recording, joints: Sequence[str], names: Mapping[str, str] | None) -> xr.DataArray:
    """The moments of these joints, as far as they are known, N m."""
    signal = recording["moments"].transpose("time", "joint")
    bare = [str(j).removesuffix("_moment").removesuffix("_force") for j in signal.joint.values]
    signal = _rename(signal.assign_coords(joint=bare), joints, names)
    known = [j for j in map(str, signal.joint.values) if j in joints]
    units = {str(signal.attrs.get("units", "N m"))}
    if not known:
        raise SignalError(
            f"no moment is of a joint whose angle is known. Moments: {', '.join(bare)}. Angles: {', '.join(joints)}.",
            where=recording.label,
            remedy="Say which is which with joint_names.",
        )
    signal = signal.sel(joint=known)
    if "unit" in signal.coords:
        units |= {str(u) for u in signal.unit.values}
    if units - set(_FORCE_UNITS):
        raise SignalError(
            f"moments must be in N m, and are in {', '.join(sorted(units - set(_FORCE_UNITS)))}.",
            where=recording.label,
            remedy="Multiply N m/kg by the mass, and divide N mm by 1000.",
        )
    return signal.astype(np.float64)


def _check_names(recording: Recording, names: Mapping[str, str] | None, model: MujocoModel) -> None:
    """Refuse a name that the recording, or the model, does not have."""
    found = {
        str(j) for s in ("angles_unfiltered", "angles", "moments") if s in recording for j in recording[s].joint.values
    }
    unknown = [n for n in names or {} if n not in found] + [n for n in (names or {}).values() if n not in model.joints]
    if unknown:
        raise OptionError(
            f"joint_names has {', '.join(unknown)}, which is not there.",
            where=recording.label,
            remedy=f"The recording has {', '.join(sorted(found))}; the model has {', '.join(model.joints)}.",
        )


def _forces(
    recording: Recording, model: MujocoModel, joints: Sequence[str], on: Mapping[str, str] | None
) -> list[ExternalForce]:
    """What acts from outside, on the bodies that are known; refused where inverse dynamics lacks something."""
    if model.name == "legs":
        missing = [j for j in PELVIS_JOINTS if j not in joints]
        if "forces" not in recording or missing:
            lack = "ground reactions ('forces')" if "forces" not in recording else f"the angles {', '.join(missing)}"
            raise SignalError(
                f"inverse dynamics of the legs needs {lack}.",
                where=recording.label,
                remedy="Give them, or a signal 'moments' with the joint moments.",
            )
    elif "forces" not in recording:
        return []
    forces = place_forces(external_forces(recording["forces"], recording.label), model.bodies, on)
    nowhere = [f.name for f in forces if not f.body]
    if nowhere and model.name == "arm":
        raise OptionError(
            f"nobody said where {', '.join(nowhere)} acts.",
            where=recording.label,
            remedy=f"Give force_on={{'{nowhere[0]}': 'thirdmc_r'}}, or another body of the arm.",
        )
    return forces


def _common_time(
    angles: xr.DataArray,
    others: Sequence[Float[np.ndarray, " time"]],
    stretch: tuple[float | None, float | None],
    where: str,
) -> Float[np.ndarray, " time"]:
    """The frames of the angles, within the stretch, in which everything else is known."""
    time = angles.time.values
    asked = [[] if border is None else [border] for border in stretch]
    start = max([t[0] for t in others] + asked[0], default=time[0])
    end = min([t[-1] for t in others] + asked[1], default=time[-1])
    common = time[(time >= start - 1e-9) & (time <= end + 1e-9)]
    if common.size < 2:
        raise SignalError(
            f"angles go from {time[0]:g} to {time[-1]:g} s, and what else is needed or was asked for from {start:g} to {end:g} s.",
            where=where,
            remedy="Bring forces or moments onto the clock of the angles, or choose another stretch.",
        )
    return np.clip(common, start, end)


def _rename(signal: xr.DataArray, joints: Sequence[str], names: Mapping[str, str] | None) -> xr.DataArray:
    """Under the model's names: as the caller says, else as they are; MoBL-ARMS' own names lack the side."""
    said = [(names or {}).get(str(j), str(j)) for j in signal.joint.values]
    return signal.assign_coords(joint=[j if j in joints or f"{j}_r" not in joints else f"{j}_r" for j in said])
