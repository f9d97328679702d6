"""The leg as an OpenSim model, and its trials as a laboratory would have them: from nothing to `myodrive refine`."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from myodrive.errors import SignalError
from myodrive.from_simulation.hill_muscles import HillMuscles
from myodrive.io.files import write
from myodrive.io.opensim_tables import write_storage, write_trc
from myodrive.recording import Study
from myodrive.safe_write import safe_write_text
from myodrive.truth import leg

MODEL = "leg.osim"
PELVIS_KG = 62.9  # all that the leg does not weigh of a person of 75 kg: forces are judged against body weight
_BODIES = ["pelvis", *(s.name for s in leg.SEGMENTS)]


def write_leg(path: str | Path) -> Path:
    """Write the leg as an OpenSim model (.osim, format of OpenSim 4); OpenSim itself is not needed.

    Its muscles are `DeGrooteFregly2016Muscle`, whose curves are those of `leg.hill_muscles`.
    """
    bodies = [_body("pelvis", PELVIS_KG, 0j, 1.0)]
    bodies += [_body(s.name, s.mass_kg, s.center, s.inertia) for s in leg.SEGMENTS]
    joints = [_joint("WeldJoint", "", "/ground", leg.HIP, "pelvis")]
    above = 0j
    for parent, segment in zip(_BODIES, leg.SEGMENTS):
        joints.append(_joint("PinJoint", segment.joint, f"/bodyset/{parent}", above, segment.name))
        above = segment.end
    hill = leg.hill_muscles()
    model = _node(
        "Model",
        _node("gravity", text=f"0 {-leg.GRAVITY} 0"),
        _set("BodySet", bodies),
        _set("JointSet", joints),
        _set("ForceSet", [_muscle(i, hill) for i in range(len(leg.MUSCLES))]),
        _set("MarkerSet", [_station("Marker", name, *where) for name, where in leg.MARKERS.items()]),
        name="leg",
    )
    document = ElementTree.Element("OpenSimDocument", Version="40000")
    document.append(model)
    ElementTree.indent(document)
    return safe_write_text(path, ElementTree.tostring(document, encoding="unicode", xml_declaration=True))


def write_trials(study: Study, folder: str | Path) -> list[str]:
    """Write the model and each trial of `simulate_trials`: markers, force on the foot, EMG, and a study.toml.

    ``trial01.trc``, ``trial01.mot`` and ``trial01_emg.nc``, and so on; ``study.toml`` names the recordings that `myodrive
    simulate` makes of them, in ``trial01/simulated.nc``, with the EMG beside them.

    Returns
    -------
    list of str
        The commands that simulate all trials, to be run in that folder.

    Raises
    ------
    SignalError
        If a trial has no markers, as with the muscles of myo-sim.
    """
    bare = [r.label for r in study if "markers" not in r]
    if bare:
        raise SignalError(
            f"{bare[0]} has no markers.",
            where=study.name,
            remedy="Only trials with body='leg' can be written for OpenSim.",
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_leg(folder / MODEL)
    commands, entries = [], ['[study]\nname = "leg"\n']
    for k, recording in enumerate(study, 1):
        name = f"trial{k:02d}"
        write_trc(recording, folder / f"{name}.trc")
        write_storage(recording["forces"], folder / f"{name}.mot")
        measured = {s: recording[s] for s in ("emg", "activation")}
        write(recording.replace(signals=measured), folder / f"{name}_emg.nc")
        commands.append(
            f"myodrive simulate {MODEL} --markers {name}.trc --forces {name}.mot --force-on foot_force=calcn_r --out {name}"
        )
        labels = {s: getattr(recording, s) for s in ("subject", "movement", "repetition")}
        entries.append(
            f'[[recording]]\nfile = "{name}/simulated.nc"\n'
            + "".join(f'{key} = "{value}"\n' for key, value in labels.items())
            + f'[[recording.device]]\nfile = "{name}_emg.nc"\noffset_s = 0.0\n'
        )
    safe_write_text(folder / "study.toml", "\n".join(entries))
    return commands


# -- inside ----------------------------------------------------------------------------------------------------------


def _node(tag: str, *children: ElementTree.Element, name: str = "", text: str = "") -> ElementTree.Element:
    element = ElementTree.Element(tag, {"name": name} if name else {})
    element.text = text
    element.extend(children)
    return element


def _set(tag: str, members: list[ElementTree.Element]) -> ElementTree.Element:
    return _node(tag, _node("objects", *members), name=tag.lower())


def _vector(place: complex, beside: float = 0.0) -> str:
    return f"{place.real} {place.imag} {beside}"


def _body(name: str, mass_kg: float, center: complex, inertia: float) -> ElementTree.Element:
    return _node(
        "Body",
        _node("mass", text=str(mass_kg)),
        _node("mass_center", text=_vector(center)),
        _node("inertia", text=f"{inertia} {inertia} {inertia} 0 0 0"),
        name=name,
    )


def _joint(kind: str, coordinate: str, parent: str, place: complex, child: str) -> ElementTree.Element:
    frames = [
        _node(
            "PhysicalOffsetFrame",
            _node("socket_parent", text=of),
            _node("translation", text=_vector(where)),
            name=name,
        )
        for name, of, where in (("above", parent, place), ("below", f"/bodyset/{child}", 0j))
    ]
    coordinates = [_node("Coordinate", name=coordinate)] if coordinate else []
    return _node(
        kind,
        _node("socket_parent_frame", text="above"),
        _node("socket_child_frame", text="below"),
        *([_node("coordinates", *coordinates)] if coordinates else []),
        _node("frames", *frames),
        name=f"{child}_joint",
    )


def _station(kind: str, name: str, body: int, place: complex, beside: float = 0.0) -> ElementTree.Element:
    return _node(
        kind,
        _node("socket_parent_frame", text=f"/bodyset/{_BODIES[body + 1]}"),
        _node("location", text=_vector(place, beside)),
        name=name,
    )


def _muscle(i: int, hill: HillMuscles) -> ElementTree.Element:
    muscle = leg.MUSCLES[i]
    points = [_station("PathPoint", f"{muscle.name}_{k}", *point) for k, point in enumerate(muscle.points)]
    numbers = {
        "max_isometric_force": hill.max_isometric_force[i],
        "optimal_fiber_length": hill.optimal_fiber_length[i],
        "tendon_slack_length": hill.tendon_slack_length[i],
        "pennation_angle_at_optimal": hill.pennation_rad[i],
        "max_contraction_velocity": hill.max_speed[i],
    }
    return _node(
        "DeGrooteFregly2016Muscle",
        _node("GeometryPath", _node("PathPointSet", _node("objects", *points)), name="path"),
        *(_node(tag, text=repr(float(value))) for tag, value in numbers.items()),
        _node("ignore_tendon_compliance", text="true"),
        _node("ignore_passive_fiber_force", text="true"),
        name=muscle.name,
    )
