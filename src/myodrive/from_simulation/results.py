"""What a simulation leaves: its folder, and the sentences that are printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from myodrive.errors import OptionError
from myodrive.io.files import write
from myodrive.io.opensim_tables import write_storage, write_trc
from myodrive.recording import Recording
from myodrive.safe_write import safe_write_folder

_TABLES = {  # signal: the suffix of its file; OpenSim calls motion and ground reactions .mot
    "angles": "mot", "forces": "mot", "moments": "sto", "muscle_lengths": "sto", "muscle_velocities": "sto",
    "active_force": "sto", "passive_force": "sto", "simulated": "sto", "muscle_forces": "sto", "reserves": "sto",
}  # fmt: skip
FORMATS = ("sto",)


def write_simulation(recording: Recording, folder: str | Path, *, formats: Sequence[str] = ()) -> Path:
    """Write ``simulated.nc`` with every signal; with the format ``sto`` also each table as OpenSim reads it.

    Raises
    ------
    OptionError
        If there is no such format.
    FileError
        If the folder cannot be written, or holds something else.
    """
    unknown = [f for f in formats if f not in FORMATS]
    if unknown:
        raise OptionError(f"there is no format '{unknown[0]}' here.", where="--format", remedy="It can be sto.")
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "simulated.nc").is_file():
        raise OptionError(
            "the folder holds something else, which would be replaced.", where=str(folder), remedy="Choose another."
        )

    def fill(temporary: Path) -> None:
        write(recording, temporary / "simulated.nc")
        for name, suffix in _TABLES.items() if formats else ():
            if name in recording:
                write_storage(recording, temporary / f"{name}.{suffix}", signal=name)
        if formats:
            write_trc(recording, temporary / "markers.trc")

    return safe_write_folder(folder, fill)


def tell(recording: Recording) -> list[str]:
    """What was matched, what was not, what that costs, and every finding, in sentences."""
    said = recording.info["simulation"]
    markers = said["markers"]
    lines = [
        f"{len(markers['used'])} markers matched with the map '{markers['map']}': "
        + ", ".join(label if label == m else f"{label}={m}" for label, m in markers["used"].items())
        + "."
    ]
    for key, words in (
        ("unused_labels", "recorded but not in the model, so not used"),
        ("unmatched_markers", "in the model but not recorded"),
        ("bodies_without_marker", "without any marker, so only held by their neighbours and their rotation is a guess"),
    ):
        if markers[key]:
            lines.append(f"{words.capitalize()}: {', '.join(markers[key])}.")
    lines += [f"Marker {label} was {done}." for label, done in markers["gaps"].items()]
    acts = {name: body for name, body in said["forces"].items() if body}
    if acts:
        lines.append("Forces: " + ", ".join(f"{name} acts on {body}" for name, body in acts.items()) + ".")
    else:
        lines.append("No forces from outside: the moments hold only where nothing else touches the body.")
    return lines + [f"{'ok   ' if f['good'] else 'CHECK'} {f['words']}" for f in said["findings"]]
