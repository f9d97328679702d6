"""The folder of results: activations, scores, the report and the run that made them, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from myodrive.errors import OptionError
from myodrive.evaluation.result import StudyResult
from myodrive.io import write
from myodrive.recording import Recording
from myodrive.reporting import write_report
from myodrive.safe_write import holds_other, safe_write_folder, safe_write_text

RUN = "run.json"
FORMATS = ("sto", "csv", "mat")  # that an activation can be written in beside NetCDF


def write_results(result: StudyResult, folder: Path, *, summary: bool = False) -> Path:
    """Write activations, scores, `report.html` and `run.json` into a folder, which appears whole or not at all.

    A folder that an earlier run wrote is replaced; any other that is not empty is refused.

    Raises
    ------
    OptionError
        If the folder holds something else.
    """
    check_results_folder(folder, RUN)

    def fill(target: Path) -> None:
        stems = file_stems([r.recording for r in result.recordings])
        formats = ("nc", *result.run["options"]["formats"])  # type: ignore[index]
        for stem, recording in zip(stems, result.recordings):
            for method, activation in recording.estimates.items():
                for suffix in formats:
                    write(activation, target / f"{stem}.{method}.{suffix}")
        _write_table([r.scores.assign(recording=s) for s, r in zip(stems, result.recordings)], target / "scores.csv")
        if summary:
            _write_table([r.summary for r in result.recordings], target / "summary.csv")
        safe_write_text(target / RUN, json.dumps(result.run, indent=1))
        write_report(result, target / "report.html")

    return safe_write_folder(folder, fill)


def check_results_folder(folder: str | Path, own: str, formats: Sequence[str] = ()) -> None:
    """Refuse a format or a folder that cannot be written: to be asked before minutes are spent on it.

    Parameters
    ----------
    own : str
        The file by which an earlier result is known.

    Raises
    ------
    OptionError
        If there is no such format, nothing may be written there, or the folder holds what no earlier run wrote.
    """
    unknown = [f for f in formats if f not in FORMATS]
    if unknown:
        raise OptionError(
            f"there is no format '{unknown[0]}' here.", where="--format", remedy="It can be sto, csv or mat."
        )
    folder = Path(folder)
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        what = "nothing may be written there" if above.is_dir() else "that is a file"
        raise OptionError(
            f"cannot be made in {above.name or above}: {what}.",
            where=str(folder),
            remedy="Choose another folder with --out.",
        )
    if holds_other(folder, own):
        raise OptionError(
            "is there already and holds something other than earlier results.",
            where=str(folder),
            remedy="Choose another folder with --out.",
        )


def stem_of(file: str) -> str:
    """A file's name without its suffix, nor that of its packing: "walk.01.csv.gz" keeps its number."""
    name = Path(file).name.removesuffix(".gz").removesuffix(".xz")
    return name.rpartition(".")[0] or name or "recording"


def file_stems(recordings: Sequence[Recording]) -> list[str]:
    """A file name for each recording, without suffix: of its file or labels, with a number where two are alike."""
    seen: dict[str, int] = {}
    stems = []
    for recording in recordings:
        stem = "".join("-" if c in '<>:"/\\|?*' or ord(c) < 32 else c for c in stem_of(recording.label))
        seen[stem] = seen.get(stem, 0) + 1
        stems.append(stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return stems


def _write_table(parts: list[pd.DataFrame], path: Path) -> None:
    parts = [p for p in parts if len(p)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    safe_write_text(path, table.to_csv(index=False))
