"""ANC: the analog channels of a Motion Analysis laboratory, as text."""

from __future__ import annotations

import re
from pathlib import Path

from myodrive.errors import FileError
from myodrive.io.channels import UNKNOWN, Channels, make_signals
from myodrive.io.numbers import parse_rows
from myodrive.io.opening import AS_FOUND, Choice, check_path, open_file
from myodrive.recording import Recording, Source

_FORCE_PLATE = re.compile(r"^[FM]\d+[XYZ]$", re.I)


def read_anc(path: str | Path, choice: Choice = AS_FOUND) -> Recording:
    """Read an ANC file. Its values are counts of the converter; ``info`` has the range of each channel beside them.

    Raises
    ------
    FileError
        If it has no row of names, or is shorter than it says.
    """
    opened = open_file(check_path(path))
    lines = opened.text().splitlines()
    header = {line.split("\t")[0].strip(): i for i, line in enumerate(lines[:50])}
    if "Name" not in header:
        raise FileError("has no row 'Name' with the channels' names.", where=path)
    labels = [cell.strip() for cell in lines[header["Name"]].split("\t")[1:] if cell.strip()]
    start = max(header.get(row, 0) for row in ("Name", "Rate", "Range")) + 1
    rows = parse_rows(lines, start, 1 + len(labels), where=opened.path)
    facts = dict(re.findall(r"([^\t\n]+?):\t([^\t\n]+)", "\n".join(lines[: header["Name"]])))
    declared_s = facts.get("Duration(Sec.)", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", declared_s) and len(rows) and rows[-1, 0] < 0.99 * float(declared_s):
        raise FileError(f"is cut short: it ends at {rows[-1, 0]:g} s of {declared_s} s.", where=path)
    kinds = ["force" if _FORCE_PLATE.match(label) else UNKNOWN for label in labels]
    group = Channels(rows[:, 1:], rows[:, 0], labels, [""] * len(labels), kinds)
    signals, warnings = make_signals([group], choice, where=opened.name)
    if "Range" in header:
        facts["Range"] = lines[header["Range"]]
    return Recording(
        signals,
        source=Source(opened.name, opened.sha256, "anc", tuple(opened.doubts() + warnings)),
        info={"header": facts},
    )
