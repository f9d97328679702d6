"""Joint angles and moments of Plug-in Gait, as a C3D file holds them, under the names and signs of OpenSim's models."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from myodrive.errors import OptionError, SignalError
from myodrive.from_simulation.person import check_person, person_of
from myodrive.recording import Recording, gap_free_runs

# The rotation of the hip is left out: its zero hangs on where the markers of the thigh are.
COORDINATES = {
    ("Hip", "x"): "hip_flexion",
    ("Hip", "y"): "hip_adduction",
    ("Knee", "x"): "knee_angle",
    ("Ankle", "x"): "ankle_angle",
}
_LABEL = re.compile(r"(?:.*:)?([LR])(Hip|Knee|Ankle)(Angles|Moment)_([xyz])")
_PER_KG = 1e-3  # files say "Nmm" of what is N mm for each kg of body mass


def from_plug_in_gait(recording: Recording, mass_kg: float | None = None) -> Recording:
    """Angles (deg) and moments (N m) of the legs for `simulate_with_mujoco`, from a C3D file without an OpenSim model.

    Hip flexion and adduction, knee flexion and ankle dorsiflexion of each side that has all of them. Plug-in Gait tells
    the moment that the body makes against the motion's sign and for each kg of body mass (Kadaba et al. 1990,
    10.1002/jor.1100080310); here it is of the whole body and with the sign of the angle. Its hip flexion is some 12
    degrees more than OpenSim's, whose pelvis is level where the other's is tilted; that is left as it is. Of a recording
    with gaps the longest stretch without one is taken.

    Parameters
    ----------
    recording : Recording
        As `read` gives a C3D file that Plug-in Gait was run on: signals ``angles`` and ``moments``.
    mass_kg : float, optional
        Of the person; by default as the file says (``PROCESSING:Bodymass``).

    Raises
    ------
    SignalError
        If angles or moments of no side are there, or nowhere at the same time.
    OptionError
        If the mass is neither given nor in the file.

    Examples
    --------
    >>> import myodrive as md
    >>> walk = md.from_plug_in_gait(md.read("walk.c3d"))                              # doctest: +SKIP
    >>> md.simulate_with_mujoco(walk, "legs")["simulated"]                            # doctest: +SKIP
    """
    mass = _mass(recording, mass_kg)
    angles, moments = (_named(recording, name) for name in ("angles", "moments"))
    joints = [j for j in angles.joint.values if j in moments.joint.values]
    sides = [s for s in "rl" if all(f"{c}_{s}" in joints for c in COORDINATES.values())]
    if not sides:
        raise SignalError(
            "there are no angles and moments of Plug-in Gait of a whole leg in it.",
            where=recording.label,
            remedy="They are called RHipAngles, RHipMoment, … in the file; run the Plug-in Gait model first.",
        )
    kept = [j for j in joints if j[-1] in sides]
    angles, moments = angles.sel(joint=kept), moments.sel(joint=kept)
    both = np.isfinite(angles.values).all(axis=1) & np.isfinite(moments.values).all(axis=1)
    runs = gap_free_runs(angles.time.values, both)
    if not runs:
        raise SignalError("angles and moments are nowhere known together.", where=recording.label)
    longest = max(runs, key=lambda run: run.stop - run.start)
    found = {
        "angles": angles.isel(time=longest).assign_attrs(units="deg"),
        "moments": (-_PER_KG * mass * moments.isel(time=longest)).assign_attrs(units="N m"),
    }
    return recording.replace(signals=found)


def is_plug_in_gait(recording: Recording) -> bool:
    """Whether there are angles and moments, and both under Plug-in Gait's names."""
    labels = [map(str, recording[name].joint.values) for name in ("angles", "moments") if name in recording]
    return len(labels) == 2 and all(any(_LABEL.fullmatch(label) for label in some) for some in labels)


def _named(recording: Recording, name: str) -> xr.DataArray:
    """The columns that are Plug-in Gait's, under OpenSim's names."""
    signal = recording[name].transpose("time", "joint")
    wanted = {"angles": "Angles", "moments": "Moment"}[name]
    found = {}
    for i, label in enumerate(map(str, signal.joint.values)):
        said = _LABEL.fullmatch(label)
        if said and said[3] == wanted and (said[2], said[4]) in COORDINATES:
            found[f"{COORDINATES[said[2], said[4]]}_{said[1].lower()}"] = i
    return signal.isel(joint=list(found.values())).drop_vars("unit", errors="ignore").assign_coords(joint=list(found))


def _mass(recording: Recording, given: float | None) -> float:
    mass = person_of(recording).get("mass_kg") if given is None else given
    if mass is None:
        raise OptionError(
            "the moments are for each kg of body mass, which is not known.",
            where=recording.label,
            remedy="Give the person's mass.",
        )
    check_person(mass, where=recording.label)
    return mass
