"""A list of recordings that belong together: from files, from a folder, or from a study.toml (see docs/study.md)."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from myodrive.errors import FileError, OptionError
from myodrive.io.devices import WAYS, Device
from myodrive.io.files import SUFFIXES, promised_format, read
from myodrive.io.opening import check_path
from myodrive.recording import Recording, Study

_OPTIONS = ("emg", "already", "muscles", "rate_hz", "units")
_LABELS = ("subject", "session", "movement", "repetition")
_CLOCKS = tuple(dict.fromkeys(key for way, beside in WAYS.items() for key in (way, *beside)))
_SIMULATED = ("storage", "trc")  # beside a laboratory's own files these are what was computed from them
_NO_RECORDING = ("readme", "license", "licence", "changelog", "description", "notes", "original_readme")


@dataclasses.dataclass(frozen=True)
class StudyEntry:
    """One recording of a study, not read yet: a file, and the files of other devices that belong to it."""

    path: Path
    subject: str = ""
    session: str = ""
    movement: str = ""
    repetition: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of `read`: emg, already, …
    devices: tuple[Device, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """Subject, session, movement and repetition, as far as they are known."""
        return {name: getattr(self, name) for name in _LABELS if getattr(self, name)}

    def read(self, **options: Any) -> Recording:
        """Open it with its labels and options, and join its devices; `options` of `read` that are given here come first.

        They are not of the devices' files, which have their own.
        """
        given = {k: v for k, v in options.items() if v is not None}
        recording = read(self.path, **{**self.options, **self.labels, **given})
        for device in self.devices:
            recording = device.add_to(recording, self.path)
        return recording


def study_files(source: str | Path | Sequence[str | Path], **defaults: Any) -> list[StudyEntry]:
    """The files of a study with their labels, so that a caller can open one after the other and go on after a bad one.

    Parameters
    ----------
    source : path or list of paths
        Files; a folder, of which every recording below it is taken, with subject, session and movement from the names
        of the folders (``HC002D/Straight/HC002D06.c3d``); or a ``study.toml``.
    **defaults
        Options and labels as of `read`, for every file that does not say otherwise.

    Raises
    ------
    FileError
        If a folder holds no recording, or the study.toml is no TOML.
    OptionError
        If the study.toml has an unknown key, or a device of which it is not clear how it is aligned.
    """
    if not isinstance(source, (str, Path)):
        return [entry for one in source for entry in study_files(one, **defaults)]
    path = Path(source)
    if path.is_dir():
        return _folder_files(path, defaults)
    if path.suffix.lower() == ".toml":
        return _toml_files(check_path(path), defaults)
    return [_entry(path, {}, defaults)]


def read_study(source: str | Path | Sequence[str | Path], *, name: str = "", **defaults: Any) -> Study:
    """Open all recordings of a study at once; the first file that cannot be read raises.

    Parameters
    ----------
    source
        As of `study_files`; also a study that was written as ``.nc``.
    name : str
        By default that in the study.toml, or the folder's.
    **defaults
        Options and labels as of `read`.
    """
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".nc":
        from myodrive.io.netcdf import read_netcdf

        thing = read_netcdf(source)
        if isinstance(thing, Study):
            return thing
    return Study([entry.read() for entry in study_files(source, **defaults)], name or study_name(source))


def study_name(source: str | Path | Sequence[str | Path]) -> str:
    """What a study is called: the name in the study.toml, the folder's, or nothing."""
    if not isinstance(source, (str, Path)):
        return ""
    path = Path(source)
    if path.suffix.lower() == ".toml" and path.is_file():
        return str(_load(path).get("study", {}).get("name", path.parent.resolve().name))
    return path.resolve().name if path.is_dir() else ""


def study_pairs(source: str | Path | Sequence[str | Path]) -> dict[str, tuple[str, ...]]:
    """The table ``[pairs]`` of a study.toml: measured muscle to the simulated muscles that stand for it; else nothing.

    Raises
    ------
    OptionError
        If what a muscle has is no name and no list of names.
    """
    path = Path(source) if isinstance(source, (str, Path)) else Path(source[0] if len(source) == 1 else "")
    listed = path / "study.toml" if path.is_dir() else path
    if listed.suffix.lower() != ".toml" or not listed.is_file():
        return {}
    return _pairs(_load(listed), listed)


# -- inside ----------------------------------------------------------------------------------------------------------


def _folder_files(folder: Path, defaults: Mapping[str, Any]) -> list[StudyEntry]:
    listed = folder / "study.toml"
    if listed.is_file():
        return _toml_files(listed, defaults)
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and _may_be_recording(p)]
    if any(promised_format(p) not in _SIMULATED for p in files):
        files = [p for p in files if promised_format(p) not in _SIMULATED]
    if not files:
        raise FileError(
            "holds no file that could be a recording.",
            where=str(folder),
            remedy=f"Known are: {' '.join(SUFFIXES)} (text and npz also as .gz and .xz).",
        )
    return [_entry(p, _labels_from_folders(folder, p), defaults) for p in files]


def _may_be_recording(path: Path) -> bool:
    name = path.name.lower()
    return bool(promised_format(path)) and not name.startswith((".", *_NO_RECORDING))


def _labels_from_folders(folder: Path, file: Path) -> dict[str, str]:
    """SUBJECT/file, SUBJECT/MOVEMENT/file or SUBJECT/SESSION/MOVEMENT/file below the folder.

    Where the folder itself is the subject's (the file's name starts with the folder's), what is below is the movement.
    """
    parts = list(file.relative_to(folder).parts[:-1])
    own = folder.resolve().name
    if len(parts) <= 1 and len(own) > 1 and file.name.startswith(own):
        parts.insert(0, own)
    labels = {"subject": parts[0]} if parts else {}
    if len(parts) > 1:
        labels["movement"] = parts[-1]
    if len(parts) > 2:
        labels["session"] = "/".join(parts[1:-1])
    return labels


def _toml_files(path: Path, defaults: Mapping[str, Any]) -> list[StudyEntry]:
    content = _load(path)
    common = content.get("study", {})
    _check_keys(common, ("name", *_OPTIONS, *_LABELS), path, "[study]")
    _check_keys(content, ("study", "recording", "pairs"), path, "study.toml")
    _pairs(content, path)
    rows = content.get("recording", [])
    if not isinstance(rows, list) or not rows:
        raise FileError(
            "lists no recording.",
            where=path,
            remedy='Add one: [[recording]] and file = "walk01.c3d". See docs/study.md.',
        )
    entries = []
    for row in rows:
        _check_keys(row, ("file", "device", *_OPTIONS, *_LABELS), path, "[[recording]]")
        file = _file_of(row, path, "[[recording]]")
        given = {k: v for k, v in {**common, **row}.items() if k not in ("file", "name", "device")}
        devices = row.get("device", [])
        devices = tuple(_device(d, path) for d in (devices if isinstance(devices, list) else [devices]))
        entries.append(_entry(file, given, defaults, devices))
    return entries


def _pairs(content: Mapping[str, Any], path: Path) -> dict[str, tuple[str, ...]]:
    pairs = {}
    table = content.get("pairs", {})
    for muscle, names in table.items() if isinstance(table, Mapping) else [("pairs", table)]:
        several = [names] if isinstance(names, str) else names
        if not isinstance(several, list) or not several or not all(isinstance(n, str) for n in several):
            raise OptionError(
                f"[pairs]: {muscle} = {names!r} is no list of simulated muscles.",
                where=path,
                remedy='Example: Hams = ["semimem_r", "semiten_r"].',
            )
        pairs[muscle] = tuple(several)
    return pairs


def _device(row: Any, path: Path) -> Device:
    _check_keys(row, ("file", *_CLOCKS, *_OPTIONS), path, "[[recording.device]]")
    file = _file_of(row, path, "[[recording.device]]")
    alignment = {k: row[k] for k in row if k in _CLOCKS}
    return Device(file, alignment, {k: row[k] for k in row if k in _OPTIONS})


def _file_of(row: Mapping[str, Any], path: Path, place: str) -> Path:
    if "file" not in row:
        raise FileError(f"a {place} without file = ….", where=path)
    return path.parent / str(row["file"])


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"is not valid TOML ({error}).", where=path, remedy="See docs/study.md.") from error


def _check_keys(found: Any, known: Sequence[str], path: Path, place: str) -> None:
    if not isinstance(found, Mapping):
        raise OptionError(f"{place} is not a table.", where=path, remedy="See docs/study.md.")
    unknown = [k for k in found if k not in known]
    if unknown:
        raise OptionError(f"{place} has the unknown key '{unknown[0]}'. Known: {', '.join(known)}.", where=path)


def _entry(
    path: Path, given: Mapping[str, Any], defaults: Mapping[str, Any], devices: tuple[Device, ...] = ()
) -> StudyEntry:
    merged = {**{k: v for k, v in defaults.items() if v not in (None, "")}, **given}
    labels = {k: str(merged[k]) for k in _LABELS if k in merged}
    return StudyEntry(path, **labels, options={k: merged[k] for k in _OPTIONS if k in merged}, devices=devices)
