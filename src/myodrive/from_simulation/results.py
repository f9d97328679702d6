"""What a simulation leaves: its folder, and the sentences that are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from myodrive.errors import OptionError
from myodrive.io.files import write
from myodrive.io.opensim_tables import write_storage, write_trc
from myodrive.recording import Recording
from myodrive.safe_write import holds_other, safe_write_folder, safe_write_text

_TABLES = {  # signal: the suffix of its file; OpenSim calls motion and ground reactions .mot
    "angles": "mot", "forces": "mot", "moments": "sto", "muscle_lengths": "sto", "muscle_velocities": "sto",
    "active_force": "sto", "passive_force": "sto", "simulated": "sto", "muscle_forces": "sto", "reserves": "sto",
}  # fmt: skip
FORMATS = ("sto",)


def write_simulation(
    recording: Recording, folder: str | Path, *, formats: Sequence[str] = (), report: str = ""
) -> Path:
    """Write ``simulated.nc`` with every signal, and the page of its report, if given, as ``report.html``.

    With the format ``sto`` also each table as OpenSim reads it.

    Raises
    ------
    OptionError
        See `check_target`.
    FileError
        If the folder cannot be written.
    """
    folder = check_target(folder, formats)

    def fill(temporary: Path) -> None:
        write(recording, temporary / "simulated.nc")
        if report:
            safe_write_text(temporary / "report.html", report)
        for name, suffix in _TABLES.items() if formats else ():
            if name in recording:
                write_storage(recording, temporary / f"{name}.{suffix}", signal=name)
        if formats and "markers" in recording:
            write_trc(recording, temporary / "markers.trc")

    return safe_write_folder(folder, fill)


def check_target(folder: str | Path, formats: Sequence[str] = ()) -> Path:
    """The folder, if a simulation may be written there: to be asked before minutes are spent on it.

    Raises
    ------
    OptionError
        If there is no such format, or the folder holds what no earlier simulation wrote.
    """
    unknown = [f for f in formats if f not in FORMATS]
    if unknown:
        raise OptionError(f"there is no format '{unknown[0]}' here.", where="--format", remedy="It can be sto.")
    folder = Path(folder)
    if holds_other(folder, "simulated.nc"):
        raise OptionError(
            "the folder holds something else, which would be replaced.", where=str(folder), remedy="Choose another."
        )
    return folder


def tell(recording: Recording) -> list[str]:
    """What was matched, what was not, what that costs, and every finding, in sentences."""
    findings = recording.info["simulation"]["findings"]
    return inputs(recording) + [f"{'ok   ' if f['good'] else 'CHECK'} {f['words']}" for f in findings]


def inputs(recording: Recording) -> list[str]:
    """Which markers and forces went in, which did not, and what that costs."""
    said = recording.info["simulation"]
    markers = said["markers"]
    lines = _of_markers(markers) if markers else [f"The {said['given']} were given, so no markers were followed."]
    lines += said.get("notes", [])
    acts = {name: body for name, body in said["forces"].items() if body}
    if "moments" in said["given"]:
        lines.append("Inverse dynamics was not needed, so forces from outside were not looked at.")
    elif acts:
        lines.append("Forces: " + ", ".join(f"{name} acts on {body}" for name, body in acts.items()) + ".")
    else:
        lines.append("No forces from outside: the moments hold only where nothing else touches the body.")
    return lines


def _of_markers(markers: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{len(markers['used'])} markers matched with the map '{markers['map']}': "
        + ", ".join(label if label == m else f"{label}={m}" for label, m in markers["used"].items())
        + "."
    ]
    for label, parts in markers.get("means", {}).items():
        lines.append(f"{label} was not recorded; the mean of {' and '.join(parts)} stands for it.")
    for key, words in (
        ("unused_labels", "recorded but not in the model, so not used"),
        ("unmatched_markers", "in the model but not recorded"),
        ("bodies_without_marker", "without any marker, so only held by their neighbours and their rotation is a guess"),
    ):
        if markers[key]:
            lines.append(f"{words.capitalize()}: {', '.join(markers[key])}.")
    return lines + [f"Marker {label} was {done}." for label, done in markers["gaps"].items()]
